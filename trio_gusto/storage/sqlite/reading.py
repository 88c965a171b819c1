"""Rows that may be bad: one that cannot be read hurts itself only.

Who asks for it is told with an error that names it. Who moves jobs on is given as much of it as he needs for
that, or it is left out, with a warning.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...model.errors import UnreadableRecord
from ...model.ids import JobId, to_uuid
from ...model.job import AttemptRecord, Details, JobRequest, StoredJob
from ...model.states import JobState, Processing, State, Waiting
from .errors import is_about_a_value
from .rows import (
    ATTEMPT_COLUMNS,
    NUMBERS,
    UNREADABLE,
    Row,
    attempt_of,
    details_of,
    is_instant,
    require_counts,
    state_of,
    stored_job,
)

_HISTORY = f"SELECT {ATTEMPT_COLUMNS} FROM attempt WHERE seq = ? ORDER BY token DESC LIMIT ?"
_PROCESSING = NUMBERS[JobState.PROCESSING]


@contextmanager
def lossy_texts(connection: sqlite3.Connection) -> Generator[None]:
    """Inside, texts that are no UTF-8 are read too, with surrogates for what is none."""
    connection.text_factory = with_surrogates
    try:
        yield
    finally:
        connection.text_factory = str


def fetched(
    connection: sqlite3.Connection,
    statement: str,
    values: Sequence[object] | Mapping[str, object] = (),
) -> list[Row]:
    """All rows of a question, also those with texts that are no UTF-8 (`lossy_texts`)."""
    try:
        return connection.execute(statement, values).fetchall()
    except sqlite3.OperationalError as error:
        if not is_about_a_value(error):
            raise
    with lossy_texts(connection):
        return connection.execute(statement, values).fetchall()


def read_job(connection: sqlite3.Connection, row: Row, *, whole_history: bool) -> StoredJob:
    """The job in a row of `WHOLE_JOB`, with its last attempt or all.

    Raises:
        UnreadableRecord: it cannot be read.
    """
    try:
        return stored_job(row, _history(connection, row[0], whole=whole_history))
    except UNREADABLE as error:
        raise UnreadableRecord("job", shown_id(row[12]), repr(error)) from error


def job_to_move(row: Row, history: Sequence[AttemptRecord] = ()) -> StoredJob:
    """The same for who moves the job on: if it cannot be read, what can, and the plainest values for all else.

    Its id must be one.
    """
    try:
        return stored_job(row, history)
    except UNREADABLE:
        return _rough_job(row)


def last_attempt(connection: sqlite3.Connection, seq: int) -> Sequence[AttemptRecord]:
    """The last attempt that is recorded, if it can be read."""
    try:
        return _history(connection, seq, whole=False)
    except UNREADABLE:
        return ()


def _rough_job(row: Row) -> StoredJob:
    seq, attempt, version = row[:3]
    request = JobRequest(
        JobId(row[12]),
        printable(row[13]),
        "",
        _instant(row[15]),
        _count(row[16]),
        expire_on=None if row[19] is None else _instant(row[19]),
        queue=printable(row[20]),
        tenant=printable(row[22]),
        details=_details(row[26], row[25]),
    )
    return StoredJob(request, seq, _state(row[3:12]), _count(attempt), version)


def shown_id(value: object) -> str:
    """An id as people look for it."""
    if isinstance(value, bytes) and len(value) == 16:
        return str(to_uuid(JobId(value)))
    return f"with the id {value!r}"


def _history(connection: sqlite3.Connection, seq: int, *, whole: bool) -> Sequence[AttemptRecord]:
    rows = fetched(connection, _HISTORY, (seq, -1 if whole else 1))
    return tuple(attempt_of(row) for row in reversed(rows))


def with_surrogates(value: bytes) -> str:
    """A text as it is stored, with surrogates for what is no UTF-8."""
    return value.decode(errors="surrogateescape")


def _state(row: Row) -> State:
    number, _, node, claimed_at, lease_until, _, _, _, reason = row
    if number == _PROCESSING:
        lease = (printable(node), _instant(claimed_at), _instant(lease_until))
        return Processing(*lease, None if reason is None else printable(reason))
    try:
        return state_of(row)
    except UNREADABLE:
        return Waiting()


def printable(value: Any) -> str:
    """A text as a log can take it: with question marks for what is no UTF-8."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _instant(value: Any) -> int:
    return value if is_instant(value) else 0


def _count(value: Any) -> int:
    try:
        require_counts(value)
    except UNREADABLE:
        return 1
    return int(value)


def _details(text: Any, ref_id: Any) -> Details | None:
    try:
        return details_of(text, ref_id)
    except UNREADABLE:
        return None
