"""Questions, answered from committed data on a connection that cannot write."""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

import orjson

from ...model.ids import JobId
from ...model.job import StoredJob
from ..batch_messages import Batches
from ..dependency_messages import Dependents
from ..finding_messages import Find, Found, Get, Tally
from ..lease_messages import CancelRequests, CancelsAsked, Stranded, StrandedJobs
from ..messages import Query, QueryReply
from ..pause_messages import Pauses
from ..rate_messages import Buckets
from ..report_messages import ReadDossiers, ReadLog
from ..run_messages import PastRuns
from ..schedule_messages import FindSchedules
from .batches import find_batches
from .counts import Counted, count_jobs
from .dependencies import dependents
from .finding import find_rows
from .pauses import find_pauses, kept_pauses
from .presence import IsGone
from .rates import find_buckets
from .reading import fetched, job_to_move, last_attempt, read_job
from .reports import find_dossiers, find_log
from .rows import WHOLE_JOB, is_instant
from .runs import past_runs
from .schedules import find_schedules
from .staging import left_behind

_RUNNING = "state = 3"
"""Few jobs among many: they are found by their own index, and sorted by ``+seq``, because ``seq``
would have SQLite walk the whole table in that order."""


def answer(connection: sqlite3.Connection, query: Query, is_gone: IsGone) -> QueryReply | Counted:
    """Answer one question from one snapshot."""
    with snapshot(connection):
        match query:
            case Get():
                return Found(get_jobs(connection, query))
            case Find():
                return Found(find_jobs(connection, query))
            case Tally():
                return count_jobs(connection)
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
            case ReadLog():
                return find_log(connection, query)
            case ReadDossiers():
                return find_dossiers(connection, query)
            case PastRuns():
                return past_runs(connection, query)
            case Buckets():
                return find_buckets(connection, query)
            case Pauses():
                return find_pauses(connection, query)


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Generator[None]:
    """All questions inside see the same committed data."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


def get_jobs(connection: sqlite3.Connection, query: Get) -> list[StoredJob]:
    """In the order asked for."""
    jobs: list[StoredJob] = []
    for job_id in query.job_ids:
        jobs += _jobs(connection, "id = ?", (job_id,), whole_history=True)
    if query.ref_id is not None:
        jobs += _jobs(connection, "ref_id = ?", (query.ref_id,), whole_history=True)
    return jobs


def find_jobs(
    connection: sqlite3.Connection, find: Find, *, in_archive: bool = False
) -> list[StoredJob]:
    """Newest first. A file of the archive has the columns, but no batches."""
    found = _json(find_rows(connection, find, in_archive=in_archive))
    return _jobs(connection, f"{_among('seq')} ORDER BY seq DESC", (found,))


def _among(column: str) -> str:
    return f"{column} IN (SELECT value FROM json_each(?))"


def _stranded(connection: sqlite3.Connection, query: Stranded, is_gone: IsGone) -> StrandedJobs:
    now, limit = query.now, query.limit
    nodes = [
        node
        for (node,) in fetched(
            connection,
            "SELECT DISTINCT node_name FROM job JOIN node USING (node) WHERE state = 3",
        )
        if isinstance(node, str) and node.isprintable()
    ]
    others = [node for node in nodes if node != query.node]
    gone = _json(node for node in others if is_gone(node))
    lost = _jobs_to_move(
        connection,
        f"{_RUNNING} AND (lease_until <= ? OR {_among('node_name')}) ORDER BY +seq LIMIT ?",
        (now, gone, limit),
    )
    overdue = _jobs_to_move(
        connection,
        "state < 3 AND expire_on IS NOT NULL AND expire_on <= ? ORDER BY expire_on, seq LIMIT ?",
        (now, limit),
    )
    (next_at,) = connection.execute(
        "SELECT min(at) FROM ("
        "SELECT min(lease_until) AS at FROM job LEFT JOIN node USING (node) "
        "WHERE state = 3 AND lease_until > ?1 AND coalesce(node_name, '') NOT IN (SELECT value FROM json_each(?2)) UNION ALL "
        "SELECT min(expire_on) FROM job "
        "WHERE state < 3 AND expire_on IS NOT NULL AND expire_on > ?1)",
        (now, gone),
    ).fetchone()
    stages = left_behind(connection, query, is_gone)
    if not is_instant(next_at):
        next_at = None
    return StrandedJobs(lost, overdue, next_at, bool(others), stages)


def _cancel_requests(connection: sqlite3.Connection, query: CancelRequests) -> CancelsAsked:
    rows = connection.execute(
        "SELECT id, CAST(reason AS BLOB) FROM job LEFT JOIN node USING (node) "
        "WHERE state = 3 AND node_name = ? AND reason IS NOT NULL "
        "ORDER BY seq",
        (query.node,),
    )
    cancels = [(JobId(job_id), reason.decode(errors="replace")) for job_id, reason in rows]
    return CancelsAsked(cancels, kept_pauses(connection))


def _jobs(
    connection: sqlite3.Connection,
    condition: str,
    values: Sequence[object],
    *,
    whole_history: bool = False,
) -> list[StoredJob]:
    rows = fetched(connection, f"{WHOLE_JOB} WHERE {condition}", values)
    return [read_job(connection, row, whole_history=whole_history) for row in rows]


def _jobs_to_move(
    connection: sqlite3.Connection, condition: str, values: Sequence[object]
) -> list[StoredJob]:
    rows = fetched(connection, f"{WHOLE_JOB} WHERE length(id) = 16 AND {condition}", values)
    return [job_to_move(row, last_attempt(connection, row[0])) for row in rows]


def _json(values: Iterable[object]) -> str:
    return orjson.dumps(list(values)).decode()
