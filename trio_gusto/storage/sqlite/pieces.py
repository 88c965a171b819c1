"""Pieces of neighbouring jobs, and what is kept of them; what makes it hold is told in `counts`.

All statements about pieces stand in the table ``piece``, and their sum in ``piece_sum``. Both are changed
together.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs
import orjson

from .rows import Row

SHIFT = 11
SIZE = 1 << SHIFT
"""Sequences of a piece; the trigger has it, too."""

SLOT = 4095
"""Distant pieces share a mark, so that there are few; the trigger has this, too."""

ENOUGH = 4
"""Changed pieces for which it is worth while to write."""

SLICE = 5000
"""Counts that are written in one transaction, so that other writes need not wait long."""

ANY = -1
"""Stands for the state of an unfinished job, which changes."""

Group = tuple[int, str, str]
"""State, queue and tenant."""

_COUNTS_OF = "SELECT counts FROM piece WHERE number IN (SELECT value FROM json_each(?))"

_KEEP = "INSERT OR REPLACE INTO piece VALUES (?, ?, ?, ?, ?)"
_FORGET = "DELETE FROM piece WHERE number IN (SELECT value FROM json_each(?))"
_ADD = (
    "INSERT INTO piece_sum VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET count = count + excluded.count"
)
_CLEAN = "DELETE FROM piece_sum WHERE count = 0"
_TOUCH = (
    "INSERT INTO piece_mark VALUES (?, 1) ON CONFLICT (slot) DO UPDATE SET changes = changes + 1"
)


@attrs.define
class Piece:
    """A statement about a piece, and what it had when the statement was made; perhaps nothing."""

    number: int
    mark: int
    last: int
    processing: int
    counts: Mapping[Group, int]


def keep(connection: sqlite3.Connection, pieces: Sequence[Piece]) -> None:
    """Write down what was counted. To be called inside a transaction of the writer.

    It does not matter what has happened meanwhile, as what is kept says itself when it holds.
    """
    numbers = [piece.number for piece in pieces]
    change: Counter[Group] = Counter()
    for kept in counts_of(connection, numbers):
        change.subtract(kept)
    connection.execute(_FORGET, (orjson.dumps(numbers).decode(),))
    for piece in pieces:
        if not piece.counts:
            continue
        change.update(piece.counts)
        listed = orjson.dumps([[*group, n] for group, n in piece.counts.items()]).decode()
        statement = (piece.number, piece.mark, piece.last, piece.processing)
        connection.execute(_KEEP, (*statement, listed))
    connection.executemany(_ADD, [(*group, n) for group, n in change.items() if n])
    connection.execute(_CLEAN)


def touch(connection: sqlite3.Connection, seqs: Iterable[int]) -> None:
    """Raise the marks of these jobs' pieces, because they were claimed, or changed their state otherwise than by
    the end of an attempt, or have come back.

    When a job is deleted, a trigger does it.
    """
    slots = {(seq >> SHIFT) & SLOT for seq in seqs}
    connection.executemany(_TOUCH, [(slot,) for slot in slots])


def counts_of(
    connection: sqlite3.Connection, numbers: Iterable[int]
) -> Iterable[Mapping[Group, int]]:
    """What is kept of the counts of these pieces."""
    rows = connection.execute(_COUNTS_OF, (orjson.dumps(list(numbers)).decode(),)).fetchall()
    for (text,) in rows:
        yield {group_of(group): count for *group, count in orjson.loads(text)}


def group_of(values: Row) -> Group:
    """SQLite's columns and JSON have no static types."""
    state, queue, tenant = values
    return state, queue, tenant
