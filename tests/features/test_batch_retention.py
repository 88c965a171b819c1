"""A batch goes with the last of its jobs, and not while somebody waits for it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from trio import sleep
from trio.testing import MockClock

from trio_gusto import BatchError, Gusto, JobState, MemoryStorage, Options, Storage
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import VirtualClock

storages = pytest.mark.parametrize("kind", ["memory", "sqlite"])


def make(kind: str, path: Path) -> Gusto:
    storage: Storage = MemoryStorage()
    if kind == "sqlite":
        storage = SqliteStorage(path / "jobs.db", inline=True, watch_interval=60)
    return Gusto(storage, clock=VirtualClock(), options=Options(retention=timedelta(hours=1)))


@storages
async def test_a_batch_is_removed_with_the_last_of_its_jobs(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    app = make(kind, tmp_path)

    @app.job
    async def work() -> None: ...

    async with app.running() as queue:
        async with queue.batch() as batch:
            batch.enqueue(work)
            batch.enqueue(work, execute_after=timedelta(hours=3))
        async with queue.batch() as empty:
            pass
        await sleep(2 * 3600)
        assert (await batch.status()).total == 2  # it has not ended, so all of its jobs stay
        assert [status.id for status in (await queue.batches()).items] == [batch.id]
        await sleep(3 * 3600)
        assert (await queue.batches()).items == ()
        for gone in (batch, empty):
            with pytest.raises(BatchError, match="retention removed it"):
                await gone.status()


@storages
async def test_a_batch_that_is_waited_for_keeps_its_jobs(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    app = make(kind, tmp_path)

    @app.job
    async def work() -> None: ...

    async with app.running() as queue:
        async with queue.batch() as batch:
            batch.enqueue(work)
        late = await queue.enqueue(work, execute_after=timedelta(hours=5))
        both = await queue.continue_with([batch, late], work)
        await sleep(4 * 3600)
        assert ((await batch.status()).total, await both.status()) == (1, JobState.WAITING)
        await both.result(2 * 3600)
        await sleep(2 * 3600)
        assert (await queue.batches()).items == ()
