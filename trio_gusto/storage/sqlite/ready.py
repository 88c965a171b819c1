"""What claims ask of rows, in the SQL that all of them share.

Jobs without a named worker and jobs with one stand in different indexes, whose conditions stand literally
in every question: only so does SQLite know that it may use them.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

Row = list[Any]  # JSON has no static types

WORKER_READY = "worker IS NOT NULL AND state < 4 AND state = 2"
CLAIMABLE = "due <= ?1 AND (expire_on IS NULL OR expire_on > ?1)"
NOT_SKIPPED = (
    "handler NOT IN (SELECT handler FROM handler WHERE name IN (SELECT value FROM json_each(?5)))"
)

# The distinct queues, each found by one step into the index: never a look at every ready job.
READY_QUEUES = """
WITH RECURSIVE ready(found) AS (
  SELECT min(queue) FROM job WHERE state = 2 AND worker IS NULL
  UNION ALL
  SELECT (
    SELECT min(queue) FROM job WHERE state = 2 AND worker IS NULL AND queue > ready.found
  ) FROM ready
  WHERE ready.found IS NOT NULL
)
SELECT json_group_array(found) FROM ready WHERE found IS NOT NULL
"""

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
