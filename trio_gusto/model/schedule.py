"""A schedule in its three forms: asked for, kept, and looked at.

`ScheduleRequest` is what a caller asked for. `StoredSchedule` is what a storage keeps: the request
and how far the schedule has come. `Schedule` is the flat record that users look at. Instants and
durations are ``int`` microseconds except in the public record.

How far it has come is one instant, the *mark* (``since``). Whatever lies at or before it is over:
has fired, was skipped, or was never meant to fire. It only ever moves forward, so no instant fires
twice, whatever the clock does and however often the schedule is edited. And ``next_at`` is always
the first instant after it, so that it can be computed again at any time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import attrs

from .cron.clock_changes import zone_named
from .ids import JobId, to_uuid
from .instants import to_datetime, to_instant, to_optional_datetime
from .job import JobRequest
from .triggers import LAST_INSTANT, Trigger


class Overlap(StrEnum):
    """What happens at an instant when a job of the schedule has not ended yet.

    Jobs of a schedule that were started by hand do not count.
    """

    SKIP = "skip"
    """The instant is recorded as skipped."""

    ALLOW = "allow"
    """The jobs run side by side."""

    BUFFER_ONE = "buffer_one"
    """One job may wait for the one before it to end; further instants are skipped."""

    CANCEL_OTHER = "cancel_other"
    """What has not ended is cancelled, and the new job waits for its end."""


class Coalesce(StrEnum):
    """Which instants fire, of several that were missed while nothing ran."""

    LATEST = "latest"
    EARLIEST = "earliest"
    ALL = "all"


@attrs.define
class ScheduleRequest:
    """What a caller asked for. Never changed after it was made.

    ``template`` is the request of a job that would fire at instant 0: instants in it are counted
    from the fire time. ``start`` is the first instant that may fire, ``end`` the first that may not
    any more. ``misfire_grace_time`` is how late an instant may fire, ``None``: as late as you like.
    ``jitter`` is what a job may be held back by, at most.
    """

    name: str
    trigger: Trigger
    template: JobRequest
    timezone: str = "UTC"
    overlap: Overlap = Overlap.SKIP
    coalesce: Coalesce = Coalesce.LATEST
    misfire_grace_time: int | None = None
    max_catchup: int = 100
    jitter: int = 0
    start: int | None = None
    end: int | None = None


@attrs.define
class StoredSchedule:
    """What a storage keeps of a schedule: the request, and how far it has come.

    ``anchor`` is what intervals are counted from. ``next_at`` is ``None`` while it is paused, and
    when nothing will fire any more. ``last_at`` and ``last_job_id`` are those of the newest job.
    ``version`` goes up by one with every change and is never used again, so that of two processes
    that change a schedule at once, one sees that it came too late.
    """

    request: ScheduleRequest
    anchor: int
    since: int
    next_at: int | None
    last_at: int | None = None
    last_job_id: JobId | None = None
    paused: bool = False
    version: int = 0


@attrs.frozen(kw_only=True)
class Schedule:
    """A schedule as users look at it: a snapshot.

    ``next_at`` is the next instant; ``None`` while it is paused, and when nothing will fire any more.
    ``last_at`` is the nominal instant of the newest job, whose id is ``last_job_id``. Intervals are
    counted from ``anchor``.
    """

    name: str
    trigger: Trigger
    timezone: str
    overlap: Overlap
    coalesce: Coalesce
    misfire_grace_time: timedelta | None
    max_catchup: int
    jitter: timedelta
    start: datetime | None
    end: datetime | None
    next_at: datetime | None
    last_at: datetime | None
    last_job_id: UUID | None
    paused: bool
    anchor: datetime

    def next_instants(self, count: int = 10) -> tuple[datetime, ...]:
        """The instants to come, ``count`` of them at most; none where ``next_at`` is ``None``.

        Those of an `every_after` are told as if its jobs took no time.
        """
        trigger = self.trigger.anchored(to_instant(self.anchor))
        found: list[datetime] = []
        instant = self.next_at
        while instant is not None and len(found) < count:
            if self.end is not None and instant >= self.end:
                break
            found.append(instant)
            instant = trigger.next_after(instant, self.timezone)
        return tuple(found)


# --- the next instant -----------------------------------------------------------------------------


def following(request: ScheduleRequest, anchor: int, since: int) -> int | None:
    """The first instant after the mark ``since``, within the window; ``None`` if there is none."""
    after = since if request.start is None else max(since, request.start - 1)
    trigger = request.trigger.anchored(anchor)
    found = trigger.next_instant(after, zone_named(request.timezone))
    if found is None or found > LAST_INSTANT:
        return None
    return None if request.end is not None and found >= request.end else found


def moved(schedule: StoredSchedule, since: int) -> StoredSchedule:
    """The schedule with its mark at ``since``, or where it is if that is later."""
    since = max(schedule.since, since)
    next_at = None if schedule.paused else following(schedule.request, schedule.anchor, since)
    return attrs.evolve(schedule, since=since, next_at=next_at, version=schedule.version + 1)


# --- a schedule's life ----------------------------------------------------------------------------


def admit(request: ScheduleRequest, now: int) -> StoredSchedule:
    """The schedule at its first registration. What lies before that never fires."""
    anchor = now if request.start is None else request.start
    # Versions begin at the time, so that a schedule that is removed and registered again is not
    # taken for the one before by somebody who read that.
    return StoredSchedule(request, anchor, now, following(request, anchor, now), version=now)


def edit(schedule: StoredSchedule, request: ScheduleRequest, now: int) -> StoredSchedule:
    """The schedule when it is registered again under its name.

    The same registration changes nothing, so a program may repeat it whenever it starts. Another
    trigger, time zone or start makes a new beginning: what the old one had not fired yet is dropped,
    and the next instant is one after ``now``. Anything else takes effect without that. Paused or
    not, it stays as it is.
    """
    before = schedule.request
    if request == before:
        return schedule
    edited = attrs.evolve(schedule, request=request)
    if (request.trigger, request.timezone, request.start) != (
        before.trigger,
        before.timezone,
        before.start,
    ):
        edited.anchor = now if request.start is None else request.start
        return moved(edited, now)
    was_over = schedule.next_at is None and not schedule.paused
    # What a closed window let go by has not been missed.
    return moved(edited, now if was_over else schedule.since)


def pause(schedule: StoredSchedule) -> StoredSchedule:
    """The schedule as it fires nothing until it is resumed."""
    if schedule.paused:
        return schedule
    return attrs.evolve(schedule, paused=True, next_at=None, version=schedule.version + 1)


def resume(schedule: StoredSchedule, now: int, *, catch_up: bool = False) -> StoredSchedule:
    """The schedule as it goes on from ``now``.

    What fell into the pause is neither fired nor missed. With ``catch_up`` it counts as missed.
    """
    if not schedule.paused:
        return schedule
    resumed = attrs.evolve(schedule, paused=False)
    return moved(resumed, schedule.since if catch_up else now)


def recomputed(schedule: StoredSchedule) -> StoredSchedule:
    """The schedule with its next instant computed again.

    Asked for at a start: the time zone database may have changed since it was stored.
    """
    again = moved(schedule, schedule.since)
    return schedule if again.next_at == schedule.next_at else again


def view(schedule: StoredSchedule) -> Schedule:
    """The public record of a schedule."""
    request, grace = schedule.request, schedule.request.misfire_grace_time
    job_id = schedule.last_job_id
    return Schedule(
        name=request.name,
        trigger=request.trigger,
        timezone=request.timezone,
        overlap=request.overlap,
        coalesce=request.coalesce,
        misfire_grace_time=None if grace is None else timedelta(microseconds=grace),
        max_catchup=request.max_catchup,
        jitter=timedelta(microseconds=request.jitter),
        start=to_optional_datetime(request.start),
        end=to_optional_datetime(request.end),
        next_at=to_optional_datetime(schedule.next_at),
        last_at=to_optional_datetime(schedule.last_at),
        last_job_id=None if job_id is None else to_uuid(job_id),
        paused=schedule.paused,
        anchor=to_datetime(schedule.anchor),
    )
