"""Barriers on their own: the test plays the actors."""

from __future__ import annotations

from uuid import UUID

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto.actors.probe import BatchRecord
from trio_gusto.model.ids import JobId, to_job_id
from trio_gusto.model.job import ClaimedJob, JobRequest, StoredJob
from trio_gusto.model.states import JobState, Ready
from trio_gusto.testing import Barriers, BatchPassed, JobPassed, JobSettled, NotReached, SweepPassed

ANN, BOB = UUID(int=1), UUID(int=2)


def request(job_id: UUID) -> JobRequest:
    return JobRequest(to_job_id(job_id), "greet", "[]", 0, 3)


def claimed(job_id: UUID, attempt: int = 1) -> ClaimedJob:
    return ClaimedJob(request(job_id), attempt, 7, 0, "node", 0)


def batch(*job_ids: UUID) -> BatchRecord:
    return BatchRecord(tuple(JobId(job_id.bytes) for job_id in job_ids))


async def test_the_oldest_passing_not_yet_taken_is_given_first(autojump_clock: MockClock) -> None:
    barriers = Barriers()
    barriers.note("job_claimed", claimed(ANN))
    barriers.note("job_claimed", claimed(BOB, attempt=2))

    assert await barriers.job_claimed.wait() == JobPassed(ANN, "greet", 1)
    assert await barriers.job_claimed.wait() == JobPassed(BOB, "greet", 2)


async def test_a_settled_attempt_says_what_it_recorded_if_anything(
    autojump_clock: MockClock,
) -> None:
    barriers = Barriers()
    barriers.note("job_settled", (claimed(ANN), JobState.COMPLETED))
    barriers.note("job_settled", (claimed(BOB), None))
    assert await barriers.job_settled.wait() == JobSettled(ANN, "greet", 1, JobState.COMPLETED)
    assert (await barriers.job_settled.wait()).state is None


async def test_waiting_goes_on_until_something_passes(autojump_clock: MockClock) -> None:
    barriers = Barriers()
    with pytest.raises(trio.TooSlowError), trio.fail_after(60):
        await barriers.batch_completed.wait()

    barriers.note("batch_completed", batch(ANN, BOB))
    assert await barriers.batch_completed.wait() == BatchPassed((ANN, BOB))


async def test_an_actor_is_held_while_the_block_runs_and_goes_on_after_it(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    barriers = Barriers()
    gone_on = trio.Event()

    async def poller() -> None:
        await barriers.pass_through("batch_start", batch(ANN))
        gone_on.set()

    async with barriers.batch_start.hold() as at:
        nursery.start_soon(poller)
        assert await at.reached() == at.record == BatchPassed((ANN,))
        await wait_all_tasks_blocked()
        assert not gone_on.is_set()
    await gone_on.wait()


async def test_a_hold_stops_the_next_passing_only(autojump_clock: MockClock) -> None:
    barriers = Barriers()
    await barriers.pass_through("job_started", claimed(ANN))
    async with barriers.job_started.hold() as at, trio.open_nursery() as nursery:
        nursery.start_soon(barriers.pass_through, "job_started", claimed(BOB))
        await at.reached()
        await barriers.pass_through("job_started", claimed(ANN, attempt=2))
        assert at.record.job_id == BOB
        nursery.cancel_scope.cancel()


async def test_a_hold_for_one_job_lets_the_others_pass(autojump_clock: MockClock) -> None:
    barriers = Barriers()
    async with barriers.batch_start.hold(job=BOB) as at, trio.open_nursery() as nursery:
        await barriers.pass_through("batch_start", batch(ANN))
        nursery.start_soon(barriers.pass_through, "batch_start", batch(ANN, BOB))
        assert await at.reached() == BatchPassed((ANN, BOB))
        nursery.cancel_scope.cancel()


async def test_of_several_holds_the_oldest_that_fits_is_reached(autojump_clock: MockClock) -> None:
    barriers = Barriers()
    async with (
        barriers.job_claimed.hold(job=ANN) as of_ann,
        barriers.job_claimed.hold() as first,
        barriers.job_claimed.hold() as second,
        trio.open_nursery() as nursery,
    ):
        for record in (claimed(BOB, 1), claimed(BOB, 2), claimed(ANN, 3)):
            nursery.start_soon(barriers.pass_through, "job_claimed", record)
            await wait_all_tasks_blocked()
        assert [hold.record.attempt for hold in (first, second, of_ann)] == [1, 2, 3]
        nursery.cancel_scope.cancel()


async def test_reaching_takes_nothing_and_a_held_passing_counts_from_the_arrival(
    autojump_clock: MockClock,
) -> None:
    barriers = Barriers()
    async with barriers.sweep_done.hold() as at, trio.open_nursery() as nursery:
        nursery.start_soon(
            barriers.pass_through,
            "sweep_done",
            ([StoredJob(request(ANN), 1, Ready(0))], [StoredJob(request(BOB), 2, Ready(0))]),
        )
        assert await at.reached() == SweepPassed(lost=(ANN,), overdue=(BOB,))
        assert (await barriers.sweep_done.wait()).job_ids == (ANN, BOB)
        nursery.cancel_scope.cancel()


async def test_an_actor_that_is_cancelled_while_held_is_not_kept(autojump_clock: MockClock) -> None:
    barriers = Barriers()
    async with barriers.job_started.hold() as at:
        with trio.move_on_after(5) as scope:
            await barriers.pass_through("job_started", claimed(ANN))
        assert scope.cancelled_caught
        assert (await at.reached()).job_id == ANN


async def test_a_hold_that_nobody_reached_holds_nobody_later(autojump_clock: MockClock) -> None:
    barriers = Barriers()
    async with barriers.job_started.hold() as at:
        with pytest.raises(NotReached, match="no actor has reached job_started"):
            at.record  # noqa: B018 - the property raises
    with trio.fail_after(5):
        await barriers.pass_through("job_started", claimed(ANN))
        with pytest.raises(NotReached) as caught:
            await at.reached()
    assert caught.value.point == "job_started"


async def test_a_block_that_fails_releases_too(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    barriers = Barriers()
    gone_on = trio.Event()

    async def executor() -> None:
        await barriers.pass_through("job_started", claimed(ANN))
        gone_on.set()

    async def fail_while_holding() -> None:
        async with barriers.job_started.hold() as at:
            nursery.start_soon(executor)
            await at.reached()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_while_holding()
    await gone_on.wait()


async def test_a_new_run_forgets_what_an_earlier_one_left(autojump_clock: MockClock) -> None:
    barriers = Barriers()
    barriers.note("job_settled", (claimed(ANN), None))
    barriers.begin()
    barriers.note("job_settled", (claimed(BOB), None))
    assert (await barriers.job_settled.wait()).job_id == BOB


async def test_they_say_what_they_have_seen(autojump_clock: MockClock) -> None:
    barriers = Barriers()
    barriers.note("job_settled", (claimed(ANN), None))
    barriers.note("job_settled", (claimed(BOB), None))
    await barriers.job_settled.wait()
    async with barriers.job_settled.hold(job=BOB) as at:
        shown = "<Barrier job_settled: 2 passed, 1 of them not taken, 1 holds not reached>"
        assert repr(barriers.job_settled) == shown
        assert shown in repr(barriers)
        assert repr(at) == f"<Hold at job_settled for job {BOB}: not reached>"
