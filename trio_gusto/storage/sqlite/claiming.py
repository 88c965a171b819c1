"""Claims: what is due becomes ready, and what is ready is leased.

One statement per step: SQLite takes and gives back the interpreter's lock around every step, and a
row at a time would have the loop and this thread fight for it. So rows travel as one JSON text.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import orjson

from ...model.ids import JobId
from ...model.job import ClaimedJob, JobRequest
from ...model.lifecycle import within_reach
from ..messages import ClaimDue, ClaimReply
from .leases import Leases
from .names import Names
from .rows import details_of

_CLAIMABLE = "state = 2 AND due <= ?1 AND (expire_on IS NULL OR expire_on > ?1)"
_NOT_SKIPPED = (
    "handler NOT IN (SELECT handler FROM handler WHERE name IN (SELECT value FROM json_each(?5)))"
)

_FIRST_SCHEDULED = "SELECT min(due) FROM job WHERE state = 1"
_ANYTHING = f"SELECT ({_FIRST_SCHEDULED}), EXISTS (SELECT 1 FROM job WHERE {_CLAIMABLE})"
_ANYTHING_IN = (
    f"SELECT ({_FIRST_SCHEDULED}), "
    f"EXISTS (SELECT 1 FROM json_each(?2), job WHERE queue = value AND {_CLAIMABLE})"
)
_PROMOTE = "UPDATE job SET state = 2, version = version + 1 WHERE state = 1 AND due <= ?"

# The distinct queues, each found by one step into the index: never a look at every ready job.
_READY_QUEUES = """
WITH RECURSIVE ready(found) AS (
  SELECT min(queue) FROM job WHERE state = 2
  UNION ALL
  SELECT (SELECT min(queue) FROM job WHERE state = 2 AND queue > ready.found) FROM ready
  WHERE ready.found IS NOT NULL
)
SELECT json_group_array(found) FROM ready WHERE found IS NOT NULL
"""

# What orders the rows comes first, so that they can be sorted as they are.
_ROW = (
    "json_array(-priority, due, seq, attempt, version, hex(id), handler, args, created_at, "
    "max_attempts, timeout, execute_after, expire_on, queue, priority, tenant, ref_id, details)"
)
_ATTEMPT, _MAX_ATTEMPTS = 3, 9


def _top(condition: str) -> str:
    return (
        f"SELECT json_group_array({_ROW}) FROM (SELECT * FROM job WHERE {condition} "
        "AND queue = ?2 ORDER BY priority DESC, due, seq LIMIT ?3 OFFSET ?4)"
    )


_TOP = _top(_CLAIMABLE)
_TOP_NOT_SKIPPED = _top(f"{_CLAIMABLE} AND {_NOT_SKIPPED}")

# The same from several queues at once: the first of each, and of those the first.
_TOP_OF_QUEUES = f"""
SELECT json_group_array({_ROW}) FROM (
  SELECT best.* FROM json_each(?2) AS wanted, job AS best WHERE best.seq IN (
    SELECT seq FROM job WHERE queue = wanted.value AND {_CLAIMABLE} AND {_NOT_SKIPPED}
    ORDER BY priority DESC, due, seq LIMIT ?3
  )
  ORDER BY best.priority DESC, best.due, best.seq LIMIT ?3 OFFSET ?4
)
"""

_LEASE = (
    "UPDATE job SET state = 3, attempt = attempt + 1, version = version + 1, node = ?, "
    "claimed_at = ?, lease_until = ? WHERE seq IN (SELECT value FROM json_each(?))"
)

Row = list[Any]  # JSON has no static types


def nothing_due(connection: sqlite3.Connection, claim: ClaimDue) -> ClaimReply | None:
    """The reply to a claim that finds nothing, found without a lock; ``None`` when there is work."""
    if claim.queues is None:
        found = connection.execute(_ANYTHING, (claim.now,))
    else:
        names = _json([name for name, _ in claim.queues])
        found = connection.execute(_ANYTHING_IN, (claim.now, names))
    scheduled, any_ready = found.fetchone()
    if any_ready or (scheduled is not None and scheduled <= claim.now):
        return None
    return ClaimReply([], claim.limit <= 0, scheduled)


def claim_due(
    connection: sqlite3.Connection, names: Names, leases: Leases, claim: ClaimDue
) -> ClaimReply:
    """Perform a claim inside a transaction."""
    scheduled = _first_scheduled(connection)
    if scheduled is not None and scheduled <= claim.now:
        connection.execute(_PROMOTE, (claim.now,))
        scheduled = _first_scheduled(connection)
    rows = _found(connection, claim)
    spent = ((row[_ATTEMPT], row[_MAX_ATTEMPTS]) for row in rows)
    reach = within_reach(spent, claim.free) if len(rows) > claim.free else len(rows)
    more = reach < len(rows) or reach >= claim.limit
    del rows[reach:]
    if rows:
        taken = _json([row[2] for row in rows])
        node = names.node_number(claim.node)
        connection.execute(_LEASE, (node, claim.now, claim.lease_until, taken))
    jobs = [_claimed(row, names, claim) for row in rows]
    leases.take_all([(row[2], job) for row, job in zip(rows, jobs, strict=True)])
    return ClaimReply(jobs, more, scheduled)


def _first_scheduled(connection: sqlite3.Connection) -> int | None:
    due: int | None = connection.execute(_FIRST_SCHEDULED).fetchone()[0]
    return due


def _found(connection: sqlite3.Connection, claim: ClaimDue) -> list[Row]:
    """Up to ``limit`` claimable rows, in claim order."""
    if claim.limit <= 0:
        return []
    if claim.queues is not None:
        return _shared_out(connection, claim, claim.queues)
    names = orjson.loads(connection.execute(_READY_QUEUES).fetchone()[0])
    if len(names) == 1:
        return _top_of(connection, claim, names[0], claim.limit, 0)
    if not names:
        return []
    values = (claim.now, _json(names), claim.limit, 0, _json(claim.skip_names))
    return _rows(connection, _TOP_OF_QUEUES, values)


def _shared_out(
    connection: sqlite3.Connection, claim: ClaimDue, queues: Sequence[tuple[str, int]]
) -> list[Row]:
    """Up to each queue's share first, then what is left from the same queues."""
    found: list[Row] = []
    taken: dict[str, int] = {}
    for name, share in queues:
        part = _top_of(connection, claim, name, min(share, claim.limit - len(found)), 0)
        taken[name] = len(part)
        found += part
    for name, share in queues:
        if taken[name] < share:
            continue  # it gave all that it had
        found += _top_of(connection, claim, name, claim.limit - len(found), taken[name])
    return found


def _top_of(
    connection: sqlite3.Connection, claim: ClaimDue, queue: str, limit: int, after: int
) -> list[Row]:
    if limit <= 0:
        return []
    if not claim.skip_names:
        return _rows(connection, _TOP, (claim.now, queue, limit, after))
    values = (claim.now, queue, limit, after, _json(claim.skip_names))
    return _rows(connection, _TOP_NOT_SKIPPED, values)


def _rows(connection: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> list[Row]:
    rows: list[Row] = orjson.loads(connection.execute(statement, values).fetchone()[0])
    rows.sort()  # an aggregate promises no order; `seq` decides before anything unlike is compared
    return rows


def _claimed(row: Row, names: Names, claim: ClaimDue) -> ClaimedJob:
    name, job_type, method_name = names.handler(row[6])
    request = JobRequest(
        JobId(bytes.fromhex(row[5])),
        name,
        row[7],
        row[8],
        row[9],
        row[10],
        row[11],
        row[12],
        row[13],
        row[14],
        row[15],
        details_of(row[17], row[16]),
        job_type,
        method_name,
    )
    return ClaimedJob(request, row[3] + 1, row[4] + 1, row[1], claim.node, claim.now)


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(values).decode()
