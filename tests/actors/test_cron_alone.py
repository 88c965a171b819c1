"""The cron actor by itself: when it looks, and when it sleeps."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.cron_alone import HELD, MINUTE, NOW, Office, after
from trio_gusto import NotSupported, StorageBusy
from trio_gusto.actors import cron as crons
from trio_gusto.model.facts import JobEnqueued
from trio_gusto.storage.messages import Conflict
from trio_gusto.storage.schedule_messages import FindSchedules

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
