"""What is changed from outside is stored, and everybody is told who has to know."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    Fact,
    JobFinished,
    JobReleased,
    JobRetriedByHand,
    JobState,
    MemoryStorage,
    UnknownJob,
)
from trio_gusto.actors.canceller import Canceller, calling_off
from trio_gusto.actors.desk import StorageDesk
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.storekeeper import Storekeeper
from trio_gusto.actors.waiters import Waiters
from trio_gusto.model.happenings import CalledOff, ParentsEnded, RetriedByHand
from trio_gusto.model.ids import JobId, to_uuid, uuid7
from trio_gusto.model.instants import MICROSECONDS, to_instant
from trio_gusto.model.job import Details, JobRequest, StoredJob
from trio_gusto.model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Failed,
    Processing,
    Ready,
    State,
    Waiting,
)
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.lease_messages import RequestCancel
from trio_gusto.storage.messages import ClaimDue, Commit, Insert
from trio_gusto.testing import VirtualClock
from trio_gusto.testing.clock import START

NOW = to_instant(START)
MINUTE = 60 * MICROSECONDS
JOB, CALLBACK, LAST = (uuid7(1_000_000 * number, number) for number in (1, 2, 3))


class Bench:
    """A canceller with its storage, and all that it tells others."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.desk = StorageDesk(self.storage)
        self.waiters = Waiters()
        self.clock = VirtualClock()
        self.clock.instant()  # it goes from now on
        self.called_off: list[tuple[JobId, str]] = []
        self.awaited: list[JobId] = []
        self.vacated = 0
        self.facts: list[Fact] = []
        probe = Probe()
        probe.subscribe(self.facts.append)
        self.canceller = Canceller(
            self.desk,
            self.waiters,
            self.clock,
            lambda job_id, reason: self.called_off.append((job_id, reason)),
            self.awaited.extend,
            self.on_vacated,
            probe,
        )

    def on_vacated(self) -> None:
        self.vacated += 1

    async def store(
        self, job_id: JobId, state: State, *, attempt: int = 0, details: Details | None = None
    ) -> StoredJob:
        """Store a job in a state that it can have only after a while, and return what is stored."""
        request = JobRequest(
            job_id,
            "work",
            "[]",
            created_at=0,
            max_attempts=3,
            queue="mail",
            expire_on=NOW + MINUTE,
            details=details,
        )
        first = state if isinstance(state, AwaitingCallback | Waiting) else Ready(0)
        await self.desk.ask(Insert([request], [first]))
        if isinstance(state, Processing):
            await self.desk.ask(ClaimDue("node", NOW, NOW + MINUTE, limit=1, free=1))
        elif state != first or attempt:
            await self.desk.ask(Commit(job_id, 0, state, attempt))
        return await self.find(job_id)

    async def find(self, job_id: JobId) -> StoredJob:
        (stored,) = (await self.desk.read(Get([job_id]))).jobs
        return stored


@asynccontextmanager
async def at_work() -> AsyncGenerator[Bench]:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(bench.desk).run)
        yield bench
        nursery.cancel_scope.cancel()


def waits_for(callback: JobId) -> AwaitingCallback:
    return AwaitingCallback(callback, started_at=NOW, claimed_at=NOW, node="node")


def finished(job_id: JobId, state: JobState, reason: str = "", attempt: int = 2) -> JobFinished:
    return JobFinished(
        at=START,
        job_id=to_uuid(job_id),
        name="work",
        queue="mail",
        attempt=attempt,
        state=state,
        reason=reason,
        error=None,
    )


PROCESSING = Processing("node", NOW, NOW + MINUTE)


async def test_a_job_that_waits_is_cancelled_and_everybody_is_told(
    autojump_clock: MockClock,
) -> None:
    async with at_work() as bench:
        await bench.store(JOB, Ready(NOW), attempt=2)
        with bench.waiters.waiting(JOB) as waiter:
            assert await bench.canceller.cancel(JOB, "enough")
            assert waiter.is_called()
        stored = await bench.find(JOB)
    assert (stored.state, stored.attempt) == (Cancelled(NOW, "enough"), 2)
    assert bench.facts == [finished(JOB, JobState.CANCELLED, "enough")]
    assert bench.called_off == []
    assert bench.vacated == 0


async def test_whoever_claims_is_told_that_a_job_has_left_its_lane(
    autojump_clock: MockClock,
) -> None:
    async with at_work() as bench:
        await bench.store(JOB, Ready(NOW), attempt=2, details=Details(worker="smtp"))
        assert await bench.canceller.cancel(JOB, "enough")
    assert bench.vacated == 1


async def test_who_runs_a_job_is_told_to_stop_and_tells_of_its_end_himself(
    autojump_clock: MockClock,
) -> None:
    async with at_work() as bench:
        await bench.store(JOB, PROCESSING)
        assert await bench.canceller.cancel(JOB, "enough")
        state = (await bench.find(JOB)).state
    assert isinstance(state, Processing)
    assert state.cancel_reason == "enough"
    assert bench.called_off == [(JOB, "enough")]
    assert bench.facts == []


async def test_of_a_job_that_has_ended_nothing_is_told(autojump_clock: MockClock) -> None:
    async with at_work() as bench:
        await bench.store(JOB, Failed(NOW, "no"))
        assert not await bench.canceller.cancel(JOB, "enough")
        assert (await bench.find(JOB)).state == Failed(NOW, "no")
    assert (bench.facts, bench.called_off) == ([], [])


async def test_a_job_that_is_not_there_is_named() -> None:
    async with at_work() as bench:
        with pytest.raises(UnknownJob) as caught:
            await bench.canceller.cancel(JOB, "enough")
    assert caught.value.job_id == to_uuid(JOB)


async def test_callbacks_go_with_the_job_that_waits_for_them_and_so_do_theirs(
    autojump_clock: MockClock,
) -> None:
    async with at_work() as bench:
        await bench.store(LAST, Ready(NOW), attempt=1)
        await bench.store(CALLBACK, waits_for(LAST), attempt=2)
        await bench.store(JOB, waits_for(CALLBACK), attempt=2)
        with bench.waiters.waiting(LAST) as waiter:
            assert await bench.canceller.cancel(JOB, "enough")
            assert waiter.is_called()
        states = [(await bench.find(job_id)).state for job_id in (JOB, CALLBACK, LAST)]
    assert states == [Cancelled(NOW, "enough")] * 3
    assert bench.facts == [
        finished(JOB, JobState.CANCELLED, "enough"),
        finished(CALLBACK, JobState.CANCELLED, "enough"),
        finished(LAST, JobState.CANCELLED, "enough", attempt=1),
    ]


async def test_who_runs_the_callback_of_a_job_is_told_to_stop(autojump_clock: MockClock) -> None:
    async with at_work() as bench:
        await bench.store(CALLBACK, PROCESSING)
        await bench.store(JOB, waits_for(CALLBACK), attempt=2)
        assert await bench.canceller.cancel(JOB, "enough")
        state = (await bench.find(CALLBACK)).state
    assert isinstance(state, Processing)
    assert state.cancel_reason == "enough"
    assert bench.called_off == [(CALLBACK, "enough")]
    assert bench.facts == [finished(JOB, JobState.CANCELLED, "enough")]


async def test_callbacks_that_have_ended_are_let_be(autojump_clock: MockClock) -> None:
    async with at_work() as bench:
        await bench.store(CALLBACK, Failed(NOW, "no"))
        job = await bench.store(JOB, waits_for(CALLBACK))
        other = await bench.store(LAST, Ready(NOW))
        assert await bench.canceller.callbacks_of([job, other]) == []


async def test_whose_end_others_wait_for_is_told(autojump_clock: MockClock) -> None:
    async with at_work() as bench:
        await bench.store(JOB, Ready(NOW))
        await bench.store(LAST, Waiting((JOB,)))
        await bench.canceller.cancel(JOB, "enough")
    assert bench.awaited == [JOB]


async def test_a_job_that_is_retried_by_hand_is_told_as_such_and_has_no_deadline_any_more(
    autojump_clock: MockClock,
) -> None:
    async with at_work() as bench:
        job = await bench.store(JOB, Failed(NOW, "no"), attempt=3)
        done: list[str] = []
        happening = RetriedByHand(NOW + MINUTE)
        assert await bench.canceller.change(job, happening, lambda: done.append("then"))
        stored = await bench.find(JOB)
    assert (stored.state, stored.attempt) == (Ready(NOW + MINUTE), 0)
    assert stored.request.expire_on is None
    assert done == ["then"]
    later = START + timedelta(minutes=1)
    assert bench.facts == [
        JobRetriedByHand(at=later, job_id=to_uuid(JOB), name="work", queue="mail", due=later)
    ]


async def test_a_job_whose_parents_have_ended_is_told_as_released(
    autojump_clock: MockClock,
) -> None:
    async with at_work() as bench:
        await bench.store(LAST, Ready(NOW))
        job = await bench.store(JOB, Waiting((LAST,)))
        assert await bench.canceller.change(job, ParentsEnded(NOW), lambda: None)
        stored = await bench.find(JOB)
    assert stored.request.expire_on == NOW + MINUTE
    assert bench.facts == [
        JobReleased(at=START, job_id=to_uuid(JOB), name="work", queue="mail", due=START)
    ]


async def test_a_job_whose_callback_has_ended_is_told_as_completed(
    autojump_clock: MockClock,
) -> None:
    async with at_work() as bench:
        await bench.store(CALLBACK, Completed(NOW, NOW, NOW, "node"))
        job = await bench.store(JOB, waits_for(CALLBACK), attempt=2)
        assert await bench.canceller.change(job, ParentsEnded(NOW), lambda: None)
    assert bench.facts == [finished(JOB, JobState.COMPLETED)]


async def test_of_what_has_changed_meanwhile_nothing_is_told(autojump_clock: MockClock) -> None:
    async with at_work() as bench:
        job = await bench.store(JOB, Ready(NOW))
        await bench.desk.ask(Commit(JOB, job.version, Failed(NOW, "no"), 1))
        done: list[str] = []
        happening = CalledOff(NOW, "enough")
        assert not await bench.canceller.change(job, happening, lambda: done.append("then"))
    assert (done, bench.facts) == ([], [])


async def test_where_nobody_listens_no_fact_is_made(autojump_clock: MockClock) -> None:
    async with at_work() as bench:
        bench.canceller._probe.listening = False
        await bench.store(JOB, Ready(NOW))
        assert await bench.canceller.cancel(JOB, "enough")
    assert bench.facts == []


async def test_what_calls_a_job_off_is_about_that_job_as_it_was_looked_at() -> None:
    async with at_work() as bench:
        running = await bench.store(JOB, PROCESSING)
        waiting = await bench.store(LAST, Ready(NOW), attempt=2)
    expected = RequestCancel(JOB, running.version, "enough")
    assert calling_off(running, NOW, "enough") == expected
    commit = Commit(LAST, waiting.version, Cancelled(NOW, "enough"), 2)
    assert calling_off(waiting, NOW, "enough") == commit
