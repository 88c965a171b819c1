"""Before anything is written to a file it is looked at: whose it is, and how new."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from trio_gusto.model.errors import NotOurDatabase, SchemaTooNew, StorageError
from trio_gusto.storage.sqlite.connection import MEMORY
from trio_gusto.storage.sqlite.schema import (
    APPLICATION_ID,
    OLDEST_SQLITE,
    check_version,
    migrate,
)

THEIRS = (
    "{} is another program's SQLite database (application id 7), and tables of ours could harm it; "
    "give SqliteStorage the path of a new file"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
def asked(connection: sqlite3.Connection) -> list[str]:
    """What the connection was asked."""
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    return asked


def test_the_oldest_sqlite_that_will_do_is_named_where_one_is_older() -> None:
    check_version(OLDEST_SQLITE)
    with pytest.raises(StorageError) as caught:
        check_version((3, 37, 9))
    assert str(caught.value) == (
        "this Python has SQLite 3.37.9, and SqliteStorage needs 3.38 or newer; "
        "use a Python built with a newer SQLite"
    )


def test_a_new_file_gets_the_newest_schema_at_once() -> None:
    asked: list[str] = []
    with closing(sqlite3.connect(MEMORY, isolation_level=None)) as connection:
        connection.set_trace_callback(asked.append)
        migrate(connection, MEMORY)
    assert any("CREATE TABLE job " in statement for statement in asked)
    assert not any("ALTER TABLE" in statement for statement in asked)


def test_another_program_s_file_is_named_and_not_even_locked(
    path: Path, connection: sqlite3.Connection, asked: list[str]
) -> None:
    connection.execute("PRAGMA application_id = 7")
    with pytest.raises(NotOurDatabase) as caught:
        migrate(connection, str(path))
    assert str(caught.value) == THEIRS.format(path)
    assert "BEGIN IMMEDIATE" not in asked


def test_a_file_that_is_too_new_is_not_even_locked(
    path: Path, connection: sqlite3.Connection, asked: list[str]
) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 2")
    with pytest.raises(SchemaTooNew) as caught:
        migrate(connection, str(path), ["CREATE TABLE thing (a);"])
    assert (caught.value.found, caught.value.supported) == (2, 1)
    assert "BEGIN IMMEDIATE" not in asked


def before_the_lock(path: Path, pragma: str) -> Callable[[str], None]:
    """Has somebody else do something at the last moment."""

    def act(statement: str) -> None:
        if statement == "BEGIN IMMEDIATE":
            with closing(sqlite3.connect(path)) as somebody:
                somebody.execute(f"PRAGMA {pragma}")

    return act


def test_a_file_that_another_program_takes_meanwhile_is_named(
    path: Path, connection: sqlite3.Connection
) -> None:
    connection.set_trace_callback(before_the_lock(path, "application_id = 7"))
    with pytest.raises(NotOurDatabase) as caught:
        migrate(connection, str(path))
    assert str(caught.value) == THEIRS.format(path)
    assert not connection.in_transaction


def test_a_file_that_somebody_makes_too_new_meanwhile_is_left_as_it_is(
    path: Path, connection: sqlite3.Connection
) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.set_trace_callback(before_the_lock(path, "user_version = 2"))
    with pytest.raises(SchemaTooNew) as caught:
        migrate(connection, str(path), ["CREATE TABLE thing (a);"])
    assert (caught.value.found, caught.value.supported) == (2, 1)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
