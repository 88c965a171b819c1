"""Ready jobs in lanes, in claim order, without a look at each of those that have to wait.

A walk goes along the index in pieces. Where nearly all that it meets are in lanes that are closed, it
goes on by the heads of the lanes.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence

import orjson

from ..messages import ClaimDue
from .heads import Heads
from .ready import CANDIDATE_COLUMNS, LANE, LANE_READY, TAKEABLE, Candidate

_PIECE = f"""
SELECT json_group_array(json_array({CANDIDATE_COLUMNS}, is_takeable)) FROM (
  SELECT *, {TAKEABLE} AS is_takeable
  FROM job INDEXED BY job_lane_ready WHERE {LANE_READY} AND queue = ?2 AND {{}}
  ORDER BY priority DESC, due, seq LIMIT ?3
) AS piece
"""
_IN_TURN: Sequence[tuple[str, int]] = (
    (_PIECE.format("priority = -?4 AND due = ?6 AND seq > ?7"), 2),
    (_PIECE.format("priority = -?4 AND due > ?6"), 1),
    (_PIECE.format("priority < -?4"), 0),
)

_LEAST = -(2**62)

FIRST, MOST = 16, 1024
"""Rows of the first piece, and of any, at most. That few are often enough, and few are wasted where not."""

FEW = 4
"""When of `FIRST` rows in a row so many at most were in lanes that were still open, the walk goes on by heads:
one of those costs as much as some rows."""


def walk(
    connection: sqlite3.Connection,
    claim: ClaimDue,
    queue: str,
    skip: str | None,
    closed: Collection[str],
    only: int | None = None,
) -> Iterator[Candidate]:
    """What is ready in a queue in lanes that are not ``closed`` when it is come to; with ``only``, at that
    priority, and then nothing is stepped over.

    ``skip``: the names of handlers to leave out, as JSON; ``None`` if there are none, nor pauses.
    """
    rows: list[Candidate] = []

    def some(size: int, after: list[int]) -> None:
        rows.clear()
        rank, *due_and_seq = after
        steps = _IN_TURN if due_and_seq else _IN_TURN[-1:]
        if only is not None:
            steps = _IN_TURN[:-1]
        for statement, width in steps:
            values = (claim.now, queue, size - len(rows), rank, skip, *due_and_seq[:width])
            found = orjson.loads(connection.execute(statement, values).fetchone()[0])
            found.sort()
            rows.extend(found)
            if len(rows) == size:
                break

    after = [_LEAST] if only is None else [-only, _LEAST, _LEAST]
    size = FIRST
    while True:
        some(size, after)
        came_to: list[bool] = []
        for row in rows:
            is_open = row[LANE] not in closed
            came_to.append(is_open)
            if is_open and row[-1]:
                yield row
        if len(rows) < size:
            return
        after = rows[-1][:3]
        if only is None and sum(came_to[-FIRST:]) <= FEW:
            yield from Heads(connection, claim, queue, skip).candidates(after, closed)
            return
        size = max(FIRST, min(MOST, claim.limit))
