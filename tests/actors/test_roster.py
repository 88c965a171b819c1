"""The backlog's order, and alarms that are never missed."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto.actors.alarm import Alarm
from trio_gusto.actors.lease import Cause, Lease
from trio_gusto.actors.probe import BatchRecord
from trio_gusto.actors.roster import Roster
from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import ClaimedJob, JobRequest


def lease(number: int, priority: int = 0, token: int = 1) -> Lease:
    request = JobRequest(
        id=uuid7(1_000_000 * number, number),
        name="work",
        job_type="",
        method_name="work",
        args="[]",
        created_at=0,
        max_attempts=3,
        timeout=None,
        priority=priority,
    )
    claimed = ClaimedJob(request, 1, token, 0, "node", 0)
    return Lease(claimed, 10.0, BatchRecord((request.id,)))


def test_the_highest_priority_goes_first_and_then_the_order_of_claims() -> None:
    backlog = Roster(1).backlog
    low, high, late_high, middle = (
        *(lease(1, 0), lease(2, 9)),
        *(lease(3, 9), lease(4, 5)),
    )
    backlog.put([high, low])
    backlog.put([middle, late_high])
    assert len(backlog) == 4
    assert backlog.take_all() == [high, late_high, middle, low]
    assert backlog.pop() is None
    assert len(backlog) == 0


async def test_executors_that_wait_are_woken_for_jobs_and_may_be_cancelled() -> None:
    backlog = Roster(1).backlog
    taken: list[Lease | None] = []

    async def execute() -> None:
        await backlog.park()
        taken.append(backlog.pop())

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0):
            await backlog.park()
        assert backlog.idle == 0
        nursery.start_soon(execute)
        await wait_all_tasks_blocked()
        assert backlog.idle == 1
        job = lease(1)
        backlog.put([job])
    assert taken == [job]


async def test_a_ring_that_comes_before_the_wait_is_kept(autojump_clock: MockClock) -> None:
    alarm = Alarm()
    alarm.ring()
    alarm.ring()
    assert await alarm.wait(trio.current_time() + 5)
    assert trio.current_time() == 0
    assert await alarm.wait(5) is False
    assert trio.current_time() == 5


async def test_an_alarm_wakes_who_waits(autojump_clock: MockClock) -> None:
    alarm = Alarm()

    async def ring() -> None:
        await trio.sleep(3)
        alarm.ring()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ring)
        assert await alarm.wait(10)
        assert trio.current_time() == 3


async def test_an_alarm_that_does_not_ring_says_so(autojump_clock: MockClock) -> None:
    assert await Alarm().wait(5) is False
    assert trio.current_time() == 5


@pytest.mark.parametrize("before", ["rang", "passed"])
async def test_an_alarm_may_ring_again_while_nobody_waits(
    autojump_clock: MockClock, before: str
) -> None:
    alarm = Alarm()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarm.wait, 5)
        await wait_all_tasks_blocked()
        if before == "rang":
            alarm.ring()
    alarm.ring()
    assert await alarm.wait(10) is True


async def test_an_alarm_whose_task_is_cancelled_does_not_swallow_that() -> None:
    alarm = Alarm()
    with trio.CancelScope() as scope:
        scope.cancel()
        await alarm.wait()
    assert scope.cancelled_caught


def test_the_first_cause_of_an_interruption_stands() -> None:
    job = lease(1)
    job.cancel("not needed")
    job.interrupt(Cause.SHUTDOWN)
    assert (job.cause, job.cancel_reason) == (Cause.CANCEL, "not needed")


def test_a_zombie_lets_go_of_its_own_lease_only() -> None:
    roster = Roster(1)
    zombie, heir = lease(1, token=1), lease(1, token=3)
    roster.leases[heir.claimed.request.id] = heir
    roster.let_go(zombie)
    assert list(roster.leases.values()) == [heir]
    roster.let_go(heir)
    assert roster.leases == {}


def test_the_first_durations_count_alike_and_old_ones_fade() -> None:
    roster = Roster(1)
    for duration in (300, *[2] * 19):
        roster.note_duration(duration)
    assert roster.mean_duration is not None
    assert abs(roster.mean_duration - (300 + 19 * 2) / 20) < 1e-9, "the first alone is slow"
    for _ in range(100):
        roster.note_duration(2)
    assert 2 < roster.mean_duration < 2.1


def test_a_zombie_that_succeeded_lets_go_of_its_own_lease_only() -> None:
    roster = Roster(1)
    zombie, heir, other = lease(1, token=1), lease(1, token=3), lease(2)
    roster.leases = {one.claimed.request.id: one for one in (heir, other)}
    roster.let_go_all([zombie, other], frees_lanes=False)
    assert list(roster.leases.values()) == [heir]


def test_whoever_is_won_back_waits_for_the_end_of_the_lost_attempt() -> None:
    roster = Roster(1)
    former, latter = lease(1, token=1), lease(1, token=3)
    roster.follow(latter, former)
    assert latter.is_behind
    roster.step_out(former)
    assert roster.backlog.take_all() == [latter]


def test_whoever_is_won_back_after_the_end_of_the_lost_attempt_waits_for_nobody() -> None:
    roster = Roster(1)
    former, latter = lease(1, token=1), lease(1, token=3)
    former.over = True
    roster.follow(latter, former)
    assert not latter.is_behind
    assert former.line is None
