"""Schedules for the tests, and instants in words that people use."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from trio_gusto.model.firing import Firing, fire
from trio_gusto.model.ids import JobId
from trio_gusto.model.instants import to_datetime, to_instant
from trio_gusto.model.job import JobRequest
from trio_gusto.model.schedule import ScheduleRequest, StoredSchedule, admit
from trio_gusto.model.schedule_options import schedule_request

TEMPLATE = JobRequest(JobId(bytes(16)), "close_day", "[[],{}]", 0, 10)


def at(text: str) -> int:
    """An instant of 1 June 2026 UTC, as ``"12:00"``; or of another day, as ``"06-02 12:00"``."""
    day, _, time = text.rpartition(" ")
    return to_instant(datetime.fromisoformat(f"2026-{day or '06-01'}T{time}").replace(tzinfo=UTC))


def moment(text: str) -> datetime:
    """The same as users give it."""
    return to_datetime(at(text))


def shown(instant: int | None) -> str | None:
    """An instant as `at` reads it; those of 1 June without the day."""
    if instant is None:
        return None
    return to_datetime(instant).strftime("%m-%d %H:%M").removeprefix("06-01 ")


def asked(trigger: object = "0 * * * *", now: str = "08:30", **options: Any) -> ScheduleRequest:
    """A schedule asked for at 8:30; it happens every full hour."""
    name = options.pop("name", "ledger")
    return schedule_request(name, trigger, TEMPLATE, now=at(now), **options)


def kept(trigger: object = "0 * * * *", now: str = "08:30", **options: Any) -> StoredSchedule:
    """The same, registered."""
    return admit(asked(trigger, now, **options), at(now))


def look(
    schedule: StoredSchedule, now: str, *unfinished: JobId, last_ended: str | None = None
) -> Firing:
    """What the schedule does at a time."""
    return fire(schedule, at(now), unfinished, None if last_ended is None else at(last_ended))


def jobs_of(firing: Firing) -> list[str | None]:
    return [shown(job.fire_time) for job in firing.jobs]


def skips_of(firing: Firing) -> list[tuple[str | None, str, int]]:
    return [(shown(skip.fire_time), skip.reason.value, skip.count) for skip in firing.skipped]
