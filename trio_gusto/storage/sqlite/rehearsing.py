"""What an app would have to run: live jobs, a page at a time, and schedules."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from ...model.audit import ID_SIZE
from ...model.ids import JobId, to_uuid
from ...model.rehearsing import KnownSchedule, LiveJob
from ...model.schedule import StoredSchedule, following
from ...model.states import AwaitingCallback
from ..schedule_rows import schedule_from_json
from .columns import BEFORE_ALL, shown, unfit
from .json_columns import UNREADABLE, read_request
from .rows import WHOLE_JOB, Row, state_of

PAGE = 500
"""Jobs that are read at a time, where all are looked at."""

_LIVE = f"{WHOLE_JOB} WHERE state < 4 AND seq > ? ORDER BY seq LIMIT ?"
_SCHEDULES = (
    "SELECT name, request, anchor, since, next_at, last_at, last_job_id, paused, version "
    "FROM schedule ORDER BY name"
)
_OF_PAGE = "state < 4 AND seq > ? AND seq <= ?"


def live_jobs(connection: sqlite3.Connection) -> Iterator[LiveJob]:
    """The jobs that have not ended, in the order of insertion."""
    after = BEFORE_ALL
    while True:
        rows = connection.execute(_LIVE, (after, PAGE)).fetchall()
        page = (after, rows[-1][0] if rows else after)
        faults: dict[int, str] = dict(unfit(connection, "job", "seq", _OF_PAGE, page))
        for row in rows:
            yield _live(row, faults.get(row[0]))
        if len(rows) < PAGE:
            return
        after = rows[-1][0]


def stored_schedules(connection: sqlite3.Connection) -> Iterator[KnownSchedule]:
    """All schedules, by name."""
    faults: dict[str, str] = dict(unfit(connection, "schedule", "name"))
    for (
        name,
        request,
        anchor,
        since,
        next_at,
        last_at,
        last_id,
        paused,
        version,
    ) in connection.execute(_SCHEDULES):
        if name in faults:
            yield KnownSchedule(shown(name), None, f"its {faults[name]}")
            continue
        marks = (anchor, since, next_at, last_at, last_id, bool(paused), version)
        yield _schedule(name, request, marks)


def _schedule(name: str, text: str, marks: tuple[Any, ...]) -> KnownSchedule:
    try:
        kept = StoredSchedule(schedule_from_json(name, text), *marks)
        # So it is known that there is such a time zone, and that its trigger can be followed.
        following(kept.request, kept.anchor, kept.since)
    except UNREADABLE as error:
        return KnownSchedule(name, None, f"its request cannot be read ({error!r})")
    return KnownSchedule(name, kept)


def _live(row: Row, unfit_value: str | None) -> LiveJob:
    name = shown(row[13] or "")
    if unfit_value is not None:
        return LiveJob(_id_in(row), name, None, f"its {unfit_value} (in the row {row[0]} of job)")
    job_id = to_uuid(JobId(row[12]))
    request, fault = read_request(row[12:-2])
    try:
        state = state_of(row[3:12])
    except UNREADABLE as error:
        fault = f"its state cannot be read ({error!r})"
    else:
        if fault is None:
            has_returned = isinstance(state, AwaitingCallback)
            return LiveJob(job_id, name, request, has_returned=has_returned)
    return LiveJob(job_id, name, None, fault)


def _id_in(row: Row) -> UUID | None:
    return to_uuid(JobId(row[12])) if len(row[12]) == ID_SIZE else None
