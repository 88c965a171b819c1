"""What fires when an instant has come, or several, or the job before has not ended."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from tests.model.schedules import TEMPLATE, asked, at, jobs_of, kept, look, moment, shown, skips_of
from trio_gusto.model.firing import fire
from trio_gusto.model.ids import JobId, to_uuid
from trio_gusto.model.instants import MICROSECONDS
from trio_gusto.model.job import Details
from trio_gusto.model.missed import MOST_COUNTED
from trio_gusto.model.occurrence import (
    Skip,
    SkipReason,
    jitter_of,
    job_id_of,
    occurrence,
    request_by_hand,
    request_of,
    request_of_skip,
    skip,
)
from trio_gusto.model.states import JobState
from trio_gusto.model.triggers import every_after

RUNNING = JobId(b"r" * 16)
WAITING = JobId(b"w" * 16)
MINUTE = 60 * MICROSECONDS


# --- one instant ----------------------------------------------------------------------------------


def test_nothing_fires_before_its_instant() -> None:
    schedule = kept()
    firing = fire(schedule, at("09:00") - 1)
    assert firing.schedule is schedule
    assert (firing.jobs, firing.skipped, firing.cancel, firing.coalesced) == ((), (), (), 0)


def test_an_instant_fires_once_however_often_one_looks() -> None:
    firing = look(kept(), "09:00")
    assert jobs_of(firing) == ["09:00"]
    assert (shown(firing.schedule.last_at), shown(firing.schedule.next_at)) == ("09:00", "10:00")
    assert firing.schedule.version == kept().version + 1
    again = look(firing.schedule, "09:00")
    assert again.schedule is firing.schedule
    assert jobs_of(again) == []


def test_a_late_look_fires_with_the_instant_that_was_meant() -> None:
    firing = look(kept(), "09:07")
    assert jobs_of(firing) == ["09:00"]
    assert shown(firing.schedule.next_at) == "10:00"


def test_two_processes_make_the_same_job_of_an_instant() -> None:
    """Elsewhere, a unique cron job runs once for each worker."""
    here, there = look(kept(), "09:00"), look(kept(), "09:04")
    assert here.jobs == there.jobs
    assert here.jobs[0].job_id == job_id_of("ledger", at("09:00"))
    other = look(kept(name="mail"), "09:00")
    assert other.jobs[0].job_id != here.jobs[0].job_id
    assert to_uuid(here.jobs[0].job_id).version == 5


# --- several instants were missed -----------------------------------------------------------------


def test_of_missed_instants_the_latest_stands_for_all() -> None:
    firing = look(kept(), "12:30")
    assert (jobs_of(firing), skips_of(firing), firing.coalesced) == (["12:00"], [], 3)
    assert shown(firing.schedule.next_at) == "13:00"


def test_of_missed_instants_the_earliest_may_stand_for_all() -> None:
    firing = look(kept(coalesce="earliest"), "12:30")
    assert (jobs_of(firing), skips_of(firing), firing.coalesced) == (["09:00"], [], 3)
    assert shown(firing.schedule.next_at) == "13:00"


def test_all_missed_instants_may_fire() -> None:
    firing = look(kept(coalesce="all", overlap="allow"), "12:30")
    assert jobs_of(firing) == ["09:00", "10:00", "11:00", "12:00"]
    assert (skips_of(firing), firing.coalesced) == ([], 0)
    assert shown(firing.schedule.last_at) == "12:00"


def test_a_catch_up_keeps_the_newest_and_one_record_counts_the_rest() -> None:
    firing = look(kept(coalesce="all", overlap="allow", max_catchup=2), "12:30")
    assert jobs_of(firing) == ["11:00", "12:00"]
    assert skips_of(firing) == [("09:00", "max_catchup", 2)]


def test_what_is_older_than_the_grace_time_is_skipped() -> None:
    firing = look(kept(misfire_grace_time=timedelta(minutes=5)), "12:06")
    assert (jobs_of(firing), skips_of(firing)) == ([], [("12:00", "misfire", 4)])
    assert (firing.schedule.last_at, firing.coalesced) == (None, 0)
    assert shown(firing.schedule.next_at) == "13:00"


def test_the_grace_time_itself_is_not_too_late() -> None:
    schedule = kept(misfire_grace_time=timedelta(minutes=5))
    assert jobs_of(look(schedule, "12:05")) == ["12:00"]
    assert jobs_of(fire(schedule, at("12:05") + 1)) == []


def test_the_earliest_that_is_not_too_old_stands_for_all() -> None:
    firing = look(kept(coalesce="earliest", misfire_grace_time=timedelta(hours=2)), "12:30")
    assert (jobs_of(firing), skips_of(firing), firing.coalesced) == (["11:00"], [], 3)
    nothing = look(kept(coalesce="earliest", misfire_grace_time=60), "12:30")
    assert (jobs_of(nothing), skips_of(nothing)) == ([], [("09:00", "misfire", 4)])


def test_each_of_all_is_judged_by_its_age() -> None:
    schedule = kept(coalesce="all", overlap="allow", misfire_grace_time=timedelta(hours=2))
    firing = look(schedule, "12:30")
    assert jobs_of(firing) == ["11:00", "12:00"]
    assert skips_of(firing) == [("09:00", "misfire", 1), ("10:00", "misfire", 1)]
    assert jobs_of(look(schedule, "12:00")) == ["10:00", "11:00", "12:00"]


def test_a_clock_that_jumps_ten_years_ahead_stops_nobody() -> None:
    """Elsewhere, the host hangs while ten years of minutes are fired."""
    ten_years = 10 * 365 * 24 * 60 * MINUTE
    schedule = kept("* * * * *")
    firing = fire(schedule, at("08:30") + ten_years)
    assert [job.fire_time for job in firing.jobs] == [at("08:30") + ten_years]
    assert firing.coalesced >= MOST_COUNTED
    everything = attrs.evolve(schedule, request=asked("* * * * *", coalesce="all", overlap="allow"))
    firing = fire(everything, at("08:30") + ten_years)
    assert len(firing.jobs) == 100
    assert firing.jobs[0].fire_time == at("08:30") + ten_years - 99 * MINUTE
    (rest,) = firing.skipped
    assert (rest.count, rest.at_least) == (MOST_COUNTED, True)
    assert "at least 250 instants" in rest.sentence


def test_as_many_as_are_counted_are_counted_exactly() -> None:
    schedule = kept("* * * * *")
    exactly = fire(schedule, at("08:30") + (MOST_COUNTED + 1) * MINUTE)
    assert exactly.coalesced == MOST_COUNTED
    late = attrs.evolve(schedule, request=asked("* * * * *", misfire_grace_time=1))
    (counted,) = fire(late, at("08:30") + (MOST_COUNTED + 1) * MINUTE + MINUTE // 2).skipped
    assert (counted.count, counted.at_least) == (MOST_COUNTED + 1, False)
    (more,) = fire(late, at("08:30") + (MOST_COUNTED + 2) * MINUTE + MINUTE // 2).skipped
    assert (more.count, more.at_least) == (MOST_COUNTED + 1, True)


def test_a_clock_that_is_set_back_fires_nothing_again_and_loses_nothing() -> None:
    """Elsewhere, the jobs of an hour run again, or never more."""
    schedule = look(kept(), "10:00").schedule
    for now in ("09:00", "09:59", "10:00", "10:59"):
        firing = look(schedule, now)
        assert firing.schedule is schedule
    assert jobs_of(look(schedule, "11:00")) == ["11:00"]


# --- the job before has not ended -----------------------------------------------------------------


def test_an_instant_is_skipped_while_a_job_has_not_ended() -> None:
    firing = look(kept(), "09:00", RUNNING)
    assert (jobs_of(firing), skips_of(firing)) == ([], [("09:00", "overlap", 1)])
    assert firing.schedule.last_job_id is None
    assert shown(firing.schedule.next_at) == "10:00"


def test_the_skip_of_an_instant_has_the_id_that_its_job_would_have() -> None:
    firing = look(kept(), "09:00", RUNNING)
    assert firing.skipped[0].job_id == job_id_of("ledger", at("09:00"))


def test_jobs_may_run_side_by_side() -> None:
    firing = look(kept(overlap="allow"), "09:00", RUNNING, WAITING)
    assert jobs_of(firing) == ["09:00"]
    assert (firing.jobs[0].wait_for, firing.cancel) == ((), ())


def test_one_job_may_wait_for_the_one_that_runs_and_no_more() -> None:
    first = look(kept(overlap="buffer_one"), "09:00", RUNNING)
    assert (jobs_of(first), first.jobs[0].wait_for) == (["09:00"], (RUNNING,))
    second = look(first.schedule, "10:00", RUNNING, first.jobs[0].job_id)
    assert (jobs_of(second), skips_of(second)) == ([], [("10:00", "overlap", 1)])
    assert look(kept(overlap="buffer_one"), "09:00").jobs[0].wait_for == ()


def test_a_new_job_may_call_off_the_one_before_and_waits_until_that_has_ended() -> None:
    firing = look(kept(overlap="cancel_other"), "09:00", RUNNING, WAITING)
    assert (jobs_of(firing), firing.cancel) == (["09:00"], (RUNNING, WAITING))
    assert firing.jobs[0].wait_for == (RUNNING, WAITING)
    assert look(kept(overlap="cancel_other"), "09:00").cancel == ()


def test_an_instant_that_is_too_old_calls_nothing_off() -> None:
    firing = look(kept(overlap="cancel_other", misfire_grace_time=60), "09:30", RUNNING)
    assert (jobs_of(firing), firing.cancel) == ([], ())


@pytest.mark.parametrize(
    ("overlap", "jobs", "skips"),
    [
        ("skip", ["09:00"], ["10:00", "11:00"]),
        ("buffer_one", ["09:00", "10:00"], ["11:00"]),
        ("cancel_other", ["11:00"], ["09:00", "10:00"]),
        ("allow", ["09:00", "10:00", "11:00"], []),
    ],
)
def test_of_all_missed_instants_each_meets_the_job_of_the_one_before(
    overlap: str, jobs: list[str], skips: list[str]
) -> None:
    firing = look(kept(coalesce="all", overlap=overlap), "11:30")
    assert jobs_of(firing) == jobs
    assert skips_of(firing) == [(instant, "overlap", 1) for instant in skips]


def test_missed_instants_coalesce_before_they_meet_a_job() -> None:
    firing = look(kept(), "12:30", RUNNING)
    assert (skips_of(firing), firing.coalesced) == ([("12:00", "overlap", 1)], 3)


def test_a_job_that_has_failed_for_good_never_holds_its_schedule_up() -> None:
    """Elsewhere, a unique schedule whose job is a dead letter stands still for ever."""
    for ended in (JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED, JobState.SKIPPED):
        unfinished = [] if ended.is_ended else [RUNNING]
        assert jobs_of(look(kept(), "09:00", *unfinished)) == ["09:00"]
    for going_on in (JobState.SCHEDULED, JobState.WAITING, JobState.READY, JobState.PROCESSING):
        assert not going_on.is_ended


# --- after the end of the job before --------------------------------------------------------------


def test_a_pause_is_counted_from_the_end_of_the_job_before() -> None:
    schedule = kept(every_after(timedelta(hours=1)))
    first = look(schedule, "09:30")
    assert jobs_of(first) == ["09:30"]
    assert shown(first.schedule.next_at) == "10:30"
    waiting = look(first.schedule, "10:30", RUNNING)
    assert (jobs_of(waiting), skips_of(waiting)) == ([], [])
    assert shown(waiting.schedule.next_at) == "11:30"
    known = look(waiting.schedule, "11:30", last_ended="11:10")
    assert jobs_of(known) == []
    assert shown(known.schedule.next_at) == "12:10"
    assert jobs_of(look(known.schedule, "12:10", last_ended="11:10")) == ["12:10"]


def test_an_end_that_is_found_when_its_pause_is_just_over_fires_at_once() -> None:
    first = look(kept(every_after(timedelta(hours=1))), "09:30")
    waiting = look(first.schedule, "10:30", RUNNING)
    assert jobs_of(look(waiting.schedule, "12:10", last_ended="11:10")) == ["12:10"]
    at_the_mark = look(waiting.schedule, "11:30", last_ended="10:30")
    assert jobs_of(at_the_mark) == ["11:30"]
    assert at_the_mark.schedule.version == waiting.schedule.version + 1


def test_a_pause_that_passed_while_nothing_ran_is_over() -> None:
    first = look(kept(every_after(timedelta(hours=1))), "09:30")
    late = look(first.schedule, "15:00", last_ended="10:00")
    assert jobs_of(late) == ["11:00"]
    assert shown(late.schedule.next_at) == "16:00"


def test_a_pause_is_not_held_up_by_a_job_that_nobody_remembers() -> None:
    first = look(kept(every_after(timedelta(hours=1))), "09:30")
    assert jobs_of(look(first.schedule, "15:00")) == ["10:30"]


def test_a_pause_that_has_passed_too_long_ago_begins_anew() -> None:
    first = look(kept(every_after(timedelta(hours=1)), misfire_grace_time=60), "09:30")
    late = look(first.schedule, "15:00", last_ended="10:00")
    assert (jobs_of(late), skips_of(late)) == ([], [("11:00", "misfire", 1)])
    assert shown(late.schedule.next_at) == "16:00"


def test_a_pause_may_lead_past_the_end() -> None:
    schedule = kept(every_after(timedelta(hours=1)), end=moment("10:45"))
    first = look(schedule, "09:30")
    over = look(first.schedule, "10:30", last_ended="10:00")
    assert (jobs_of(over), over.schedule.next_at) == ([], None)


# --- jitter ---------------------------------------------------------------------------------------


def test_jitter_holds_a_job_back_and_leaves_its_fire_time_alone() -> None:
    (job,) = look(kept(jitter=600), "09:00").jobs
    assert job.fire_time == at("09:00")
    assert 0 <= job.execute_after - job.fire_time < 600 * MICROSECONDS
    assert look(kept(jitter=600), "09:00").jobs == [job]


def test_jitter_spreads_schedules_and_instants() -> None:
    most = 600 * MICROSECONDS
    drawn = [jitter_of(f"schedule-{n}", at("09:00"), most) for n in range(200)]
    assert max(drawn) > most * 0.9
    assert min(drawn) < most * 0.1
    assert jitter_of("ledger", at("09:00"), most) != jitter_of("ledger", at("10:00"), most)
    assert jitter_of("ledger", at("09:00"), 0) == 0


# --- the job --------------------------------------------------------------------------------------


def test_the_job_of_an_instant_counts_its_delay_and_deadline_from_there() -> None:
    template = attrs.evolve(TEMPLATE, execute_after=5 * MINUTE, expire_on=30 * MINUTE, queue="late")
    schedule = attrs.evolve(kept(), request=attrs.evolve(asked(), template=template))
    (job,) = look(schedule, "09:07").jobs
    request = request_of(schedule.request, job, at("09:07"))
    assert (request.id, request.created_at) == (job.job_id, at("09:07"))
    assert (request.execute_after, request.expire_on) == (at("09:05"), at("09:30"))
    assert (request.queue, request.args) == ("late", TEMPLATE.args)


def test_a_job_without_delay_and_deadline_is_due_at_its_instant() -> None:
    schedule = kept()
    request = request_of(schedule.request, look(schedule, "09:07").jobs[0], at("09:07"))
    assert (request.execute_after, request.expire_on) == (at("09:00"), None)


def test_a_job_started_by_hand_runs_now() -> None:
    template = attrs.evolve(TEMPLATE, execute_after=5 * MINUTE, expire_on=30 * MINUTE)
    request = request_by_hand(attrs.evolve(asked(), template=template), RUNNING, at("09:07"))
    assert (request.id, request.created_at) == (RUNNING, at("09:07"))
    assert (request.execute_after, request.expire_on) == (None, at("09:37"))
    assert request_by_hand(asked(), RUNNING, 5).expire_on is None


@pytest.mark.parametrize(
    ("skip", "sentence"),
    [
        (Skip(0, RUNNING, SkipReason.OVERLAP), "a job of an earlier instant had not ended"),
        (Skip(0, RUNNING, SkipReason.MISFIRE), "missed by more than misfire_grace_time"),
        (
            Skip(0, RUNNING, SkipReason.MISFIRE, 3),
            "missed by more than misfire_grace_time (3 instants)",
        ),
        (
            Skip(0, RUNNING, SkipReason.MAX_CATCHUP, 250, at_least=True),
            "missed, and beyond max_catchup (at least 250 instants)",
        ),
    ],
)
def test_a_skip_says_why(skip: Skip, sentence: str) -> None:
    assert skip.sentence == sentence


def test_the_job_of_an_instant_says_of_which_schedule_and_instant_it_is() -> None:
    fired = occurrence(asked(), at("09:00"))
    template = attrs.evolve(TEMPLATE, details=Details(worker="smtp"))
    request = attrs.evolve(asked(), template=template)
    made = request_of(request, fired, at("09:01")).details
    assert made == Details(worker="smtp", schedule_name="ledger", fire_time=at("09:00"))
    by_hand = request_by_hand(request, fired.job_id, at("09:01")).details
    assert by_hand == Details(worker="smtp", schedule_name="ledger")


def test_the_record_of_a_skip_is_of_its_instant_and_not_held_back() -> None:
    request = asked(jitter=600)
    skipped = Skip(at("09:00"), job_id_of("ledger", at("09:00")), SkipReason.OVERLAP)
    recorded = request_of_skip(request, skipped, at("09:01"))
    assert (recorded.id, recorded.created_at) == (skipped.job_id, at("09:01"))
    assert (recorded.execute_after, recorded.expire_on) == (at("09:00"), None)
    assert recorded.details == Details(schedule_name="ledger", fire_time=at("09:00"))


def test_of_very_many_missed_instants_of_an_interval_the_latest_is_on_its_grid() -> None:
    assert jobs_of(look(kept(timedelta(hours=1)), "06-20 12:00")) == ["06-20 11:30"]


def test_an_instant_just_before_the_end_fires() -> None:
    just_after = moment("10:30") + timedelta(microseconds=1)
    assert jobs_of(look(kept(timedelta(hours=1), end=just_after), "12:00")) == ["10:30"]
    assert jobs_of(look(kept(timedelta(hours=1), end=moment("10:30")), "12:00")) == ["09:30"]


def test_the_earliest_that_is_not_too_old_is_on_the_grid_of_its_interval() -> None:
    two_hours = timedelta(hours=2)
    schedule = kept(timedelta(hours=1), coalesce="earliest", misfire_grace_time=two_hours)
    assert jobs_of(look(schedule, "12:30")) == ["10:30"]
    assert jobs_of(fire(schedule, at("12:30") + 1)) == ["11:30"]


def test_each_instant_is_held_back_by_what_its_name_and_time_draw() -> None:
    fired = occurrence(asked(jitter=600), at("09:00"))
    assert fired.execute_after == at("09:00") + jitter_of("ledger", at("09:00"), 600_000_000)


def test_a_skip_is_of_one_instant_unless_it_says_more() -> None:
    made = skip(asked(), at("09:00"), SkipReason.OVERLAP)
    assert (made.count, made.at_least) == (1, False)
