"""What SQLite's errors mean to a caller: what happened, why nothing was stored, what to do."""

from __future__ import annotations

import sqlite3

import orjson

from ...model.errors import (
    GustoError,
    NotOurDatabase,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageReadOnly,
)
from ...model.ids import JobId
from ..messages import Insert

_ABOUT_A_VALUE = ("malformed JSON", "JSON cannot hold BLOB", "Could not decode to UTF-8")

_PRIMARY = 0xFF
"""The lower byte of an extended result code is the primary one."""


class StaleLease(Exception):
    """A lease that this object remembers is in the file no more."""


class UnknownParent(Exception):
    """A job is to wait for one that is not stored before it: ``parent``."""

    def __init__(self, parent: JobId) -> None:
        super().__init__(parent.hex())
        self.parent = parent


class UnreadableRow(Exception):
    """A claim came upon a row that nobody can read; some of it may be done."""


class Refused(Exception):
    """A message whose first part is done cannot have its second: ``error`` says why."""

    def __init__(self, error: GustoError) -> None:
        super().__init__(str(error))
        self.error = error


class RefusedInsert(Exception):
    """Of a message whose first part is done, the jobs that go with it met ``error``."""

    def __init__(self, insert: Insert, error: Exception) -> None:
        super().__init__(str(error))
        self.insert = insert
        self.error = error


MessageErrors = (
    Refused,
    RefusedInsert,
    StaleLease,
    UnknownParent,
    UnreadableRow,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeError,
    orjson.JSONEncodeError,
)
"""What one message's own data can lead to; its neighbours are fine."""


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else holds the lock that was needed."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_about_a_value(error: sqlite3.Error) -> bool:
    """Whether SQLite could read the page, but not what somebody has put into a column."""
    return str(error).startswith(_ABOUT_A_VALUE)


def explained(error: sqlite3.Error, path: str, busy_timeout: float) -> StorageError:
    """The typed error for what SQLite raised while working on ``path``."""
    code = _code(error)
    if is_busy(error):
        return StorageBusy(
            f"somebody else kept {path} locked for longer than {busy_timeout:g} s, so nothing was "
            "done; try again, or give SqliteStorage a longer busy_timeout"
        )
    # The index of the log is made as long as it has to be, and that failed.
    no_index = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_SHMSIZE
    if code == sqlite3.SQLITE_FULL or no_index:
        return no_space(path)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StorageReadOnly(
            f"{path} may be read but not written ({error}), so nothing was stored; "
            "allow this user to write the file and its directory"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return NotOurDatabase(
            f"{path} is no SQLite database, and writing to it would destroy what it is; give "
            "SqliteStorage the path of a new file, or restore a backup if it was one"
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return StorageError(
            f"{path} is corrupt ({error}), so nothing was done; restore a backup, or save what is "
            f"left with `sqlite3 {path} .recover`"
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return StorageError(
            f"{path} cannot be opened ({error}), so nothing was done; "
            "see that its directory exists and that this user may write there"
        )
    if is_about_a_value(error):
        return unreadable(error, path)
    return StorageError(
        f"SQLite failed on {path} ({error}), so nothing was done; "
        "look at the disk and the system's log, and try again"
    )


def unreadable(error: Exception, path: str) -> StorageError:
    """The typed error for a record that cannot be read, where it is not known which it is."""
    return StorageError(
        f"{path} has a record that cannot be read ({error!r}), and this asks for it, so nothing was done; "
        f"`trio-gusto audit {path}` tells which it is"
    )


def no_space(path: str) -> StorageFull:
    """The typed error for a disk without space."""
    return StorageFull(
        f"the disk or quota under {path} is full, so nothing was stored; "
        "free some space and try again"
    )


def _code(error: sqlite3.Error) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY
