"""`Befalling`: the acts that let time pass, and that befall nodes, their storage and their clocks."""

from __future__ import annotations

import attrs
import trio

from .acting import PATIENCE, Acting, picked
from .answers import NothingToDo
from .book import ALL
from .plans import CLOCK_ERROR, Act

EXACT = 1e-5
"""Seconds below which a clock is right."""

HOURS = 1000.0
"""Seconds for which no storage is broken: it would be tried all the time, and nothing else happens."""

BUSY = 200
"""Instants of a schedule in one act, at most."""


class Befalling(Acting):
    """Mixed into `Player`."""

    async def act(self, act: Act) -> None:
        name, *arguments = act
        await self._keep_clocks_in_bounds(arguments[0] if name == "advance" else 0.0)
        await super().act(act)

    async def _advance(self, seconds: float) -> None:
        if seconds > HOURS:
            await self.act(("clear",))
        with trio.CancelScope(shield=True):  # patience is for answers
            for number, name in enumerate(self.schedules):
                known = self.book.schedules[name]
                if known.ended is None and seconds > BUSY * (known.period or 300):
                    await self.act(("unschedule", number))
            await self.world.advance(seconds)

    async def _crash(self, number: int, point: str | None, noticed: bool) -> None:
        node = self._running(number, point)
        if point is None:
            await self.world.disarm(node)
        await self.world.crash(node, at=point, noticed=noticed)

    async def _stop(self, number: int, point: str | None) -> None:
        await self.world.pause(self._running(number, point), at=point)

    def _running(self, number: int, point: str | None) -> str:
        """A node, which something is to befall; at a point, if that is given."""
        node = self.node(number)
        if node not in self.world.running or point in self.armed[node]:
            raise NothingToDo
        if point is not None:
            self.armed[node].add(point)
        return node

    async def _go_on(self, number: int) -> None:
        node = self.node(number)
        if node not in self.book.still:
            node = picked(sorted(self.book.still), number)
        await self.world.resume(node)

    async def _restart(self, number: int) -> None:
        node = self.node(number)
        self._question.ask_as(node)
        self.armed[node].clear()
        await self.world.disarm(node)
        await self.world.restart(node)

    async def _drain(self, number: int) -> None:
        node = self.node(number)
        if node not in self.world.running or self.armed[node]:
            raise NothingToDo
        self._question.ask_as(node)
        self.book.shake(node)
        await self.world.drain(node)

    async def _fail(self, stage: str, number: int | None, after: bool, times: int) -> None:
        node = None if number is None else self.node(number)
        self.world.storage.fail_next(on=stage, after_commit=after, node=node, times=times)

    async def _slow(self, number: int | None, seconds: float, on: str = "apply") -> None:
        node = None if number is None else self.node(number)
        self.book.slow.add(node or ALL)
        self.world.storage.slow(seconds, on=on, node=node)

    async def _locked(self, number: int | None) -> None:
        self.world.storage.locked(node=None if number is None else self.node(number))

    async def _full(self, number: int) -> None:
        self.world.storage.full(node=self.node(number))

    async def _clear(self) -> None:
        if self.world.storage.is_fine:
            raise NothingToDo
        for node in self.book.slow:
            self.book.shake(node)
        self.book.slow.clear()
        self.world.storage.clear()

    async def _clock(self, number: int, error: float) -> None:
        node = self.node(number)
        known = self.book.clock_of(node)
        if abs(error - known.by) < EXACT:
            raise NothingToDo
        await self.world.step_clock(node, error - known.by)
        self.book.clocks[node] = attrs.evolve(known, by=error)

    async def _drift(self, number: int, rate: float) -> None:
        node = self.node(number)
        known = self.book.clock_of(node)
        if rate == known.rate:
            raise NothingToDo
        await self.world.drift_clock(node, rate)
        self.book.clocks[node] = attrs.evolve(known, rate=rate)

    async def _keep_clocks_in_bounds(self, seconds: float) -> None:
        """Let no clock drift any more that would be too far off after so long, and what is done beside."""
        until = self.book.time() + seconds + 2 * PATIENCE
        for number, node in enumerate(self.world.nodes):
            known = self.book.clock_of(node)
            if known.rate and abs(known.at(until)) > CLOCK_ERROR:
                await self._drift(number, 0.0)
