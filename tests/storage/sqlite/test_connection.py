"""How connections are set up, and what comes of files that cannot be opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, cast

import pytest

from trio_gusto.model.errors import NotOurDatabase, StorageBusy, StorageError, StorageReadOnly
from trio_gusto.storage.sqlite import connection as connecting
from trio_gusto.storage.sqlite import log
from trio_gusto.storage.sqlite.connection import MEMORY, Location, open_reader, open_writer
from trio_gusto.storage.sqlite.log import ROOM


def pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def location(tmp_path: Path, **options: Any) -> Location:
    options = {"synchronous": "FULL", "busy_timeout": 2.5, **options}
    return Location(str(tmp_path / "jobs.db"), **options)


IN_MEMORY, FULL, NORMAL = 2, 2, 1


@pytest.mark.parametrize(("synchronous", "number"), [("FULL", FULL), ("NORMAL", NORMAL)])
def test_a_writer_is_set_up_for_a_file_that_others_share(
    tmp_path: Path, synchronous: str, number: int
) -> None:
    with closing(open_writer(location(tmp_path, synchronous=synchronous), wait=5.0)) as writer:
        assert pragma(writer, "journal_mode") == "wal"
        assert pragma(writer, "synchronous") == number
        assert pragma(writer, "temp_store") == IN_MEMORY
        assert pragma(writer, "cache_size") == -32 * 1024
        assert pragma(writer, "wal_autocheckpoint") == 10_000
        assert pragma(writer, "busy_timeout") == 5000
        assert writer.isolation_level is None
    assert not (tmp_path / "jobs.db-wal").exists(), "the last one has put it away"


def test_the_log_has_its_room_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "ROOM", ROOM)  # as users have it; other tests do with less
    with closing(open_writer(location(tmp_path), wait=0.25)):
        assert (tmp_path / "jobs.db-wal").stat().st_size > ROOM


def test_room_and_tables_are_made_in_the_file_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    for name in ("make_room", "migrate"):
        monkeypatch.setattr(connecting, name, lambda _, path: made.append(path))
    with closing(open_writer(location(tmp_path), wait=0.25)):
        assert made == [str(tmp_path / "jobs.db")] * 2


def test_without_a_file_there_is_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(connecting, "make_room")
    with closing(open_writer(Location(MEMORY, "FULL", 2.5), wait=0.25)) as writer:
        assert pragma(writer, "journal_mode") == "memory"
    assert list(tmp_path.iterdir()) == []


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    place = location(tmp_path)
    with closing(open_writer(place, wait=0.25)), closing(open_reader(place)) as reader:
        assert pragma(reader, "query_only") == 1
        assert pragma(reader, "temp_store") == IN_MEMORY
        assert pragma(reader, "cache_size") == -8 * 1024
        assert pragma(reader, "busy_timeout") == 2500
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("INSERT INTO node (node_name) VALUES ('n')")


def test_a_connection_may_be_closed_by_another_thread(tmp_path: Path) -> None:
    writer = open_writer(location(tmp_path), wait=0.25)
    other = Thread(target=writer.close)
    other.start()
    other.join()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        writer.execute("SELECT 1")


def test_a_place_without_a_directory_is_named(tmp_path: Path) -> None:
    place = location(tmp_path / "nowhere")
    for opening in (write_to, open_reader):
        with pytest.raises(StorageError) as caught:
            opening(place)
        assert str(caught.value) == (
            f"{place.path} cannot be opened (unable to open database file), so nothing was done; "
            "see that its directory exists and that this user may write there"
        )


def test_a_file_of_another_program_is_named(tmp_path: Path) -> None:
    place = location(tmp_path)
    with closing(sqlite3.connect(place.path)) as other:
        other.execute("PRAGMA application_id = 7")
    with pytest.raises(NotOurDatabase, match="another program's SQLite database") as caught:
        open_writer(place, wait=1.0)
    assert str(caught.value).startswith(f"{place.path} is")


@pytest.mark.parametrize("name", ["jobs.db", ""], ids=["the file", "its directory"])
def test_what_may_not_be_written_is_named(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.db").touch()
    locked = Path(name) if name else tmp_path

    def access(path: Path, mode: int) -> bool:
        return not (path == locked and mode & os.W_OK)

    monkeypatch.setattr(os, "access", access)
    with pytest.raises(StorageReadOnly) as caught:
        open_writer(Location("jobs.db", "FULL", 2.5), wait=1.0)
    assert str(caught.value) == (
        f"{locked} may not be written by this user, and SQLite writes the file and a log beside it; "
        "allow it, or give SqliteStorage another path"
    )
    assert (tmp_path / "jobs.db").read_bytes() == b""


def write_to(place: Location) -> sqlite3.Connection:
    return open_writer(place, wait=1.0)


@pytest.mark.parametrize(
    ("opening", "kind", "raised"),
    [
        (write_to, sqlite3.OperationalError, StorageError),
        (write_to, KeyboardInterrupt, KeyboardInterrupt),
        (open_reader, sqlite3.OperationalError, StorageError),
    ],
    ids=["a writer", "a writer that is interrupted", "a reader"],
)
def test_what_cannot_be_set_up_is_closed(
    tmp_path: Path,
    opening: Callable[[Location], sqlite3.Connection],
    kind: type[BaseException],
    raised: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Failing(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            if "temp_store" in statement:
                raise kind("why")
            return super().execute(statement, *values)

    connect, made = sqlite3.connect, list[sqlite3.Connection]()

    def failing(*given: Any, **options: Any) -> sqlite3.Connection:
        made.append(connect(*given, **options, factory=Failing))
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", failing)
    with pytest.raises(raised) as caught:
        opening(location(tmp_path))
    if isinstance(caught.value, StorageError):
        assert f"SQLite failed on {tmp_path / 'jobs.db'} (why)" in str(caught.value)
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    (connection,) = made
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


class Contended:
    """A file whose journal mode somebody else keeps from being changed, for some tries."""

    def __init__(self, tries: int, code: int, mode: str = "wal") -> None:
        self.asked = 0
        self._tries = tries
        self._code = code
        self._mode = mode

    def execute(self, statement: str) -> Contended:
        assert statement == "PRAGMA journal_mode = WAL"
        self.asked += 1
        if self.asked <= self._tries:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = self._code
            raise error
        return self

    def fetchone(self) -> tuple[str]:
        return (self._mode,)


def switch(file: Contended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """With a clock that goes on by a second at each look, for up to two; and how it was waited."""
    now = 1000.0
    waits: list[float] = []

    def monotonic() -> float:
        nonlocal now
        now += 1
        return now

    class Event:
        def wait(self, seconds: float) -> None:
            waits.append(seconds)

    monkeypatch.setattr(connecting, "monotonic", monotonic)
    monkeypatch.setattr(connecting, "threading", SimpleNamespace(Event=Event))
    place = location(tmp_path, busy_timeout=2.0)
    connecting._switch_to_wal(cast(sqlite3.Connection, file), place)
    return waits


def test_two_that_make_one_file_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Contended(2, sqlite3.SQLITE_BUSY)
    assert switch(file, tmp_path, monkeypatch) == [0.005, 0.005]
    assert file.asked == 3


@pytest.mark.parametrize(
    ("code", "asked"), [(sqlite3.SQLITE_BUSY, 3), (sqlite3.SQLITE_IOERR, 1)], ids=["busy", "broken"]
)
def test_they_do_not_wait_for_ever_nor_for_what_does_not_end(
    code: int, asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Contended(9, code)
    with pytest.raises(sqlite3.OperationalError):
        switch(file, tmp_path, monkeypatch)
    assert file.asked == asked


def test_a_file_that_takes_no_log_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StorageError) as caught:
        switch(Contended(0, 0, "delete"), tmp_path, monkeypatch)
    assert str(caught.value) == (
        f"SQLite keeps no write-ahead log for {tmp_path / 'jobs.db'} (journal mode delete), as on a "
        "network file system, and processes could not share it; put the file on a local disk"
    )


def test_an_error_is_told_with_the_file_and_how_long_was_waited(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    told = location(tmp_path).explain(error)
    assert type(told) is StorageBusy
    assert f"kept {tmp_path / 'jobs.db'} locked for longer than 2.5 s" in str(told)
