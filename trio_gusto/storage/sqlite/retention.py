"""Old jobs: which are to go, and that they go.

Which are looked at is found in the index ``job_ended``, so a slice costs what it looks at, however
many jobs there are.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import orjson

from ...model.retention import Selection
from ..retention_messages import Prune, Pruned
from .archive import Archive, Copied
from .batches import forget_empty
from .heads import forget_empty_heads
from .reports import forget_reports
from .rows import EARLIEST, LATEST, NUMBERS

_FREE = (
    "NOT EXISTS (SELECT 1 FROM dependency WHERE parent IN (seq, -batch)) "
    "AND (batch IS NULL OR NOT EXISTS (SELECT 1 FROM job AS live WHERE live.batch = job.batch "
    "AND live.batch IS NOT NULL AND live.state < 4)) "
    "AND (schedule IS NULL OR NOT EXISTS (SELECT 1 FROM schedule AS its "
    "WHERE its.name = job.schedule AND its.last_job_id = job.id))"
)
"""Nobody needs the job any more."""

_OLDEST = (
    "SELECT json_group_array(seq) FROM (SELECT seq FROM job "
    f"WHERE state > 3 AND ended_at < ? AND {_FREE} AND {{}} ORDER BY ended_at LIMIT ?)"
)
_NOT_ASIDE = (
    "NOT EXISTS (SELECT 1 FROM json_each(?) AS aside "
    "WHERE created_at >= aside.value ->> 0 AND created_at < aside.value ->> 1)"
)
_MOVABLE = (
    f"created_at BETWEEN {EARLIEST} AND {LATEST} AND handler IN (SELECT handler FROM handler)"
)
"""What belongs into no month, or has no handler, stays: it would keep others from being moved."""

_OLD, _OLD_TO_MOVE = _OLDEST.format("TRUE"), _OLDEST.format(f"{_MOVABLE} AND {_NOT_ASIDE}")
_LOOKED_AT = (
    "SELECT seq, ended_at FROM job WHERE state > 3 AND (ended_at, seq) > (?, ?) AND ended_at < ? "
    "ORDER BY ended_at, seq LIMIT ?"
)
_AMONG = "seq IN (SELECT value FROM json_each(?))"
_NEWEST = "SELECT max(seq) FROM job"
_UNCHANGED = (
    "SELECT seq FROM (SELECT value ->> 0 AS this, value ->> 1 AS its_version FROM json_each(?)) "
    "JOIN job ON seq = this AND version = its_version "
    f"WHERE state > 3 AND seq < ({_NEWEST}) AND {_FREE}"
)
_ARCHIVED = "SELECT EXISTS (SELECT 1 FROM archive)"

_EARLIEST = (-(2**63), 0)


def prune(connection: sqlite3.Connection, archive: Archive | None, ask: Prune) -> Pruned:
    """Delete old jobs with their attempts, or move them to the archive, in one transaction."""
    if archive is None:
        old, pruned = _choose(connection, archive, ask)
        return _delete(connection, old, pruned, ask)
    return delete_copied(connection, archive, ask, copy(connection, archive, ask))


def copy(connection: sqlite3.Connection, archive: Archive, ask: Prune) -> tuple[Copied, Pruned]:
    """The first half of a move. It takes long, and needs no transaction.

    Returns what was copied, and what to answer if all of it is deleted.
    """
    aside = archive.aside
    old, pruned = _choose(connection, archive, ask)
    copied = archive.copy(connection, old)
    if pruned.mark is None and not any(copied.values()):
        # The oldest are the same ones the next time, unless they are not asked for any more.
        pruned.more = archive.aside != aside
    return copied, pruned


def delete_copied(
    connection: sqlite3.Connection, archive: Archive, ask: Prune, found: tuple[Copied, Pruned]
) -> Pruned:
    """The second half: of what was copied, what is as it was then, and is needed by nobody."""
    copied, pruned = found
    archive.remember(connection, copied)
    jobs = [job for of_month in copied.values() for job in of_month]
    rows = (orjson.dumps(jobs).decode(),)
    old = [seq for (seq,) in connection.execute(_UNCHANGED, rows)]
    return _delete(connection, old, pruned, ask)


def _choose(
    connection: sqlite3.Connection, archive: Archive | None, ask: Prune
) -> tuple[list[int], Pruned]:
    if ask.only is None and not ask.but:
        old, pruned = _oldest(connection, archive, ask)
    else:
        old, pruned = _selected(connection, archive, ask)
    if archive is not None or connection.execute(_ARCHIVED).fetchone()[0]:
        # SQLite gives the highest number once more when its row is gone, and it would then be that
        # of a job in the archive, too.
        (newest,) = connection.execute(_NEWEST).fetchone()
        kept = [seq for seq in old if seq != newest]
        if not kept and pruned.mark is None:
            pruned.more = False
        old = kept
    return old, pruned


def _delete(
    connection: sqlite3.Connection, old: Sequence[int], pruned: Pruned, ask: Prune
) -> Pruned:
    pruned.count = len(old)
    if old:
        rows = (orjson.dumps(old).decode(),)
        connection.execute(f"DELETE FROM attempt WHERE {_AMONG}", rows)
        forget_reports(connection, *rows)
        connection.execute(f"DELETE FROM job WHERE {_AMONG}", rows)
    forget_empty(connection, ask.ended_before)
    forget_empty_heads(connection)
    return pruned


def _oldest(
    connection: sqlite3.Connection, archive: Archive | None, ask: Prune
) -> tuple[list[int], Pruned]:
    """Those that ended first."""
    if archive is None:
        row = connection.execute(_OLD, (ask.ended_before, ask.limit)).fetchone()
    else:
        values = (ask.ended_before, archive.aside, ask.limit)
        row = connection.execute(_OLD_TO_MOVE, values).fetchone()
    old: list[int] = orjson.loads(row[0])
    return old, Pruned(len(old), more=0 < len(old) == ask.limit)


def _selected(
    connection: sqlite3.Connection, archive: Archive | None, ask: Prune
) -> tuple[list[int], Pruned]:
    """Among the next jobs in the order in which they ended."""
    mark = ask.mark or _EARLIEST
    looked_at = connection.execute(_LOOKED_AT, (*mark, ask.ended_before, ask.limit)).fetchall()
    conditions, values = [_AMONG, _FREE], [orjson.dumps([seq for seq, _ in looked_at]).decode()]
    if archive is not None:
        conditions.append(_MOVABLE)
    for selection, negation in (
        *(() if ask.only is None else ((ask.only, ""),)),
        *((selection, "NOT ") for selection in ask.but),
    ):
        condition, given = _selects(selection)
        conditions.append(f"{negation}({condition})")
        values += given
    where = " AND ".join(conditions)
    old = [seq for (seq,) in connection.execute(f"SELECT seq FROM job WHERE {where}", values)]
    if looked_at and len(looked_at) == ask.limit:
        seq, ended_at = looked_at[-1]
        return old, Pruned(len(old), more=True, mark=(ended_at, seq))
    return old, Pruned(len(old), mark=max(mark, (ask.ended_before, 0)))


def _selects(selection: Selection) -> tuple[str, Sequence[str]]:
    """The condition, never ``NULL``, and its values."""
    conditions, values = ["TRUE"], list[str]()
    among = "(SELECT value FROM json_each(?))"
    for condition, wanted in (
        (f"state IN {among}", [NUMBERS[state] for state in sorted(selection.states)]),
        (f"tenant IN {among}", sorted(selection.tenants)),
        (
            "EXISTS (SELECT 1 FROM json_each(iif(json_valid(details), details, '{}'), '$.tags') "
            f"WHERE value IN {among})",
            sorted(selection.tags),
        ),
    ):
        if wanted:
            conditions.append(condition)
            values.append(orjson.dumps(wanted).decode())
    return " AND ".join(conditions), values
