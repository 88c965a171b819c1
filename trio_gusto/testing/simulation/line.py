"""`Line`: one process's way to the storage. Troubles meet it there, and it ends there.

Whoever crashes or stands still at a kill point does so in here, between two messages: the storage
itself, and other processes, notice nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import trio

from ...model.errors import GustoError
from ...storage.bells import Bell
from ...storage.lease_messages import Stranded, StrandedJobs
from ...storage.messages import Query, Write, WriteReply
from ...storage.news import EVERYTHING, News
from ...storage.storage import Storage
from .exchange import Exchange
from .points import stages_of
from .weather import Weather

Reach = Callable[[str], Awaitable[None]]
"""Called at a kill point; returns when the process goes on."""


class Line(Storage):
    """Passes everything on to ``storage``. ``armed`` are the kill points at which ``reach`` is called."""

    def __init__(
        self, storage: Storage, node: str, weather: Weather, exchange: Exchange, reach: Reach
    ) -> None:
        self.storage = storage
        self.take_after(storage)
        self.armed: set[str] = set()
        self.names: list[str] = []
        """What the process calls itself, of which the storage remembers the presence."""
        self.is_cut = False
        """Whether nothing of this process reaches the storage any more."""
        self._bell = Bell()
        self._exchange = exchange
        self._node = node
        self._weather = weather
        self._reach = reach

    async def attach(self, node: str) -> None:
        self.names.append(node)
        self._exchange.hearers.append(self)
        await self.storage.attach(node)

    async def detach(self, node: str) -> None:
        if not self.is_cut:
            self.leave()
            await self.storage.detach(node)
            self._exchange.spread(self, EVERYTHING)

    def leave(self) -> None:
        """It hears nothing any more."""
        if self in self._exchange.hearers:
            self._exchange.hearers.remove(self)

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        if self.is_cut:
            await trio.sleep_forever()
        if not self.armed and self._weather.is_fine:
            return await self._perform(writes)
        stages = stages_of(writes)
        await self._pass(stages, "before_commit")
        failure = await self._weather.before(self._node, "apply", stages)
        if self.is_cut:  # it has crashed while the storage was slow
            await trio.sleep_forever()
        replies = await self._perform(writes)
        await self._pass(stages, "after_commit")
        self._weather.after(failure, self._node, stages)
        return replies

    async def read(self, query: Query) -> Any:
        if self.is_cut:
            await trio.sleep_forever()
        failure, stages = None, (type(query).__name__,)
        if not self._weather.is_fine:
            failure = await self._weather.before(self._node, "read", stages)
        reply: Any = await self.storage.read(query)
        self._weather.after(failure, self._node, stages)
        return _unhurried(reply) if isinstance(query, Stranded) else reply

    async def wait_changed(self, node: str) -> News:  # noqa: ARG002 - there is one in a process
        await self._bell.until_rung()
        await self._exchange.pass_on()
        return self._bell.answer()

    def ring(self, news: News) -> None:
        """Others have changed something."""
        self._bell.ring(news)

    async def _perform(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        replies = await self.storage.apply(writes)
        self._exchange.note(self, writes, replies)
        return replies

    async def _pass(self, stages: Sequence[str], moment: str) -> None:
        for stage in stages:
            point = f"{stage}.{moment}"
            if point in self.armed:
                await self._reach(point)


def _unhurried(found: StrandedJobs) -> StrandedJobs:
    """Without the advice to look every second for nodes that vanish: here that is heard of."""
    return attrs.evolve(found, foreign=False) if found.foreign else found
