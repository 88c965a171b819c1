"""The write-ahead log gets its room when the file is opened, not commit by commit.

A commit that makes a file longer has the file system write down its new length, too, before the
flush returns; one that overwrites what is there has not. SQLite overwrites its log from the
beginning once everything in it has been moved into the file, so after a while all commits are of the
quick kind. Here the first ones are made so as well: twice as quick on ext4.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

ROOM = 16 << 20
"""Bytes: about two thousand commits of single jobs."""

_SPILL_PAGES = 16
"""Pages in memory while the room is made; what goes beyond that is written to the log at once."""


def make_room(connection: sqlite3.Connection, path: str) -> None:
    """Have the log occupy `ROOM`, unless it does.

    A transaction too large for the memory it is given writes pages to the log before it commits. This
    one is rolled back, and so leaves nothing but the log's length; the file itself does not grow.
    Where there is no space, or somebody else writes, nothing is done.
    """
    try:
        if Path(f"{path}-wal").stat().st_size >= ROOM:
            return
    except OSError:
        pass  # there is no log yet
    (usual,) = connection.execute("PRAGMA cache_size").fetchone()
    connection.execute(f"PRAGMA cache_size = {_SPILL_PAGES}")
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE room (filling BLOB)")
        connection.execute("INSERT INTO room VALUES (zeroblob(?))", (ROOM,))
    except sqlite3.OperationalError:
        pass
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute(f"PRAGMA cache_size = {usual}")
