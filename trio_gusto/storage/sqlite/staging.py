"""Jobs that are put by for a batch, and become jobs all at once.

They wait in a table of their own, which nothing but this module reads. So nothing else has to know of
them, and they cost nobody anything. Becoming jobs is one statement, whatever their number: it runs
inside SQLite, with the interpreter's lock released.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import cache

from ...model.batch import STAGE_LIFE
from ...model.errors import BatchError
from ...model.ids import JobId, to_uuid
from ..batch_messages import Discard, Discarded, InsertBatch, Stage, Staged
from ..lease_messages import Stranded
from .heads import note_rows
from .inserting import Key, chunks
from .names import Names
from .presence import IsGone
from .rows import OWN_COLUMNS, own_values, state_values

_COLUMNS = f"state, due, {OWN_COLUMNS}"
_WIDTH = _COLUMNS.count(",") + 3  # with stage and position

_FIND = "SELECT number, count FROM stage WHERE id = ?"
_OPEN = "INSERT INTO stage (id, node, touched_at, count) VALUES (?, ?, ?, 0)"
_GROW = "UPDATE stage SET count = count + ?, touched_at = ? WHERE number = ?"
_PUBLISH = (
    f"INSERT INTO job ({_COLUMNS}, batch) SELECT {_COLUMNS}, ?2 FROM staged WHERE stage = ?1 "
    "ORDER BY position"
)
_KEYS = (
    "SELECT staged.id, ref_id FROM staged JOIN stage ON stage = number WHERE stage.id = ? "
    "ORDER BY position"
)
_CLEAR = "DELETE FROM staged WHERE stage = ?"
_DROP = "DELETE FROM stage WHERE number = ?"
_CLEAR_SOME = (
    "DELETE FROM staged WHERE stage = ?1 AND position IN "
    "(SELECT position FROM staged WHERE stage = ?1 ORDER BY position LIMIT ?2)"
)
_ANY_LEFT = "SELECT EXISTS (SELECT 1 FROM staged WHERE stage = ?)"
_ABANDON = "UPDATE stage SET count = -1 WHERE number = ?"
_STAGES = "SELECT id, node, touched_at FROM stage ORDER BY number"

_STAGED = Staged()


def put_by(connection: sqlite3.Connection, names: Names, stage: Stage) -> Staged | BatchError:
    """Add jobs to a stage; the first ones open it."""
    row = connection.execute(_FIND, (stage.stage,)).fetchone()
    found = 0 if row is None else row[1]
    if found != stage.position:
        return BatchError.unstaged(to_uuid(stage.batch), stage.position, max(found, 0))
    if row is None:
        number = connection.execute(_OPEN, (stage.stage, stage.node, stage.now)).lastrowid
    else:
        number = row[0]
    jobs = list(zip(stage.jobs.requests, stage.jobs.states, strict=True))
    for first, size in chunks(len(jobs)):
        values: list[object] = []
        for offset, (request, state) in enumerate(jobs[first : first + size], first):
            state_and_due = state_values(state, request.created_at, names)[:2]
            values += (number, found + offset, *state_and_due, *own_values(request, names))
        connection.execute(_insert(size), values)
    connection.execute(_GROW, (len(jobs), stage.now, number))
    return _STAGED


def missing_from(connection: sqlite3.Connection, write: InsertBatch) -> BatchError | None:
    """What is wrong with what was staged for a batch."""
    if write.stage is None:
        return None
    row = connection.execute(_FIND, (write.stage,)).fetchone()
    if row is not None and row[1] == write.staged:
        return None
    found = 0 if row is None else row[1]
    return BatchError.unstaged(to_uuid(write.batch.id), write.staged, max(found, 0))


def publish(connection: sqlite3.Connection, names: Names, write: InsertBatch) -> None:
    """Make jobs of what was staged for a batch, which is stored.

    Raises:
        sqlite3.IntegrityError: one of them exists.
    """
    if write.stage is None:
        return
    (number, _) = connection.execute(_FIND, (write.stage,)).fetchone()
    cursor = connection.execute(_PUBLISH, (number, names.batch_number(write.batch.id)))
    assert cursor.lastrowid is not None
    note_rows(connection, cursor.lastrowid - cursor.rowcount + 1, cursor.lastrowid)
    connection.execute(_CLEAR, (number,))
    connection.execute(_DROP, (number,))


def keys_of(connection: sqlite3.Connection, stage: JobId) -> Iterator[Key]:
    """What of the staged jobs must be unique, in their order."""
    for job_id, ref_id in connection.execute(_KEYS, (stage,)):
        yield JobId(job_id), ref_id


def discard(connection: sqlite3.Connection, write: Discard) -> Discarded:
    """Throw away a part of a stage, and the stage with its last job."""
    row = connection.execute(_FIND, (write.stage,)).fetchone()
    if row is None:
        return Discarded(0)
    (number, _) = row
    gone = connection.execute(_CLEAR_SOME, (number, write.limit)).rowcount
    (more,) = connection.execute(_ANY_LEFT, (number,)).fetchone()
    connection.execute(_ABANDON if more else _DROP, (number,))
    return Discarded(gone)


def left_behind(connection: sqlite3.Connection, query: Stranded, is_gone: IsGone) -> list[JobId]:
    """The stages of nodes that are gone; where nobody can know that, those that are old."""
    left: list[JobId] = []
    for stage, node, touched_at in connection.execute(_STAGES).fetchall():
        gone = False if node == query.node else is_gone(node)
        if gone is None:
            gone = touched_at <= query.now - STAGE_LIFE
        if gone:
            left.append(JobId(stage))
    return left


@cache
def _insert(size: int) -> str:
    row = f"({', '.join('?' * _WIDTH)})"
    return f"INSERT INTO staged (stage, position, {_COLUMNS}) VALUES {', '.join([row] * size)}"
