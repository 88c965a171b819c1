"""The cron actor with a storage that remembers what it is asked, and nobody else."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from trio_gusto import Fact, GustoError, MemoryStorage, every
from trio_gusto.actors.cron import Cron
from trio_gusto.actors.desk import StorageDesk
from trio_gusto.actors.holder import Holder
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.storekeeper import Storekeeper
from trio_gusto.model.ids import uuid7
from trio_gusto.model.instants import MICROSECONDS, to_instant
from trio_gusto.model.job import JobRequest
from trio_gusto.model.schedule import ScheduleRequest, StoredSchedule, admit
from trio_gusto.storage.messages import Conflict, Query, Write, WriteReply
from trio_gusto.storage.schedule_messages import FindSchedules, Fire, HeldJob, PutSchedule
from trio_gusto.testing import VirtualClock
from trio_gusto.testing.clock import START

NOW = to_instant(START)
MINUTE = 60
HELD = HeldJob(uuid7(1_000_000, 1), "ledger", ())


class Listening(MemoryStorage):
    """Remembers what it is asked and told, and when; ``fault`` and ``answer`` take its place."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[float, FindSchedules]] = []
        self.groups: list[list[Fire]] = []
        self.put: list[PutSchedule] = []
        self.fault: GustoError | None = None
        self.answer: WriteReply | GustoError | None = None
        self.held: tuple[HeldJob, ...] = ()
        self.rivals: set[str] = set()
        """Schedules that somebody else is quicker to fire."""

    async def read(self, query: Query) -> Any:
        assert isinstance(query, FindSchedules)
        self.reads.append((trio.current_time(), query))
        assert len(self.reads) < 100, "it looks and looks"
        if self.fault is not None:
            raise self.fault
        return attrs.evolve(await super().read(query), held=self.held)

    def perform(self, write: Write) -> WriteReply | GustoError:
        if isinstance(write, PutSchedule):
            self.put.append(write)
        if isinstance(write, Fire) and self.answer is not None:
            return self.answer
        reply = super().perform(write)
        is_late = isinstance(write, Fire) and write.schedule.request.name in self.rivals
        return Conflict() if is_late else reply

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        self.groups.append([write for write in writes if isinstance(write, Fire)])
        return await super().apply(writes)

    @property
    def fires(self) -> list[Fire]:
        return [fire for group in self.groups for fire in group]


class Gate:
    """Notes what passes."""

    def __init__(self) -> None:
        self.passed: list[tuple[str, object]] = []

    async def pass_through(self, point: str, record: object) -> None:
        self.passed.append((point, record))


class Office:
    """A cron actor with its storage, and all that it tells others."""

    def __init__(self) -> None:
        self.storage = Listening()
        self.desk = StorageDesk(self.storage)
        self.clock = VirtualClock()
        self.clock.instant()
        self.gate = Gate()
        self.probe = Probe()
        self.facts: list[Fact] = []
        self.held: list[tuple[object, trio.Nursery]] = []
        self.guards_rest = trio.Event()
        self.guards_rest.set()
        self.due: list[tuple[float, int]] = []
        self.expiring = 0
        self.cron = Cron(
            self.desk,
            cast("Holder", self),
            self.probe,
            self.clock,
            lambda due: self.due.append((trio.current_time(), due)),
            self.on_expiring,
        )

    def on_expiring(self) -> None:
        self.expiring += 1

    # As a holder:

    def hold(self, held: object, nursery: trio.Nursery) -> None:
        self.held.append((held, nursery))

    def is_rested(self) -> bool:
        return self.guards_rest.is_set()

    async def until_rested(self) -> None:
        await self.guards_rest.wait()

    # As somebody who registers schedules:

    async def register(self, name: str, **options: Any) -> StoredSchedule:
        template = JobRequest(
            uuid7(0, 0),
            "work",
            "[]",
            created_at=0,
            max_attempts=1,
            expire_on=options.pop("expire_on", None),
        )
        trigger = every(options.pop("seconds", MINUTE))
        schedule = admit(ScheduleRequest(name, trigger, template, **options), self.clock.instant())
        await self.put(name, None, schedule)
        return schedule

    async def put(self, name: str, version: int | None, schedule: StoredSchedule) -> None:
        await super(Listening, self.storage).apply([PutSchedule(name, version, schedule)])
        self.storage.put.clear()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(Storekeeper(self.desk).run)
            await nursery.start(self.cron.run)
            await wait_all_tasks_blocked()
            yield
            nursery.cancel_scope.cancel()


def after(seconds: float) -> int:
    return NOW + round(seconds * MICROSECONDS)
