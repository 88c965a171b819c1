"""Schedules as rows: kept, advanced together with the jobs of their instants, and looked for."""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from ...model.errors import UnreadableRecord
from ...model.ids import JobId
from ...model.job import JobRequest
from ...model.schedule import StoredSchedule
from ..messages import Committed, Conflict
from ..schedule_messages import (
    FindSchedules,
    Fire,
    HeldJob,
    KeptSchedule,
    PutSchedule,
    Schedules,
)
from ..schedule_rows import schedule_from_json, schedule_to_json
from .inserting import NewJob, insert_jobs
from .names import Names
from .reading import fetched
from .rows import UNREADABLE, id_of, require_counts, require_instants

_MARKS = "version, next_at, since, anchor, last_at, last_job_id, paused"
_REPLACE = (
    f"INSERT OR REPLACE INTO schedule ({_MARKS}, name, request) VALUES ({', '.join('?' * 9)})"
)
_ADVANCE = f"UPDATE schedule SET ({_MARKS}) = ({', '.join('?' * 7)}) WHERE name = ? AND version = ?"
_EXISTS = "SELECT 1 FROM job WHERE id = ?"

_WHOLE = f"SELECT {_MARKS}, name, request FROM schedule"
_NAMED, _BEHIND_NAME = "name = ?", "name > ?"
_DUE_BY = "next_at IS NOT NULL AND next_at <= ?"
_BY_NAME, _BY_INSTANT = "name", "next_at, name"
_UNFINISHED = (
    "SELECT id FROM job WHERE schedule = ? AND fire_time IS NOT NULL AND state < 4 "
    "AND length(id) = 16 ORDER BY fire_time"
)
_ENDED_AT = "SELECT ended_at FROM job WHERE id = ?"
_NEXT = "SELECT min(next_at) FROM schedule WHERE next_at IS NOT NULL AND next_at > ?"
_HELD = (
    # Jobs that wait for others have an index too, and there may be many of them.
    "SELECT id, schedule, fire_time FROM job INDEXED BY job_held WHERE fire_time IS NOT NULL AND state = 0 "
    "AND claimed_at IS NULL AND length(id) = 16 ORDER BY schedule, fire_time"
)
_BEHIND = (
    "SELECT id FROM job WHERE schedule = ? AND fire_time IS NOT NULL AND fire_time < ? "
    "AND state < 4 AND length(id) = 16 ORDER BY fire_time"
)
_EARLIEST = -(2**63)

Row = Sequence[Any]  # SQLite's columns have no static types

_COMMITTED = Committed()
_CONFLICT = Conflict()


# --- writes ---------------------------------------------------------------------------------------


def put_schedule(connection: sqlite3.Connection, put: PutSchedule) -> Committed | Conflict:
    """Keep, change or remove a schedule."""
    if _version(connection, put.name) != put.version:
        return _CONFLICT
    if put.schedule is None:
        connection.execute("DELETE FROM schedule WHERE name = ?", (put.name,))
    else:
        request = schedule_to_json(put.schedule.request)
        connection.execute(_REPLACE, (*_marks(put.schedule), put.name, request))
    return _COMMITTED


def fire_schedule(connection: sqlite3.Connection, names: Names, fire: Fire) -> Committed | Conflict:
    """Advance a schedule, and store the jobs of its instants that are not there yet."""
    schedule = fire.schedule
    values = (*_marks(schedule), schedule.request.name, fire.version)
    if not connection.execute(_ADVANCE, values).rowcount:
        return _CONFLICT
    new: list[NewJob] = [
        (request, state)
        for request, state in zip(fire.requests, fire.states, strict=True)
        if not _exists(connection, request)
    ]
    if new:
        insert_jobs(connection, names, new)
    return _COMMITTED


def _version(connection: sqlite3.Connection, name: str) -> int | None:
    row = connection.execute("SELECT version FROM schedule WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def _exists(connection: sqlite3.Connection, request: JobRequest) -> bool:
    return connection.execute(_EXISTS, (request.id,)).fetchone() is not None


def _marks(schedule: StoredSchedule) -> tuple[object, ...]:
    """The values of `_MARKS`."""
    return (
        schedule.version,
        schedule.next_at,
        schedule.since,
        schedule.anchor,
        schedule.last_at,
        schedule.last_job_id,
        schedule.paused,
    )


# --- looking --------------------------------------------------------------------------------------


def find_schedules(connection: sqlite3.Connection, query: FindSchedules) -> Schedules:
    """Answer a query."""
    conditions, values, order = ["TRUE"], list[object](), _BY_NAME
    if query.name is not None:
        conditions.append(_NAMED)
        values.append(query.name)
    if query.after is not None:
        conditions.append(_BEHIND_NAME)
        values.append(query.after)
    if query.due_by is not None:
        conditions.append(_DUE_BY)
        values.append(query.due_by)
        order = _BY_INSTANT
    where = " AND ".join(conditions)
    found: list[KeptSchedule] = []
    unreadable: list[UnreadableRecord] = []
    statement = f"{_WHOLE} WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?"
    is_more = True
    while is_more:  # once, unless some cannot be read
        wanted = query.limit - len(found)
        rows = fetched(connection, statement, [*values, wanted, len(found) + len(unreadable)])
        for row in rows:
            try:
                found.append(_kept(connection, row))
            except UNREADABLE as error:
                unreadable.append(UnreadableRecord("schedule", ascii(row[7]), repr(error)))
        is_more = len(rows) == wanted and len(found) < query.limit
    until = _EARLIEST if query.due_by is None else query.due_by
    (next_at,) = connection.execute(_NEXT, (until,)).fetchone()
    held = _held(connection) if query.name is None else ()
    return Schedules(tuple(found), next_at, held, tuple(unreadable))


def _kept(connection: sqlite3.Connection, row: Row) -> KeptSchedule:
    version, next_at, since, anchor, last_at, last_job_id, paused, name, request = row
    name.encode()
    require_counts(version)
    require_instants(since, anchor, next_at or 0, last_at or 0)
    schedule = StoredSchedule(
        schedule_from_json(name, request),
        anchor,
        since,
        next_at,
        last_at,
        None if last_job_id is None else id_of(last_job_id),
        bool(paused),
        version,
    )
    unfinished = _ids(connection, _UNFINISHED, (name,))
    last = connection.execute(_ENDED_AT, (last_job_id,)).fetchone()
    return KeptSchedule(schedule, unfinished, None if last is None else last[0])


def _held(connection: sqlite3.Connection) -> tuple[HeldJob, ...]:
    held = connection.execute(_HELD).fetchall()
    return tuple(
        HeldJob(JobId(job_id), name, _ids(connection, _BEHIND, (name, fire_time)))
        for job_id, name, fire_time in held
    )


def _ids(
    connection: sqlite3.Connection, statement: str, values: tuple[object, ...]
) -> tuple[JobId, ...]:
    return tuple(JobId(job_id) for (job_id,) in connection.execute(statement, values).fetchall())
