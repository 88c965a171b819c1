"""What claims ask of rows, in the SQL that all of them share.

Jobs that wait for nobody, jobs of named workers, and others with a rate key stand in different indexes,
whose conditions stand literally in every question: only so does SQLite know that it may use them.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

Row = list[Any]  # JSON has no static types

PLAIN_READY = "state = 2 AND worker IS NULL AND rate IS NULL"
LIMITED_READY = "state = 2 AND rate IS NOT NULL"
WORKER_READY = "worker IS NOT NULL AND state < 4 AND state = 2"
CLAIMABLE = "due <= ?1 AND (expire_on IS NULL OR expire_on > ?1)"
NOT_SKIPPED = (
    "handler NOT IN (SELECT handler FROM handler WHERE name IN (SELECT value FROM json_each(?5)))"
)

NOT_PAUSED = (
    "NOT EXISTS (SELECT 1 FROM pause WHERE (pause.queue IS NULL OR pause.queue = job.queue) "
    "AND (pause.tenant IS NULL OR pause.tenant = job.tenant))"
)
TAKEABLE = f"{CLAIMABLE} AND {NOT_SKIPPED} AND {NOT_PAUSED}"

# The distinct queues, each found by one step into the index: never a look at every ready job.
READY_QUEUES = f"""
WITH RECURSIVE ready(found) AS (
  SELECT min(queue) FROM job WHERE {PLAIN_READY}
  UNION ALL
  SELECT (SELECT min(queue) FROM job WHERE {PLAIN_READY} AND queue > ready.found) FROM ready
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
