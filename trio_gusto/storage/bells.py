"""Tells the nodes that wait for changes what has happened: each has a bell, which rings until it is heard."""

from __future__ import annotations

from collections.abc import Iterator

import trio

from .news import EVERYTHING, NOTHING, News


class Bell:
    """Gathers what one node is to hear, until it listens."""

    def __init__(self) -> None:
        self._news = NOTHING
        self._rung = trio.Event()

    def ring(self, news: News) -> None:
        """This has happened."""
        self._news |= news
        self._rung.set()

    async def until_rung(self) -> None:
        """Wait until there is anything to hear."""
        await self._rung.wait()

    def answer(self) -> News:
        """All that has happened since this was last called."""
        news, self._news = self._news, NOTHING
        self._rung = trio.Event()
        return news


class Bells:
    """The bells of the nodes attached to one storage object."""

    def __init__(self) -> None:
        self._bells: dict[str, Bell] = {}

    def __len__(self) -> int:
        return len(self._bells)

    def __iter__(self) -> Iterator[str]:
        """The nodes."""
        return iter(self._bells)

    def hang(self, node: str) -> None:
        """From now on ``node`` misses no change."""
        self._bells[node] = Bell()

    def take_down(self, node: str) -> None:
        """``node`` leaves. One that never came may leave too."""
        self._bells.pop(node, None)

    def ring(self, news: News = EVERYTHING) -> None:
        """Something has happened, or may have."""
        if news:
            for bell in self._bells.values():
                bell.ring(news)

    async def heard(self, node: str) -> News:
        """Return what has happened since this last returned, as soon as anything has.

        One that has left is told nothing any more.
        """
        bell = self._bells.get(node)
        if bell is None:
            await trio.sleep_forever()
        await bell.until_rung()
        return bell.answer()
