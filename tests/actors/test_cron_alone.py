"""The cron actor by itself: what it asks, what it stores, whom it tells, and when it sleeps."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto import Fact, GustoError, MemoryStorage, NotSupported, StorageBusy, every
from trio_gusto.actors import cron as crons
from trio_gusto.actors.cron import Cron
from trio_gusto.actors.desk import StorageDesk
from trio_gusto.actors.holder import Holder
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.storekeeper import Storekeeper
from trio_gusto.model.facts import JobEnqueued
from trio_gusto.model.ids import uuid7
from trio_gusto.model.instants import MICROSECONDS, to_instant
from trio_gusto.model.job import JobRequest
from trio_gusto.model.schedule import Coalesce, Overlap, ScheduleRequest, StoredSchedule, admit
from trio_gusto.model.states import Ready, Scheduled, Skipped, Waiting
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


# --- looking --------------------------------------------------------------------------------------


async def test_without_schedules_it_looks_once(autojump_clock: MockClock) -> None:
    office = Office()
    async with office.open():
        assert office.cron.is_rested()
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == math.inf
        await trio.sleep(1000)
    assert office.storage.reads == [(0.0, FindSchedules(100))]


@pytest.mark.parametrize(
    ("names", "afters"), [("a", [None]), ("ab", [None, "b"]), ("abc", [None, "b"])]
)
async def test_it_first_looks_at_all_of_them_and_then_at_those_that_are_due(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, names: str, afters: list[str | None]
) -> None:
    monkeypatch.setattr(crons, "SLICE", 2)
    office = Office()
    for name in names:
        await office.register(name)
    async with office.open():
        pass
    assert office.storage.reads == [
        *((0.0, FindSchedules(2, after=name)) for name in afters),
        (0.0, FindSchedules(2, due_by=NOW)),
    ]


async def test_it_sleeps_until_the_next_instant_and_looks_twice_as_it_fires(
    autojump_clock: MockClock,
) -> None:
    office = Office()
    await office.register("ledger", seconds=100)
    async with office.open():
        await trio.sleep(150)
    assert office.storage.reads[2:] == [(100.0, FindSchedules(100, due_by=after(100)))] * 2
    assert office.due == [(100.0, after(100))]


async def test_shortly_before_an_instant_it_sleeps_still(autojump_clock: MockClock) -> None:
    office = Office()
    await office.register("ledger")
    office.clock.step(MINUTE - 0.25)
    async with office.open():
        assert len(office.storage.reads) == 2
        await trio.sleep(1)
    assert office.due == [(0.25, after(MINUTE))]


async def test_what_is_held_is_given_a_guard(autojump_clock: MockClock) -> None:
    office = Office()
    office.storage.held = (HELD,)
    await office.register("ledger")
    async with office.open():
        assert [held for held, _ in office.held] == [(HELD,)] * 2, "by every look"
        assert all(isinstance(nursery, trio.Nursery) for _, nursery in office.held)


async def test_it_may_be_told_of_changes_before_it_runs(autojump_clock: MockClock) -> None:
    office = Office()
    office.cron.wake()
    async with office.open():
        assert office.cron.is_rested()
    assert len(office.storage.reads) == 1


async def test_it_looks_again_as_soon_as_something_may_have_changed(
    autojump_clock: MockClock,
) -> None:
    office = Office()
    async with office.open():
        await trio.sleep(5)
        office.cron.wake()
        assert not office.cron.is_rested()
        await wait_all_tasks_blocked()
        assert office.cron.is_rested()
        await trio.sleep(1000)
    assert [at for at, _ in office.storage.reads] == [0.0, 5.0]


async def test_what_it_hears_of_while_it_looks_is_looked_at_before_it_rests(
    autojump_clock: MockClock,
) -> None:
    office = Office()
    read = office.desk.read
    rested: list[bool] = []

    async def slowly(query: Any) -> Any:
        found = await read(query)
        if len(office.storage.reads) == 1:
            office.cron.wake()
        await trio.sleep(1)
        rested.append(office.cron.is_rested())
        return found

    office.desk.read = slowly
    async with office.open():
        await trio.sleep(1000)
        assert office.cron.is_rested()
    assert [at for at, _ in office.storage.reads] == [0.0, 1.0]
    assert rested == [False, False]


async def test_it_has_rested_when_the_guards_have_too(autojump_clock: MockClock) -> None:
    office = Office()
    office.guards_rest = trio.Event()
    async with trio.open_nursery() as nursery, office.open():
        assert not office.cron.is_rested()
        nursery.start_soon(office.cron.until_rested)
        await trio.sleep(5)
        assert nursery.child_tasks
        office.guards_rest.set()
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks


async def test_started_again_it_has_not_rested_until_it_has_looked(
    autojump_clock: MockClock,
) -> None:
    office = Office()
    read = office.desk.read
    rested: list[bool] = []

    async def noting(query: Any) -> Any:
        rested.append(office.cron.is_rested())
        return await read(query)

    office.desk.read = noting
    for _ in range(2):
        async with office.open():
            assert office.cron.is_rested()
    assert rested == [False, False]


# --- faults ---------------------------------------------------------------------------------------


async def test_while_the_storage_fails_it_asks_once_a_second_and_says_so(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    office = Office()
    office.storage.fault = StorageBusy("busy")
    async with office.open():
        await trio.sleep(2.5)
        assert not office.cron.is_rested()
        office.storage.fault = None
        await trio.sleep(100)
        assert office.cron.is_rested()
    assert [at for at, _ in office.storage.reads] == [0.0, 1.0, 2.0, 3.0]
    line = f"schedules could not be looked at: {StorageBusy('busy')}"
    assert [record.getMessage() for record in caplog.records] == [line] * 3


async def test_a_storage_without_schedules_is_not_asked_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    office = Office()
    office.storage.fault = NotSupported("schedules", "SupportsSchedules")
    async with office.open():
        assert office.cron.is_rested()
        await trio.sleep(1000)
    assert len(office.storage.reads) == 1
    assert caplog.records == []


async def test_a_schedule_that_is_refused_is_left_alone_for_half_a_minute(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    office = Office()
    await office.register("ledger")
    office.storage.answer = NotSupported("that", "nothing")
    async with office.open():
        await trio.sleep(65)
        assert office.cron.is_rested()
        office.storage.answer = None
        await trio.sleep(20)
        assert office.due == [(60.0, after(60))]
        await trio.sleep(6)
        assert office.due == [(60.0, after(60)), (90.0, after(60))]
    line = f"the schedule 'ledger' could not be fired: {NotSupported('that', 'nothing')}"
    assert [record.getMessage() for record in caplog.records] == [line]
    asked = [(at, query.limit) for at, query in office.storage.reads[2:]]
    assert asked == [(60.0, 100), (60.0, 101), (90.0, 100), (90.0, 100)]


async def test_who_comes_too_late_looks_again_and_tells_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    office = Office()
    office.probe.subscribe(office.facts.append)
    await office.register("ledger")
    office.storage.answer = Conflict()

    async def relent() -> None:
        await trio.sleep(MINUTE)
        await trio.lowlevel.checkpoint()
        while len(office.storage.fires) < 2:
            await trio.lowlevel.checkpoint()
        office.storage.answer = None

    async with trio.open_nursery() as nursery, office.open():
        nursery.start_soon(relent)
        await trio.sleep(61)
    assert len(office.storage.fires) >= 3
    assert len([fact for fact in office.facts if isinstance(fact, JobEnqueued)]) == 1
    assert caplog.records == []


@pytest.mark.parametrize("many", [crons.MANY, 1], ids=["together", "one by one"])
async def test_who_was_too_late_lets_others_go_first_until_it_is_the_first_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(crons, "MANY", many)
    office = Office()
    for name in "ab":
        await office.register(name)
    office.storage.rivals = {"a", "b"}
    async with office.open():
        await trio.sleep(MINUTE + 1)
        office.storage.rivals.clear()
        await trio.sleep(2 * MINUTE)
    asked = [at for at, _ in office.storage.reads[2:]]
    assert asked == [60.0, 60.0, 120.05, 120.05, 180.0, 180.0]
    assert len(office.storage.fires) == 6


async def test_who_was_first_with_one_of_several_does_not_wait(autojump_clock: MockClock) -> None:
    """Or two who both had lost something would wait for each other for ever after."""
    office = Office()
    for name in "abc":
        await office.register(name)
    office.storage.rivals = {"a", "c"}
    async with office.open():
        await trio.sleep(2 * MINUTE + 1)
    assert [at for at, _ in office.storage.reads[2:]] == [60.0, 60.0, 120.0, 120.0]


async def test_who_lets_others_go_first_hears_of_it_when_they_have(
    autojump_clock: MockClock,
) -> None:
    office = Office()
    await office.register("ledger")
    office.storage.rivals = {"ledger"}
    async with office.open():
        await trio.sleep(2 * MINUTE + 0.01)
        assert not office.cron.is_rested(), "something is due"
        office.cron.wake()
        await wait_all_tasks_blocked()
        assert [at for at, _ in office.storage.reads[4:]] == [120.01, 120.01]
        assert office.cron.is_rested()


# --- firing ---------------------------------------------------------------------------------------


async def test_what_fires_is_stored_in_the_order_of_its_instants(
    autojump_clock: MockClock,
) -> None:
    office = Office()
    schedule = await office.register(
        "ledger", coalesce=Coalesce.ALL, overlap=Overlap.BUFFER_ONE, max_catchup=3
    )
    office.clock.step(4 * MINUTE)
    async with office.open():
        pass
    (fire,) = office.storage.fires
    now = after(4 * MINUTE)
    assert fire.version == schedule.version
    assert fire.schedule.next_at == after(5 * MINUTE)
    details = [request.details for request in fire.requests]
    instants = [one and one.fire_time for one in details]
    assert instants == [after(number * MINUTE) for number in (1, 2, 3, 4)]
    assert {request.created_at for request in fire.requests} == {now}
    assert [type(state) for state in fire.states] == [Skipped, Ready, Waiting, Skipped]
    first, second, _, last = fire.states
    assert first == Skipped(now, "missed, and beyond max_catchup")
    assert second == Ready(after(2 * MINUTE))
    assert last == Skipped(now, "a job of an earlier instant had not ended")
    assert office.due == [(0.0, after(2 * MINUTE))]


async def test_a_job_that_is_held_back_is_known_to_be_due_then(autojump_clock: MockClock) -> None:
    office = Office()
    await office.register("ledger", jitter=30 * MICROSECONDS)
    async with office.open():
        await trio.sleep(MINUTE + 0.5)
    (state,) = office.storage.fires[0].states
    assert isinstance(state, Scheduled)
    assert office.due == [(60.0, state.due)]


@pytest.mark.parametrize(("expire_on", "told"), [(None, 0), (MICROSECONDS, 1)])
async def test_deadlines_are_told_to_who_looks_after_them(
    autojump_clock: MockClock, expire_on: int | None, told: int
) -> None:
    office = Office()
    await office.register("ledger", expire_on=expire_on)
    async with office.open():
        await trio.sleep(MINUTE + 1)
    assert len(office.storage.fires) == 1
    assert office.expiring == told


@pytest.mark.parametrize("is_gated", [False, True])
async def test_a_barrier_stands_behind_what_has_fired(
    autojump_clock: MockClock, is_gated: bool
) -> None:
    office = Office()
    if is_gated:
        office.probe.gate = office.gate  # type: ignore[assignment]  # of one way through
    await office.register("ledger")
    async with office.open():
        await trio.sleep(MINUTE + 1)
    assert (
        office.gate.passed == [("schedule_fired", fire) for fire in office.storage.fires] * is_gated
    )
    assert office.facts == []


@pytest.mark.parametrize(
    ("many", "transactions"),
    [(5, ["ac", "bd"]), (4, ["ac", "bd"]), (2, ["a", "c", "bd"]), (100, ["acbd"])],
)
async def test_many_jobs_go_in_several_transactions(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, many: int, transactions: list[str]
) -> None:
    monkeypatch.setattr(crons, "MANY", many)
    office = Office()
    for name, missed in (("a", 3), ("b", 1), ("c", 2), ("d", 1)):
        await office.register(
            name, seconds=12 // missed, coalesce=Coalesce.ALL, overlap=Overlap.ALLOW
        )
    office.probe.subscribe(office.facts.append)
    office.clock.step(12)
    async with office.open():
        pass
    assert {fact.at for fact in office.facts} == {START + timedelta(seconds=12)}
    groups = [
        "".join(fire.schedule.request.name for fire in group) for group in office.storage.groups
    ]
    jobs = {fire.schedule.request.name: len(fire.requests) for fire in office.storage.fires}
    assert [group for group in groups if group] == transactions
    assert jobs == {"a": 3, "b": 1, "c": 2, "d": 1}


async def test_a_schedule_that_breaks_does_not_keep_the_others_from_firing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    office = Office()
    bad = await office.register("bad")
    lost = attrs.evolve(bad.request, timezone="Mars/Olympus")
    await office.put("bad", bad.version, attrs.evolve(bad, request=lost, version=bad.version + 1))
    await office.register("good")
    async with office.open():
        await trio.sleep(MINUTE + 1)
    assert [fire.schedule.request.name for fire in office.storage.fires] == ["good"]
    assert [at for at, _ in office.storage.reads][-2:] == [60.0, 60.0]
    assert len(office.storage.reads) == 5
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2, "at the start, and when it is due"
    for message in messages:
        assert message.startswith("the schedule 'bad' could not be fired: this timezone cannot be")


# --- next instants --------------------------------------------------------------------------------


@pytest.mark.parametrize("is_outdated", [False, True])
async def test_at_a_start_a_next_instant_is_put_right_if_it_is_another_by_now(
    autojump_clock: MockClock, is_outdated: bool
) -> None:
    office = Office()
    schedule = await office.register("ledger")
    if is_outdated:
        wrong = attrs.evolve(schedule, next_at=after(999), version=schedule.version + 1)
        await office.put("ledger", schedule.version, wrong)
    async with office.open():
        pass
    put = [(one.name, one.version, one.schedule) for one in office.storage.put]
    right = attrs.evolve(schedule, version=schedule.version + 2)
    assert put == [("ledger", schedule.version + 1, right)] * is_outdated
