"""What SQLite's errors are told as: what happened, that nothing was done, and what to do."""

from __future__ import annotations

import sqlite3

import pytest

from trio_gusto.model.errors import (
    GustoError,
    NotOurDatabase,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageReadOnly,
)
from trio_gusto.model.ids import JobId
from trio_gusto.storage.messages import Insert
from trio_gusto.storage.sqlite.errors import Refused, RefusedInsert, UnknownParent, explained

BUSY = (
    "somebody else kept jobs.db locked for longer than 2.5 s, so nothing was done; try again, "
    "or give SqliteStorage a longer busy_timeout"
)
FULL = (
    "the disk or quota under jobs.db is full, so nothing was stored; free some space and try again"
)
READ_ONLY = (
    "jobs.db may be read but not written (why), so nothing was stored; allow this user to write "
    "the file and its directory"
)
NO_DATABASE = (
    "jobs.db is no SQLite database, and writing to it would destroy what it is; give SqliteStorage "
    "the path of a new file, or restore a backup if it was one"
)
CORRUPT = (
    "jobs.db is corrupt (why), so nothing was done; restore a backup, or save what is left with "
    "`sqlite3 jobs.db .recover`"
)
CANNOT_OPEN = (
    "jobs.db cannot be opened (why), so nothing was done; see that its directory exists and that "
    "this user may write there"
)
ANYTHING_ELSE = (
    "SQLite failed on jobs.db (why), so nothing was done; look at the disk and the system's log, "
    "and try again"
)


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (sqlite3.SQLITE_BUSY, StorageBusy, BUSY),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StorageBusy, BUSY),
        (sqlite3.SQLITE_LOCKED, StorageBusy, BUSY),
        (sqlite3.SQLITE_FULL, StorageFull, FULL),
        (sqlite3.SQLITE_IOERR_SHMSIZE, StorageFull, FULL),
        (sqlite3.SQLITE_READONLY, StorageReadOnly, READ_ONLY),
        (sqlite3.SQLITE_PERM, StorageReadOnly, READ_ONLY),
        (sqlite3.SQLITE_NOTADB, NotOurDatabase, NO_DATABASE),
        (sqlite3.SQLITE_CORRUPT, StorageError, CORRUPT),
        (sqlite3.SQLITE_CANTOPEN, StorageError, CANNOT_OPEN),
        (sqlite3.SQLITE_IOERR, StorageError, ANYTHING_ELSE),
        (None, StorageError, ANYTHING_ELSE),
    ],
)
def test_each_kind_of_error_says_what_to_do(
    code: int | None, kind: type[StorageError], text: str
) -> None:
    error = sqlite3.OperationalError("why")
    if code is not None:
        error.sqlite_errorcode = code
    told = explained(error, "jobs.db", 2.5)
    assert type(told) is kind
    assert str(told) == text


def test_what_is_raised_inside_says_why_where_it_is_seen() -> None:
    reason = GustoError("there is one already")
    assert str(Refused(reason)) == "there is one already"
    assert str(RefusedInsert(Insert([], []), reason)) == "there is one already"
    assert str(UnknownParent(JobId(b"\xab\xcd"))) == "abcd"
