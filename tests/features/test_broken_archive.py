"""Workers go on with everything else when old jobs cannot be moved to the archive."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import trio

from trio_gusto import Gusto, JobState, Options
from trio_gusto.storage.sqlite import SqliteStorage, months
from trio_gusto.storage.sqlite.months import Months, month_of


def spoil(month: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    month.write_bytes(b"not a database" * 1000)


def fill_the_disk(month: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = Months._connect

    def limited(self: Months, which: str, mode: str) -> object:
        connection = connect(self, which, mode)
        connection.execute("PRAGMA max_page_count = 2")
        return connection

    monkeypatch.setattr(months.Months, "_connect", limited)


@pytest.mark.parametrize("harm", [spoil, fill_the_disk])
async def test_jobs_run_and_stay_where_they_are(
    tmp_path: Path,
    harm: Callable[[Path, pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Gusto(
        SqliteStorage(tmp_path / "jobs.db", archive=True), options=Options(retention=timedelta(0))
    )

    @app.job
    async def double(n: int) -> int:
        return 2 * n

    async def work(numbers: range) -> None:
        async with app.running() as queue:
            refs = [await queue.enqueue(double, n) for n in numbers]
            assert [await ref.result() for ref in refs] == [2 * n for n in numbers]

    async def states() -> list[JobState]:
        async with app.connected() as queue:
            return [job.state for job in (await queue.find()).items]

    with trio.fail_after(30):
        await work(range(5))
        async with app.connected() as queue:
            (job, *_) = (await queue.find()).items
        month = tmp_path / f"jobs-{month_of(round(job.created_at.timestamp() * 1e6))}.db"
        with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
            harm(month, patch)
            await work(range(5, 10))  # a worker cleans up when it starts, and cannot
            (warning,) = {record.getMessage() for record in caplog.records}
            assert "its jobs stay where they are" in warning
            assert await states() == [JobState.COMPLETED] * 10
        month.unlink(missing_ok=True)
        await work(range(10, 11))
        assert month.exists()
        assert await states() == [JobState.COMPLETED] * 11
