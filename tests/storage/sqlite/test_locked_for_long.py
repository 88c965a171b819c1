"""Another program keeps the file locked for longer than leases last: who asks is told, nothing runs beside itself,
nothing is lost, and it goes on when the lock is gone.

An outage of minutes, of any storage, is in ``tests/features/test_storage_faults.py``.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trio

from trio_gusto import Gusto, JobState, Options, StorageBusy, current_job, every
from trio_gusto.storage.sqlite import SqliteStorage


@contextmanager
def locked(path: Path) -> Generator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def app_over(path: Path) -> Gusto:
    storage = SqliteStorage(path, busy_timeout=0.1)
    return Gusto(storage, options=Options(concurrency=2, lease=1, drain_timeout=0.1))


async def test_a_lease_that_cannot_be_renewed_is_left_and_the_job_runs_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "jobs.db"
    app = app_over(path)
    inside: list[int] = []
    entered, left = trio.Event(), trio.Event()

    @app.job(name="work")
    async def work() -> int:
        inside.append(current_job().attempt)
        assert len(inside) == 1
        try:
            if not left.is_set():
                entered.set()
                await trio.sleep_forever()
        finally:
            inside.pop()
            left.set()
        return current_job().attempt

    with trio.fail_after(30):
        async with app.running() as queue:
            ref = await queue.enqueue(work)
            await entered.wait()
            with locked(path):
                with pytest.raises(StorageBusy, match=rf"kept {path} locked for longer than 0.1 s"):
                    await queue.enqueue(work)
                await left.wait()  # its lease would pass, and nobody could be asked
                assert await ref.status() is JobState.PROCESSING
            assert await ref.result() in {1, 2}
            outcomes = [attempt.outcome for attempt in await queue.attempts(ref)]
            assert await (await queue.enqueue(work)).result() == 1
            jobs = (await queue.find()).items
    assert outcomes[1:] == ["succeeded"]
    assert outcomes[0] in {"lost", "released"}
    assert len(jobs) == 2, "what was refused is not there"


async def test_schedules_and_reports_wait_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    app = app_over(path)
    ten, count = trio.Event(), itertools.count(1)

    @app.job(name="beat")
    async def beat() -> None:
        current_job().progress(50)
        if next(count) == 10:
            ten.set()

    with trio.fail_after(30):
        async with app.running() as queue:
            await queue.schedule("beats", beat, trigger=every(0.1), coalesce="all", overlap="allow")
            with locked(path):
                with pytest.raises(StorageBusy):
                    await queue.pause(queue="default")
                await trio.sleep(0.5)  # some instants pass
            await ten.wait()
            await queue.remove_schedule("beats")
            jobs = (await queue.find(limit=1000)).items
    instants = sorted(job.fire_time for job in jobs if job.fire_time is not None)
    gaps = {(later - earlier).total_seconds() for earlier, later in itertools.pairwise(instants)}
    assert gaps == {0.1}, "an instant is missing, or there twice"


async def test_a_start_waits_for_the_lock_or_says_that_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    app = app_over(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")  # the file is not made yet
        with trio.fail_after(20), pytest.raises(StorageBusy, match="longer busy_timeout"):
            async with app.connected():
                pass
        other.execute("ROLLBACK")
    async with app.connected() as queue:
        assert (await queue.find()).items == ()
