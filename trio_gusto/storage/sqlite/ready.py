"""What claims ask of rows, in the SQL that all of them share.

Jobs in no lane and jobs in lanes stand in different indexes, whose conditions stand literally
in every question: only so does SQLite know that it may use them.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from ...model.lanes import OF_RATE
from .rows import is_instant

Row = list[Any]  # JSON has no static types

PLAIN_READY = "state = 2 AND lane IS NULL"
LANE_READY = "lane IS NOT NULL AND state = 2"
FILLED_LANE_READY = (
    f"{LANE_READY} AND lane < '{OF_RATE}'",
    f"{LANE_READY} AND lane > '{OF_RATE[:-1]}!'",
)
"""In lanes where leases can be what keeps a job waiting: all but those of rate keys, before and behind these."""

CLAIMABLE = "due <= ?1 AND (expire_on IS NULL OR expire_on > ?1)"
NOT_SKIPPED = (
    "handler NOT IN (SELECT handler FROM handler WHERE name IN (SELECT value FROM json_each(?5)))"
)

NOT_PAUSED = (
    "NOT EXISTS (SELECT 1 FROM pause WHERE (pause.queue IS NULL OR pause.queue = job.queue) "
    "AND (pause.tenant IS NULL OR pause.tenant = job.tenant))"
)

# Asked of each job in a lane; ?5 is NULL when nothing is skipped and nothing paused, as nearly always.
TAKEABLE = (
    f"CASE WHEN NOT ({CLAIMABLE}) THEN FALSE WHEN ?5 IS NULL THEN TRUE "
    f"ELSE {NOT_SKIPPED} AND {NOT_PAUSED} END"
)

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
READY_QUEUES = _QUEUES.format(PLAIN_READY, "job_ready")
LANE_QUEUES = _QUEUES.format(LANE_READY, "job_lane_ready")

# The same of the priorities in one queue.
_PRIORITIES = """
WITH RECURSIVE ready(found) AS (
  SELECT max(priority) FROM job INDEXED BY {1} WHERE {0} AND queue = ?2
  UNION ALL
  SELECT (
    SELECT max(priority) FROM job INDEXED BY {1} WHERE {0} AND queue = ?2 AND priority < ready.found
  ) FROM ready WHERE ready.found IS NOT NULL
)
SELECT json_group_array(found) FROM ready WHERE found IS NOT NULL
"""
READY_PRIORITIES = _PRIORITIES.format(PLAIN_READY, "job_ready")
LANE_PRIORITIES = _PRIORITIES.format(LANE_READY, "job_lane_ready")


# The instants that come first in each queue and priority, each found by a step into the index.
_FIRST_OF_EACH = """
WITH RECURSIVE ready(seq, queue, priority, due) AS (
  SELECT seq, queue, priority, due FROM job WHERE seq = (SELECT seq FROM job WHERE {0} {1})
  UNION ALL
  SELECT job.seq, job.queue, job.priority, job.due FROM ready JOIN job ON job.seq = coalesce(
    (SELECT seq FROM job WHERE {0} AND queue = ready.queue AND job.priority < ready.priority {1}),
    (SELECT seq FROM job WHERE {0} AND queue > ready.queue {1})
  )
)
SELECT min(due) FROM ready
"""
_IN_ORDER = "ORDER BY queue, priority DESC, due LIMIT 1"
_OLDEST = tuple(_FIRST_OF_EACH.format(ready, _IN_ORDER) for ready in (PLAIN_READY, LANE_READY))

# What orders the rows comes first, so that they can be sorted as they are.
_COLUMNS = (
    "-priority, due, seq, attempt, version, hex(id), handler, args, created_at, "
    "max_attempts, timeout, execute_after, expire_on, queue, priority, tenant, ref_id, details"
)
ROW = f"json_array({_COLUMNS})"

Candidate = Row
"""The row of a job that may be taken if its lane has room, with that lane and its ``room`` at the end."""

CANDIDATE_COLUMNS = f"{_COLUMNS}, lane, room"

SEQ, ATTEMPT, MAX_ATTEMPTS, QUEUE, PRIORITY, TENANT, REF_ID, DETAILS, LANE, ROOM = (
    *(2, 3, 9),
    *range(13, 20),
)
"""Where these stand in a row; the last two in a candidate."""


def rows_of(
    connection: sqlite3.Connection, statement: str, values: tuple[object, ...]
) -> list[Row]:
    """The rows that a statement gives as one JSON text, in claim order."""
    rows: list[Row] = orjson.loads(connection.execute(statement, values).fetchone()[0])
    rows.sort()  # an aggregate promises no order; `seq` decides before anything unlike is compared
    return rows


def oldest_ready(connection: sqlite3.Connection) -> int | None:
    """The earliest due instant of a ready job."""
    found = [connection.execute(statement).fetchone()[0] for statement in _OLDEST]
    return min(filter(is_instant, found), default=None)
