"""New rows: as many as possible in one statement.

Nearly every job is ready at once and has no details; such a row takes less than half the parameters, and
parameters are what an insert costs. Jobs that are claimed by the group that brings them
(`fusing`) are written as claimed rows from the start.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, groupby

from ...model.errors import ArgumentError, DuplicateJob, GustoError, UnknownJob
from ...model.ids import JobId, to_uuid
from ...model.job import JobRequest
from ...model.lanes import lane_of
from ...model.states import Processing, Ready, State, Waiting
from ..messages import Insert
from .dependencies import Dependencies
from .errors import UnknownParent
from .heads import note_rows
from .names import Names
from .rows import REQUEST_COLUMNS, STATE_COLUMNS, request_values, state_values

_LARGEST = 128
"""Rows in one statement at most. Sizes are powers of two, so that few texts are ever prepared."""

# The first six are often the same for all of a run, and then given once.
_PLAIN_COLUMNS = (
    "handler, max_attempts, timeout, queue, priority, tenant, id, args, created_at, due, state"
)
_ALIKE = 6
_OWN = 4
_LEASE_COLUMNS = "node, claimed_at, lease_until, attempt, version"
_LEASE = 3  # the values of a lease, given once for all rows
_WHOLE_ROW = f"({', '.join('?' * 28)}"

NewJob = tuple[JobRequest, State]

Key = tuple[JobId, str | None]
"""What must be unique about a job: its id, and its ``ref_id`` if it has one."""


def insert_jobs(
    connection: sqlite3.Connection,
    names: Names,
    jobs: Sequence[NewJob],
    lease: Processing | None = None,
    dependencies: Dependencies | None = None,
) -> int:
    """Store jobs, in order; with a ``lease`` as claimed ones, whose states must be ready.

    ``dependencies`` must be given if any of them has parents to wait for.

    Returns:
        The ``seq`` of the last row. The rows of one transaction are numbered without a gap.

    Raises:
        sqlite3.IntegrityError: one of them exists.
        UnknownParent: one of them waits for a job that is not stored before it.
    """
    last: int | None = 0
    for plain, run in groupby(jobs, _is_plain):
        insert = _insert_plain if plain else _insert_whole
        same_kind = list(run)
        for first, size in chunks(len(same_kind)):
            last = insert(connection, names, same_kind[first : first + size], lease).lastrowid
        states = [state for _, state in same_kind]
        if not plain and any(lane_of(request) is not None for request, _ in same_kind):
            assert last is not None
            note_rows(connection, last - len(states) + 1, last)
        if not plain and any(type(state) is Waiting and state.parents for state in states):
            assert last is not None
            assert dependencies is not None
            dependencies.enter(last - len(states) + 1, states)
    assert last is not None
    return last


def new_jobs(inserts: Sequence[Insert]) -> list[NewJob]:
    """The jobs of all the messages, in order."""
    jobs: list[NewJob] = []
    for insert in inserts:
        jobs += zip(insert.requests, insert.states, strict=True)
    return jobs


def refusal(
    connection: sqlite3.Connection, insert: Insert, error: Exception, before: Iterable[Key] = ()
) -> GustoError:
    """Why a message could not be stored; ``before`` are the keys of jobs that go with it."""
    ids: set[JobId] = set()
    refs: dict[str, JobId] = {}
    for job_id, ref_id in chain(before, map(_key, insert.requests)):
        if job_id in ids or _exists(connection, job_id):
            found = to_uuid(job_id)
            return DuplicateJob("id", found, found)
        ids.add(job_id)
        if ref_id is None:
            continue
        owner = refs.setdefault(ref_id, job_id)
        if owner is job_id:
            owner = _owner(connection, ref_id) or owner
        if owner is not job_id:
            return DuplicateJob("ref_id", ref_id, to_uuid(owner))
    if isinstance(error, UnknownParent):
        return UnknownJob(to_uuid(error.parent))
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


def _key(request: JobRequest) -> Key:
    return request.id, None if request.details is None else request.details.ref_id


def _is_plain(job: NewJob) -> bool:
    request, state = job
    return (
        request.details is None
        and request.expire_on is None
        and request.execute_after is None
        and type(state) is Ready
    )


def _insert_plain(
    connection: sqlite3.Connection, names: Names, jobs: Sequence[NewJob], lease: Processing | None
) -> sqlite3.Cursor:
    values: list[object] = []
    if lease is not None:
        values += (names.node_number(lease.node), lease.claimed_at, lease.lease_until)
    beginnings = [
        (
            (request.name, request.job_type, request.method_name),
            request.max_attempts,
            request.timeout,
            request.queue,
            request.priority,
            request.tenant,
        )
        for request, _ in jobs
    ]
    first = beginnings[0]
    alike = beginnings.count(first) == len(beginnings)
    if alike:
        values += (names.handler_number(first[0]), *first[1:])
    for beginning, (request, state) in zip(beginnings, jobs, strict=True):
        assert type(state) is Ready
        if not alike:
            values += (names.handler_number(beginning[0]), *beginning[1:])
        values += (request.id, request.args, request.created_at, state.due)
    return connection.execute(_plain(len(jobs), alike, lease is not None), values)


def _insert_whole(
    connection: sqlite3.Connection, names: Names, jobs: Sequence[NewJob], lease: Processing | None
) -> sqlite3.Cursor:
    values: list[object] = []
    for request, state in jobs:
        if lease is None:
            values += state_values(state, request.created_at, names)
        else:
            assert type(state) is Ready
            values += state_values(lease, state.due, names)
        values += request_values(request, names)
    return connection.execute(_whole(len(jobs), lease is not None), values)


@cache
def _plain(size: int, alike: bool, claimed: bool) -> str:  # noqa: FBT001 - the parts of a key
    """In the order of the values: the lease, what is alike, and then row by row."""
    columns, ending, next_value = _PLAIN_COLUMNS, "2", 1
    if claimed:
        columns, ending = f"{_PLAIN_COLUMNS}, {_LEASE_COLUMNS}", "3, ?1, ?2, ?3, 1, 1"
        next_value += _LEASE
    same = ""
    if alike:
        same = f"{_parameters(next_value, _ALIKE)}, "
        next_value += _ALIKE
    width = _OWN if alike else _ALIKE + _OWN
    own = [_parameters(next_value + width * row, width) for row in range(size)]
    rows = ", ".join(f"({same}{values}, {ending})" for values in own)
    return f"INSERT INTO job ({columns}) VALUES {rows}"


def _parameters(first: int, count: int) -> str:
    return ", ".join(f"?{number}" for number in range(first, first + count))


@cache
def _whole(size: int, claimed: bool) -> str:  # noqa: FBT001 - the parts of a key
    """A claimed row has spent one attempt, and its version is one."""
    spent = int(claimed)
    columns = f"{STATE_COLUMNS}, {REQUEST_COLUMNS}, attempt, version"
    row = f"{_WHOLE_ROW}, {spent}, {spent})"
    return f"INSERT INTO job ({columns}) VALUES {', '.join([row] * size)}"


def _exists(connection: sqlite3.Connection, job_id: JobId) -> bool:
    return connection.execute("SELECT 1 FROM job WHERE id = ?", (job_id,)).fetchone() is not None


def _owner(connection: sqlite3.Connection, ref_id: str) -> JobId | None:
    try:
        row = connection.execute("SELECT id FROM job WHERE ref_id = ?", (ref_id,)).fetchone()
    except UnicodeError:
        return None
    return None if row is None else JobId(row[0])
