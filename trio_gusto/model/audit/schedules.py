"""Schedules: their marks, and the jobs of their instants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..cron.clock_changes import zone_named
from ..occurrence import job_id_of
from ..rehearsing import KnownSchedule
from ..schedule import StoredSchedule, following
from ..triggers import EveryAfter
from .findings import Fault, Finding, Invariant
from .records import RecordedJob
from .words import moment, named


def audit_schedule(recorded: KnownSchedule) -> Finding | None:
    """The first thing that is illegal about a schedule; ``None`` if nothing is."""
    subject = f"schedule {recorded.name!r}"
    if recorded.kept is None:
        legal = "what was asked for is kept as JSON"
        return Finding(subject, None, Invariant.READABLE, recorded.fault, legal)
    fault = next(_mark_faults(recorded.kept), None)
    if fault is None:
        return None
    return Finding(subject, None, fault.invariant, fault.found, fault.legal)


def fire_time_faults(job: RecordedJob, schedules: Mapping[str, StoredSchedule]) -> Iterator[Fault]:
    """A job that a schedule has made for an instant."""
    details = job.request.details
    if details is None or details.schedule_name is None or details.fire_time is None:
        return
    name, instant = details.schedule_name, details.fire_time
    its_id = job_id_of(name, instant)
    if job.id != its_id:
        found = f"it has the instant {moment(instant)} of the schedule {name!r}"
        yield Fault(Invariant.FIRE_TIMES, found, f"that instant has the job {named(its_id)}")
    schedule = schedules.get(name)
    if schedule is None:
        return  # it was removed
    if instant > schedule.since:
        found = f"it has the instant {moment(instant)}, and the mark of {name!r} is before it"
        yield Fault(Invariant.FIRE_TIMES, found, f"the mark is {moment(schedule.since)}")
    if not _has(schedule, instant):
        found = f"it has the instant {moment(instant)} of the schedule {name!r}"
        legal = f"its trigger ({schedule.request.trigger}) has none there"
        yield Fault(Invariant.FIRE_TIMES, found, legal)


def _has(schedule: StoredSchedule, instant: int) -> bool:
    """Whether the trigger has this instant, as far as it is known that it was this trigger.

    A change of the trigger sets the anchor, unless a ``start`` is given. What counts from the end of a
    job has instants that nobody can compute again.
    """
    request = schedule.request
    trigger = request.trigger
    if request.start is not None or instant <= schedule.anchor or isinstance(trigger, EveryAfter):
        return True
    zone = zone_named(request.timezone)
    return trigger.anchored(schedule.anchor).next_instant(instant - 1, zone) == instant


def _mark_faults(schedule: StoredSchedule) -> Iterator[Fault]:
    request, since = schedule.request, schedule.since
    legal = "none while it is paused"
    wanted = None
    if not schedule.paused:
        wanted = following(request, schedule.anchor, since)
        legal = "nothing fires after it" if wanted is None else f"the first is {moment(wanted)}"
    if schedule.next_at != wanted:
        next_at = "none" if schedule.next_at is None else moment(schedule.next_at)
        found = f"its next instant after the mark {moment(since)} is {next_at}"
        yield Fault(Invariant.MARKS, found, legal)
    last_at, last_id = schedule.last_at, schedule.last_job_id
    if last_at is None or last_id is None:
        if (last_at is None) != (last_id is None):
            found = "it has a last instant without its job, or a job without its instant"
            yield Fault(Invariant.MARKS, found, "they are set together")
        return
    if last_at > since:
        found = f"its last instant is {moment(last_at)}"
        yield Fault(Invariant.MARKS, found, f"the mark {moment(since)} is not before it")
    if last_id != job_id_of(request.name, last_at):
        found = f"its last job is {named(last_id)}"
        legal = f"the instant {moment(last_at)} has {named(job_id_of(request.name, last_at))}"
        yield Fault(Invariant.MARKS, found, legal)
