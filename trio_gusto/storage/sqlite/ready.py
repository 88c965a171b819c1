"""What claims ask of rows, in the SQL that all of them share.

Jobs in no lane and jobs in lanes stand in different indexes, whose conditions stand literally
in every question: only so does SQLite know that it may use them.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

Row = list[Any]  # JSON has no static types

LANE_READY = "lane IS NOT NULL AND state = 2"
CLAIMABLE = "due <= ?1 AND (expire_on IS NULL OR expire_on > ?1)"
NOT_SKIPPED = (
    "handler NOT IN (SELECT handler FROM handler WHERE name IN (SELECT value FROM json_each(?5)))"
)

NOT_PAUSED = (
    "NOT EXISTS (SELECT 1 FROM pause WHERE (pause.queue IS NULL OR pause.queue = job.queue) "
    "AND (pause.tenant IS NULL OR pause.tenant = job.tenant))"
)

TAKEABLE = f"{CLAIMABLE} AND {NOT_SKIPPED} AND {NOT_PAUSED}"

Candidate = list[Any]
"""A job that may be taken if its lane has room: the negated priority, the due instant and the sequence,
which together are its place in claim order; its lane and ``room``; whether it would spend its last attempt."""

CANDIDATE = "json_array(-priority, due, seq, lane, room, attempt + 1 >= max_attempts)"

# The distinct queues, each found by one step into the index: never a look at every ready job.
_QUEUES = """
WITH RECURSIVE ready(found) AS (
  SELECT min(queue) FROM job INDEXED BY {1} WHERE {0}
  UNION ALL
  SELECT (SELECT min(queue) FROM job INDEXED BY {1} WHERE {0} AND queue > ready.found) FROM ready
  WHERE ready.found IS NOT NULL
)
SELECT json_group_array(found) FROM ready WHERE found IS NOT NULL
"""
READY_QUEUES = _QUEUES.format("state = 2 AND lane IS NULL", "job_ready")
LANE_QUEUES = _QUEUES.format(LANE_READY, "job_lane_ready")

# What orders the rows comes first, so that they can be sorted as they are.
ROW = (
    "json_array(-priority, due, seq, attempt, version, hex(id), handler, args, created_at, "
    "max_attempts, timeout, execute_after, expire_on, queue, priority, tenant, ref_id, details)"
)


def rows_of(
    connection: sqlite3.Connection, statement: str, values: tuple[object, ...]
) -> list[Row]:
    """The rows that a statement gives as one JSON text, in claim order."""
    rows: list[Row] = orjson.loads(connection.execute(statement, values).fetchone()[0])
    rows.sort()  # an aggregate promises no order; `seq` decides before anything unlike is compared
    return rows
