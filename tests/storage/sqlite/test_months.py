"""The files of the archive: which of them there are, which is asked first, and what is said of bad ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from trio_gusto.model.errors import NotOurDatabase, SchemaTooNew
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.instants import to_instant
from trio_gusto.storage.sqlite.months import APPLICATION_ID, VERSION, Months, bounds_of

MONTH = "2026-10"
FOREIGN = (
    "this is no month of an archive (application id 7), and jobs moved there could harm it; "
    f"move jobs-{MONTH}.db to another place"
)


def months(path: Path, *there: str) -> Months:
    for month in there:
        (path / f"jobs-{month}.db").touch()
    return Months(str(path / "jobs.db"), 0)


def foreign(path: Path) -> Months:
    """With one month that another program has made."""
    there = months(path, MONTH)
    with closing(sqlite3.connect(there.file(MONTH))) as connection:
        connection.execute("PRAGMA application_id = 7")
    return there


def versions(connection: sqlite3.Connection) -> tuple[object, ...]:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    return owner, *connection.execute("PRAGMA user_version").fetchone()


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (datetime(2026, 10, 20, tzinfo=UTC), ["2026-10", "2026-11", "2026-09"]),
        (datetime(2026, 9, 1, tzinfo=UTC), ["2026-09", "2026-11", "2026-10"]),
        (datetime(2025, 1, 1, tzinfo=UTC), ["2026-11", "2026-10", "2026-09"]),
    ],
    ids=["in one between", "in the first", "in one that is not there"],
)
def test_the_month_in_which_an_id_was_made_is_the_likeliest(
    tmp_path: Path, made: datetime, wanted: Sequence[str]
) -> None:
    there = months(tmp_path, "2026-09", "2026-10", "2026-11")
    assert there.by_likelihood(uuid7(to_instant(made) * 1000, 1)) == wanted


def test_an_id_of_another_version_says_nothing_of_when_it_was_made(tmp_path: Path) -> None:
    there = months(tmp_path, "2026-09", "2026-10")
    made = uuid7(to_instant(datetime(2026, 9, 20, tzinfo=UTC)) * 1000, 1)
    drawn = JobId(made[:6] + b"\x47" + made[7:])
    assert there.by_likelihood(drawn) == ["2026-10", "2026-09"]


def test_an_id_that_says_it_was_made_after_all_years_is_looked_for_like_others(
    tmp_path: Path,
) -> None:
    there = months(tmp_path, "2026-10", "2026-11")
    assert there.by_likelihood(JobId(b"\xff" * 6 + b"\x70" + bytes(9))) == ["2026-11", "2026-10"]


def test_only_what_is_called_like_a_month_is_one(tmp_path: Path) -> None:
    there = months(tmp_path, "2026-10", "2026-11", "2026-13", "latest!")
    for other in ("jobs-2026-10.db-journal", "jobs-2026-11.db.bak", "tasks-2026-12.db"):
        (tmp_path / other).touch()
    assert there.there() == ["2026-11", "2026-10"]


def test_there_is_no_year_before_the_first() -> None:
    march, april = (to_instant(datetime(1, month, 1, tzinfo=UTC)) for month in (3, 4))
    assert bounds_of("0001-03") == bounds_of("0000-03") == (march, april)


def test_a_month_that_is_empty_has_nothing_and_nothing_is_wrong_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there = months(tmp_path, MONTH)
    assert there.look(MONTH, versions) is None
    with there.read_only(MONTH) as connection:
        assert connection is None
    assert caplog.messages == []


def test_a_month_that_is_none_of_ours_is_passed_over_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there = foreign(tmp_path)
    for _ in range(2):
        assert there.look(MONTH, versions) is None
    assert caplog.messages == [f"{there.file(MONTH)}: {FOREIGN}; its jobs are not shown"]


def test_a_month_that_is_not_there_is_passed_over_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert months(tmp_path).look(MONTH, versions) is None
    assert caplog.messages == []
    assert list(tmp_path.iterdir()) == []


def test_a_month_that_is_none_of_ours_is_neither_read_nor_written_to(tmp_path: Path) -> None:
    there = foreign(tmp_path)
    for way in (there.opened(MONTH), there.read_only(MONTH)):
        with pytest.raises(NotOurDatabase) as caught, way:
            pass
        assert str(caught.value) == FOREIGN


def test_a_month_is_made_where_there_is_none_and_kept_where_there_is(tmp_path: Path) -> None:
    there = months(tmp_path)
    with there.opened(MONTH) as connection:
        assert versions(connection) == (APPLICATION_ID, VERSION)
        assert connection.execute("PRAGMA synchronous").fetchone() == (3,)
        assert not connection.in_transaction
        connection.execute("INSERT INTO node (node_name) VALUES ('one')")
    with there.opened(MONTH) as connection:
        assert versions(connection) == (APPLICATION_ID, VERSION)
        assert connection.execute("SELECT node_name FROM node").fetchall() == [("one",)]
    assert there.look(MONTH, versions) == (APPLICATION_ID, VERSION)


def test_whoever_looks_at_a_month_cannot_write_to_it(tmp_path: Path) -> None:
    there = months(tmp_path)
    with there.opened(MONTH):
        pass

    def write(connection: sqlite3.Connection) -> None:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("INSERT INTO node (node_name) VALUES ('one')")

    there.look(MONTH, write)
    with there.read_only(MONTH) as connection:
        assert connection is not None
        write(connection)


def test_a_month_of_a_newer_version_is_neither_read_nor_written_to(tmp_path: Path) -> None:
    there = months(tmp_path)
    with there.opened(MONTH) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    for way in (there.opened(MONTH), there.read_only(MONTH)):
        with pytest.raises(SchemaTooNew) as caught, way:
            pass
        assert str(caught.value) == str(SchemaTooNew(VERSION + 1, VERSION))


def test_a_lock_on_a_month_is_waited_for_as_long_as_one_wants(tmp_path: Path) -> None:
    there = Months(str(tmp_path / "jobs.db"), 0.25)
    with there.opened(MONTH) as connection:
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (250,)


def test_months_are_opened_by_sqlites_that_read_addresses_only_when_they_are_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It depends on how SQLite was built whether it does so always."""
    connect = sqlite3.connect

    def strictly(name: str, *, uri: bool = False, **how: Any) -> sqlite3.Connection:
        if not uri:
            raise sqlite3.OperationalError("unable to open database file")
        opened: sqlite3.Connection = connect(name, uri=uri, **how)
        return opened

    monkeypatch.setattr(sqlite3, "connect", strictly)
    with months(tmp_path).opened(MONTH) as connection:
        assert versions(connection) == (APPLICATION_ID, VERSION)
