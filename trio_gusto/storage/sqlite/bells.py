"""Wakes the nodes that wait for a change: one bell for each, which stays rung until it is heard."""

from __future__ import annotations

import trio


class Bells:
    """The bells of the nodes attached to one storage object."""

    def __init__(self) -> None:
        self._bells: dict[str, trio.Event] = {}

    def __len__(self) -> int:
        return len(self._bells)

    def hang(self, node: str) -> None:
        """From now on ``node`` misses no change."""
        self._bells[node] = trio.Event()

    def take_down(self, node: str) -> None:
        """``node`` leaves. One that never came may leave too."""
        self._bells.pop(node, None)

    def ring(self) -> None:
        """Something may have changed."""
        for bell in self._bells.values():
            bell.set()

    async def heard(self, node: str) -> None:
        """Return when there was a change since this last returned."""
        await self._bells[node].wait()
        if node in self._bells:
            self._bells[node] = trio.Event()
