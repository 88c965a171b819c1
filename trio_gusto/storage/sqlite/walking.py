"""Ready jobs in lanes, in claim order, without a look at each of those that have to wait.

A walk goes along the index in pieces. Where nearly all that it meets are in lanes that are closed, it
goes on by the heads of the lanes.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

import orjson

from ..messages import ClaimDue
from .heads import Heads
from .ready import (
    ATTEMPT,
    CANDIDATE_COLUMNS,
    DETAILS,
    LANE,
    LANE_READY,
    MAX_ATTEMPTS,
    ROOM,
    TAKEABLE,
    Candidate,
)

_PIECE = f"""
SELECT json_group_array(json_array({CANDIDATE_COLUMNS}, {TAKEABLE})) FROM job WHERE seq IN (
  SELECT seq FROM job INDEXED BY job_lane_ready WHERE {LANE_READY} AND queue = ?2 AND {{}}
  ORDER BY priority DESC, due, seq LIMIT ?3
)
"""
_IN_TURN: Sequence[tuple[str, int]] = (
    (_PIECE.format("priority = -?4 AND due = ?6 AND seq > ?7"), 2),
    (_PIECE.format("priority = -?4 AND due > ?6"), 1),
    (_PIECE.format("priority < -?4"), 0),
)

_ALIKE = itemgetter(LANE, ROOM, DETAILS, ATTEMPT, MAX_ATTEMPTS, -1)
"""Of two that agree in these, a claim takes both or neither, as far as there is room."""

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
    """`walk_lines`, each candidate by itself."""
    for line in walk_lines(connection, claim, queue, skip, closed, only):
        for candidate in line:
            if candidate[LANE] in closed:
                break
            yield candidate


def walk_lines(
    connection: sqlite3.Connection,
    claim: ClaimDue,
    queue: str,
    skip: str | None,
    closed: Collection[str],
    only: int | None = None,
) -> Iterator[Sequence[Candidate]]:
    """What is ready in a queue in lanes that are not ``closed`` when it is come to; with ``only``, at that
    priority, and then nothing is stepped over. Jobs that stand in a row and are alike come together.

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
                return

    after = [_LEAST] if only is None else [-only, _LEAST, _LEAST]
    # What may stand in line is all wanted, unless lanes are closed.
    size = FIRST if closed or claim.depth == 1 else min(MOST, max(FIRST, claim.limit))
    wanted = claim.limit
    while True:
        some(size, after)
        came_to: list[bool] = []
        for (lane, *_, is_takeable), line in groupby(rows, _ALIKE):
            alike = list(line)
            came_to.append(lane not in closed)
            if came_to[-1] and is_takeable:
                yield alike
            came_to += [lane not in closed] * (len(alike) - 1)
        if len(rows) < size:
            return
        after = rows[-1][:3]
        if only is None and sum(came_to[-FIRST:]) <= FEW:
            for candidate in Heads(connection, claim, queue, skip).candidates(after, closed):
                yield [candidate]
            return
        wanted -= sum(came_to)  # or fewer, and then it takes another piece
        size = max(FIRST, min(MOST, wanted))
