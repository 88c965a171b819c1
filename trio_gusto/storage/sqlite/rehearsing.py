"""What an app would have to run: live jobs, a page at a time, and schedules."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from ...model.ids import JobId, to_uuid
from ...model.rehearsing import KnownSchedule, LiveJob
from ...model.schedule import StoredSchedule
from ...model.states import AwaitingCallback
from ..schedule_rows import schedule_from_json
from .rows import WHOLE_JOB, Row, request_of, state_of

PAGE = 500
"""Jobs that are read at a time, where all are looked at."""

_LIVE = f"{WHOLE_JOB} WHERE state < 4 AND seq > ? ORDER BY seq LIMIT ?"
_SCHEDULES = (
    "SELECT name, request, anchor, since, next_at, last_at, last_job_id, paused, version "
    "FROM schedule ORDER BY name"
)
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
"""What JSON that is none of ours leads to."""


def live_jobs(connection: sqlite3.Connection) -> Iterator[LiveJob]:
    """The jobs that have not ended, in the order of insertion."""
    after = 0
    while True:
        rows = connection.execute(_LIVE, (after, PAGE)).fetchall()
        for row in rows:
            yield _live(row)
        if len(rows) < PAGE:
            return
        after = rows[-1][0]


def stored_schedules(connection: sqlite3.Connection) -> Iterator[KnownSchedule]:
    """All schedules, by name."""
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
        try:
            asked = schedule_from_json(name, request)
        except UNREADABLE as error:
            yield KnownSchedule(name, None, f"its request cannot be read ({error!r})")
            continue
        marks = (anchor, since, next_at, last_at, last_id, bool(paused), version)
        yield KnownSchedule(name, StoredSchedule(asked, *marks))


def _live(row: Row) -> LiveJob:
    job_id, name = to_uuid(JobId(row[12])), row[13]
    try:
        state, request = state_of(row[3:12]), request_of(row[12:-2])
    except UNREADABLE as error:
        return LiveJob(job_id, name or "", None, f"its row cannot be read ({error!r})")
    if name is None:
        return LiveJob(job_id, "", None, "its handler is not in the table handler")
    return LiveJob(job_id, name, request, has_returned=isinstance(state, AwaitingCallback))
