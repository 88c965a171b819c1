"""The cron actor fires what is due, in slices, whatever fails; and costs nothing where nothing is due."""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.storage.own_providers import MyRecord, Shelf
from trio_gusto import (
    Gusto,
    JobEnqueued,
    JobQueue,
    JobState,
    MemoryStorage,
    NotSupported,
    OccurrenceSkipped,
    Options,
    ScheduleFired,
    every,
)
from trio_gusto.actors.cron import SLICE, Cron
from trio_gusto.actors.holder import Holder
from trio_gusto.clock import Clock
from trio_gusto.model.errors import UnreadableRecord
from trio_gusto.model.facts import Fact
from trio_gusto.model.instants import to_instant
from trio_gusto.provider import ProviderStorage
from trio_gusto.storage.messages import Query, Write
from trio_gusto.storage.schedule_messages import FindSchedules, Fire, PutSchedule
from trio_gusto.testing import Asked, Fault, FaultyStorage, VirtualClock, drain

HOUR = timedelta(hours=1)


class Listening(FaultyStorage):
    """Remembers what is asked and told about schedules, and when."""

    def __init__(self, storage: MemoryStorage | None = None) -> None:
        super().__init__(storage or MemoryStorage(), self.hear)
        self.heard: list[tuple[float, Write | Query]] = []

    def hear(self, asked: Asked) -> Fault | None:
        kinds = FindSchedules | Fire | PutSchedule
        self.heard += [(trio.current_time(), it) for it in asked.messages if isinstance(it, kinds)]
        return None

    def reads(self) -> list[float]:
        return [at for at, message in self.heard if isinstance(message, FindSchedules)]

    def fires(self) -> list[Fire]:
        return [message for _, message in self.heard if isinstance(message, Fire)]


def make(storage: Any, clock: VirtualClock | None = None, **options: Any) -> Gusto:
    app = Gusto(storage, clock=clock or VirtualClock(), options=Options(concurrency=4, **options))

    @app.job(name="work")
    async def work() -> None: ...

    return app


async def register(queue: JobQueue, name: str = "ledger", **options: Any) -> None:
    handler: Any = queue._drafter.registry.find("work")
    given: dict[str, Any] = {"trigger": HOUR, **options}
    await queue.schedule(name, handler, **given)


# --- what it costs --------------------------------------------------------------------------------


async def test_without_schedules_it_reads_once_and_never_again(autojump_clock: MockClock) -> None:
    storage = Listening()
    async with make(storage).running():
        await trio.sleep(3600)
    assert len(storage.heard) == 1


async def test_with_a_schedule_far_ahead_it_looks_at_the_clock_and_not_at_the_storage(
    autojump_clock: MockClock,
) -> None:
    storage = Listening()
    app = make(storage)
    async with app.connected() as queue:
        await register(queue, trigger=timedelta(days=2))
    storage.heard.clear()
    async with app.running():
        await trio.sleep(3600)
    assert len(storage.reads()) == len(storage.heard) == 2  # all of them, and what is due


async def test_a_clock_that_is_set_is_noticed_though_the_next_instant_is_far(
    autojump_clock: MockClock,
) -> None:
    storage, clock = Listening(), VirtualClock()
    async with make(storage, clock).running() as queue:
        await register(queue)
        await trio.sleep(10)
        clock.step(2 * HOUR)
        await trio.sleep(Clock.longest_sleep)
        assert len(storage.fires()) == 1


async def test_a_clock_that_is_set_back_costs_no_reading(autojump_clock: MockClock) -> None:
    storage, clock = Listening(), VirtualClock()
    async with make(storage, clock).running() as queue:
        await register(queue)
        await trio.sleep(10)
        clock.step(-5 * HOUR)
        storage.heard.clear()
        await trio.sleep(4 * 3600)
        assert storage.heard == []


async def test_of_several_nodes_one_fires_and_the_others_do_not_try(
    autojump_clock: MockClock,
) -> None:
    storage, clock = Listening(), VirtualClock()
    async with (
        make(storage, clock).running() as queue,
        make(storage, clock).running(),
        make(storage, clock).running(),
    ):
        await register(queue, trigger=timedelta(minutes=1))
        await trio.sleep(60 + 1)
        assert len(storage.fires()) == 3, "each of them, the first time"
        storage.heard.clear()
        await trio.sleep(20 * 60)
        assert len(storage.fires()) == 20
        assert (await queue.stats()).by_state[JobState.COMPLETED] == 21


# --- many at once ---------------------------------------------------------------------------------


async def test_many_schedules_fire_in_slices_and_the_loop_has_its_turns(
    autojump_clock: MockClock,
) -> None:
    storage, clock = Listening(), VirtualClock()
    app = make(storage, clock)
    count = 2 * SLICE + 50
    async with app.connected() as queue:
        for number in range(count):
            await register(queue, f"ledger {number}")
    clock.step(HOUR)
    storage.heard.clear()
    turns = 0
    async with app.running() as queue, trio.open_nursery() as nursery:

        async def take_turns() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        nursery.start_soon(take_turns)
        await drain(queue)
        nursery.cancel_scope.cancel()
        assert (await queue.stats()).by_state == {JobState.COMPLETED: count}
    assert turns > count
    assert len(storage.fires()) == count


async def test_a_catch_up_of_many_jobs_goes_in_several_transactions(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []

    class Grouping(MemoryStorage):
        async def apply(self, writes: Sequence[Write]) -> Any:
            jobs = [len(write.requests) for write in writes if isinstance(write, Fire)]
            groups.extend([sum(jobs)] if jobs else [])
            return await super().apply(writes)

    clock = VirtualClock()
    app = make(Grouping(), clock)
    async with app.connected() as queue:
        for number in range(12):
            await register(queue, f"{number}", coalesce="all", overlap="allow")
    clock.step(100 * HOUR)
    await app.run_until_idle()
    assert sum(groups) == 1200
    assert max(groups) == 500


# --- what fails -----------------------------------------------------------------------------------


@pytest.mark.parametrize("on", ["read", "apply"])
async def test_a_storage_that_fails_for_a_while_is_tried_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, on: str
) -> None:
    broken = False

    def plan(asked: Asked) -> Fault | None:
        about = any(isinstance(it, Fire | FindSchedules) for it in asked.messages)
        return Fault() if broken and about and asked.on == on else None

    app = make(FaultyStorage(MemoryStorage(), plan))
    async with app.running() as queue:
        await register(queue)
        await trio.sleep(3599)
        broken = True
        await trio.sleep(60.5)
        assert (await queue.find()).items == ()
        broken = False
        await trio.sleep(2)
        assert [job.state for job in (await queue.find()).items] == [JobState.COMPLETED]
    line = "schedules could not be looked at: the storage is busy: a fault of this test"
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count(line) == 60, "once a second"


async def test_a_schedule_that_cannot_be_fired_does_not_stop_the_others(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its zone is known to the process that registered it, and unknown to this one."""
    storage, clock = MemoryStorage(), VirtualClock()
    app = make(storage, clock)
    async with app.connected() as queue:
        await register(queue, "good")
        await register(queue, "bad", trigger="0 * * * *", timezone="Europe/Rome")
        (bad, _) = (await storage.read(FindSchedules(2))).found
        request = attrs.evolve(bad.schedule.request, timezone="Mars/Olympus")
        lost = attrs.evolve(bad.schedule, request=request)
        await storage.apply([PutSchedule("bad", lost.version, lost)])
    with caplog.at_level(logging.ERROR):
        async with app.running() as queue:
            await drain(queue)
            await trio.sleep(2 * 3600 + 1)
            jobs = (await queue.find()).items
    assert [job.schedule_name for job in jobs] == ["good", "good"]
    messages = {record.getMessage() for record in caplog.records if "bad" in record.getMessage()}
    (message,) = messages
    assert message.startswith("the schedule 'bad' could not be fired: ")
    assert "Mars/Olympus" in message


async def test_a_schedule_that_cannot_be_read_is_complained_of_by_its_name(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    fault = UnreadableRecord("schedule", "bad", "its trigger is none")

    class Spoiled(MemoryStorage):
        async def read(self, query: Any) -> Any:
            found = await super().read(query)
            asks_for_all = isinstance(query, FindSchedules) and query.name is None
            return attrs.evolve(found, unreadable=[fault]) if asks_for_all else found

    async with make(Spoiled()).running() as queue:
        await register(queue, "good")
        await trio.sleep(3601)
        assert [job.schedule_name for job in (await queue.find()).items] == ["good"]
    assert {one.getMessage() for one in caplog.records} == {
        f"the schedule 'bad' could not be fired: {fault}"
    }


async def test_what_the_storage_refuses_for_good_is_left_alone_for_a_while(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Picky(MemoryStorage):
        refused = 0

        def _fire(self, fire: Fire) -> Any:
            if fire.schedule.request.name != "bad":
                return super()._fire(fire)
            self.refused += 1
            return NotSupported("such a job", "nothing")

    storage = Picky()
    async with make(storage).running() as queue:
        await register(queue, "bad")
        await register(queue, "good")
        await trio.sleep(3600 + 65)
        assert [job.schedule_name for job in (await queue.find()).items] == ["good"]
        assert storage.refused == 3  # at the instant, and every half minute
        line = "the schedule 'bad' could not be fired: this storage does not support such a job; "
        complaints = [one.getMessage() for one in caplog.records if "bad" in one.getMessage()]
        assert len(complaints) == 3
        assert {one[: len(line)] for one in complaints} == {line}
        await drain(queue)  # it does not wait for what is hopeless


async def test_a_storage_without_schedules_runs_its_jobs_all_the_same(
    autojump_clock: MockClock,
) -> None:
    app = make(ProviderStorage(Shelf(), MyRecord))
    async with app.running() as queue:
        with pytest.raises(NotSupported, match="does not support schedules") as caught:
            await register(queue)
        assert caught.value.protocol == "SupportsSchedules"
        with pytest.raises(NotSupported):
            await queue.schedules()
        handler: Any = queue._drafter.registry.find("work")
        ref = await queue.enqueue(handler)
        await drain(queue)
        await trio.sleep(100)
        assert await ref.status() is JobState.COMPLETED


# --- starts and stops -----------------------------------------------------------------------------


async def test_next_instants_are_computed_again_at_a_start(autojump_clock: MockClock) -> None:
    """The time zone database may have changed since."""
    storage, clock = MemoryStorage(), VirtualClock()
    app = make(storage, clock)
    async with app.connected() as queue:
        await register(queue, trigger="0 2 * * *", timezone="Europe/Rome")
        (kept,) = (await storage.read(FindSchedules(1))).found
        assert kept.schedule.next_at is not None
        outdated = attrs.evolve(kept.schedule, next_at=kept.schedule.next_at + 3_600_000_000)
        await storage.apply([PutSchedule("ledger", outdated.version, outdated)])
    async with app.running() as queue:
        await drain(queue)
        schedule = await queue.get_schedule("ledger")
        assert schedule is not None
        assert to_instant(schedule.next_at or clock.now()) == kept.schedule.next_at


async def test_an_actor_that_dies_is_started_again_and_fires(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Breaks(Listening):
        broken = False

        async def read(self, query: Query) -> Any:
            if self.broken and isinstance(query, FindSchedules):
                self.broken = False
                raise RuntimeError("a defect")
            return await super().read(query)

    storage = Breaks()
    async with make(storage).running() as queue:
        await register(queue)
        await trio.sleep(3599)
        storage.broken = True
        await trio.sleep(2)
        assert len((await queue.find()).items) == 1
    assert "actor cron died and is started again" in caplog.text


async def test_it_tells_what_it_did(autojump_clock: MockClock) -> None:
    clock = VirtualClock()
    app = make(MemoryStorage(), clock)
    facts: list[Fact] = []
    async with app.connected() as queue:
        await register(queue, coalesce="all", overlap="skip", max_catchup=2)
    async with app.running() as queue:
        queue._probe.subscribe(facts.append)
        clock.step(3 * HOUR)
        await drain(queue)
        jobs = {job.fire_time: job.id for job in (await queue.find()).items}
    start = datetime.fromisoformat("2026-01-01T00:00Z")
    at, instants = start + 3 * HOUR, [start + hours * HOUR for hours in (1, 2, 3)]
    first, second, third = (jobs[instant] for instant in instants)
    assert [fact for fact in facts if isinstance(fact, ScheduleFired)] == [
        ScheduleFired(at=at, schedule_name="ledger", fire_time=instants[1], job_id=second)
    ]
    assert [fact for fact in facts if isinstance(fact, OccurrenceSkipped)] == [
        OccurrenceSkipped(
            at=at,
            schedule_name="ledger",
            fire_time=instant,
            job_id=job_id,
            reason=reason,
            count=1,
            at_least=False,
        )
        for instant, job_id, reason in [
            (instants[0], first, "max_catchup"),
            (instants[2], third, "overlap"),
        ]
    ]
    assert [fact for fact in facts if isinstance(fact, JobEnqueued)] == [
        JobEnqueued(at=at, job_id=job_id, name="work", queue="default", state=state)
        for job_id, state in [
            (first, JobState.SKIPPED),
            (second, JobState.READY),
            (third, JobState.SKIPPED),
        ]
    ]


@pytest.mark.parametrize(
    ("room", "name"),
    [(Cron, "_fire_all"), (Cron, "_store"), (Holder, "_let_go"), (MemoryStorage, "_fire")],
)
def test_a_ctrl_c_that_hits_it_at_work_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, room: type, name: str
) -> None:
    """The signal comes while that code runs, not while the host waits."""
    original = getattr(room, name)
    is_armed = True

    def hit(*args: Any) -> Any:
        nonlocal is_armed
        if is_armed:
            is_armed = False
            signal.raise_signal(signal.SIGINT)
        return original(*args)

    monkeypatch.setattr(room, name, hit)
    app = Gusto(clock=VirtualClock(), options=Options(concurrency=4, default_timeout=None))

    @app.job
    async def work() -> None:
        await trio.sleep(90)

    async def interrupted() -> None:
        async with app.running() as queue:
            await queue.schedule("ledger", work, trigger=every(60), overlap="buffer_one")
            await trio.sleep(200)

    async def afterwards() -> None:
        async with app.running() as queue:
            await trio.sleep(300)
            jobs = (await queue.find()).items
            fired = sorted(job.fire_time for job in jobs if job.fire_time is not None)
            gaps = {later - earlier for earlier, later in pairwise(fired)}
            assert gaps == {timedelta(seconds=60)}
            assert JobState.FAILED not in {job.state for job in jobs}

    with pytest.raises(KeyboardInterrupt):
        trio.run(interrupted, clock=MockClock(autojump_threshold=0))
    assert not is_armed
    trio.run(afterwards, clock=MockClock(autojump_threshold=0))
