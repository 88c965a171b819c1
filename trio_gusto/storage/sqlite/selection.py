"""A claim that cannot take whatever is ready: named workers have jobs, or there are pauses.

What no worker and no pause is about is found as ever. Of each named worker that is free the first job is
looked up in an index of its own, one step for each worker, however many jobs wait behind it.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

import orjson

from ...model.lanes import Lanes
from ..messages import ClaimDue
from .pauses import kept_pauses
from .ready import CLAIMABLE, NOT_SKIPPED, READY_QUEUES, ROW, WORKER_READY, Row, rows_of

_NOT_PAUSED = (
    "NOT EXISTS (SELECT 1 FROM pause WHERE (pause.queue IS NULL OR pause.queue = job.queue) "
    "AND (pause.tenant IS NULL OR pause.tenant = job.tenant))"
)
_ORDER = "priority DESC, due, seq"

_OF_NOBODY = f"""
SELECT json_group_array({ROW}) FROM (
  SELECT best.* FROM json_each(?2) AS wanted, job AS best WHERE best.seq IN (
    SELECT seq FROM job WHERE queue = wanted.value AND state = 2 AND worker IS NULL
    AND {CLAIMABLE} AND {NOT_SKIPPED} AND {_NOT_PAUSED} ORDER BY {_ORDER} LIMIT ?3 + ?4
  )
  ORDER BY best.priority DESC, best.due, best.seq LIMIT ?3 OFFSET ?4
)
"""

_READY_WORKERS = f"""
WITH RECURSIVE ready(found) AS (
  SELECT min(worker) FROM job WHERE {WORKER_READY}
  UNION ALL
  SELECT (SELECT min(worker) FROM job WHERE {WORKER_READY} AND worker > ready.found) FROM ready
  WHERE ready.found IS NOT NULL
)
"""

_FIRST_OF_WORKERS = f"""
{_READY_WORKERS}
SELECT json_group_array(json_array({ROW}, worker)) FROM (
  SELECT head.* FROM ready JOIN job AS head ON head.seq = (
    SELECT seq FROM job WHERE worker = ready.found AND {WORKER_READY} AND {CLAIMABLE}
    AND (?2 IS NULL OR queue = ?2) AND {NOT_SKIPPED} AND {_NOT_PAUSED}
    ORDER BY {_ORDER} LIMIT 1
  )
  ORDER BY head.priority DESC, head.due, head.seq
)
"""

_AT_WORK = "SELECT DISTINCT worker FROM job WHERE worker IS NOT NULL AND state < 4 AND state = 3"


class Selection:
    """Finds what one claim may take, queue by queue."""

    def __init__(self, connection: sqlite3.Connection, claim: ClaimDue) -> None:
        self._connection = connection
        self._now = claim.now
        self._skip = _json(claim.skip_names)
        self._lanes = Lanes(worker for (worker,) in connection.execute(_AT_WORK).fetchall())
        self._taken = Counter[str | None]()
        """How many jobs of no worker were taken, by queue."""
        self._pauses = kept_pauses(connection)

    def take(self, queue: str | None, limit: int) -> list[Row]:
        """Up to ``limit`` rows of a queue, or of all, in claim order, that were not taken yet."""
        if limit <= 0:
            return []
        rows: list[tuple[Row, str | None]] = [
            *((row, None) for row in self._of_nobody(queue, limit)),
            *((row, worker) for row, worker in self._first_of_workers(queue)),
        ]
        rows.sort(key=lambda found: found[0])
        taken: list[Row] = []
        for row, worker in rows:
            if len(taken) == limit:
                break
            if self._lanes.admit(worker):
                self._taken[queue] += worker is None
                taken.append(row)
        return taken

    def _of_nobody(self, queue: str | None, limit: int) -> Sequence[Row]:
        closed = {pause.queue for pause in self._pauses if pause.tenant is None}
        if None in closed:
            return ()
        names = [queue]
        if queue is None:
            names = orjson.loads(self._connection.execute(READY_QUEUES).fetchone()[0])
        open_queues = _json([name for name in names if name not in closed])
        values = (self._now, open_queues, limit, self._taken[queue], self._skip)
        return rows_of(self._connection, _OF_NOBODY, values)

    def _first_of_workers(self, queue: str | None) -> Sequence[tuple[Row, str]]:
        """The first job of each named worker that is free."""
        values = (self._now, queue, None, None, self._skip)
        found = self._connection.execute(_FIRST_OF_WORKERS, values).fetchone()[0]
        return [(row, worker) for row, worker in orjson.loads(found) if self._lanes.is_free(worker)]


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(values).decode()
