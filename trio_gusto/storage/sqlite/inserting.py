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
    "handler, max_attempts, timeout, queue, priority, tenant, id, args, created_at, due, state"
)
_PLAIN_ROW = f"({'?, ' * 10}2)"
_ALIKE = 6  # the first columns of a plain row are often the same for all of a run
_WHOLE_ROW = f"({', '.join('?' * 22)})"

NewJob = tuple[JobRequest, State]


def insert_jobs(connection: sqlite3.Connection, names: Names, inserts: Sequence[Insert]) -> None:
    """Store the jobs of all the messages, in order.

    Raises:
        sqlite3.IntegrityError: one of them exists.
    """
    jobs = [job for insert in inserts for job in zip(insert.requests, insert.states, strict=True)]
    for plain, run in groupby(jobs, _is_plain):
        insert = _insert_plain if plain else _insert_whole
        same_kind = list(run)
        for first, size in chunks(len(same_kind)):
            insert(connection, names, same_kind[first : first + size])


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


def _insert_plain(connection: sqlite3.Connection, names: Names, jobs: Sequence[NewJob]) -> None:
    beginnings = [
        (
            names.handler_number((request.name, request.job_type, request.method_name)),
            request.max_attempts,
            request.timeout,
            request.queue,
            request.priority,
            request.tenant,
        )
        for request, _ in jobs
    ]
    alike = beginnings.count(beginnings[0]) == len(beginnings)
    values: list[object] = [*beginnings[0]] if alike else []
    for beginning, (request, state) in zip(beginnings, jobs, strict=True):
        assert type(state) is Ready
        if not alike:
            values += beginning
        values += (request.id, request.args, request.created_at, state.due)
    connection.execute(_alike(len(jobs)) if alike else _plain(len(jobs)), values)


def _insert_whole(connection: sqlite3.Connection, names: Names, jobs: Sequence[NewJob]) -> None:
    values: list[object] = []
    for request, state in jobs:
        values += state_values(state, request.created_at, names)
        values += request_values(request, names)
    connection.execute(_whole(len(jobs)), values)


@cache
def _alike(size: int) -> str:
    """The first columns are given once, for all rows."""
    same = _parameters(1, _ALIKE)
    own = [_parameters(_ALIKE + 1 + 4 * row, 4) for row in range(size)]
    rows = ", ".join(f"({same}, {values}, 2)" for values in own)
    return f"INSERT INTO job ({_PLAIN_COLUMNS}) VALUES {rows}"


def _parameters(first: int, count: int) -> str:
    return ", ".join(f"?{number}" for number in range(first, first + count))


@cache
def _plain(size: int) -> str:
    return f"INSERT INTO job ({_PLAIN_COLUMNS}) VALUES {', '.join([_PLAIN_ROW] * size)}"


@cache
def _whole(size: int) -> str:
    columns = f"{STATE_COLUMNS}, {REQUEST_COLUMNS}"
    return f"INSERT INTO job ({columns}) VALUES {', '.join([_WHOLE_ROW] * size)}"


def _exists(connection: sqlite3.Connection, job_id: JobId) -> bool:
    return connection.execute("SELECT 1 FROM job WHERE id = ?", (job_id,)).fetchone() is not None


def _owner(connection: sqlite3.Connection, ref_id: str) -> JobId | None:
    try:
        row = connection.execute("SELECT id FROM job WHERE ref_id = ?", (ref_id,)).fetchone()
    except UnicodeError:
        return None
    return None if row is None else JobId(row[0])
