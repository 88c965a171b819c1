"""New rows: as many as possible in one statement.

Nearly every job is ready at once and has no details; such a row takes less than half the parameters, and
parameters are what an insert costs.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby

from ...model.errors import ArgumentError, DuplicateJob, GustoError
from ...model.ids import JobId, to_uuid
from ...model.job import JobRequest
from ...model.states import Ready, State
from ..messages import Insert
from .names import Names
from .rows import REQUEST_COLUMNS, STATE_COLUMNS, request_values, state_values

_LARGEST = 128
"""Rows in one statement at most. Sizes are powers of two, so that few texts are ever prepared."""

_PLAIN_COLUMNS = (
    "id, args, created_at, due, handler, max_attempts, timeout, queue, priority, tenant, state"
)
_PLAIN_ROW = f"({'?, ' * 10}2)"
_WHOLE_ROW = f"({', '.join('?' * 22)})"

NewJob = tuple[JobRequest, State]


def insert_jobs(connection: sqlite3.Connection, names: Names, inserts: Sequence[Insert]) -> None:
    """Store the jobs of all the messages, in order.

    Raises:
        sqlite3.IntegrityError: one of them exists.
    """
    jobs = [job for insert in inserts for job in zip(insert.requests, insert.states, strict=True)]
    for plain, run in groupby(jobs, _is_plain):
        alike = list(run)
        for first, size in chunks(len(alike)):
            part = alike[first : first + size]
            values = _plain_values(part, names) if plain else _whole_values(part, names)
            connection.execute(_statement(plain, size), values)


def refusal(connection: sqlite3.Connection, insert: Insert, error: Exception) -> GustoError:
    """Why a message could not be stored."""
    ids: set[JobId] = set()
    refs: dict[str, JobId] = {}
    for request in insert.requests:
        if request.id in ids or _exists(connection, request.id):
            found = to_uuid(request.id)
            return DuplicateJob("id", found, found)
        ids.add(request.id)
        ref_id = None if request.details is None else request.details.ref_id
        if ref_id is None:
            continue
        owner = refs.setdefault(ref_id, request.id)
        if owner is request.id:
            owner = _owner(connection, ref_id) or owner
        if owner is not request.id:
            return DuplicateJob("ref_id", ref_id, to_uuid(owner))
    return ArgumentError(
        f"SQLite cannot keep these jobs ({error}), and none of them was stored; "
        "use text that UTF-8 can encode, and integers of 64 bits"
    )


def chunks(count: int) -> Iterator[tuple[int, int]]:
    """Cut ``count`` rows into pieces of few different sizes: (first, size)."""
    first = 0
    size = _LARGEST
    while first < count:
        while size > count - first:
            size //= 2
        yield first, size
        first += size


def _is_plain(job: NewJob) -> bool:
    request, state = job
    return (
        request.details is None
        and request.expire_on is None
        and request.execute_after is None
        and type(state) is Ready
    )


def _plain_values(jobs: Sequence[NewJob], names: Names) -> list[object]:
    values: list[object] = []
    for request, state in jobs:
        assert type(state) is Ready
        values += (
            request.id,
            request.args,
            request.created_at,
            state.due,
            names.handler_number((request.name, request.job_type, request.method_name)),
            request.max_attempts,
            request.timeout,
            request.queue,
            request.priority,
            request.tenant,
        )
    return values


def _whole_values(jobs: Sequence[NewJob], names: Names) -> list[object]:
    values: list[object] = []
    for request, state in jobs:
        values += state_values(state, request.created_at, names)
        values += request_values(request, names)
    return values


@cache
def _statement(plain: bool, size: int) -> str:  # noqa: FBT001 - the two forms of a row
    columns = _PLAIN_COLUMNS if plain else f"{STATE_COLUMNS}, {REQUEST_COLUMNS}"
    rows = ", ".join([_PLAIN_ROW if plain else _WHOLE_ROW] * size)
    return f"INSERT INTO job ({columns}) VALUES {rows}"


def _exists(connection: sqlite3.Connection, job_id: JobId) -> bool:
    return connection.execute("SELECT 1 FROM job WHERE id = ?", (job_id,)).fetchone() is not None


def _owner(connection: sqlite3.Connection, ref_id: str) -> JobId | None:
    try:
        row = connection.execute("SELECT id FROM job WHERE ref_id = ?", (ref_id,)).fetchone()
    except UnicodeError:
        return None
    return None if row is None else JobId(row[0])
