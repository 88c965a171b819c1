"""Ready jobs in lanes, in claim order, without a look at each of those that have to wait.

A walk goes along the index in pieces. Where nearly all that it meets are in lanes that are closed, it
goes on by the heads of the lanes.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import orjson

from ..messages import ClaimDue
from .heads import Heads
from .ready import LANE_READY, RATE, TAKEABLE, Candidate

_PIECE = f"""
SELECT json_group_array(
  json_array(-priority, due, seq, lane, room, is_last, queue, json(rate), is_takeable)
) FROM (
  SELECT priority, due, seq, lane, room, attempt + 1 >= max_attempts AS is_last, queue,
    {RATE} AS rate, {TAKEABLE} AS is_takeable
  FROM job INDEXED BY job_lane_ready WHERE {LANE_READY} AND queue = ?2 AND {{}}
  ORDER BY priority DESC, due, seq LIMIT ?3
) AS piece
"""
_IN_TURN = (
    (_PIECE.format("priority = -?4 AND due = ?6 AND seq > ?7"), 2),
    (_PIECE.format("priority = -?4 AND due > ?6"), 1),
    (_PIECE.format("priority < -?4"), 0),
)

_LEAST = -(2**62)

LEAST, MOST = 16, 128
"""Rows of a piece, at least and at most."""

FEW = 16
"""When of the last so many rows one at most is in a lane that is still open, the walk ends."""


def walk(
    connection: sqlite3.Connection,
    claim: ClaimDue,
    queue: str,
    closed: Collection[str],
    only: int | None = None,
) -> Iterator[Candidate]:
    """What is ready in a queue in lanes that are not ``closed`` when it is come to; with ``only``, at that
    priority, and then nothing is stepped over."""
    size = max(LEAST, min(MOST, claim.limit + claim.limit // 4))
    skip = orjson.dumps(claim.skip_names).decode()
    rows: list[list[Any]] = []

    def some(after: Sequence[int]) -> None:
        rows.clear()
        rank, *due_and_seq = after
        steps = _IN_TURN if due_and_seq else _IN_TURN[-1:]
        for statement, width in steps if only is None else _IN_TURN[:-1]:
            values = (claim.now, queue, size - len(rows), rank, skip, *due_and_seq[:width])
            found = orjson.loads(connection.execute(statement, values).fetchone()[0])
            found.sort()
            rows.extend(found)
            if len(rows) == size:
                break

    after: Sequence[int] = (_LEAST,) if only is None else (-only, _LEAST, _LEAST)
    while True:
        some(after)
        for row in rows:
            if row[-1] and row[3] not in closed:
                yield row
        if len(rows) < size:
            return
        after = rows[-1][:3]
        if only is None and sum(row[3] not in closed for row in rows[-FEW:]) <= 1:
            yield from Heads(connection, claim, queue).candidates(after, closed)
            return
