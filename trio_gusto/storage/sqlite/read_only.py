"""Looking at a file without writing to it: also one that others have open, also one that is broken."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from ...model.errors import StorageError
from .columns import read_leniently
from .errors import explained
from .queries import snapshot
from .schema import APPLICATION_ID, MIGRATIONS, check_owner, check_version

WAIT = 5.0
"""Seconds that are waited at a lock. Readers meet one only while somebody recovers the file."""


@contextmanager
def opened_read_only(path: Path) -> Generator[sqlite3.Connection]:
    """One snapshot of a file of ours, on a connection that cannot write, and that reads any text.

    Unlike a storage it does not bring an older file forward. SQLite may put its two empty files of a
    reader beside it.

    Raises:
        NotOurDatabase, SchemaTooNew: the file is not ours, or newer than this package.
        StorageError: it is older, or it cannot be read.
    """
    check_version()
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(
            sqlite3.connect(uri, uri=True, timeout=WAIT, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA temp_store = MEMORY")
            read_leniently(connection)
            with snapshot(connection):
                _require_newest(path, check_owner(connection, str(path)), connection)
                yield connection
    except sqlite3.Error as error:
        raise explained(error, str(path), WAIT) from error


def _require_newest(path: Path, version: int, connection: sqlite3.Connection) -> None:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if owner != APPLICATION_ID:
        raise StorageError(
            f"{path} is empty, so there are no jobs in it; name the file of an app that has run"
        )
    if version < len(MIGRATIONS):
        raise StorageError(
            f"{path} has schema version {version}, and this looks at {len(MIGRATIONS)} only, without "
            "bringing a file forward; open it once with `trio-gusto stats`, or use a copy"
        )
