"""The cron actor by itself: what it stores, and whom it tells."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.actors.cron_alone import MINUTE, Office, after
from trio_gusto.actors import cron as crons
from trio_gusto.model.instants import MICROSECONDS
from trio_gusto.model.schedule import Coalesce, Overlap
from trio_gusto.model.states import Ready, Scheduled, Skipped, Waiting
from trio_gusto.testing.clock import START

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
