"""Questions, answered from committed data on a connection that cannot write."""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

import orjson

from ...model.ids import JobId
from ...model.job import AttemptRecord, StoredJob
from ...model.states import JobState
from ..batch_messages import Batches
from ..messages import (
    CancelRequests,
    CancelsAsked,
    Dependents,
    Find,
    Found,
    Get,
    Query,
    QueryReply,
    Stranded,
    StrandedJobs,
    Tallied,
    Tally,
)
from ..pause_messages import Pauses
from ..schedule_messages import FindSchedules
from .batches import find_batches
from .dependencies import dependents
from .pauses import find_pauses, kept_pauses
from .presence import IsGone
from .ready import WORKER_READY
from .rows import ATTEMPT_COLUMNS, NUMBERS, WHOLE_JOB, WORDS, attempt_of, stored_job
from .schedules import find_schedules
from .staging import left_behind

_RUNNING = "state = 3"
"""Few jobs among many: they are found by their own index, and sorted by ``+seq``, because ``seq``
would have SQLite walk the whole table in that order."""

_IN_BATCH = "batch IS NOT NULL AND batch = (SELECT number FROM batch WHERE id = ?)"


def answer(connection: sqlite3.Connection, query: Query, is_gone: IsGone) -> QueryReply:
    """Answer one question from one snapshot."""
    with _snapshot(connection):
        match query:
            case Get():
                return _get(connection, query)
            case Find():
                return _find(connection, query)
            case Tally():
                return _tally(connection)
            case Stranded():
                return _stranded(connection, query, is_gone)
            case CancelRequests():
                return _cancel_requests(connection, query)
            case FindSchedules():
                return find_schedules(connection, query)
            case Dependents():
                return dependents(connection, query)
            case Batches():
                return find_batches(connection, query)
            case Pauses():
                return find_pauses(connection, query)


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


def _get(connection: sqlite3.Connection, query: Get) -> Found:
    """In the order asked for."""
    jobs: list[StoredJob] = []
    for job_id in query.job_ids:
        jobs += _jobs(connection, "id = ?", (job_id,), whole_history=True)
    if query.ref_id is not None:
        jobs += _jobs(connection, "ref_id = ?", (query.ref_id,), whole_history=True)
    return Found(jobs)


def _find(connection: sqlite3.Connection, find: Find) -> Found:
    conditions, values = _criteria(find)
    where = " AND ".join(conditions) or "TRUE"
    order = "+seq" if _RUNNING in conditions or _IN_BATCH in conditions else "seq"
    return Found(_jobs(connection, f"{where} ORDER BY {order} DESC LIMIT ?", [*values, find.limit]))


def _criteria(find: Find) -> tuple[list[str], list[object]]:
    conditions: list[str] = []
    values: list[object] = []

    def want(condition: str, *given: object) -> None:
        conditions.append(condition)
        values.extend(given)

    if find.names:
        want(f"handler IN (SELECT handler FROM handler WHERE {_among('name')})", _json(find.names))
    if find.before is not None:
        want("seq < ?", find.before)
    if tuple(find.states) == (JobState.PROCESSING,):
        want(_RUNNING)
    elif find.states:
        want(_among("state"), _json(NUMBERS[state] for state in find.states))
    for column, wanted in (("queue", find.queues), ("tenant", find.tenants)):
        if wanted:
            want(_among(column), _json(wanted))
    if find.workers:
        want(_among("details ->> '$.worker'"), _json(find.workers))
    if find.tags_any:
        among = _among("value")
        want(
            f"EXISTS (SELECT 1 FROM json_each(details, '$.tags') WHERE {among})",
            _json(find.tags_any),
        )
    for tag in find.tags_all:
        want("EXISTS (SELECT 1 FROM json_each(details, '$.tags') WHERE value = ?)", tag)
    if find.schedule_name is not None:
        want("schedule IS NOT NULL AND schedule = ?", find.schedule_name)
    if find.created_by is not None:
        want("details ->> '$.created_by' = ?", find.created_by)
    if find.user_id is not None:
        want("details ->> '$.user_id' = ?", find.user_id)
    for key, value in find.metadata.items():
        # Both sides are JSON texts with sorted keys, so equal values are equal texts.
        want(
            "EXISTS (SELECT 1 FROM json_each(details, '$.metadata') AS had WHERE had.key = ? "
            "AND details -> had.fullkey = json(?))",
            key,
            orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode(),
        )
    if find.batch is not None:
        want(_IN_BATCH, find.batch)
    if find.parent is not None:
        want(
            "EXISTS (SELECT 1 FROM json_each(details, '$.parents') WHERE value = ?)",
            find.parent.hex(),
        )
    if find.created_after is not None:
        want("created_at >= ?", find.created_after)
    if find.created_before is not None:
        want("created_at < ?", find.created_before)
    return conditions, values


def _among(column: str) -> str:
    return f"{column} IN (SELECT value FROM json_each(?))"


def _tally(connection: sqlite3.Connection) -> Tallied:
    counts = {
        (WORDS[state], queue, tenant): count
        for state, queue, tenant, count in connection.execute(
            "SELECT state, queue, tenant, count(*) FROM job GROUP BY state, queue, tenant"
        )
    }
    (oldest,) = connection.execute(
        "SELECT min(due) FROM (SELECT min(due) AS due FROM job WHERE state = 2 AND worker IS NULL "
        f"UNION ALL SELECT min(due) FROM job WHERE {WORKER_READY})"
    ).fetchone()
    return Tallied(counts, oldest)


def _stranded(connection: sqlite3.Connection, query: Stranded, is_gone: IsGone) -> StrandedJobs:
    now, limit = query.now, query.limit
    nodes = [
        node
        for (node,) in connection.execute(
            "SELECT DISTINCT node_name FROM job LEFT JOIN node USING (node) WHERE state = 3"
        )
    ]
    others = [node for node in nodes if node != query.node]
    gone = _json(node for node in others if is_gone(node))
    lost = _jobs(
        connection,
        f"{_RUNNING} AND (lease_until <= ? OR {_among('node_name')}) ORDER BY +seq LIMIT ?",
        (now, gone, limit),
    )
    overdue = _jobs(
        connection,
        "state < 3 AND expire_on IS NOT NULL AND expire_on <= ? ORDER BY expire_on, seq LIMIT ?",
        (now, limit),
    )
    (next_at,) = connection.execute(
        "SELECT min(at) FROM ("
        "SELECT min(lease_until) AS at FROM job LEFT JOIN node USING (node) "
        "WHERE state = 3 AND lease_until > ?1 AND node_name NOT IN (SELECT value FROM json_each(?2)) UNION ALL "
        "SELECT min(expire_on) FROM job "
        "WHERE state < 3 AND expire_on IS NOT NULL AND expire_on > ?1)",
        (now, gone),
    ).fetchone()
    stages = left_behind(connection, query, is_gone)
    return StrandedJobs(lost, overdue, next_at, bool(others), stages)


def _cancel_requests(connection: sqlite3.Connection, query: CancelRequests) -> CancelsAsked:
    rows = connection.execute(
        "SELECT id, reason FROM job LEFT JOIN node USING (node) "
        "WHERE state = 3 AND node_name = ? AND reason IS NOT NULL "
        "ORDER BY seq",
        (query.node,),
    )
    cancels = [(JobId(job_id), reason) for job_id, reason in rows]
    return CancelsAsked(cancels, kept_pauses(connection))


def _jobs(
    connection: sqlite3.Connection,
    condition: str,
    values: Sequence[object],
    *,
    whole_history: bool = False,
) -> list[StoredJob]:
    rows = connection.execute(f"{WHOLE_JOB} WHERE {condition}", values).fetchall()
    return [stored_job(row, _history(connection, row[0], whole=whole_history)) for row in rows]


def _history(connection: sqlite3.Connection, seq: int, *, whole: bool) -> Sequence[AttemptRecord]:
    rows = connection.execute(
        f"SELECT {ATTEMPT_COLUMNS} FROM attempt WHERE seq = ? ORDER BY token DESC LIMIT ?",
        (seq, -1 if whole else 1),
    ).fetchall()
    return tuple(attempt_of(row) for row in reversed(rows))


def _json(values: Iterable[object]) -> str:
    return orjson.dumps(list(values)).decode()
