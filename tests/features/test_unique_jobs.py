"""Jobs of which there is one at most: a live job holds its unique key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.storage.own_providers import MyRecord, Shelf
from trio_gusto import (
    DuplicateJob,
    Gusto,
    JobCancelled,
    JobState,
    MemoryStorage,
    NotSupported,
    OptionsError,
    call,
)
from trio_gusto.provider import ProviderStorage
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

MakeApp = Callable[[], Gusto]


@pytest.fixture(params=["memory", "sqlite"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Gusto:
    storage: Storage = MemoryStorage()
    if request.param == "sqlite":
        storage = SqliteStorage(tmp_path / "jobs.db", inline=True)
    return Gusto(storage, clock=VirtualClock())


async def sync(account: str) -> str:
    return f"synced {account}"


async def hang() -> None:
    await trio.sleep_forever()


async def test_a_second_live_job_is_refused_with_the_first_ones_id(app: Gusto) -> None:
    app.job(sync)
    async with app.connected() as queue:
        first = await queue.enqueue(sync, "a", unique_key="sync:a")
        assert (await first.job()).unique_key == "sync:a"
        with pytest.raises(DuplicateJob, match="has the unique_key 'sync:a'") as caught:
            await queue.enqueue(sync, "a", unique_key="sync:a")
        assert (caught.value.key, caught.value.existing_id) == ("unique_key", first.id)
        await queue.enqueue(sync, "b", unique_key="sync:b")
        assert len((await queue.find()).items) == 2


async def test_the_key_is_free_once_the_job_has_ended(app: Gusto) -> None:
    app.job(sync)
    async with app.running() as queue:
        for _ in range(3):
            ref = await queue.enqueue(sync, "a", unique_key="sync:a")
            assert await ref.result() == "synced a"


async def test_a_running_job_holds_its_key(app: Gusto, autojump_clock: trio.abc.Clock) -> None:
    app.job(hang)
    async with app.running() as queue:
        ref = await queue.enqueue(hang, unique_key="one")
        await trio.sleep(1)
        assert await ref.status() is JobState.PROCESSING
        for on_conflict in ("raise", "replace"):
            with pytest.raises(DuplicateJob):
                await queue.enqueue(hang, unique_key="one", on_conflict=on_conflict)
        same = await queue.enqueue(hang, unique_key="one", on_conflict="return_existing")
        assert same == ref
        await ref.cancel()
        await ref.wait()
        other = await queue.enqueue(hang, unique_key="one", on_conflict="return_existing")
        assert other != ref
        await other.cancel()


async def test_the_existing_job_may_be_returned(app: Gusto) -> None:
    app.job(sync)
    async with app.running() as queue:
        refs = await queue.enqueue_many(
            [
                call(sync, name, unique_key="k", on_conflict="return_existing", execute_after=60)
                for name in ("a", "b")
            ]
        )
        assert refs[0] == refs[1]
        assert (await refs[0].job()).args == ("a",)
        assert len((await queue.find()).items) == 1


async def test_a_job_that_has_not_begun_may_be_replaced(app: Gusto) -> None:
    app.job(sync)
    async with app.running() as queue:
        old = await queue.enqueue(sync, "old", unique_key="k", execute_after=60)
        after_old = await queue.continue_with(old, sync, "after old")
        new = await queue.enqueue(sync, "new", unique_key="k", on_conflict="replace")
        with pytest.raises(JobCancelled, match=f"replaced by {new.id}"):
            await old.result()
        assert await new.result() == "synced new"
        with pytest.raises(JobCancelled):
            await after_old.result()


async def test_who_waits_for_a_replaced_job_is_told_at_once(app: Gusto) -> None:
    app.job(sync)
    async with app.connected() as queue, trio.open_nursery() as nursery:
        old = await queue.enqueue(sync, "old", unique_key="k")

        async def wait() -> None:
            assert (await old.wait(timeout=30)).state is JobState.CANCELLED

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await queue.enqueue(sync, "new", unique_key="k", on_conflict="replace")


async def test_a_handler_may_have_one_key_for_all_its_jobs(app: Gusto) -> None:
    app.job(unique_key="sync", on_conflict="return_existing")(sync)
    async with app.connected() as queue:
        refs = [await queue.enqueue(sync, name) for name in ("a", "b")]
        assert refs[0] == refs[1]
        other = await queue.enqueue(sync, "c", unique_key=None)
        assert other != refs[0]


async def test_a_continuation_may_have_a_key(app: Gusto) -> None:
    app.job(sync)
    async with app.running() as queue:
        parent = await queue.enqueue(sync, "a", execute_after=60)
        first = await queue.continue_with(parent, sync, "b", unique_key="k")
        again = await queue.continue_with(
            parent, sync, "b", unique_key="k", on_conflict="return_existing"
        )
        assert first == again


async def test_a_retry_by_hand_wants_the_key_back(app: Gusto) -> None:
    app.job(sync)
    async with app.connected() as queue:
        old = await queue.enqueue(sync, "a", unique_key="k")
        await old.cancel()
        new = await queue.enqueue(sync, "a", unique_key="k")
        with pytest.raises(DuplicateJob) as caught:
            await queue.retry(old)
        assert caught.value.existing_id == new.id
        assert await old.status() is JobState.CANCELLED
        await new.cancel()
        assert await queue.retry(old)
        with pytest.raises(DuplicateJob):
            await queue.enqueue(sync, "a", unique_key="k")


async def test_a_batch_is_stored_with_its_keys_or_not_at_all(app: Gusto) -> None:
    app.job(sync)
    async with app.connected() as queue:
        await queue.enqueue(sync, "a", unique_key="k")
        with pytest.raises(DuplicateJob):  # noqa: PT012 - the end of the block raises
            async with queue.batch() as batch:
                batch.enqueue(sync, "b")
                batch.enqueue(sync, "c", unique_key="k")
        assert len((await queue.find()).items) == 1
        with pytest.raises(DuplicateJob):  # noqa: PT012 - the end of the block raises
            async with queue.batch() as batch:
                for name in ("d", "e"):
                    batch.enqueue(sync, name, unique_key="l")
        async with queue.batch() as batch:
            for name in ("d", "e"):
                batch.enqueue(sync, name, unique_key=name)
        assert len((await queue.find()).items) == 3
        with pytest.raises(OptionsError, match="on_conflict"):
            async with queue.batch() as batch:
                batch.enqueue(sync, "c", unique_key="k", on_conflict="replace")


async def test_a_schedule_has_no_unique_key(app: Gusto) -> None:
    app.job(sync)
    async with app.connected() as queue:
        with pytest.raises(OptionsError, match="overlap"):
            await queue.schedule("s", sync, "a", trigger="* * * * *", unique_key="k")


async def test_an_unknown_way_to_meet_a_conflict_is_refused(app: Gusto) -> None:
    app.job(sync)
    async with app.connected() as queue:
        with pytest.raises(OptionsError, match='"return_existing"'):
            await queue.enqueue(sync, "a", unique_key="k", on_conflict="ignore")  # type: ignore[call-overload]


async def test_a_provider_has_no_unique_keys() -> None:
    app = Gusto(ProviderStorage(Shelf(), MyRecord))
    app.job(sync)
    async with app.connected() as queue:
        with pytest.raises(NotSupported, match="unique keys"):
            await queue.enqueue(sync, "a", unique_key="k")
