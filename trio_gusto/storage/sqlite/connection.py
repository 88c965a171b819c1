"""How a connection to the file is opened and set up."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from time import monotonic
from typing import Literal

import attrs

from ...model.errors import StorageError, StorageReadOnly
from .errors import explained, is_busy, unreadable
from .log import make_room
from .schema import check_owner, check_version, migrate

MEMORY = ":memory:"

Synchronous = Literal["FULL", "NORMAL"]

_STATEMENTS = 256
"""Prepared statements kept by a connection: every chunk size of every kind fits."""

_WRITER_CACHE = 32 * 1024
_READER_CACHE = 8 * 1024
"""KiB of pages kept in memory; both together bound what a large file costs."""

_CHECKPOINT_PAGES = 10_000
"""A busy writer moves the log into the file at this size (40 MB); an idle one does so sooner."""


@attrs.frozen
class Location:
    """Which file, and how it is used."""

    path: str
    synchronous: Synchronous
    busy_timeout: float
    archive: bool = False

    @property
    def is_memory(self) -> bool:
        """Whether there is no file, and so one connection only."""
        return self.path == MEMORY

    def explain(self, error: sqlite3.Error) -> StorageError:
        """The typed error for what SQLite raised."""
        return explained(error, self.path, self.busy_timeout)

    def unreadable(self, error: Exception) -> StorageError:
        """The typed error for a record that cannot be read."""
        return unreadable(error, self.path)


def open_writer(location: Location, *, wait: float) -> sqlite3.Connection:
    """Open the file, making it and its tables if need be.

    From then on the connection blocks for ``wait`` seconds at a lock.

    Raises:
        StorageError: it cannot be opened; the message says why and what to do.
    """
    check_version()
    _check_writable(location)
    connection = _connect(location)
    try:
        check_owner(connection, location.path)
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE}")
        if not location.is_memory:
            _switch_to_wal(connection, location)
        connection.execute(f"PRAGMA synchronous = {location.synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        if not location.is_memory:
            make_room(connection, location.path)
        migrate(connection, location.path)
        connection.execute(f"PRAGMA busy_timeout = {round(wait * 1000)}")
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise location.explain(error) from error
        raise
    return connection


def open_reader(location: Location) -> sqlite3.Connection:
    """A second connection to a file that is open already; it cannot write."""
    connection = _connect(location)
    try:
        connection.execute("PRAGMA query_only = 1")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = -{_READER_CACHE}")
    except sqlite3.Error as error:
        connection.close()
        raise location.explain(error) from error
    return connection


def _connect(location: Location) -> sqlite3.Connection:
    try:
        return sqlite3.connect(
            location.path,
            timeout=location.busy_timeout,
            isolation_level=None,  # transactions begin where this package says so
            check_same_thread=False,  # one thread uses it; another may close what it left
            cached_statements=_STATEMENTS,
        )
    except sqlite3.Error as error:
        raise location.explain(error) from error


def _check_writable(location: Location) -> None:
    """SQLite opens what it may not write without a word, and fails at the first write."""
    if location.is_memory:
        return
    path = Path(location.path)
    for needed in (path, path.absolute().parent):
        if needed.exists() and not os.access(needed, os.W_OK):
            raise StorageReadOnly(
                f"{needed} may not be written by this user, and SQLite writes the file and a log "
                "beside it; allow it, or give SqliteStorage another path"
            )


def _switch_to_wal(connection: sqlite3.Connection, location: Location) -> None:
    """Two processes that make one file meet here, and SQLite does not wait for them by itself."""
    deadline = monotonic() + location.busy_timeout
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or monotonic() > deadline:
                raise
            threading.Event().wait(0.005)
        else:
            if mode != "wal":
                raise StorageError(
                    f"SQLite keeps no write-ahead log for {location.path} (journal mode {mode}), as "
                    "on a network file system, and processes could not share it; put the file on a "
                    "local disk"
                )
            return
