"""What the writer does between two groups."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from trio_gusto.storage.sqlite import watch as watch_module
from trio_gusto.storage.sqlite.connection import Location, open_writer
from trio_gusto.storage.sqlite.watch import Watch
from trio_gusto.storage.sqlite.writes import Writer


class Watched:
    """A watch under a hand-moved clock."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.told = 0
        monkeypatch.setattr(watch_module, "monotonic", lambda: self.now)
        self.writer = Writer(open_writer(Location(str(path), "FULL", 1.0), wait=1.0))
        self.watch = Watch(self.writer, 0.1, self.tell)

    def tell(self) -> None:
        self.told += 1

    def wal_size(self) -> int:
        path = self.writer.connection.execute("PRAGMA database_list").fetchone()[2]
        return Path(f"{path}-wal").stat().st_size


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    watched = Watched(tmp_path / "jobs.db", monkeypatch)
    with closing(watched.writer.connection):
        yield watched


def commit_elsewhere(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as other:
        other.execute("INSERT INTO node (node_name) VALUES (hex(randomblob(8)))")


def test_nobody_looks_unless_somebody_wants_it(watched: Watched, tmp_path: Path) -> None:
    commit_elsewhere(tmp_path)
    assert watched.watch.between(False) is None
    assert watched.told == 0


def test_a_commit_elsewhere_is_told_once(watched: Watched, tmp_path: Path) -> None:
    watched.watch.wanted_by = 1
    commit_elsewhere(tmp_path)
    assert watched.watch.between(True) == pytest.approx(0.1)
    watched.now += 0.1
    watched.watch.between(True)
    assert watched.told == 1


def test_a_busy_thread_looks_no_oftener_than_the_interval(watched: Watched, tmp_path: Path) -> None:
    watched.watch.wanted_by = 1
    watched.watch.between(False)
    commit_elsewhere(tmp_path)
    watched.now += 0.05
    assert watched.watch.between(False) == pytest.approx(0.05)
    assert watched.told == 0
    watched.now += 0.06
    watched.watch.between(False)
    assert watched.told == 1


def test_it_looks_again_when_the_interval_is_just_over(watched: Watched, tmp_path: Path) -> None:
    watched.watch.wanted_by = 1
    watched.watch.between(False)
    commit_elsewhere(tmp_path)
    watched.now += 0.1
    watched.watch.between(False)
    assert watched.told == 1


def test_at_whatever_instant_a_clock_begins_it_looks_at_once(
    watched: Watched, tmp_path: Path
) -> None:
    watched.now = 0.0
    watched.watch.wanted_by = 1
    commit_elsewhere(tmp_path)
    watched.watch.between(True)
    assert watched.told == 1


def test_at_whatever_instant_a_clock_begins_it_is_a_second_until_the_log_is_moved(
    watched: Watched,
) -> None:
    watched.now = 0.0
    watched.writer.wrote = True
    assert watched.watch.between(True) == pytest.approx(1.0)
    watched.now = 1.0
    assert watched.watch.between(True) is None


def test_the_log_is_moved_into_the_file_once_writing_has_stopped(watched: Watched) -> None:
    moved = "PRAGMA wal_checkpoint"
    seen: list[str] = []
    watched.writer.connection.set_trace_callback(seen.append)
    watched.writer.wrote = True
    assert watched.watch.between(False) == pytest.approx(1.0)
    watched.now += 0.9
    watched.writer.wrote = True
    assert watched.watch.between(False) == pytest.approx(1.0)
    assert not any(statement.startswith(moved) for statement in seen)
    watched.now += 1.0
    assert watched.watch.between(True) is None
    assert any(statement.startswith(moved) for statement in seen)
    assert watched.writer.wrote is False
    seen.clear()
    assert watched.watch.between(True) is None
    assert seen == []


def test_a_failure_while_idle_is_left_to_the_next_who_asks(watched: Watched) -> None:
    watched.watch.wanted_by = 1
    watched.writer.wrote = True
    watched.writer.connection.close()
    assert watched.watch.between(True) is not None
