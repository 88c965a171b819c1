"""A schedule's life: registered, registered again, edited, paused, resumed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs

from tests.model.schedules import TEMPLATE, asked, at, jobs_of, kept, look, moment, shown, skips_of
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.instants import to_instant
from trio_gusto.model.schedule import (
    Coalesce,
    Overlap,
    Schedule,
    StoredSchedule,
    edit,
    pause,
    recomputed,
    resume,
    view,
)
from trio_gusto.model.triggers import cron, every, every_after

HOUR = timedelta(hours=1)


# --- registered -----------------------------------------------------------------------------------


def test_a_schedule_fires_first_after_its_registration() -> None:
    assert shown(kept().next_at) == "09:00"
    assert shown(kept(now="09:00").next_at) == "10:00"


def test_an_interval_is_counted_from_the_first_registration() -> None:
    assert shown(kept(HOUR).next_at) == "09:30"


def test_a_start_is_inclusive_and_an_interval_is_counted_from_it() -> None:
    assert shown(kept(start=moment("12:00")).next_at) == "12:00"
    assert shown(kept(HOUR, start=moment("12:15")).next_at) == "12:15"
    assert shown(kept(HOUR, start=moment("06:15")).next_at) == "09:15"
    assert shown(kept(every_after(HOUR), start=moment("12:15")).next_at) == "12:15"
    assert (
        shown(kept(every(HOUR, anchor=moment("00:10")), start=moment("12:00")).next_at) == "12:10"
    )


def test_a_start_between_two_seconds_is_no_earlier_than_it_says() -> None:
    start = moment("12:00") + timedelta(microseconds=1)
    assert shown(kept(start=start).next_at) == "13:00"


def test_an_end_is_exclusive() -> None:
    schedule = kept(end=moment("10:00"))
    assert shown(schedule.next_at) == "09:00"
    firing = look(schedule, "09:00")
    assert jobs_of(firing) == ["09:00"]
    assert firing.schedule.next_at is None
    assert jobs_of(look(firing.schedule, "10:00")) == []


def test_what_was_missed_before_the_end_fires_after_it() -> None:
    firing = look(kept(end=moment("11:00"), coalesce="all", overlap="allow"), "15:00")
    assert jobs_of(firing) == ["09:00", "10:00"]
    assert firing.schedule.next_at is None


def test_a_registration_after_the_end_is_none_that_fires() -> None:
    """A program that registers at every start goes on starting when a season is over."""
    assert kept(end=moment("08:00")).next_at is None


def test_a_schedule_is_on_the_clocks_of_its_zone() -> None:
    assert shown(kept("0 12 * * *", timezone="Europe/Rome").next_at) == "10:00"


def test_an_interval_that_outlasts_the_calendar_never_fires() -> None:
    assert kept(timedelta(days=365 * 9000)).next_at is None


def test_the_last_instant_of_the_calendar_fires() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    assert kept(every(HOUR, anchor=last), start=last).next_at == to_instant(last)


def test_a_schedule_registered_anew_is_not_taken_for_the_one_before() -> None:
    assert kept(now="08:30").version < kept(now="08:31").version


# --- registered again -----------------------------------------------------------------------------


def test_the_same_registration_at_every_start_keeps_the_last_and_the_next_instant() -> None:
    schedule = look(kept(), "09:00").schedule
    again = edit(schedule, asked(now="09:20"), at("09:20"))
    assert again is schedule
    assert (shown(again.last_at), shown(again.next_at)) == ("09:00", "10:00")


def test_frequent_restarts_do_not_put_a_long_interval_off() -> None:
    schedule = kept(6 * HOUR)
    for now in ("09:00", "11:00", "13:00"):
        schedule = edit(schedule, asked(6 * HOUR, now), at(now))
    assert shown(schedule.next_at) == "14:30"
    assert jobs_of(look(schedule, "14:30")) == ["14:30"]


def test_what_was_missed_during_a_restart_still_fires() -> None:
    schedule = edit(kept(), asked(now="09:20"), at("09:20"))
    assert jobs_of(look(schedule, "09:20")) == ["09:00"]


def test_blanks_in_an_expression_make_no_new_beginning() -> None:
    schedule = edit(kept("0 * * * *"), asked("0  *  *  *  *"), at("09:20"))
    assert shown(schedule.next_at) == "09:00"


def test_a_changed_trigger_makes_a_new_beginning_after_now() -> None:
    schedule = look(kept(), "09:00").schedule
    edited = edit(schedule, asked("*/15 * * * *"), at("11:20"))
    assert shown(edited.next_at) == "11:30"
    assert shown(edited.last_at) == "09:00"
    assert edited.version > schedule.version


def test_a_changed_interval_is_counted_from_the_change() -> None:
    assert shown(edit(kept(HOUR), asked(2 * HOUR), at("11:20")).next_at) == "13:20"


def test_a_changed_zone_makes_a_new_beginning() -> None:
    schedule = kept("0 12 * * *", timezone="Europe/Rome")
    edited = edit(schedule, asked("0 12 * * *", timezone="Asia/Tokyo"), at("08:40"))
    assert shown(edited.next_at) == "06-02 03:00"


def test_other_options_take_effect_without_a_new_beginning() -> None:
    schedule = kept(HOUR)
    edited = edit(schedule, asked(HOUR, overlap="allow"), at("11:20"))
    assert shown(edited.next_at) == "09:30"
    assert edited.request.overlap is Overlap.ALLOW
    assert edited.version == schedule.version + 1


def test_other_arguments_take_effect_without_a_new_beginning() -> None:
    template = attrs.evolve(TEMPLATE, args='[["EU"],{}]')
    edited = edit(kept(), attrs.evolve(asked(), template=template), at("08:40"))
    assert edited.request.template.args == '[["EU"],{}]'
    assert shown(edited.next_at) == "09:00"


def test_a_schedule_edited_at_its_instant_fires_it_once() -> None:
    fired_before = edit(look(kept(), "09:00").schedule, asked("*/15 * * * *"), at("09:00"))
    assert shown(fired_before.next_at) == "09:15"
    not_fired = edit(kept(), asked("*/15 * * * *"), at("08:59"))
    assert jobs_of(look(not_fired, "09:00")) == ["09:00"]


def test_an_edit_with_the_clock_set_back_repeats_nothing() -> None:
    schedule = look(kept(), "10:00").schedule
    edited = edit(schedule, asked("*/15 * * * *"), at("08:40"))
    assert shown(edited.next_at) == "10:15"


def test_a_window_that_is_opened_again_has_missed_nothing() -> None:
    over = look(kept(end=moment("10:00")), "09:00").schedule
    assert over.next_at is None
    edited = edit(over, asked(end=moment("23:00")), at("15:30"))
    assert shown(edited.next_at) == "16:00"


def test_a_window_that_is_made_longer_while_it_is_open_changes_no_instant() -> None:
    edited = edit(kept(end=moment("10:00")), asked(end=moment("23:00")), at("08:40"))
    assert shown(edited.next_at) == "09:00"


# --- paused and resumed ---------------------------------------------------------------------------


def test_a_paused_schedule_fires_nothing_and_goes_on_from_where_it_is_resumed() -> None:
    paused = pause(kept())
    assert (paused.paused, paused.next_at) == (True, None)
    assert jobs_of(look(paused, "12:00")) == []
    resumed = resume(paused, at("12:30"))
    assert (resumed.paused, shown(resumed.next_at)) == (False, "13:00")
    assert skips_of(look(resumed, "12:30")) == []


def test_a_schedule_resumed_with_catch_up_has_missed_what_fell_into_the_pause() -> None:
    resumed = resume(pause(kept(coalesce="all", overlap="allow")), at("11:30"), catch_up=True)
    assert jobs_of(look(resumed, "11:30")) == ["09:00", "10:00", "11:00"]


def test_registering_a_paused_schedule_again_leaves_it_paused() -> None:
    paused = pause(kept())
    assert edit(paused, asked(), at("09:20")) is paused
    edited = edit(paused, asked("*/15 * * * *"), at("09:20"))
    assert (edited.paused, edited.next_at) == (True, None)
    assert shown(resume(edited, at("11:20")).next_at) == "11:30"


def test_an_edit_in_a_pause_does_not_forget_what_to_catch_up() -> None:
    paused = pause(kept(coalesce="all", overlap="allow"))
    edited = edit(paused, asked(coalesce="all", overlap="allow", end=moment("23:00")), at("10:20"))
    resumed = resume(edited, at("11:30"), catch_up=True)
    assert jobs_of(look(resumed, "11:30")) == ["09:00", "10:00", "11:00"]


def test_pausing_twice_and_resuming_what_runs_change_nothing() -> None:
    schedule = kept()
    paused = pause(schedule)
    assert pause(paused) is paused
    assert resume(schedule, at("12:00")) is schedule


def test_a_pause_is_no_removal() -> None:
    """Other schedulers only know on and off; here a pause keeps all that the schedule has been."""
    schedule = look(kept(), "09:00").schedule
    resumed = resume(pause(schedule), at("09:10"))
    assert (resumed.request, resumed.last_at) == (schedule.request, schedule.last_at)
    assert shown(resumed.next_at) == "10:00"


# --- computed again -------------------------------------------------------------------------------


def test_a_next_instant_computed_by_an_older_zone_database_is_computed_again() -> None:
    schedule = kept()
    outdated = attrs.evolve(schedule, next_at=at("09:30"))
    assert recomputed(schedule) is schedule
    assert recomputed(outdated) == attrs.evolve(schedule, version=schedule.version + 1)
    paused = pause(schedule)
    assert recomputed(paused) is paused


# --- looked at ------------------------------------------------------------------------------------


def test_a_schedule_is_looked_at_in_datetimes() -> None:
    firing = look(kept(misfire_grace_time=60, jitter=5, start=moment("08:00")), "09:00")
    assert view(firing.schedule) == Schedule(
        name="ledger",
        trigger=cron("0 * * * *"),
        timezone="UTC",
        overlap=Overlap.SKIP,
        coalesce=Coalesce.LATEST,
        misfire_grace_time=timedelta(seconds=60),
        max_catchup=100,
        jitter=timedelta(seconds=5),
        start=moment("08:00"),
        end=None,
        next_at=datetime(2026, 6, 1, 10, tzinfo=UTC),
        last_at=datetime(2026, 6, 1, 9, tzinfo=UTC),
        last_job_id=to_uuid(firing.jobs[0].job_id),
        paused=False,
        anchor=moment("08:00"),
    )


def test_the_instants_to_come_are_those_that_will_fire() -> None:
    looked_at = view(kept(every(40 * 60), now="08:30", end=moment("11:00")))
    assert [shown(to_instant(one)) for one in looked_at.next_instants()] == [
        "09:10",
        "09:50",
        "10:30",
    ]
    assert looked_at.next_instants(1) == (moment("09:10"),)
    assert looked_at.next_instants(0) == ()
    assert view(pause(kept())).next_instants() == ()


def test_a_schedule_that_has_not_fired_has_no_last_job() -> None:
    looked_at = view(kept())
    assert (looked_at.last_at, looked_at.last_job_id, looked_at.misfire_grace_time) == (None,) * 3


# --- symptoms of other schedulers -----------------------------------------------------------------


def test_registering_again_cancels_no_job_that_is_running() -> None:
    """Elsewhere, a recurring job is cancelled and stored anew, and the one that runs is deleted."""
    schedule = look(kept(overlap="cancel_other"), "09:00").schedule
    edited = edit(schedule, asked("*/15 * * * *", overlap="cancel_other"), at("09:05"))
    assert isinstance(edited, StoredSchedule)  # and nothing else: there is no word of a job
    assert edited.last_job_id == schedule.last_job_id


def test_failures_of_one_instant_are_not_counted_against_the_next() -> None:
    """Elsewhere, one row is used again and again and keeps its count of failures."""
    first = look(kept(), "09:00")
    second = look(first.schedule, "10:00")
    assert first.jobs[0].job_id != second.jobs[0].job_id
    assert "attempt" not in {field.name for field in attrs.fields(StoredSchedule)}


def test_ten_instants_are_told_unless_somebody_wants_another_number() -> None:
    shown_to_users = view(kept())
    assert len(shown_to_users.next_instants()) == 10
    assert len(shown_to_users.next_instants(3)) == 3
    ends_at_noon = view(kept(end=moment("12:00")))
    assert [to_instant(one) for one in ends_at_noon.next_instants()] == [
        at("09:00"), at("10:00"), at("11:00"),
    ]  # fmt: skip


def test_instants_to_come_are_those_of_its_anchor_and_of_its_zone() -> None:
    from_start = view(kept(HOUR, start=moment("12:15")))
    assert [to_instant(one) for one in from_start.next_instants(2)] == [at("12:15"), at("13:15")]
    nine_in_berlin = view(kept("0 9 * * *", timezone="Europe/Berlin"))
    assert [to_instant(one) for one in nine_in_berlin.next_instants(2)] == [
        at("06-02 07:00"), at("06-03 07:00"),
    ]  # fmt: skip


def test_a_changed_start_is_what_an_interval_is_counted_from() -> None:
    schedule = kept(HOUR)
    later = edit(schedule, asked(HOUR, start=moment("12:15")), at("10:00"))
    assert later.anchor == at("12:15")
    assert shown(later.next_at) == "12:15"
    again = edit(later, asked(HOUR), at("11:20"))
    assert again.anchor == at("11:20")
    assert shown(again.next_at) == "12:20"


def test_every_change_is_a_new_version() -> None:
    schedule = kept()
    paused = pause(schedule)
    assert paused.version == schedule.version + 1
    resumed = resume(paused, at("10:00"))
    assert resumed.version == paused.version + 1
    assert edit(resumed, asked("5 * * * *"), at("10:00")).version == resumed.version + 1
