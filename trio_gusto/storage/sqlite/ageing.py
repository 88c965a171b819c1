"""Ready jobs in the order of ageing: from each priority of a queue those that come first, and of those the first.

It needs no index of its own: within one priority its order is that of the due instants. Which priorities there
are is found by one step into the index for each.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice

import orjson

from ...model.order import Place, place
from ..messages import ClaimDue
from .ready import LANE_READY, ROW, TAKEABLE, Candidate, Row, rows_of
from .walking import walk

_IN_NO_LANE = "state = 2 AND lane IS NULL AND queue = ?2"


def _priorities(index: str, ready: str) -> str:
    first = f"SELECT max(priority) FROM job INDEXED BY {index} WHERE {ready}"
    return f"""
WITH RECURSIVE ready(found) AS (
  {first}
  UNION ALL
  SELECT ({first} AND priority < ready.found) FROM ready WHERE ready.found IS NOT NULL
)
SELECT json_group_array(found) FROM ready WHERE found IS NOT NULL
"""


PLAIN_PRIORITIES = _priorities("job_ready", _IN_NO_LANE)
_LANE_PRIORITIES = _priorities("job_lane_ready", f"{LANE_READY} AND queue = ?2")
_FIRST = f"""
SELECT json_group_array({ROW}) FROM job WHERE seq IN (
  SELECT seq FROM job INDEXED BY job_ready WHERE {_IN_NO_LANE} AND priority = ?4 AND {TAKEABLE}
  ORDER BY due, seq LIMIT ?3
)
"""


class Aged:
    """Finds the ready jobs of a claim in the order of ageing."""

    def __init__(self, connection: sqlite3.Connection, claim: ClaimDue, span: int) -> None:
        self._connection = connection
        self._claim = claim
        self._span = span
        self._skip = orjson.dumps(claim.skip_names).decode()

    def place(self, row: Row | Candidate) -> Place:
        """Where a job stands."""
        return place(row[0], row[1], row[2], self._span)

    def in_no_lane(
        self, queues: Collection[str], limit: int, taken: Mapping[str, int]
    ) -> Iterator[Row]:
        """The first ``limit`` of these queues that are in no lane, behind those ``taken`` of each already."""
        met = sum(taken.get(queue, 0) for queue in queues)
        values = [
            (self._claim.now, queue, limit + met, rank, self._skip)
            for queue in queues
            for rank in self._ranks(PLAIN_PRIORITIES, queue)
        ]
        rows = merge(*(rows_of(self._connection, _FIRST, each) for each in values), key=self.place)
        return islice(rows, met, None)

    def walk(self, queue: str, closed: Collection[str]) -> Iterator[Candidate]:
        """As `walking.walk`. What stands in lanes that are closed is not stepped over, but looked at."""
        walks = [
            walk(self._connection, self._claim, queue, closed, rank)
            for rank in self._ranks(_LANE_PRIORITIES, queue)
        ]
        return merge(*walks, key=self.place)

    def _ranks(self, statement: str, queue: str) -> Sequence[int]:
        found: list[int] = orjson.loads(
            self._connection.execute(statement, (self._claim.now, queue)).fetchone()[0]
        )
        return found
