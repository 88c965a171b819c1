"""The write-ahead log has its room from the start, and nothing else comes of making it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from trio_gusto import Gusto, JobState
from trio_gusto.storage.sqlite import SqliteStorage, log
from trio_gusto.storage.sqlite.log import ROOM, make_room


@pytest.fixture(autouse=True)
def whole_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as users have; other tests do with less."""
    monkeypatch.setattr(log, "ROOM", ROOM)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


async def test_the_first_commits_overwrite_the_log_and_the_file_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    app = Gusto(SqliteStorage(path))

    @app.job
    async def work() -> None: ...

    async with app.connected() as queue:
        size = _log(path).stat().st_size
        assert size >= ROOM
        for _ in range(20):
            await queue.enqueue(work)
        assert _log(path).stat().st_size == size
        assert path.stat().st_size < ROOM / 16
    with closing(_opened(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (unused,) = connection.execute("PRAGMA freelist_count").fetchone()
        assert unused <= 1, "of the schema: it has an index less than in an earlier version"


async def test_what_a_crash_leaves_of_the_log_is_read_up_to_the_last_commit(tmp_path: Path) -> None:
    """The filling behind it was never committed, and must never be taken for anything."""
    path, copy = tmp_path / "jobs.db", tmp_path / "copy.db"
    app = Gusto(SqliteStorage(path))

    @app.job
    async def work() -> None: ...

    async with app.connected() as queue:
        for _ in range(20):
            await queue.enqueue(work)
        shutil.copy(path, copy)
        shutil.copy(_log(path), _log(copy))
    async with Gusto(SqliteStorage(copy)).connected() as queue:
        assert (await queue.stats()).by_state == {JobState.READY: 20}
    with closing(_opened(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_log_that_has_its_room_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with closing(_opened(path)) as connection:
        make_room(connection, str(path))
        before = _log(path).stat()
        assert before.st_size >= ROOM
        make_room(connection, str(path))
        after = _log(path).stat()
        assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_log_that_has_just_its_room_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with closing(_opened(path)) as connection:
        connection.execute("CREATE TABLE theirs (number)")
        os.truncate(_log(path), ROOM)
        make_room(connection, str(path))
        assert _log(path).stat().st_size == ROOM


def test_while_somebody_else_writes_no_room_is_made(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with closing(_opened(path)) as other, closing(_opened(path)) as connection:
        other.execute("CREATE TABLE theirs (number)")
        other.execute("BEGIN IMMEDIATE")
        make_room(connection, str(path))
        other.execute("ROLLBACK")
        assert _log(path).stat().st_size < ROOM
        assert not connection.in_transaction


def test_where_there_is_no_space_no_room_is_made(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with closing(_opened(path)) as connection:
        connection.execute("CREATE TABLE theirs (number)")
        connection.execute("PRAGMA max_page_count = 100")
        cache = connection.execute("PRAGMA cache_size").fetchone()
        make_room(connection, str(path))
        assert _log(path).stat().st_size < ROOM
        assert connection.execute("PRAGMA cache_size").fetchone() == cache
        connection.execute("INSERT INTO theirs VALUES (1)")
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
