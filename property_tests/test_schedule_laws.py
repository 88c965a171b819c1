"""Laws of schedules: what fires, what does not, and that nothing fires twice or is lost in silence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import accumulate, pairwise

import attrs
import pytest
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st

from property_tests.schedule_lives import TEMPLATE, Fire, Look, lengths, lives, schedule_requests
from property_tests.strategies import NOW, SECOND
from trio_gusto.model.firing import Firing, fire
from trio_gusto.model.ids import JobId
from trio_gusto.model.missed import MOST_COUNTED, missed, newest_until
from trio_gusto.model.occurrence import SkipReason, job_id_of
from trio_gusto.model.schedule import (
    Coalesce,
    Overlap,
    ScheduleRequest,
    StoredSchedule,
    admit,
    edit,
    following,
)
from trio_gusto.model.triggers import every_after

Law = Callable[[list[Look]], None]


# --- the laws -------------------------------------------------------------------------------------


def no_instant_comes_twice(life: list[Look]) -> None:
    """Not even when the clock is set back or the schedule is edited: they come in their order."""
    fired = [
        instant
        for look in life
        for instant in sorted(record.fire_time for record in look.records())
    ]
    assert all(earlier < later for earlier, later in pairwise(fired))


def only_instants_of_the_trigger_fire_and_none_too_early(life: list[Look]) -> None:
    for look in life:
        request, instants = look.before.request, look.instants()
        for record in look.records():
            assert record.fire_time in instants
            assert record.fire_time <= look.now
            assert request.start is None or request.start <= record.fire_time
            assert request.end is None or record.fire_time < request.end
            assert record.job_id == job_id_of(request.name, record.fire_time)


def every_instant_is_accounted_for(life: list[Look]) -> None:
    """As a job, as a skip, or as coalesced into another."""
    for look in life:
        firing, instants = look.firing, look.instants()
        counted = firing.coalesced + len(firing.jobs) + sum(skip.count for skip in firing.skipped)
        if len(instants) < MOST_COUNTED:
            assert counted == len(instants)
            assert not any(skip.at_least for skip in firing.skipped)
        else:
            assert counted <= len(instants)


def what_was_missed_is_chosen_as_asked(life: list[Look]) -> None:
    for look in life:
        request, instants = look.before.request, look.instants()
        chosen = [job.fire_time for job in look.firing.jobs]
        chosen += [
            skip.fire_time for skip in look.firing.skipped if skip.reason is SkipReason.OVERLAP
        ]
        fresh = [
            instant
            for instant in instants
            if request.misfire_grace_time is None
            or look.now - instant <= request.misfire_grace_time
        ]
        match request.coalesce:
            case Coalesce.LATEST:
                assert chosen == fresh[-1:]
            case Coalesce.EARLIEST:
                assert chosen == fresh[:1]
            case Coalesce.ALL:
                kept = instants[-request.max_catchup :]
                assert sorted(chosen) == [instant for instant in fresh if instant in kept]


def jobs_meet_as_asked(life: list[Look]) -> None:
    for look in life:
        jobs, before = look.firing.jobs, look.unfinished
        overlap = look.before.request.overlap
        assert look.firing.cancel == (before if jobs and overlap is Overlap.CANCEL_OTHER else ())
        match overlap:
            case Overlap.ALLOW:
                assert all(job.wait_for == () for job in jobs)
            case Overlap.SKIP:
                assert len(jobs) <= (0 if before else 1)
            case Overlap.BUFFER_ONE:
                assert len(jobs) <= max(0, 2 - len(before))
            case Overlap.CANCEL_OTHER:
                assert len(jobs) <= 1
        if overlap is not Overlap.ALLOW:
            for job in jobs:
                assert job.wait_for == before
                before += (job.job_id,)


def jobs_are_held_back_by_less_than_the_jitter(life: list[Look]) -> None:
    for look in life:
        for job in look.firing.jobs:
            held_back = job.execute_after - job.fire_time
            assert held_back == 0 or 0 < held_back < look.before.request.jitter


def the_mark_moves_forward_and_the_next_instant_is_the_first_after_it(life: list[Look]) -> None:
    for look in life:
        before, after = look.before, look.firing.schedule
        assert after.since >= before.since
        if not after.paused:
            assert after.next_at == following(after.request, after.anchor, after.since)
            assert after.next_at is None or after.next_at > look.now
        assert after.version == before.version + (after != before)
        if look.firing.jobs:
            newest = look.firing.jobs[-1]
            assert (after.last_at, after.last_job_id) == (newest.fire_time, newest.job_id)
        else:
            assert (after.last_at, after.last_job_id) == (before.last_at, before.last_job_id)


LAWS = (
    no_instant_comes_twice,
    only_instants_of_the_trigger_fire_and_none_too_early,
    every_instant_is_accounted_for,
    what_was_missed_is_chosen_as_asked,
    jobs_meet_as_asked,
    jobs_are_held_back_by_less_than_the_jitter,
    the_mark_moves_forward_and_the_next_instant_is_the_first_after_it,
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@given(life=lives())
def test_at_every_look_of_every_life(law: Law, life: list[Look]) -> None:
    law(life)


# --- planted faults: the laws can fail ------------------------------------------------------------


def forgets_what_has_fired(
    schedule: StoredSchedule, now: int, unfinished: Sequence[JobId], ended: int | None
) -> Firing:
    firing = fire(schedule, now, unfinished, ended)
    return attrs.evolve(firing, schedule=schedule)


def fires_when_it_likes(
    schedule: StoredSchedule, now: int, unfinished: Sequence[JobId], ended: int | None
) -> Firing:
    firing = fire(schedule, now, unfinished, ended)
    jobs = [attrs.evolve(job, fire_time=now) for job in firing.jobs]
    return attrs.evolve(firing, jobs=jobs)


def loses_what_it_coalesces(
    schedule: StoredSchedule, now: int, unfinished: Sequence[JobId], ended: int | None
) -> Firing:
    return attrs.evolve(fire(schedule, now, unfinished, ended), coalesced=0)


def fires_however_late(
    schedule: StoredSchedule, now: int, unfinished: Sequence[JobId], ended: int | None
) -> Firing:
    patient = attrs.evolve(schedule.request, misfire_grace_time=None)
    return fire(attrs.evolve(schedule, request=patient), now, unfinished, ended)


def catches_up_too_much(
    schedule: StoredSchedule, now: int, unfinished: Sequence[JobId], ended: int | None
) -> Firing:
    eager = attrs.evolve(schedule.request, max_catchup=schedule.request.max_catchup + 1)
    return fire(attrs.evolve(schedule, request=eager), now, unfinished, ended)


def forgets_what_has_not_ended(
    schedule: StoredSchedule, now: int, unfinished: Sequence[JobId], ended: int | None
) -> Firing:
    return fire(schedule, now, (), ended)


def holds_back_too_long(
    schedule: StoredSchedule, now: int, unfinished: Sequence[JobId], ended: int | None
) -> Firing:
    firing = fire(schedule, now, unfinished, ended)
    jobs = [attrs.evolve(job, execute_after=job.execute_after + SECOND) for job in firing.jobs]
    return attrs.evolve(firing, jobs=jobs)


def marks_what_the_clock_says(
    schedule: StoredSchedule, now: int, unfinished: Sequence[JobId], ended: int | None
) -> Firing:
    firing = fire(schedule, now, unfinished, ended)
    return attrs.evolve(firing, schedule=attrs.evolve(firing.schedule, since=now))


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        (forgets_what_has_fired, no_instant_comes_twice),
        (fires_when_it_likes, only_instants_of_the_trigger_fire_and_none_too_early),
        (loses_what_it_coalesces, every_instant_is_accounted_for),
        (fires_however_late, what_was_missed_is_chosen_as_asked),
        (catches_up_too_much, what_was_missed_is_chosen_as_asked),
        (forgets_what_has_not_ended, jobs_meet_as_asked),
        (holds_back_too_long, jobs_are_held_back_by_less_than_the_jitter),
        (
            marks_what_the_clock_says,
            the_mark_moves_forward_and_the_next_instant_is_the_first_after_it,
        ),
    ],
    ids=lambda value: value.__name__,
)
def test_a_planted_fault_breaks_its_law(fault: Fire, law: Law) -> None:
    def is_broken(life: list[Look]) -> bool:
        try:
            law(life)
        except AssertionError:
            return True
        return False

    tried = settings(max_examples=2_000, derandomize=True, phases=[Phase.generate], database=None)
    assert is_broken(find(lives(fault), is_broken, settings=tried))


# --- laws of single rules -------------------------------------------------------------------------


@given(request=schedule_requests(), again=schedule_requests(), now=lengths, gap=lengths)
def test_an_edit_drops_what_had_not_fired_and_repeats_nothing(
    request: ScheduleRequest, again: ScheduleRequest, now: int, gap: int
) -> None:
    schedule = admit(request, NOW + now)
    assert edit(schedule, request, NOW + now + gap) is schedule
    edited = edit(schedule, again, NOW + now + gap)
    rule = (request.trigger, request.timezone, request.start)
    if (again.trigger, again.timezone, again.start) != rule:
        assert edited.since == NOW + now + gap
    assert edited.since >= schedule.since
    assert edited.next_at == following(again, edited.anchor, edited.since)


@given(
    gaps=st.lists(st.integers(1, 3) | st.integers(1, 10**6), min_size=1, max_size=40),
    repeated=st.integers(1, 30),
    keep=st.integers(1, 30),
    until=st.integers(0, 10**7),
)
def test_the_newest_that_were_missed_are_found_however_many_there_are(
    gaps: list[int], repeated: int, keep: int, until: int
) -> None:
    instants = list(accumulate(gaps * repeated))

    def next_after(instant: int) -> int | None:
        place = bisect_right(instants, instant)
        return instants[place] if place < len(instants) else None

    due = [instant for instant in instants if instant <= until]
    assume(due)
    found = missed(next_after, due[0], until, keep)
    assert list(found.newest) == due[-keep:]
    assert found.count == min(len(due), keep + MOST_COUNTED)
    assert found.at_least == (len(due) > keep + MOST_COUNTED)
    assert newest_until(next_after, due[0], until) == due[-1]


@given(
    delay=st.integers(SECOND, 600 * SECOND),
    durations=st.lists(st.integers(0, 3_000 * SECOND), min_size=1, max_size=5),
    late=st.integers(0, SECOND),
)
def test_a_pause_after_the_end_is_kept_exactly_though_nobody_tells_of_the_end(
    delay: int, durations: list[int], late: int
) -> None:
    trigger = every_after(timedelta(microseconds=delay))
    schedule = admit(ScheduleRequest("sweep", trigger, TEMPLATE), NOW)
    ended, running = NOW, JobId(bytes(16))
    for duration in durations:
        while True:
            assert schedule.next_at is not None
            now = schedule.next_at + late
            unfinished = [running] if now < ended else []
            firing = fire(schedule, now, unfinished, None if unfinished else ended)
            schedule = firing.schedule
            if firing.jobs:
                break
            assert schedule.next_at is not None
            assert schedule.next_at > now
        (job,) = firing.jobs
        assert job.fire_time == ended + delay
        running, ended = job.job_id, now + duration
