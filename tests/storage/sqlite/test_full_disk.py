"""A disk without space: who asks is told, what was acknowledged is kept, and it goes on when there is space.

The disk is `full_disk.Disk`; a real one is filled in ``tests/processes/test_small_disks.py``.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Generator
from pathlib import Path
from uuid import UUID

import pytest
import trio
from trio.testing import MockClock

from tests.storage.sqlite.full_disk import Disk, disk_that_fills
from trio_gusto import Gusto, JobQueue, JobState, Options, StorageFull, call
from trio_gusto.storage.sqlite import SqliteStorage, log
from trio_gusto.storage.sqlite.errors import explained
from trio_gusto.testing import VirtualClock

LARGE = "x" * 20_000


@pytest.fixture
def disk() -> Generator[Disk]:
    with disk_that_fills() as disk:
        yield disk


@pytest.fixture(autouse=True)
def small_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is given little room at the start, so that it is used up soon."""
    monkeypatch.setattr(log, "ROOM", 64 << 10)


class Shop:
    """An app with a handler that waits to be let go."""

    def __init__(self, path: Path) -> None:
        self.app = Gusto(SqliteStorage(path), options=Options(concurrency=2))
        self.entered, self.go = threading.Event(), threading.Event()
        self.ran: list[str] = []
        self.app.job(name="work")(self.work)
        self.app.job(name="wait")(self.wait)

    async def work(self, text: str) -> int:
        self.ran.append("work")
        return len(text)

    def wait(self) -> str:
        self.ran.append("wait")
        self.entered.set()
        self.go.wait(20)
        return LARGE


async def enqueue_until_full(shop: Shop, queue: JobQueue, path: Path) -> list[UUID]:
    stored: list[UUID] = []
    try:
        while len(stored) < 1000:
            stored.append((await queue.enqueue(shop.work, LARGE)).id)
    except StorageFull as error:
        assert f"{path} is full" in str(error)  # noqa: PT017 - how many come before is not known
        return stored
    raise AssertionError("there is space for everything")


@pytest.mark.parametrize("takes", ["longer", "nothing"])
async def test_what_is_acknowledged_is_kept_and_the_worker_goes_on_when_there_is_space(
    tmp_path: Path, disk: Disk, takes: str
) -> None:
    path = tmp_path / "jobs.db"
    shop = Shop(path)
    with trio.fail_after(30):
        async with shop.app.running() as queue:
            waits = await queue.enqueue(shop.wait)
            await trio.to_thread.run_sync(shop.entered.wait, 10)
            disk.takes = takes
            stored = await enqueue_until_full(shop, queue, path)
            shop.go.set()  # its outcome cannot be stored now
            with trio.move_on_after(0.3):
                await waits.wait()
                raise AssertionError("it was stored, where there was no space")
            assert await waits.status() is JobState.PROCESSING
            assert disk.refused
            disk.takes = "all"
            assert await waits.result() == LARGE
            for job_id in stored:
                assert await queue.ref(job_id).result() == len(LARGE)
            assert await (await queue.enqueue(shop.work, "after")).result() == 5
            jobs = (await queue.find(limit=1000)).items
    assert {job.id for job in jobs} >= {waits.id, *stored}
    assert len(jobs) == len(stored) + 2
    assert shop.ran == ["wait"] + ["work"] * (len(stored) + 1)


async def test_a_producer_is_told_and_may_try_again(tmp_path: Path, disk: Disk) -> None:
    path = tmp_path / "jobs.db"
    shop = Shop(path)
    async with shop.app.connected() as queue:
        disk.takes = "longer"
        stored = await enqueue_until_full(shop, queue, path)
        assert (await queue.stats()).by_state.get(JobState.READY, 0) == len(stored)
        disk.takes = "all"
        await queue.enqueue(shop.work, LARGE)
        assert (await queue.stats()).by_state[JobState.READY] == len(stored) + 1


async def test_a_batch_that_finds_no_space_is_not_there(tmp_path: Path, disk: Disk) -> None:
    shop = Shop(tmp_path / "jobs.db")
    async with shop.app.connected() as queue:
        disk.takes = "longer"
        with pytest.raises(StorageFull):
            async with queue.batch() as batch:
                await batch.enqueue_many(call(shop.work, LARGE) for _ in range(100))
        disk.takes = "all"
        assert (await queue.find()).items == ()
        assert (await queue.batches()).items == ()


async def test_a_stop_on_a_full_disk_comes_to_an_end_and_the_next_start_goes_on(
    tmp_path: Path, disk: Disk, autojump_clock: MockClock
) -> None:
    storage = SqliteStorage(tmp_path / "jobs.db", inline=True)
    app = Gusto(storage, clock=VirtualClock(), options=Options(drain_timeout=10))

    @app.job(name="work")
    async def work() -> str:
        await trio.sleep(5)
        return "done"

    async with app.running() as queue:
        ref = await queue.enqueue(work)
        await trio.sleep(1)
        disk.takes = "nothing"
        began = trio.current_time()
    assert trio.current_time() - began < 10 + 3 * 5 + 1
    disk.takes = "all"
    async with app.running() as queue:
        assert await queue.ref(ref.id).result() == "done"
        outcomes = [attempt.outcome for attempt in await queue.attempts(queue.ref(ref.id))]
    assert outcomes == ["lost", "succeeded"]


async def test_a_file_cannot_be_made_on_a_full_disk(tmp_path: Path, disk: Disk) -> None:
    shop = Shop(tmp_path / "jobs.db")
    disk.takes = "nothing"
    with pytest.raises(StorageFull, match=r"jobs\.db is full"):
        async with shop.app.connected():
            pass
    disk.takes = "all"
    async with shop.app.connected() as queue:
        assert (await queue.find()).items == ()


def test_no_space_for_the_index_of_the_log_is_no_fault_of_the_disk() -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    assert isinstance(explained(error, "jobs.db", 5.0), StorageFull)


async def test_no_space_for_a_node_s_file_is_no_want_of_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = os.open

    def full(path: Path | str, *rest: int, **more: int) -> int:
        if str(path).endswith(".lock"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return opens(path, *rest, **more)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(StorageFull, match=r"\.lock is full"):
        async with Shop(tmp_path / "jobs.db").app.connected():
            pass
