"""How many jobs there are, without going over all of them.

Jobs are counted by pieces, of `SIZE` neighbouring sequences each, and the counts of pieces are kept.
A kept count is a true statement about the past: when the piece had this mark, this last sequence and so
many unfinished jobs, it had these counts. Whether it holds now is found out when it is used.

Rule 1: a piece's mark goes up when one of its jobs is deleted, is changed after it has ended, or comes
        back from the archive. While it stays, jobs are only added, behind the last one, and end.
Rule 2: so while the mark and the last sequence are the same, unfinished jobs can only become fewer; and
        while there are as many, they are the same, and so are those that have ended.
Rule 3: queue and tenant of a job never change. So a piece's unfinished jobs are kept by them alone, and
        which state each is in is found in the indexes, which hold nothing else: all but the most
        frequent state are counted there, and that one is what is left over.

Nothing of this is done when a job is stored, claimed or completed. The one who asks pays, in the reading
thread: a step for each piece and each unfinished job, and the counting of pieces that have changed.
Once there are `ENOUGH` of these, the writer is given their counts to keep.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import attrs
import orjson

from ..messages import Tallied
from .ready import WORKER_READY, oldest_ready
from .rows import WORDS, Row

SHIFT = 11
SIZE = 1 << SHIFT
"""Sequences of a piece; the triggers have it, too."""

SLOT = 4095
"""Distant pieces share a mark, so that there are few; the triggers have this, too."""

ENOUGH = 4
"""Changed pieces for which it is worth while to write."""

SLICE = 5000
"""Counts that are written in one transaction, so that other writes need not wait long."""

_ANY = -1
"""Stands for the state of an unfinished job, which changes."""

Group = tuple[int, str, str]
"""State, queue and tenant."""

_UNFINISHED: Sequence[tuple[int, str]] = (
    (0, "state = 0"),
    (1, "state = 1"),
    (2, "state = 2 AND worker IS NULL"),
    (2, WORKER_READY),
    (3, "state = 3"),
)
"""Each state, and the condition of an index that has its jobs."""

_MARKS = "SELECT slot, changes FROM piece_mark"
# From the newest end: the last row of all, and then of each piece before, by one step for each.
_LAST_OF_EACH = """
WITH RECURSIVE walk(last) AS (
  SELECT max(seq) FROM job
  UNION ALL
  SELECT (SELECT max(seq) FROM job WHERE seq < (last >> {shift}) << {shift}) FROM walk
  WHERE last IS NOT NULL
)
SELECT last >> {shift}, last FROM walk WHERE last IS NOT NULL
"""
_KEPT = "SELECT number, mark, last_seq, unfinished FROM piece"
_SUM = "SELECT state, queue, tenant, count FROM piece_sum"
_COUNTS_OF = "SELECT counts FROM piece WHERE number IN (SELECT value FROM json_each(?))"
_COUNT = (
    "SELECT iif(state > 3, state, ?3), state, queue, tenant, count(*) FROM job "
    "WHERE seq >= ?1 AND seq < ?2 GROUP BY state, queue, tenant"
)
_OF_EACH = (
    "SELECT queue, tenant, count(*) FROM job WHERE {} "
    "AND seq >> {} IN (SELECT value FROM json_each(?)) GROUP BY queue, tenant"
)

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
    unfinished: int
    counts: Mapping[Group, int]


@attrs.define
class Counted:
    """What was found: the answer, and what there is to be kept."""

    tallied: Tallied
    pieces: Sequence[Piece]

    def slices(self) -> Iterator[Sequence[Piece]]:
        """What to keep, a transaction at a time; nothing if that is not worth while."""
        if len(self.pieces) < ENOUGH:
            return
        part: list[Piece] = []
        size = 0
        for piece in self.pieces:
            part.append(piece)
            size += len(piece.counts)
            if size >= SLICE:
                yield part
                part, size = [], 0
        if part:
            yield part


def count_jobs(connection: sqlite3.Connection) -> Counted:
    """Count all jobs. To be called inside a transaction."""
    marks = dict(connection.execute(_MARKS).fetchall())
    last_of: dict[int, int] = dict(connection.execute(_LAST_OF_EACH.format(shift=SHIFT)).fetchall())
    unfinished = [_by_piece(connection, condition) for _, condition in _UNFINISHED]
    together: Counter[int] = sum(unfinished, Counter())
    valid: set[int] = set()
    invalid: set[int] = set()
    for number, *statement in connection.execute(_KEPT):
        now = [marks.get(number & SLOT, 0), last_of.get(number), together[number]]
        (valid if statement == now else invalid).add(number)

    counts: Counter[Group] = Counter()
    for *group, count in connection.execute(_SUM):
        counts[_group(group)] = count
    for kept in _counts_of(connection, invalid):
        counts.subtract(kept)
    _tell_states(connection, counts, unfinished, valid)
    fresh = [Piece(number, 0, 0, 0, {}) for number in invalid - last_of.keys()]
    for number in last_of.keys() - valid:
        exactly, piece = _count(connection, number)
        counts.update(exactly)
        mark = marks.get(number & SLOT, 0)
        fresh.append(Piece(number, mark, last_of[number], together[number], piece))
    newest = max(last_of, default=0)  # it is growing, and would have to be written time and again
    return Counted(
        Tallied(
            {(WORDS[state], queue, tenant): n for (state, queue, tenant), n in counts.items() if n},
            oldest_ready(connection),
        ),
        [piece for piece in fresh if piece.number != newest],
    )


def keep(connection: sqlite3.Connection, pieces: Sequence[Piece]) -> None:
    """Write down what was counted. To be called inside a transaction of the writer.

    It does not matter what has happened meanwhile, as what is kept says itself when it holds.
    """
    numbers = [piece.number for piece in pieces]
    change: Counter[Group] = Counter()
    for kept in _counts_of(connection, numbers):
        change.subtract(kept)
    connection.execute(_FORGET, (orjson.dumps(numbers).decode(),))
    for piece in pieces:
        if not piece.counts:
            continue
        change.update(piece.counts)
        listed = orjson.dumps([[*group, n] for group, n in piece.counts.items()]).decode()
        statement = (piece.number, piece.mark, piece.last, piece.unfinished)
        connection.execute(_KEEP, (*statement, listed))
    connection.executemany(_ADD, [(*group, n) for group, n in change.items() if n])
    connection.execute(_CLEAN)


def touch(connection: sqlite3.Connection, seq: int) -> None:
    """Raise the mark of a job's piece, where no trigger does it."""
    connection.execute(_TOUCH, ((seq >> SHIFT) & SLOT,))


def _by_piece(connection: sqlite3.Connection, condition: str) -> Counter[int]:
    """How many jobs of each piece satisfy one of the conditions, read off its index alone."""
    return Counter(
        dict(
            connection.execute(
                f"SELECT seq >> {SHIFT}, count(*) FROM job WHERE {condition} GROUP BY 1"
            ).fetchall()
        )
    )


def _tell_states(
    connection: sqlite3.Connection,
    counts: Counter[Group],
    unfinished: Sequence[Mapping[int, int]],
    valid: Collection[int],
) -> None:
    """Tell the states of the jobs that are kept without; ``unfinished`` are those of each condition."""
    there = [sum(n for number, n in each.items() if number in valid) for each in unfinished]
    most_frequent = max(range(len(there)), key=there.__getitem__)
    pieces = orjson.dumps(list(valid)).decode()
    left: Counter[tuple[str, str]] = Counter()
    for group in [group for group in counts if group[0] == _ANY]:
        left[group[1:]] = counts.pop(group)
    for index, (state, condition) in enumerate(_UNFINISHED):
        if index == most_frequent or not there[index]:
            continue
        for queue, tenant, count in connection.execute(
            _OF_EACH.format(condition, SHIFT), (pieces,)
        ):
            counts[state, queue, tenant] += count
            left[queue, tenant] -= count
    for (queue, tenant), count in left.items():
        counts[_UNFINISHED[most_frequent][0], queue, tenant] += count


def _count(connection: sqlite3.Connection, number: int) -> tuple[Counter[Group], Counter[Group]]:
    """The jobs of one piece by their states, and as they are kept."""
    exactly: Counter[Group] = Counter()
    kept: Counter[Group] = Counter()
    values = (number << SHIFT, (number + 1) << SHIFT, _ANY)
    for kept_as, state, queue, tenant, count in connection.execute(_COUNT, values):
        exactly[state, queue, tenant] += count
        kept[kept_as, queue, tenant] += count
    return exactly, kept


def _counts_of(
    connection: sqlite3.Connection, numbers: Iterable[int]
) -> Iterable[Mapping[Group, int]]:
    rows = connection.execute(_COUNTS_OF, (orjson.dumps(list(numbers)).decode(),)).fetchall()
    for (text,) in rows:
        yield {_group(group): count for *group, count in orjson.loads(text)}


def _group(values: Row) -> Group:
    """SQLite's columns and JSON have no static types."""
    state, queue, tenant = values
    return state, queue, tenant
