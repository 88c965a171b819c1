"""The backlog's order, and alarms that are never missed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto.actors.alarm import Alarm
from trio_gusto.actors.lease import PATIENCE, Cause, Lease, fence_after
from trio_gusto.actors.probe import BatchRecord
from trio_gusto.actors.roster import Roster
from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import ClaimedJob, Details, JobRequest


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


def test_what_was_just_claimed_has_not_begun_and_has_said_nothing() -> None:
    held = lease(1)
    assert not any([held.over, held.waited, held.is_behind])
    assert (held.parents, held.children, held.cause, held.started_at) == ((), None, None, None)


def test_in_a_node_that_has_just_begun_nothing_runs_and_nothing_is_late() -> None:
    roster = Roster(1)
    (slot,) = roster.slots
    assert not roster.stopping
    assert (roster.active, slot.lease, slot.thread_wait) == (None, None, None)
    assert slot.deadline == roster.next_deadline == math.inf


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


@pytest.mark.parametrize(
    ("concurrency", "slots", "is_told", "idle"),
    [(2, 2, False, 2), (5, 5, True, 2), (1, 2, False, 1), (0, 2, False, 0)],
)
async def test_slots_come_at_once_and_go_when_executors_ask(
    concurrency: int, slots: int, is_told: bool, idle: int
) -> None:
    roster = Roster(2)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(roster.backlog.park)
        await wait_all_tasks_blocked()
        roster.resize(concurrency)
        assert (roster.concurrency, len(roster.slots)) == (concurrency, slots)
        assert await roster.grown.wait(0) is is_told
        assert roster.backlog.idle == idle
        assert [slot.used_up for slot in roster.slots] == [concurrency < 2] * slots
        first, second = roster.slots[:2]
        assert [roster.keeps(first), roster.keeps(second)] == [concurrency >= 2, concurrency >= 1]
        assert len(roster.slots) == concurrency
        nursery.cancel_scope.cancel()


async def test_those_are_free_for_which_no_job_is_there() -> None:
    roster = Roster(3)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(roster.backlog.park)
        await wait_all_tasks_blocked()
        assert roster.free() == 3
        roster.backlog.put_first(lease(1))
        assert roster.free() == 2
        for number in range(2, 6):
            roster.backlog.put_first(lease(number))
        assert roster.free() == 0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("waiting", "woken"), [(0, 0), (1, 1), (5, 2)])
async def test_when_a_handler_waits_others_take_what_is_there(waiting: int, woken: int) -> None:
    roster = Roster(2)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(roster.backlog.park)
        await wait_all_tasks_blocked()
        for number in range(waiting):
            roster.backlog.put_first(lease(number))
        roster.share_work()
        assert roster.backlog.idle == 3 - woken
        nursery.cancel_scope.cancel()


async def test_the_heart_is_woken_for_an_earlier_deadline_only() -> None:
    roster = Roster(1)
    for deadline, earliest, rings in ((9, 9, True), (9, 9, False), (10, 9, False), (8, 8, True)):
        roster.watch(deadline)
        assert roster.next_deadline == earliest
        assert await roster.deadline_alarm.wait(0) is rings


@pytest.mark.parametrize("frees_lanes", [True, False])
async def test_letting_go_tells_the_poller(frees_lanes: bool) -> None:
    roster, held = Roster(1), lease(1)
    roster.leases = {held.claimed.request.id: held}
    roster.let_go_all([held], frees_lanes=frees_lanes)
    assert (roster.has_let_go, held.batch.outstanding) == (frees_lanes, 0)
    assert await roster.changed.wait(0)
    roster.let_go(lease(2))
    assert roster.has_let_go
    assert await roster.changed.wait(0)


def in_lanes(*lanes: str | None, **details: Any) -> list[Lease]:
    leases = [lease(number) for number in range(1, len(lanes) + 1)]
    for one, lane in zip(leases, lanes, strict=True):
        if lane is not None:
            one.claimed.request.details = Details(worker=lane, **details)
    return leases


def test_of_one_lane_one_goes_on_and_the_others_wait_in_order() -> None:
    roster = Roster(1)
    leases = in_lanes("a", None, "a", "b", "a", "a")
    roster.stand_in_lanes(leases)
    assert [one.is_behind for one in leases] == [False, False, True, False, True, True]
    assert leases[1].line is None
    line = leases[0].line
    assert line is not None
    assert (line.front, list(line.waiting), line.low_water) == (
        leases[0],
        [leases[2], leases[4], leases[5]],
        1,
    )
    assert len(roster.lines) == 2


def test_jobs_that_share_what_they_are_made_of_stand_in_one_lane() -> None:
    roster, shared = Roster(1), Details(worker="a")
    plain, *leases = [lease(number) for number in range(1, 5)]
    plain.claimed.request.details = Details(ref_id="x")
    for one in leases:
        one.claimed.request.details = shared
    roster.stand_in_lanes([leases[0], plain, *leases[1:]])
    assert [one.is_behind for one in leases] == [False, True, True]
    assert plain.line is None


def test_a_lane_with_more_room_lets_all_go_on_and_tells_when_one_ends() -> None:
    roster = Roster(1)
    leases = [lease(1), lease(2)]
    for one in leases:
        one.claimed.request.details = Details(concurrency_key="k", concurrency_limit=2)
    roster.stand_in_lanes(leases)
    assert [one.is_behind for one in leases] == [False, False]
    assert roster.lines == {}
    assert leases[0].line is not leases[1].line
    assert roster.step_out(leases[0])


def test_one_that_stands_in_a_line_already_stays_there() -> None:
    roster = Roster(1)
    former, (latter,) = lease(1), in_lanes("a")
    roster.follow(latter, former)
    line = latter.line
    roster.stand_in_lanes([latter])
    assert latter.line is line


async def test_as_a_line_runs_low_the_poller_is_told_in_time() -> None:
    roster = Roster(1)
    leases = in_lanes(*["a"] * 5)
    roster.stand_in_lanes(leases)
    told: list[tuple[bool, bool, bool]] = []
    for one in leases:
        roster.has_let_go = False
        is_worth_while = roster.step_out(one)
        told.append((is_worth_while, roster.has_let_go, await roster.changed.wait(0)))
        assert one.line is None
    assert roster.backlog.take_all() == leases[:0:-1]
    no, in_time, low = (False, False, False), (True, True, True), (True, False, False)
    assert told == [no, in_time, low, low, low]
    assert roster.lines == {}, "nobody stands there any more"


def test_who_gives_up_his_place_behind_lets_nobody_in() -> None:
    roster = Roster(1)
    leases = in_lanes("a", "a", "a")
    roster.stand_in_lanes(leases)
    line = leases[0].line
    roster.step_out(leases[1])
    assert len(roster.backlog) == 0
    assert line is not None
    assert (line.front, list(line.waiting)) == (leases[0], [leases[2]])
    assert list(roster.lines.values()) == [line]


async def test_letting_go_of_one_in_a_line_wakes_an_executor_for_the_next() -> None:
    roster = Roster(1)
    leases = in_lanes("a", "a")
    roster.stand_in_lanes(leases)
    roster.backlog.put_first(lease(3))
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(roster.backlog.park)
        await wait_all_tasks_blocked()
        roster.let_go(leases[0])
        assert roster.backlog.idle == 2
        nursery.cancel_scope.cancel()
    assert roster.backlog.pop() is leases[1]


def test_all_that_is_not_begun_is_in_the_backlog_or_in_lines() -> None:
    roster = Roster(1)
    leases = in_lanes("a", "a", None, "a")
    roster.leases = {one.claimed.request.id: one for one in leases}
    roster.stand_in_lanes(leases)
    roster.backlog.put([leases[2]])
    assert roster.take_unbegun() == [leases[2], leases[1], leases[3]]
    assert roster.take_unbegun() == []


def test_a_line_whose_first_is_given_back_too_comes_to_an_end() -> None:
    roster = Roster(1)
    leases = in_lanes("a", "a", "a")
    roster.leases = {one.claimed.request.id: one for one in leases}
    roster.stand_in_lanes(leases)
    roster.backlog.put(leases[:1])
    for one in roster.take_unbegun():
        roster.step_out(one)
    assert roster.lines == {}


@pytest.mark.parametrize("is_new", [True, False])
def test_whoever_is_cancelled_is_watched(autojump_clock: MockClock, is_new: bool) -> None:
    roster = Roster(1)
    roster.resize(2)

    async def main() -> None:
        slot = roster.slots[is_new]
        for _ in range(2):
            slot.cancel()
            assert slot.scope.cancel_called
            assert (slot.used_up, slot.cancelled_at, slot.deadline) == (True, 0, PATIENCE)
            assert roster.next_deadline == PATIENCE
            await trio.sleep(1)

    trio.run(main, clock=autojump_clock)


def test_the_backlog_is_in_the_order_of_ageing() -> None:
    assert [Roster(1).backlog.ageing, Roster(1, 7).backlog.ageing] == [None, 7]


@pytest.mark.parametrize(
    ("lease_lasts", "seconds"), [(100, 95), (50, 45), (10, 9), (1, 0.9), (60.0, 55.0)]
)
def test_a_handler_is_gone_before_its_lease_passes(lease_lasts: float, seconds: float) -> None:
    assert fence_after(lease_lasts) == seconds


def test_whoever_is_won_back_waits_for_the_end_of_the_lost_attempt() -> None:
    roster = Roster(1)
    former, latter = lease(1, token=1), lease(1, token=3)
    roster.follow(latter, former)
    assert latter.is_behind
    roster.step_out(former)
    assert roster.has_let_go, "nobody waits behind it"
    assert roster.backlog.take_all() == [latter]


def test_whoever_is_won_back_after_the_end_of_the_lost_attempt_waits_for_nobody() -> None:
    roster = Roster(1)
    former, latter = lease(1, token=1), lease(1, token=3)
    former.over = True
    roster.follow(latter, former)
    assert not latter.is_behind
    assert former.line is None
