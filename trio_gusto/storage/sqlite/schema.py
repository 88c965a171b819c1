"""Whose file it is, and which version of the schema is in it.

Rule 1: a file is looked at before anything is written to it; one that is not ours stays as it was.
Rule 2: a schema only moves forward, one numbered script at a time, all in one transaction; whoever
        comes second at the lock finds it done. A new file gets the newest one at once.
Rule 3: views are no part of a version. They stand in scripts of their own, and are made anew
        whenever the schema moves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from importlib.resources import files

from ...model.errors import NotOurDatabase, SchemaTooNew, StorageError

APPLICATION_ID = 0x4755_5354
"""Says in the file's header that it is ours: the letters GUST."""

WHOLE = "schema.sql"
"""The script of the newest version, for a file that has nothing in it yet."""

MIGRATIONS: Sequence[str] = (
    "schema_1.sql",
    "schema_2.sql",
    "schema_3.sql",
    "schema_4.sql",
    "schema_5.sql",
    "schema_6.sql",
    "schema_7.sql",
    "schema_8.sql",
    "schema_9.sql",
    "schema_10.sql",
    "schema_11.sql",
    "schema_12.sql",
    "schema_13.sql",
    "schema_14.sql",
    "schema_15.sql",
    "schema_16.sql",
)
"""The script at index n leads from version n to version n + 1."""

VIEWS: Sequence[str] = ("views.sql", "views_main.sql")
"""What people look at; made after the last script."""

OLDEST_SQLITE = (3, 38, 0)
"""The first that has ``->>`` and reads JSON always; RETURNING, STRICT and UPDATE FROM are older."""


def check_version(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> None:
    """See that the SQLite below can do what is needed.

    Raises:
        StorageError: it is too old.
    """
    if version < OLDEST_SQLITE:
        found = ".".join(map(str, version))
        raise StorageError(
            f"this Python has SQLite {found}, and SqliteStorage needs 3.38 or newer; "
            "use a Python built with a newer SQLite"
        )


def check_owner(connection: sqlite3.Connection, path: str, newest: int = len(MIGRATIONS)) -> int:
    """The version of the schema in the file, 0 for an empty one. Reads only.

    Raises:
        NotOurDatabase: the file belongs to another program.
        SchemaTooNew: a newer trio-gusto has written it.
    """
    owner, version, tables = connection.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if owner != APPLICATION_ID and (owner, version, tables) != (0, 0, 0):
        raise NotOurDatabase(
            f"{path} is another program's SQLite database (application id {owner}), and tables of "
            "ours could harm it; give SqliteStorage the path of a new file"
        )
    if version > newest:
        raise SchemaTooNew(version, newest)
    return int(version)


def migrate(
    connection: sqlite3.Connection, path: str, scripts: Sequence[str] | None = None
) -> None:
    """Bring the schema to the newest version, if it is not there yet; all of it or nothing.

    Raises:
        sqlite3.Error: a script failed, and nothing was changed.
    """
    newest = len(MIGRATIONS if scripts is None else scripts)
    if check_owner(connection, path, newest) == newest:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Again, behind the lock: another process may have been faster.
        version = check_owner(connection, path, newest)
        for text in _way_from(version) if scripts is None else scripts[version:]:
            run_script(connection, text)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {newest}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _way_from(version: int) -> Iterator[str]:
    names = MIGRATIONS[version:] if version else (WHOLE,)
    return map(read_script, (*names, *VIEWS))


def read_script(name: str) -> str:
    """The text of a script of this package."""
    return files(__name__.rpartition(".")[0]).joinpath(name).read_text(encoding="utf-8")


def run_script(connection: sqlite3.Connection, text: str) -> None:
    """Perform its statements in the transaction that there is."""
    for statement in _statements(text):
        connection.execute(statement)


def _statements(text: str) -> Iterator[str]:
    """One statement at a time: ``executescript`` would end the transaction."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(statement):
            yield statement
            statement = ""
