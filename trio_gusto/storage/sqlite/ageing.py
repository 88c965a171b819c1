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
from .ready import (
    CLAIMABLE,
    LANE_PRIORITIES,
    NOT_PAUSED,
    NOT_SKIPPED,
    PLAIN_READY,
    READY_PRIORITIES,
    ROW,
    SEQ,
    Candidate,
    Row,
    rows_of,
)
from .walking import walk

_FIRST = f"""
SELECT json_group_array({ROW}) FROM job WHERE seq IN (
  SELECT seq FROM job INDEXED BY job_ready WHERE {PLAIN_READY} AND queue = ?2 AND priority = ?4
  AND {CLAIMABLE} AND {NOT_SKIPPED} AND {NOT_PAUSED} ORDER BY due, seq LIMIT ?3
)
"""


class Aged:
    """Finds the ready jobs of a claim in the order of ageing."""

    def __init__(
        self, connection: sqlite3.Connection, claim: ClaimDue, span: int, skip: str | None
    ) -> None:
        self._connection = connection
        self._claim = claim
        self._span = span
        self._skip = skip

    def place(self, row: Row | Candidate) -> Place:
        """Where a job stands."""
        return place(row[0], row[1], row[SEQ], self._span)

    def in_no_lane(
        self, queues: Collection[str], limit: int, taken: Mapping[str, int]
    ) -> Iterator[Row]:
        """The first ``limit`` of these queues that are in no lane, behind those ``taken`` of each already."""
        met = sum(taken.get(queue, 0) for queue in queues)
        values = [
            (self._claim.now, queue, limit + met, rank, self._skip)
            for queue in queues
            for rank in self._ranks(READY_PRIORITIES, queue)
        ]
        rows = merge(*(rows_of(self._connection, _FIRST, each) for each in values), key=self.place)
        return islice(rows, met, None)

    def walk(self, queue: str, closed: Collection[str]) -> Iterator[Candidate]:
        """As `walking.walk`. What stands in lanes that are closed is not stepped over, but looked at."""
        walks = [
            walk(self._connection, self._claim, queue, self._skip, closed, rank)
            for rank in self._ranks(LANE_PRIORITIES, queue)
        ]
        return merge(*walks, key=self.place)

    def _ranks(self, statement: str, queue: str) -> Sequence[int]:
        found: list[int] = orjson.loads(
            self._connection.execute(statement, (self._claim.now, queue)).fetchone()[0]
        )
        return found
