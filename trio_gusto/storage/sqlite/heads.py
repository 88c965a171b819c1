"""Where in claim order each lane may begin, so that a claim can step over what stands in its way.

A head is a lower bound: before it no job of its lane is ready. Whoever makes a job ready lowers it; a claim
raises one that is out of date where the lane begins behind all that the claim has looked at, so heads cost no
more than the jobs they are about.
The table is empty while no job is in a lane.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from heapq import heappop, heappush

import orjson

from ..messages import ClaimDue
from .ready import CANDIDATE_COLUMNS, LANE, LANE_READY, TAKEABLE, Candidate

_NOTE = (
    "INSERT INTO lane_head SELECT queue, lane, -priority, due, seq FROM job "
    "WHERE lane IS NOT NULL AND state = {} AND {} AND typeof(lane) = 'text' "
    "ON CONFLICT DO UPDATE SET rank = excluded.rank, due = excluded.due, seq = excluded.seq "
    "WHERE (excluded.rank, excluded.due, excluded.seq) "
    "< (lane_head.rank, lane_head.due, lane_head.seq)"
)
_NOTE_ROWS = _NOTE.format(2, "seq BETWEEN ? AND ?")
_NOTE_DUE = _NOTE.format(1, "due <= ?")

_OF_LANE = (
    f"FROM job INDEXED BY job_of_lane WHERE {LANE_READY} AND lane = bound.of_lane AND queue = ?2"
)
_FIRST = "ORDER BY priority DESC, due, seq LIMIT 1"
# Behind a job that runs alone none of its lane may be taken, unless the next has room for some, or does not count.
_IN_ORDER = f"""
SELECT json_group_array(json_array({CANDIDATE_COLUMNS}, {TAKEABLE},
  CASE WHEN ?9 OR room > 1 THEN (SELECT TRUE {_OF_LANE} {_FIRST} OFFSET 1)
    ELSE (SELECT room > 1 OR NOT ({TAKEABLE}) {_OF_LANE} {_FIRST} OFFSET 1) END,
  rank, due_after, seq_after, of_lane
)) FROM (
  SELECT rank, due AS due_after, seq AS seq_after, lane AS of_lane FROM lane_head
  WHERE queue = ?2 AND (rank, due, seq) > (?6, ?7, ?8)
  AND lane NOT IN (SELECT value FROM json_each(?3))
  ORDER BY rank, due, seq LIMIT ?4
) AS bound LEFT JOIN job ON job.seq = (SELECT seq {_OF_LANE} {_FIRST})
"""
_IS_TAKEABLE, _HAS_MORE, _HEAD = 20, 21, 22
"""What stands behind a candidate there, at last the head that it was found by."""

_BEHIND = f"""
SELECT json_array({CANDIDATE_COLUMNS}) FROM job INDEXED BY job_of_lane
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

_FORGET_EMPTY = f"""
DELETE FROM lane_head WHERE NOT EXISTS (
  SELECT 1 FROM job INDEXED BY job_of_lane
  WHERE {LANE_READY} AND job.lane = lane_head.lane AND job.queue = lane_head.queue
)
"""

SOME = 8
"""Jobs of a lane that are looked up when its first ones are not enough."""

_BEFORE_ALL = [-(2**63), -(2**63), -(2**63)]


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

    def __init__(
        self, connection: sqlite3.Connection, claim: ClaimDue, queue: str, skip: str | None
    ) -> None:
        self._connection = connection
        self._values = (claim.now, queue)
        self._skip = skip
        self._most = max(1, min(claim.limit, 64))
        self._joins_lines = claim.depth > 1

    def candidates(self, after: list[int], closed: Collection[str]) -> Iterator[Candidate]:
        """What stands behind the place ``after``, in claim order, in lanes that are not ``closed``."""
        lines: list[list[Candidate]] = []
        """A heap: the next jobs of each lane, and whatever else is known of it."""
        met: set[str] = set()
        begin: list[int] = _BEFORE_ALL
        left_out = orjson.dumps([*closed]).decode()  # what is closed later lies before `begin`
        is_all = False
        while True:
            while not is_all and (not lines or lines[0][0] > begin):
                heads = self._in_order(begin, left_out)
                is_all = len(heads) < self._most
                for head in heads:
                    lane = head[-1]
                    if lane not in met and head[LANE] is not None:  # a corrected one comes twice
                        met.add(lane)
                        line = [head]
                        if not head[_IS_TAKEABLE] or head[:3] <= after:
                            line = self._behind(lane, max(head, after))
                        if line:
                            heappush(lines, line)
                if heads:
                    begin = _head_of(heads[-1])
                self._correct(heads, begin)
            if not lines:
                return
            line = heappop(lines)
            first = line[0]
            if first[LANE] in closed:
                continue
            yield first
            if first[LANE] not in closed:
                rest = line[1:]
                if not rest and (len(first) < _HAS_MORE or first[_HAS_MORE]):
                    rest = self._behind(first[LANE], first)
                if rest:
                    heappush(lines, rest)

    def _in_order(self, begin: Sequence[int], left_out: str) -> list[Candidate]:
        """Of the lanes with heads behind ``begin``, in the order of these: the first jobs, if any."""
        values = (*self._values, left_out, self._most, self._skip, *begin, self._joins_lines)
        heads: list[Candidate] = orjson.loads(
            self._connection.execute(_IN_ORDER, values).fetchone()[0]
        )
        heads.sort(key=_head_of)
        return heads

    def _correct(self, heads: Sequence[Candidate], end: list[int]) -> None:
        """Write down where lanes really begin, if that is behind all that was looked at.

        Those that begin among it cost no claim more than a look, and move on soon.
        """
        queue = self._values[1]
        empty = [head[-1] for head in heads if head[LANE] is None]
        if empty:
            self._connection.execute(_FORGET, (orjson.dumps(empty).decode(), queue))
        late = [
            [head[-1], *head[:3]] for head in heads if head[LANE] is not None and head[:3] > end
        ]
        if late:
            self._connection.execute(_RAISE, (orjson.dumps(late).decode(), queue))

    def _behind(self, lane: str, place: Sequence[int]) -> list[Candidate]:
        """The next jobs of a lane."""
        values = (*self._values, lane, SOME, self._skip, *place[:3])
        return [
            orjson.loads(text)
            for (text,) in self._connection.execute(_BEHIND_IN_ORDER, values).fetchall()
        ]


def _head_of(found: Candidate) -> list[int]:
    """The negated priority, the due instant and the sequence: a place in claim order."""
    return found[_HEAD:-1]
