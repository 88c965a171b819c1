"""What a schedule does when its next instant has come.

Rule 1: of the instants missed, some are chosen (`Coalesce`, ``misfire_grace_time``,
        ``max_catchup``); those may then meet a job that has not ended (`Overlap`).
Rule 2: each instant becomes one of three things: a job, a skip, or it is coalesced into another. All
        of them are counted, so that nothing is lost in silence.
Rule 3: a job that waits for a retry has not ended, one that has failed for good has. So a job may
        hold its schedule up, but only as long as it lives.

This file knows no storage, and no job but the ids of those that have not ended.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from .ids import JobId
from .missed import Missed, missed
from .occurrence import Occurrence, Skip, SkipReason, occurrence, skip
from .schedule import Coalesce, Overlap, ScheduleRequest, StoredSchedule, following, moved
from .triggers import EveryAfter


@attrs.define
class Firing:
    """What is to be done, and the ``schedule`` as it is then; all of it in one transaction.

    ``jobs`` and ``skipped`` are in the order of their instants. ``cancel`` are the jobs to call off.
    ``coalesced`` counts the instants that another one stands for, or the first few hundred of them.
    """

    schedule: StoredSchedule
    jobs: Sequence[Occurrence] = ()
    skipped: Sequence[Skip] = ()
    cancel: Sequence[JobId] = ()
    coalesced: int = 0


def fire(
    schedule: StoredSchedule,
    now: int,
    unfinished: Sequence[JobId] = (),
    last_ended_at: int | None = None,
) -> Firing:
    """What a schedule does at ``now``; nothing before its ``next_at``.

    ``unfinished`` are its jobs that have not ended, oldest first, without those started by hand.
    ``last_ended_at`` is when its newest job ended, if it has and that is known; only schedules with
    `every_after` ask for it.
    """
    if schedule.next_at is None or schedule.next_at > now:
        return Firing(schedule)
    request, anchor, end = schedule.request, schedule.anchor, schedule.request.end
    if isinstance(request.trigger, EveryAfter):
        return _fire_after_the_last(schedule, now, unfinished, last_ended_at)
    found = missed(
        lambda after: following(request, anchor, after),
        schedule.next_at,
        now if end is None else min(now, end - 1),
        keep=request.max_catchup if request.coalesce is Coalesce.ALL else 1,
    )
    return _fire(schedule, found, now, unfinished, mark=found.newest[-1])


def _fire_after_the_last(
    schedule: StoredSchedule, now: int, unfinished: Sequence[JobId], last_ended_at: int | None
) -> Firing:
    """What a schedule does that counts from the end of its last job.

    It looks once in every interval whether that has ended. So it knows of the end before the
    interval after it has passed, and nobody needs to tell it.
    """
    if unfinished:
        return Firing(moved(schedule, now))
    if last_ended_at is not None and last_ended_at > schedule.since:
        schedule = moved(schedule, last_ended_at)
        if schedule.next_at is None or schedule.next_at > now:
            return Firing(schedule)
    assert schedule.next_at is not None
    return _fire(schedule, Missed([schedule.next_at], 1), now, (), mark=now)


def _fire(
    schedule: StoredSchedule, found: Missed, now: int, unfinished: Sequence[JobId], mark: int
) -> Firing:
    request = schedule.request
    chosen, skipped = _choose(schedule, found, now)
    coalesced = found.count - len(chosen) - sum(one.count for one in skipped)
    jobs, overlapping = _overlap(request, chosen, tuple(unfinished))
    skipped += [skip(request, instant, SkipReason.OVERLAP) for instant in overlapping]
    skipped.sort(key=lambda one: one.fire_time)
    cancelled = unfinished if jobs and request.overlap is Overlap.CANCEL_OTHER else ()
    after = moved(schedule, mark)
    if jobs:
        after.last_at, after.last_job_id = jobs[-1].fire_time, jobs[-1].job_id
    return Firing(after, jobs, skipped, cancelled, coalesced)


# --- which instants -------------------------------------------------------------------------------


def _choose(schedule: StoredSchedule, found: Missed, now: int) -> tuple[list[int], list[Skip]]:
    """The instants that are to fire, and those that are too old or too many."""
    request = schedule.request
    grace = request.misfire_grace_time
    earliest = schedule.since if grace is None else now - grace
    oldest, newest = schedule.next_at, found.newest[-1]
    assert oldest is not None
    if request.coalesce is Coalesce.ALL:
        return _choose_all(request, found, oldest, earliest)
    if newest < earliest:
        instant = newest if request.coalesce is Coalesce.LATEST else oldest
        misfire = SkipReason.MISFIRE
        return [], [skip(request, instant, misfire, found.count, at_least=found.at_least)]
    if request.coalesce is Coalesce.LATEST:
        return [newest], []
    if oldest < earliest:
        fresh = following(request, schedule.anchor, earliest - 1)
        assert fresh is not None  # the newest is, at least
        return [fresh], []
    return [oldest], []


def _choose_all(
    request: ScheduleRequest, found: Missed, oldest: int, earliest: int
) -> tuple[list[int], list[Skip]]:
    skipped: list[Skip] = []
    left_out = found.count - len(found.newest)
    if left_out:
        many = SkipReason.MAX_CATCHUP
        skipped.append(skip(request, oldest, many, left_out, at_least=found.at_least))
    chosen: list[int] = []
    for instant in found.newest:
        if instant < earliest:
            skipped.append(skip(request, instant, SkipReason.MISFIRE))
        else:
            chosen.append(instant)
    return chosen, skipped


# --- and if a job has not ended? ------------------------------------------------------------------


def _overlap(
    request: ScheduleRequest, chosen: Sequence[int], unfinished: tuple[JobId, ...]
) -> tuple[list[Occurrence], Sequence[int]]:
    """The jobs of the chosen instants, and the instants that have none.

    Of several instants that were missed, each job made here has not ended for the next.
    """
    if request.overlap is Overlap.ALLOW:
        return [occurrence(request, instant) for instant in chosen], ()
    if request.overlap is Overlap.CANCEL_OTHER:
        last = [occurrence(request, instant, unfinished) for instant in chosen[-1:]]
        return last, chosen[:-1]
    room = 1 if request.overlap is Overlap.SKIP else 2
    jobs: list[Occurrence] = []
    for instant in chosen[: max(0, room - len(unfinished))]:
        jobs.append(occurrence(request, instant, unfinished))
        unfinished += (jobs[-1].job_id,)
    return jobs, chosen[len(jobs) :]
