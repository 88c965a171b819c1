"""What running jobs say of themselves, and what is found where they do not end in time: three tables that
are empty while there is no such thing."""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3

from ...model.ids import JobId
from ...model.joblog import LogLine, is_told_again
from ..report_messages import (
    DossiersFound,
    LogFound,
    ReadDossiers,
    ReadLog,
    Report,
    Reported,
    Saying,
)
from .rows import require_instants

_FIND = "SELECT seq FROM job WHERE id = ? AND version = ? AND state = 3"
_PUT_PROGRESS = (
    "INSERT INTO progress (seq, percent, message) VALUES (?, ?, ?) "
    "ON CONFLICT (seq) DO UPDATE SET percent = excluded.percent, message = excluded.message"
)
_LAST = (
    "SELECT number, begins + length(CAST(message AS BLOB)), token, told FROM job_log "
    "WHERE seq = ? ORDER BY number DESC LIMIT 1"
)
LOG_COLUMNS = "seq, number, begins, token, told, at, level, message"
PROGRESS_COLUMNS = "seq, percent, message"
DOSSIER_COLUMNS = "seq, token, text"

_PUT_LINE = f"INSERT INTO job_log ({LOG_COLUMNS}) VALUES ({', '.join('?' * 8)})"
_CUT_BY_NUMBER = "DELETE FROM job_log WHERE seq = ? AND number <= ?"
_CUT_BY_SIZE = "DELETE FROM job_log WHERE seq = ? AND number < ? AND begins < ?"
_LOG = (
    "SELECT number, at, level, message FROM job_log "
    "WHERE seq = (SELECT seq FROM job WHERE id = ?) ORDER BY number"
)
_PUT_DOSSIER = f"INSERT OR REPLACE INTO dossier ({DOSSIER_COLUMNS}) VALUES (?, ?, ?)"
_CUT_DOSSIERS = (
    "DELETE FROM dossier WHERE seq = ?1 AND token NOT IN "
    "(SELECT token FROM dossier WHERE seq = ?1 ORDER BY token DESC LIMIT ?2)"
)
_KEPT_DOSSIERS = f"SELECT {DOSSIER_COLUMNS} FROM dossier WHERE seq = ?"
_HAS_DOSSIERS = "SELECT 1 FROM sqlite_schema WHERE name = 'dossier'"
_DOSSIERS = (
    "SELECT token, text FROM dossier WHERE seq = (SELECT seq FROM job WHERE id = ?) ORDER BY token"
)
_FORGET = (
    "DELETE FROM progress WHERE seq IN (SELECT value FROM json_each(?))",
    "DELETE FROM job_log WHERE seq IN (SELECT value FROM json_each(?))",
    "DELETE FROM dossier WHERE seq IN (SELECT value FROM json_each(?))",
)


def put_report(connection: sqlite3.Connection, report: Report) -> Reported:
    """Keep what is said under a valid lease."""
    refused: list[JobId] = []
    for saying in report.sayings:
        row = connection.execute(_FIND, (saying.job_id, saying.token)).fetchone()
        if row is None:
            refused.append(saying.job_id)
            continue
        (seq,) = row
        if saying.progress is not None:
            values = (seq, float(saying.progress.percent), saying.progress.message)
            connection.execute(_PUT_PROGRESS, values)
        if saying.lines:
            _put_lines(connection, seq, saying, report)
        if saying.dossier is not None:
            connection.execute(_PUT_DOSSIER, (seq, saying.token, saying.dossier))
            connection.execute(_CUT_DOSSIERS, (seq, report.most_dossiers))
    return Reported(tuple(refused))


def _put_lines(connection: sqlite3.Connection, seq: int, saying: Saying, report: Report) -> None:
    number = end = 0
    last = connection.execute(_LAST, (seq,)).fetchone()
    if last is not None:
        number, end, last_teller, last_told = last
        if is_told_again(last_teller, last_told, saying.token, saying.told):
            return
    told = saying.told + saying.dropped
    too_old = 0
    if saying.dropped:
        number += saying.dropped
        too_old = number
    rows: list[tuple[object, ...]] = []
    for line in saying.lines:
        number += 1
        told += 1
        rows.append((seq, number, end, saying.token, told, line.at, line.level, line.message))
        end += line.size
    connection.executemany(_PUT_LINE, rows)
    too_old = max(too_old, number - report.most_lines)
    if too_old > 0:
        connection.execute(_CUT_BY_NUMBER, (seq, too_old))
    if end > report.most_bytes:
        connection.execute(_CUT_BY_SIZE, (seq, number, end - report.most_bytes))


def find_log(connection: sqlite3.Connection, query: ReadLog) -> LogFound:
    """The log of one job."""
    rows = connection.execute(_LOG, (query.job_id,)).fetchall()
    require_instants(*(row[1] for row in rows))
    lines = [LogLine(at, level, message) for _, at, level, message in rows]
    return LogFound(tuple(lines), rows[0][0] - 1 if rows else 0)


def find_dossiers(connection: sqlite3.Connection, query: ReadDossiers) -> DossiersFound:
    """The dossiers of one job."""
    return DossiersFound(dict(connection.execute(_DOSSIERS, (query.job_id,))))


Told = tuple[list[tuple[object, ...]], list[tuple[object, ...]], list[tuple[object, ...]]]
"""The rows of one job in each table."""


def has_dossiers(connection: sqlite3.Connection) -> bool:
    """Whether a file has the table of dossiers."""
    return connection.execute(_HAS_DOSSIERS).fetchone() is not None


def reports_of(connection: sqlite3.Connection, seq: int) -> Told:
    """What a job has said, as it is kept. A month that an older version has made knows no dossiers."""
    progress = connection.execute(f"SELECT {PROGRESS_COLUMNS} FROM progress WHERE seq = ?", (seq,))
    log = connection.execute(f"SELECT {LOG_COLUMNS} FROM job_log WHERE seq = ?", (seq,))
    dossiers: list[tuple[object, ...]] = []
    if has_dossiers(connection):
        dossiers = connection.execute(_KEPT_DOSSIERS, (seq,)).fetchall()
    return progress.fetchall(), log.fetchall(), dossiers


def bring_back_reports(connection: sqlite3.Connection, told: Told) -> None:
    """Keep what a job has said that comes from the archive."""
    progress, log, dossiers = told
    connection.executemany(f"INSERT INTO progress ({PROGRESS_COLUMNS}) VALUES (?, ?, ?)", progress)
    connection.executemany(_PUT_LINE, log)
    connection.executemany(_PUT_DOSSIER, dossiers)


def forget_reports(connection: sqlite3.Connection, seqs: str) -> None:
    """The jobs in these rows, a JSON array, are deleted."""
    for statement in _FORGET:
        connection.execute(statement, (seqs,))
