"""How many jobs there are, without going over all of them.

Jobs are counted by pieces, of `pieces.SIZE` neighbouring sequences each, and the counts of pieces are kept.
A kept count is a true statement about the past: when the piece had this mark, this last sequence and so
many jobs that were processing, it had these counts. Whether it holds now is found out when it is used.

Rule 1: a piece's mark goes up when one of its jobs is claimed, deleted, ends without an attempt, is changed
        after it has ended, or comes back from the archive. While it stays, jobs are only added, behind the
        last one, and only those that are processing can end, or wait again.
Rule 2: so while the mark and the last sequence are the same, processing jobs can only become fewer; and
        while there are as many, they are the same, and no job has ended.
Rule 3: queue and tenant of a job never change. So a piece's unfinished jobs are kept by them alone, and
        which state each is in is found in the indexes, which hold nothing else: all but the most
        frequent state are counted there, and that one is what is left over.

Nothing of this is done when a job is stored, claimed by the group that brings it, or completed; a claim from a
backlog raises the marks of the few pieces that it takes from. The one who asks pays, in the reading thread: a
step for each piece, for each processing job and for each job in another state than the most frequent one, and the
counting of pieces that have changed. Once there are `pieces.ENOUGH` of these, the writer is given their counts
to keep.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import attrs
import orjson

from ..finding_messages import Tallied
from . import pieces
from .pieces import ANY, Group, Piece
from .ready import LANE_READY, PLAIN_READY, oldest_ready
from .rows import WORDS

_UNFINISHED: Sequence[tuple[int, str]] = (
    (0, "state = 0"),
    (1, "state = 1"),
    (2, PLAIN_READY),
    (2, LANE_READY),
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
_KEPT = "SELECT number, mark, last_seq, processing FROM piece"
_SUM = "SELECT state, queue, tenant, count FROM piece_sum"
_COUNT = (
    "SELECT iif(state > 3, state, ?3), state, queue, tenant, count(*) FROM job "
    "WHERE seq >= ?1 AND seq < ?2 GROUP BY state, queue, tenant"
)
_PROCESSING = "SELECT seq >> {shift}, count(*) FROM job WHERE state = 3 GROUP BY 1"
_UP_TO = "SELECT count(*) FROM (SELECT 1 FROM job WHERE {} LIMIT ?)"
_OF_EACH = (
    "SELECT queue, tenant, count(*) FROM job WHERE {} "
    "AND seq >> {} IN (SELECT value FROM json_each(?)) GROUP BY queue, tenant"
)


@attrs.define
class Counted:
    """What was found: the answer, and what there is to be kept."""

    tallied: Tallied
    pieces: Sequence[Piece]

    def slices(self) -> Iterator[Sequence[Piece]]:
        """What to keep, a transaction at a time; nothing if that is not worth while."""
        if len(self.pieces) < pieces.ENOUGH:
            return
        part: list[Piece] = []
        size = 0
        for piece in self.pieces:
            part.append(piece)
            size += len(piece.counts)
            if size >= pieces.SLICE:
                yield part
                part, size = [], 0
        if part:
            yield part


def count_jobs(connection: sqlite3.Connection) -> Counted:
    """Count all jobs. To be called inside a transaction."""
    marks = dict(connection.execute(_MARKS).fetchall())
    walk = _LAST_OF_EACH.format(shift=pieces.SHIFT)
    last_of: dict[int, int] = dict(connection.execute(walk).fetchall())
    at_work = _PROCESSING.format(shift=pieces.SHIFT)
    processing: dict[int, int] = dict(connection.execute(at_work).fetchall())
    valid: set[int] = set()
    invalid: set[int] = set()
    for number, *statement in connection.execute(_KEPT):
        now = [marks.get(number & pieces.SLOT, 0), last_of.get(number), processing.get(number, 0)]
        (valid if statement == now else invalid).add(number)

    counts: Counter[Group] = Counter()
    for *group, count in connection.execute(_SUM):
        counts[pieces.group_of(group)] = count
    for kept in pieces.counts_of(connection, invalid):
        counts.subtract(kept)
    _tell_states(connection, counts, valid)
    fresh = [Piece(number, 0, 0, 0, {}) for number in invalid - last_of.keys()]
    for number in last_of.keys() - valid:
        exactly, piece = _count(connection, number)
        counts.update(exactly)
        mark = marks.get(number & pieces.SLOT, 0)
        fresh.append(Piece(number, mark, last_of[number], processing.get(number, 0), piece))
    newest = sorted(last_of)[-1:]  # it is growing, and would have to be written time and again
    return Counted(
        Tallied(
            {(WORDS[state], queue, tenant): n for (state, queue, tenant), n in counts.items() if n},
            oldest_ready(connection),
        ),
        [piece for piece in fresh if piece.number not in newest],
    )


def _tell_states(
    connection: sqlite3.Connection, counts: Counter[Group], valid: Collection[int]
) -> None:
    """Tell the states of the jobs of valid pieces, which are kept without."""
    left: Counter[tuple[str, str]] = Counter()
    for group in [group for group in counts if group[0] == ANY]:
        left[group[1:]] = counts.pop(group)
    most_frequent = _most_frequent(connection)
    among = orjson.dumps(list(valid)).decode()
    for index, (state, condition) in enumerate(_UNFINISHED):
        if index == most_frequent:
            continue
        for queue, tenant, count in connection.execute(
            _OF_EACH.format(condition, pieces.SHIFT), (among,)
        ):
            counts[state, queue, tenant] += count
            left[queue, tenant] -= count
    for (queue, tenant), count in left.items():
        counts[_UNFINISHED[most_frequent][0], queue, tenant] += count


def _most_frequent(connection: sqlite3.Connection) -> int:
    """Which of the conditions most jobs satisfy, found without counting those."""
    limit = 1000
    running = list(range(len(_UNFINISHED)))
    while True:
        counted = {
            index: connection.execute(_UP_TO.format(_UNFINISHED[index][1]), (limit,)).fetchone()[0]
            for index in running
        }
        longest = max(running, key=counted.__getitem__)
        running = [index for index in running if counted[index] == limit]
        if len(running) <= 1:
            return longest
        limit *= 4


def _count(connection: sqlite3.Connection, number: int) -> tuple[Counter[Group], Counter[Group]]:
    """The jobs of one piece by their states, and as they are kept."""
    exactly: Counter[Group] = Counter()
    kept: Counter[Group] = Counter()
    values = (number << pieces.SHIFT, (number + 1) << pieces.SHIFT, ANY)
    for kept_as, state, queue, tenant, count in connection.execute(_COUNT, values):
        exactly[state, queue, tenant] = count
        kept[kept_as, queue, tenant] += count
    return exactly, kept
