"""Where in claim order each lane may begin, so that a claim can step over what stands in its way.

A head is a lower bound: before it no job of its lane is ready. Whoever makes a job ready lowers it; what
a claim finds to be out of date it raises, each time once, so heads cost no more than the jobs they are about.
The table is empty while no job is in a lane.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from heapq import heappop, heappush
from typing import Any

import orjson

from ...model.order import Place
from ..messages import ClaimDue
from .ready import CANDIDATE, LANE_READY, TAKEABLE, Candidate

_NOTE = (
    "INSERT INTO lane_head SELECT queue, lane, -priority, due, seq FROM job "
    "WHERE lane IS NOT NULL AND state = {} AND {} "
    "ON CONFLICT DO UPDATE SET rank = excluded.rank, due = excluded.due, seq = excluded.seq "
    "WHERE (excluded.rank, excluded.due, excluded.seq) "
    "< (lane_head.rank, lane_head.due, lane_head.seq)"
)
_NOTE_ROWS = _NOTE.format(2, "seq BETWEEN ? AND ?")
_NOTE_DUE = _NOTE.format(1, "due <= ?")

_OF_LANE = f"FROM job INDEXED BY job_of_lane WHERE {LANE_READY} AND lane = bound.lane AND queue = bound.queue"
_FIRST = "ORDER BY priority DESC, due, seq LIMIT 1"
_IN_ORDER = f"""
SELECT json_group_array(json_array(
  rank, due, seq, lane,
  (SELECT json_array(-priority, due, seq) {_OF_LANE} {_FIRST}),
  (SELECT json_group_array(json(found)) FROM (
    SELECT {CANDIDATE} AS found {_OF_LANE} AND {TAKEABLE} ORDER BY priority DESC, due, seq LIMIT ?9
  ))
)) FROM (
  SELECT * FROM lane_head WHERE queue = ?2 AND (rank, due, seq) > (?6, ?7, ?8)
  AND lane NOT IN (SELECT value FROM json_each(?3))
  ORDER BY rank, due, seq LIMIT ?4
) AS bound
"""
_BEHIND = f"""
SELECT {CANDIDATE} FROM job INDEXED BY job_of_lane
WHERE {LANE_READY} AND queue = ?2 AND lane = ?3 AND {TAKEABLE}
"""
# SQLite finds the place for each of these, and for no single condition that means all of them.
_BEHIND_IN_ORDER = f"""
SELECT * FROM ({_BEHIND} AND priority = -?6 AND due = ?7 AND seq > ?8 ORDER BY seq LIMIT ?4)
UNION ALL
SELECT * FROM ({_BEHIND} AND priority = -?6 AND due > ?7 ORDER BY due, seq LIMIT ?4)
UNION ALL
SELECT * FROM ({_BEHIND} AND priority < -?6 ORDER BY priority DESC, due, seq LIMIT ?4)
LIMIT ?4
"""
_RAISE = (
    "INSERT INTO lane_head SELECT ?2, value ->> 0, value ->> 1, value ->> 2, value ->> 3 "
    "FROM json_each(?1) WHERE TRUE ON CONFLICT DO UPDATE SET "
    "rank = excluded.rank, due = excluded.due, seq = excluded.seq"
)
_FORGET = "DELETE FROM lane_head WHERE lane IN (SELECT value FROM json_each(?)) AND queue = ?"
_FORGET_ALL = "DELETE FROM lane_head"

_FORGET_EMPTY = f"DELETE FROM lane_head AS bound WHERE NOT EXISTS (SELECT 1 {_OF_LANE})"

SOME = 8
"""Jobs of a lane that are looked up when its first ones are not enough."""

_BEFORE_ALL = (-(2**63), -(2**63), -(2**63))


def note_rows(connection: sqlite3.Connection, first: int, last: int) -> None:
    """These rows were written; lower the heads of those that are ready in a lane."""
    connection.execute(_NOTE_ROWS, (first, last))


def note_due(connection: sqlite3.Connection, now: int) -> None:
    """What is scheduled until ``now`` is about to be ready."""
    connection.execute(_NOTE_DUE, (now,))


def forget_heads(connection: sqlite3.Connection) -> None:
    """No job in a lane is ready."""
    connection.execute(_FORGET_ALL)


def forget_empty_heads(connection: sqlite3.Connection) -> None:
    """Drop those in whose lanes no job is ready."""
    connection.execute(_FORGET_EMPTY)


class Heads:
    """The heads of one queue, for one claim."""

    def __init__(self, connection: sqlite3.Connection, claim: ClaimDue, queue: str) -> None:
        self._connection = connection
        self._values = (claim.now, queue)
        self._skip = orjson.dumps(claim.skip_names).decode()
        self._most = max(1, min(claim.limit, 64))
        self._width = 2 if claim.depth > 1 else 1
        """So many jobs of a lane are looked up at once, as most lanes will have no room for more."""

    def candidates(self, after: Sequence[int], closed: Collection[str]) -> Iterator[Candidate]:
        """What stands behind the place ``after``, in claim order, in lanes that are not ``closed``."""
        lines: list[list[Candidate]] = []
        met: set[str] = set()
        begin: Place = _BEFORE_ALL
        left_out = orjson.dumps(
            [*closed]
        ).decode()  # what is closed from here on lies behind `begin`
        is_all = False
        while True:
            while not is_all and (not lines or lines[0][0] > [*begin]):
                heads = self._in_order(begin, left_out)
                is_all = len(heads) < self._most
                self._correct(heads)
                for head in heads:
                    begin, lane = (head[0], head[1], head[2]), head[3]
                    if lane not in met:  # one that was corrected comes twice
                        met.add(lane)
                        line: list[Candidate] = sorted(head[5])
                        if line and line[0][:3] <= [*after]:
                            line = self._behind(lane, after)
                        if line:
                            heappush(lines, line)
            if not lines:
                return
            line = heappop(lines)
            if line[0][3] in closed:
                continue
            yield line[0]
            if line[0][3] not in closed and len(line) >= self._width:
                # Of the last that is known it is not known what stands behind it.
                rest = line[1:] if len(line) > 2 else self._behind(line[0][3], line[0])
                if rest:
                    heappush(lines, rest)

    def _in_order(self, begin: Place, left_out: str) -> list[list[Any]]:
        values = (*self._values, left_out, self._most, self._skip)
        heads: list[list[Any]] = orjson.loads(
            self._connection.execute(_IN_ORDER, (*values, *begin, self._width)).fetchone()[0]
        )
        heads.sort()
        return heads

    def _correct(self, heads: Sequence[list[Any]]) -> None:
        """Write down where lanes really begin, if that is elsewhere."""
        queue = self._values[1]
        empty = [head[3] for head in heads if head[4] is None]
        if empty:
            self._connection.execute(_FORGET, (orjson.dumps(empty).decode(), queue))
        late = [[head[3], *head[4]] for head in heads if head[4] and head[4] != head[:3]]
        if late:
            self._connection.execute(_RAISE, (orjson.dumps(late).decode(), queue))

    def _behind(self, lane: str, place: Sequence[int]) -> list[Candidate]:
        """The next jobs of a lane."""
        values = (*self._values, lane, SOME, self._skip, *place[:3])
        return [
            orjson.loads(text)
            for (text,) in self._connection.execute(_BEHIND_IN_ORDER, values).fetchall()
        ]
