"""Moving jobs to the archive, and back.

SQLite commits a transaction over two files at once only where neither has a write-ahead log. So a
job is copied first, with a commit of its month that is on the disk, and deleted from the main file
then. In between it is in both, and whoever reads believes the main file; after a crash there, the
next round copies it once more over itself.

Copying locks nothing in the main file, so it may be done while others write there. What was changed
meanwhile has another version, and is not deleted.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from time import monotonic

import orjson

from ...model.errors import NotOurDatabase, SchemaTooNew
from ...model.ids import JobId
from .months import Months, bounds_of, month_of
from .names import Names
from .pieces import touch
from .reports import (
    DOSSIER_COLUMNS,
    LOG_COLUMNS,
    PROGRESS_COLUMNS,
    Told,
    bring_back_reports,
    reports_of,
)
from .rows import ATTEMPT_COLUMNS, LANE_AND_ROOM, Row

SET_ASIDE = 300.0
"""Seconds for which a month is left alone that could not be written to."""

_PLAIN = (
    "seq, id, args, created_at, due, max_attempts, timeout, queue, priority, tenant, state, "
    "attempt, version, claimed_at, lease_until, started_at, ended_at, result, reason, "
    "execute_after, expire_on, ref_id, details, schedule, fire_time"
)
"""The columns that mean the same in every file; handlers and nodes have other numbers."""

Copied = Mapping[str, Sequence[tuple[int, int]]]
"""For each month the sequences and versions of the jobs that were copied there."""

_WIDTH = _PLAIN.count(",") + 1

_THESE = "(SELECT value ->> 0 FROM json_each(?))"
_SAME = (
    "JOIN (SELECT value ->> 0 AS this, value ->> 1 AS its_version FROM json_each(?)) "
    "ON seq = this AND version = its_version"
)
_LOCK = "DELETE FROM main.job WHERE FALSE"
"""Takes the lock of the month before anything is read from the main file: whoever copies a job later
does so from a later state of it."""

_COPY = (
    "INSERT OR IGNORE INTO main.handler (name, job_type, method_name) "
    "SELECT name, job_type, method_name FROM live.handler "
    f"WHERE handler IN (SELECT handler FROM live.job WHERE seq IN {_THESE})",
    "INSERT OR IGNORE INTO main.node (node_name) SELECT node_name FROM live.node "
    f"WHERE node IN (SELECT node FROM live.job WHERE seq IN {_THESE})",
    "DELETE FROM main.attempt WHERE seq IN (SELECT seq FROM main.job WHERE id IN "
    f"(SELECT id FROM live.job WHERE seq IN {_THESE}))",
    *(
        f"DELETE FROM main.{table} WHERE seq IN (SELECT seq FROM main.job WHERE id IN "
        f"(SELECT id FROM live.job WHERE seq IN {_THESE}))"
        for table in ("progress", "job_log", "dossier")
    ),
    f"DELETE FROM main.job WHERE id IN (SELECT id FROM live.job WHERE seq IN {_THESE})",
    # Another job with this sequence, of another life of the main file, has SQLite refuse.
    f"INSERT INTO main.job ({_PLAIN}, handler, node) SELECT {_PLAIN}, "
    "(SELECT own.handler FROM main.handler AS own JOIN live.handler AS its "
    "USING (name, job_type, method_name) WHERE its.handler = job.handler), "
    "(SELECT own.node FROM main.node AS own JOIN live.node AS its USING (node_name) "
    f"WHERE its.node = job.node) FROM live.job AS job {_SAME}",
    f"INSERT INTO main.attempt (seq, {ATTEMPT_COLUMNS}) SELECT seq, {ATTEMPT_COLUMNS} "
    f"FROM live.attempt WHERE seq IN {_THESE}",
    f"INSERT INTO main.progress ({PROGRESS_COLUMNS}) SELECT {PROGRESS_COLUMNS} "
    f"FROM live.progress WHERE seq IN {_THESE}",
    f"INSERT INTO main.job_log ({LOG_COLUMNS}) SELECT {LOG_COLUMNS} "
    f"FROM live.job_log WHERE seq IN {_THESE}",
    f"INSERT INTO main.dossier ({DOSSIER_COLUMNS}) SELECT {DOSSIER_COLUMNS} "
    f"FROM live.dossier WHERE seq IN {_THESE}",
)
_COPIED = f"SELECT seq, version FROM main.job {_SAME} ORDER BY seq"
_REMEMBER = (
    "INSERT INTO archive VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
    "first_seq = min(first_seq, excluded.first_seq), last_seq = max(last_seq, excluded.last_seq)"
)

_KEPT = (
    f"SELECT {_PLAIN}, name, job_type, method_name, node_name, details ->> '$.batch', "
    f"details ->> '$.unique_key', {LANE_AND_ROOM} "
    "FROM job LEFT JOIN handler USING (handler) LEFT JOIN node USING (node) WHERE id = ?"
)
_BRING_BACK = (
    f"INSERT INTO job ({_PLAIN}, handler, node, batch, unique_key, lane, room) "
    f"VALUES ({', '.join('?' * (_WIDTH + 2))}, "
    "(SELECT number FROM batch WHERE hex(id) = upper(?)), ?, ?, ?)"
)

_READ_ATTEMPTS = f"SELECT seq, {ATTEMPT_COLUMNS} FROM attempt WHERE seq = ?"
_KEEP_ATTEMPT = f"INSERT INTO attempt (seq, {ATTEMPT_COLUMNS}) VALUES ({', '.join('?' * 9)})"


class Archive:
    """The archive, as the writing connection uses it."""

    def __init__(self, months: Months) -> None:
        self._months = months
        self._aside: dict[str, float] = {}
        """Months that could not be written to, and until when they are left alone."""

    @property
    def aside(self) -> str:
        """From when until when the jobs were made that cannot be moved now, as JSON."""
        now = monotonic()
        self._aside = {month: until for month, until in self._aside.items() if now < until}
        return orjson.dumps([bounds_of(month) for month in self._aside]).decode()

    def copy(self, connection: sqlite3.Connection, seqs: Sequence[int]) -> Copied:
        """Copy ended jobs, which ``connection`` sees, to their months.

        What is copied is what is committed. A month that cannot be written to is left alone for a
        while, with a warning, and its jobs stay.
        """
        by_month: dict[str, list[tuple[int, int]]] = {}
        for seq, version, created_at in connection.execute(
            "SELECT seq, version, created_at FROM job "
            "WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq",
            (orjson.dumps(seqs).decode(),),
        ).fetchall():
            by_month.setdefault(month_of(created_at), []).append((seq, version))
        copied: dict[str, list[tuple[int, int]]] = {}
        for month, jobs in by_month.items():
            if month in self._aside:
                continue
            try:
                copied[month] = self._copy(month, jobs)
            except (sqlite3.Error, NotOurDatabase, SchemaTooNew) as error:
                self._aside[month] = monotonic() + SET_ASIDE
                self._months.warn(month, error, "its jobs stay where they are")
        return copied

    def _copy(self, month: str, jobs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Those of the jobs, pairs of sequence and version, that are in the month when this returns."""
        these = (orjson.dumps(jobs).decode(),)
        with self._months.opened(month) as copy:
            copy.execute("ATTACH ? AS live", (f"{self._months.main.as_uri()}?mode=ro",))
            copy.execute("BEGIN")  # not IMMEDIATE: that would want to write to both
            copy.execute(_LOCK)
            for statement in _COPY:
                copy.execute(statement, these)
            copied: list[tuple[int, int]] = copy.execute(_COPIED, these).fetchall()
            copy.execute("COMMIT")
        return copied

    def remember(self, connection: sqlite3.Connection, copied: Copied) -> None:
        """Note in the main file which sequences the months have by now."""
        connection.executemany(
            _REMEMBER,
            [(month, jobs[0][0], jobs[-1][0]) for month, jobs in copied.items() if jobs],
        )

    def bring_back(self, connection: sqlite3.Connection, names: Names, job_id: JobId) -> bool:
        """Put a job into the main file that is in the archive only, because it will run again.

        To be called inside a transaction. What stays in the archive is hidden by the main file, and
        overwritten when the job is moved again.
        """
        for month in self._months.by_likelihood(job_id):
            kept = self._months.look(month, partial(_kept, job_id=job_id))
            if kept is not None:
                row, attempts, told = kept
                name, job_type, method_name, node, *columns = row[_WIDTH:]
                handler = names.handler_number((name, job_type, method_name))
                number = None if node is None else names.node_number(node)
                values = (*row[:_WIDTH], handler, number, *columns)
                connection.execute(_BRING_BACK, values)
                touch(connection, [row[0]])
                connection.executemany(_KEEP_ATTEMPT, attempts)
                bring_back_reports(connection, told)
                return True
        return False


def _kept(archive: sqlite3.Connection, job_id: JobId) -> tuple[Row, list[Row], Told] | None:
    """A job, its attempts and what it has said, as a month has them."""
    row = archive.execute(_KEPT, (job_id,)).fetchone()
    if row is None:
        return None
    attempts = archive.execute(_READ_ATTEMPTS, row[:1]).fetchall()
    return row, attempts, reports_of(archive, row[0])
