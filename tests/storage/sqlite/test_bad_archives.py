"""Whatever somebody does to a month of the archive, nothing is lost that he did not take himself.

A month that cannot be read is passed over with a warning that names it, and what should be moved
there stays in the main file.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.storage.sqlite.moving import (
    DECEMBER,
    NOVEMBER,
    OCTOBER,
    Pruning,
    fill,
    found,
    ids,
    opened,
    rows,
)
from trio_gusto.model.job import JobRequest
from trio_gusto.model.states import Failed, JobState, Ready
from trio_gusto.storage.finding_messages import Find, Get
from trio_gusto.storage.messages import Commit, Conflict
from trio_gusto.storage.sqlite import archive, months
from trio_gusto.testing.storage_contract import Subject

EVERYTHING = Find(99)
ENDED = Find(99, states=frozenset({JobState.FAILED}))

Harm = Callable[[Path], None]

PAGE = 4096


def spoil(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)


def replace_by_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {months.VERSION + 1}")


def make_foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 7")


def replace_by_another_program_s(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE job (seq INTEGER PRIMARY KEY)")


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def truncate_the_last_byte(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def truncate_the_last_page(path: Path) -> None:
    os.truncate(path, path.stat().st_size - PAGE)


def overwrite_all_but_the_first_page(path: Path) -> None:
    kept = path.read_bytes()
    path.write_bytes(kept[:PAGE] + b"\x5a" * (len(kept) - PAGE))


HARMS = pytest.mark.parametrize(
    ("harm", "word"),
    [
        (spoil, "not a database"),
        (replace_by_a_directory, "unable to open"),
        (make_newer, "version"),
        (make_foreign, "no month"),
        (replace_by_another_program_s, "no month"),
        (truncate, "malformed"),
        (truncate_the_last_byte, "malformed"),
        (truncate_the_last_page, "malformed"),
        (overwrite_all_but_the_first_page, "malformed"),
    ],
)


async def archive_november(subject: Subject, prune: Pruning) -> list[JobRequest]:
    requests = await fill(subject)
    assert (await prune(subject)).count == 6
    return requests


async def add_more(subject: Subject) -> list[JobRequest]:
    """Two old jobs of November and two of October, and a newer one, so that these may move."""
    more = [
        subject.request(created_at=at) for at in (NOVEMBER, NOVEMBER, OCTOBER, OCTOBER, DECEMBER)
    ]
    ended = [Failed(at, "") for at in range(4)]
    await subject.insert(*more, states=[*ended, Ready(DECEMBER)])
    return more


@HARMS
async def test_a_month_that_cannot_be_read_is_passed_over_with_a_warning(
    tmp_path: Path, harm: Harm, word: str, prune: Pruning, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as subject:
        requests = await archive_november(subject, prune)
        harm(tmp_path / "jobs-2026-11.db")
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                shown = await found(subject, EVERYTHING)
                assert shown[1:] == ids([*requests[:2], *requests[4:]])
        (warning,) = caplog.messages
        assert "jobs-2026-11.db" in warning
        assert word in warning


@HARMS
async def test_what_should_be_moved_there_stays_and_holds_up_no_others(
    tmp_path: Path, harm: Harm, word: str, prune: Pruning, caplog: pytest.LogCaptureFixture
) -> None:
    month = tmp_path / "jobs-2026-11.db"
    async with opened(tmp_path) as subject:
        requests = await archive_november(subject, prune)
        away = tmp_path / "whole"
        shutil.copy(month, away)
        harm(month)
        more = await add_more(subject)
        pruned = [await prune(subject, 2) for _ in range(3)]
        assert [(one.count, one.more) for one in pruned] == [(0, True), (2, True), (0, False)]
        assert rows(tmp_path / "jobs.db") == [(4,)]
        assert any("stay where they are" in said and word in said for said in caplog.messages)
        if month.is_dir():
            month.rmdir()
        away.replace(month)  # and what was there is there
        assert (await found(subject, ENDED)) == ids([*requests, *more[:4]])
    async with opened(tmp_path) as subject:  # later they move
        assert (await prune(subject)).count == 2
        assert (await found(subject, ENDED)) == ids([*requests, *more[:4]])


async def test_a_month_that_was_taken_away_is_missed_by_nobody(
    tmp_path: Path, prune: Pruning, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as subject:
        requests = await archive_november(subject, prune)
        (tmp_path / "jobs-2026-11.db").rename(tmp_path / "away")
        assert (await found(subject, EVERYTHING))[1:] == ids([*requests[:2], *requests[4:]])
        assert (await subject.storage.read(Get([requests[2].id]))).jobs == []
        (tmp_path / "away").rename(tmp_path / "jobs-2026-11.db")
        assert (await found(subject, EVERYTHING))[1:] == ids(requests)
        assert caplog.messages == []


async def test_a_month_that_was_taken_away_is_begun_anew(tmp_path: Path, prune: Pruning) -> None:
    month = tmp_path / "jobs-2026-11.db"
    async with opened(tmp_path) as subject:
        await archive_november(subject, prune)
        month.rename(tmp_path / "away")
        more = await add_more(subject)
        assert (await prune(subject)).count == 4
        assert rows(month) == [(2,)]
        assert set(ids(more[:4])) < set(await found(subject, ENDED))


async def test_an_empty_file_is_a_month_that_begins(tmp_path: Path, prune: Pruning) -> None:
    async with opened(tmp_path) as subject:
        requests = await fill(subject)
        (tmp_path / "jobs-2026-11.db").touch()
        assert (await found(subject, EVERYTHING))[1:] == ids(requests)
        assert (await prune(subject)).count == 6
        assert rows(tmp_path / "jobs-2026-11.db") == [(2,)]


async def test_an_older_copy_that_is_brought_back_hides_nothing_of_the_main_file(
    tmp_path: Path, prune: Pruning
) -> None:
    month = tmp_path / "jobs-2026-11.db"
    async with opened(tmp_path) as subject:
        requests = await archive_november(subject, prune)
        shutil.copy(month, tmp_path / "old")
        job = await subject.get(requests[2].id)
        again = Commit(job.request.id, job.version, Ready(DECEMBER), 0)
        await subject.storage.apply([again])
        (tmp_path / "old").replace(month)
        assert (await subject.get(requests[2].id)).state == Ready(DECEMBER)
        assert (await found(subject, EVERYTHING)).count(requests[2].id) == 1


async def test_a_job_of_a_month_that_cannot_be_read_does_not_run_again(
    tmp_path: Path, prune: Pruning
) -> None:
    async with opened(tmp_path) as subject:
        requests = await archive_november(subject, prune)
        version = (await subject.get(requests[2].id)).version
        truncate(tmp_path / "jobs-2026-11.db")
        again = Commit(requests[2].id, version, Ready(DECEMBER), 0)
        assert await subject.storage.apply([again]) == [Conflict()]
        assert rows(tmp_path / "jobs.db") == [(1,)]


# --- what SQLite may not write --------------------------------------------------------------------


@contextmanager
def months_opened_with(
    monkeypatch: pytest.MonkeyPatch, pragma: str, month: str = "2026-11"
) -> Generator[None]:
    """Every connection to the month begins with a pragma."""
    connect = months.Months._connect

    def limited(self: months.Months, which: str, mode: str) -> sqlite3.Connection:
        connection = connect(self, which, mode)
        if which == month and mode == "rwc":
            connection.execute(f"PRAGMA {pragma}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(months.Months, "_connect", limited)
        yield


@pytest.mark.parametrize(
    ("pragma", "word"),
    [
        ("max_page_count = 3", "full"),  # no room for the tables
        ("max_page_count = 17", "full"),  # nor for the jobs
        ("query_only = 1", "readonly"),
    ],
)
async def test_a_full_disk_or_a_month_that_may_not_be_written_leaves_the_jobs_where_they_are(
    tmp_path: Path,
    pragma: str,
    word: str,
    prune: Pruning,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(archive, "SET_ASIDE", 0.0)
    async with opened(tmp_path) as subject:
        requests = await fill(subject)
        large = subject.request(created_at=NOVEMBER, args=f'[["{"x" * 100_000}"],{{}}]')
        await subject.insert(large, states=[Failed(NOVEMBER + 20, "")])
        await subject.insert(subject.request(created_at=DECEMBER), states=[Ready(DECEMBER)])
        with months_opened_with(monkeypatch, pragma):
            assert (await prune(subject)).count == 4
        assert await found(subject, ENDED) == ids([*requests, large])
        assert rows(tmp_path / "jobs.db") == [(5,)]
        assert word in caplog.text
        assert "stay where they are" in caplog.text
        assert (await prune(subject)).count == 3  # there is room again
        assert await found(subject, ENDED) == ids([*requests, large])
        assert rows(tmp_path / "jobs-2026-11.db", "PRAGMA integrity_check") == [("ok",)]


async def test_a_month_that_somebody_keeps_locked_is_waited_for_no_longer_than_a_moment(
    tmp_path: Path, prune: Pruning, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as subject:
        requests = await archive_november(subject, prune)
        more = await add_more(subject)
        with closing(sqlite3.connect(tmp_path / "jobs-2026-11.db")) as somebody:
            somebody.execute("BEGIN EXCLUSIVE")
            assert (await prune(subject)).count == 2
            assert "locked" in caplog.text
        assert await found(subject, ENDED) == ids([*requests, *more[:4]])
