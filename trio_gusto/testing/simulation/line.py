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
from ...storage.lease_messages import Stranded, StrandedJobs
from ...storage.messages import Query, Write, WriteReply
from ...storage.storage import Storage
from .points import stages_of
from .weather import Weather

Reach = Callable[[str], Awaitable[None]]
"""Called at a kill point; returns when the process goes on."""


class Line(Storage):
    """Passes everything on to ``storage``. ``armed`` are the kill points at which ``reach`` is called."""

    def __init__(self, storage: Storage, node: str, weather: Weather, reach: Reach) -> None:
        self.storage = storage
        self.decides_retries = storage.decides_retries
        self.keeps_reports = storage.keeps_reports
        self.keeps_children = storage.keeps_children
        self.keeps_rates = storage.keeps_rates
        self.remembers_presence = storage.remembers_presence
        self.armed: set[str] = set()
        self.names: list[str] = []
        """What the process calls itself, of which the storage remembers the presence."""
        self.is_cut = False
        """Whether nothing of this process reaches the storage any more."""
        self._has_rung = False
        self._hearing = trio.CancelScope()
        self._node = node
        self._weather = weather
        self._reach = reach

    async def attach(self, node: str) -> None:
        self.names.append(node)
        await self.storage.attach(node)

    async def detach(self, node: str) -> None:
        if not self.is_cut:
            await self.storage.detach(node)

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        if self.is_cut:
            await trio.sleep_forever()
        if not self.armed and self._weather.is_fine:
            return await self.storage.apply(writes)
        stages = stages_of(writes)
        await self._pass(stages, "before_commit")
        failure = await self._weather.before(self._node, "apply", stages)
        replies = await self.storage.apply(writes)
        await self._pass(stages, "after_commit")
        self._weather.after(failure, self._node, stages)
        return replies

    async def read(self, query: Query) -> Any:
        if self.is_cut:
            await trio.sleep_forever()
        if not self._weather.is_fine:
            stages = (type(query).__name__,)
            failure = await self._weather.before(self._node, "read", stages)
            reply = await self.storage.read(query)
            self._weather.after(failure, self._node, stages)
        else:
            reply = await self.storage.read(query)
        if isinstance(query, Stranded):
            return _unhurried(reply)
        return reply

    async def wait_changed(self, node: str) -> None:
        if not self._has_rung:
            with trio.CancelScope() as self._hearing:
                await self.storage.wait_changed(node)
        self._has_rung = False

    def ring(self) -> None:
        """Let the process look at everything again, as when others have changed something."""
        self._has_rung = True
        self._hearing.cancel()

    async def _pass(self, stages: Sequence[str], moment: str) -> None:
        for stage in stages:
            point = f"{stage}.{moment}"
            if point in self.armed:
                await self._reach(point)


def _unhurried(found: StrandedJobs) -> StrandedJobs:
    """Without the advice to look every second for nodes that vanish: here that is heard of."""
    return attrs.evolve(found, foreign=False) if found.foreign else found
