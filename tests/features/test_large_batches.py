"""Batches that are too large to be held: poured in with bounded memory, visible all at once."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.features.test_batches import Works, make, storages
from tests.features.test_continuations import Record, Shelf
from tests.features.test_leases import listen
from trio_gusto import (
    ArgumentError,
    BatchError,
    Call,
    DuplicateJob,
    Gusto,
    JobFilter,
    JobQueue,
    JobState,
    MemoryStorage,
    NotSupported,
    StorageError,
    call,
)
from trio_gusto.model.facts import JobEnqueued
from trio_gusto.provider import ProviderStorage
from trio_gusto.queue.staging import SLICE
from trio_gusto.storage.batch_messages import Stage
from trio_gusto.storage.lease_messages import Stranded
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import Asked, Fault, FaultyStorage, VirtualClock

MANY = 2 * SLICE + 7

Pour = Callable[[Works, int], Any]


def calls(works: Works, count: int = MANY, **options: Any) -> Iterator[Call[str]]:
    return (call(works.ok, f"{number}", **options) for number in range(count))


async def asynchronous(works: Works, count: int = MANY) -> AsyncIterator[Call[str]]:
    for one in calls(works, count):
        await trio.lowlevel.checkpoint()
        yield one


def staged_in(storage: Storage) -> int:
    """How many jobs are put by."""
    if isinstance(storage, MemoryStorage):
        return sum(len(pile.requests) for pile in storage._staging._piles.values())
    assert isinstance(storage, SqliteStorage)
    with closing(sqlite3.connect(storage._location.path)) as connection:
        (count,) = connection.execute(
            "SELECT (SELECT count(*) FROM staged) + (SELECT count(*) FROM stage)"
        ).fetchone()
    return int(count)


async def everything(queue: JobQueue) -> int:
    return sum((await queue.stats()).by_state.values())


@storages
@pytest.mark.parametrize("pour", [calls, asynchronous])
async def test_many_jobs_are_poured_in_and_are_there_all_at_once_in_order(
    autojump_clock: MockClock, tmp_path: Path, kind: str, pour: Pour
) -> None:
    works = make(kind, tmp_path)
    async with works.app.running() as queue:
        async with queue.batch(tenant="acme", tags=["t"]) as batch:
            batch.enqueue(works.ok, "first")
            assert await batch.enqueue_many(pour(works, MANY)) == MANY
            batch.enqueue(works.ok, "last")
            after = batch.continue_with(works.ok, "after")
            await trio.sleep(60)
            assert works.did == []
            assert await everything(queue) == 0
            assert staged_in(works.app.storage) > 0
        assert staged_in(works.app.storage) == 0
        assert await after.result(60) == "after"
        status = await batch.wait(60)
        assert (status.total, status.completed) == (MANY + 2, MANY + 2)
        assert works.did == ["first", *map(str, range(MANY)), "last", "after"]
        page = await queue.find(JobFilter(batch_id=batch.id), limit=1)
        assert (page.items[0].tenant, page.items[0].tags) == ("acme", frozenset({"t"}))


@storages
async def test_many_jobs_are_appended_all_at_once(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    works = make(kind, tmp_path)
    async with works.app.running() as queue:
        async with queue.batch() as batch:
            batch.enqueue(works.ok, "early", execute_after=3600)
            after = batch.continue_with(works.ok, "after")
        async with queue.append_to(batch.id) as more, queue.append_to(batch.id) as others:
            await more.enqueue_many(asynchronous(works))
            await others.enqueue_many(calls(works))
            assert (await batch.status()).total == 1
        assert (await batch.status()).total == 2 * MANY + 1
        assert await after.result(4000) == "after"
        assert len(works.did) == 2 * MANY + 2
        with pytest.raises(BatchError, match="is finished"):
            async with queue.append_to(batch.id) as late:
                await late.enqueue_many(calls(works))
        assert staged_in(works.app.storage) == 0


@storages
@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_what_an_abandoned_block_has_staged_is_thrown_away(
    autojump_clock: MockClock, tmp_path: Path, kind: str, is_cancelled: bool
) -> None:
    works = make(kind, tmp_path)
    async with works.app.connected() as queue:
        batch = queue.batch()
        with trio.CancelScope() as scope, pytest.raises((KeyError, trio.Cancelled)):  # noqa: PT012 - the block is what is tested
            async with batch:
                await batch.enqueue_many(calls(works))
                assert staged_in(works.app.storage) > 0
                if is_cancelled:
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
                raise KeyError
        assert staged_in(works.app.storage) == 0
        assert await everything(queue) == 0
        with pytest.raises(BatchError, match="no batch has the id"):
            await batch.status()


@storages
async def test_a_ref_id_that_is_taken_refuses_all(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    works = make(kind, tmp_path)
    async with works.app.connected() as queue:
        taken = await queue.enqueue(works.ok, "x", ref_id="r")
        with pytest.raises(DuplicateJob) as caught:  # noqa: PT012 - the block is what is tested
            async with queue.batch() as batch:
                await batch.enqueue_many([call(works.ok, "y", ref_id="r")])
                await batch.enqueue_many(calls(works))
        assert (caught.value.key, caught.value.existing_id) == ("ref_id", taken.id)
        assert await everything(queue) == 1
        assert staged_in(works.app.storage) == 0


async def test_a_block_that_was_given_a_wrong_call_stores_nothing_any_more(
    autojump_clock: MockClock,
) -> None:
    works = Works()
    async with works.app.connected() as queue:
        with pytest.raises(BatchError, match="did not come to its end"):  # noqa: PT012 - the block is what is tested
            async with queue.batch() as batch:
                batch.enqueue(works.ok, "x")
                with pytest.raises(ArgumentError):
                    await batch.enqueue_many([*calls(works), call(works.ok)])  # type: ignore[call-arg, arg-type]
        batch = queue.batch()
        with pytest.raises(ArgumentError, match="is no call"):
            async with batch:
                await batch.enqueue_many([works.ok])  # type: ignore[list-item]
        assert await everything(queue) == 0
        assert staged_in(works.app.storage) == 0
        with pytest.raises(BatchError, match="inside its block"):
            await batch.enqueue_many([])


async def test_a_block_whose_pouring_was_cancelled_stores_nothing_any_more(
    autojump_clock: MockClock,
) -> None:
    works = Works()

    async def endless() -> AsyncIterator[Call[str]]:
        for one in calls(works):
            yield one
        await trio.sleep_forever()

    async with works.app.connected() as queue:
        with pytest.raises(BatchError, match="did not come to its end"):  # noqa: PT012 - the block is what is tested
            async with queue.batch() as batch:
                with trio.move_on_after(5):
                    await batch.enqueue_many(endless())
        assert await everything(queue) == 0
        assert staged_in(works.app.storage) == 0


async def test_other_jobs_run_while_a_batch_is_poured_in(tmp_path: Path) -> None:
    works = Works(SqliteStorage(tmp_path / "jobs.db"))
    async with works.app.running() as queue:

        async def pouring() -> AsyncIterator[Call[str]]:
            for number, one in enumerate(calls(works)):
                if number % SLICE == 1:
                    assert await (await queue.enqueue(works.ok, "other")).result() == "other"
                yield one

        async with queue.batch() as batch:
            await batch.enqueue_many(pouring())
        assert works.did[:3] == ["other"] * 3
        await batch.wait()


async def test_a_batch_is_poured_in_with_bounded_memory(tmp_path: Path) -> None:
    works = Works(SqliteStorage(tmp_path / "jobs.db"))
    count, size = 10 * SLICE, 4000

    async def large() -> AsyncIterator[Call[str]]:
        for number in range(count):
            yield call(works.ok, f"{number:0{size}}", execute_after=3600)

    async with works.app.connected() as queue:
        tracemalloc.start()
        try:
            async with queue.batch() as batch:
                await batch.enqueue_many(large())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (await batch.status()).scheduled == count
    assert peak < count * size / 2


async def test_what_was_added_before_goes_in_slices_too(autojump_clock: MockClock) -> None:
    storage = MemoryStorage()
    asked: list[Asked] = []
    works = Works(FaultyStorage(storage, asked.append))
    async with works.app.connected() as queue:
        async with queue.batch() as batch:
            for number in range(MANY):
                batch.enqueue(works.ok, f"{number}")
            await batch.enqueue_many(calls(works, 1))
        stages = [one for each in asked for one in each.messages if isinstance(one, Stage)]
        assert [(one.position, len(one.jobs.requests)) for one in stages] == [
            (0, SLICE),
            (SLICE, SLICE),
        ]
        assert (await batch.status()).total == MANY + 1


async def test_a_storage_that_lost_what_was_staged_is_not_taken_at_its_word(
    autojump_clock: MockClock,
) -> None:
    works = Works()
    async with works.app.connected() as queue:
        with pytest.raises(BatchError, match="the storage has 0"):  # noqa: PT012 - the block is what is tested
            async with queue.batch() as batch:
                await batch.enqueue_many(calls(works))
                works.app.storage._staging._piles.clear()  # type: ignore[attr-defined]
        with pytest.raises(BatchError, match="the storage has 0"):  # noqa: PT012 - the block is what is tested
            async with queue.batch() as batch:
                await batch.enqueue_many(calls(works))
                works.app.storage._staging._piles.clear()  # type: ignore[attr-defined]
                await batch.enqueue_many(calls(works))
        assert await everything(queue) == 0


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_fault_on_the_way_leaves_all_or_nothing(
    autojump_clock: MockClock, nth: int, after_commit: bool
) -> None:
    """The first two calls stage a slice each, the third ends the block."""
    storage = MemoryStorage()
    faulty = FaultyStorage(storage, [Fault(nth=nth, after_commit=after_commit)])
    works = Works(faulty)
    async with works.app.connected() as queue:
        with pytest.raises(StorageError):
            async with queue.batch() as batch:
                await batch.enqueue_many(calls(works))
        assert await everything(queue) == (MANY if (nth, after_commit) == (3, True) else 0)
        assert staged_in(storage) == 0


async def test_what_cannot_be_thrown_away_is_left_to_the_sweeper(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    storage = MemoryStorage()
    works = Works(FaultyStorage(storage, [Fault(nth=3)]))
    async with works.app.connected() as queue:
        with pytest.raises(KeyError):  # noqa: PT012 - the block is what is tested
            async with queue.batch() as batch:
                await batch.enqueue_many(calls(works))
                raise KeyError
    assert staged_in(storage) == 2 * SLICE
    assert "left to a sweep" in caplog.text
    async with works.app.running():
        assert staged_in(storage) == 0


@storages
async def test_no_sweep_takes_what_a_living_block_has_staged(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    works = make(kind, tmp_path)
    async with works.app.running() as queue:
        async with queue.batch() as batch:
            await batch.enqueue_many(calls(works))
            await trio.sleep(60)  # two sweeps at least
            found = await works.app.storage.read(Stranded("another", 1 << 60, 9))
            assert not found.stages
            await batch.enqueue_many(calls(works))
        assert (await batch.status()).total == 2 * MANY


async def test_every_job_is_told_of_once_it_is_stored(autojump_clock: MockClock) -> None:
    works = Works()
    async with works.app.connected() as queue:
        facts = listen(queue)
        async with queue.batch() as batch:
            await batch.enqueue_many(
                call(works.ok, "", queue=f"q{number % 2}") for number in range(MANY)
            )
            assert facts == []
        by_id = {fact.job_id: fact for fact in facts if isinstance(fact, JobEnqueued)}
        assert len(by_id) == len(facts) == MANY
        for job in (await queue.find(JobFilter(batch_id=batch.id), limit=1000)).items:
            fact = by_id[job.id]
            assert (fact.at, fact.name, fact.queue) == (job.created_at, job.name, job.queue)
            assert fact.state is JobState.READY


async def _ok(word: str) -> str:
    return word


async def test_a_job_that_expires_in_a_poured_batch_is_not_overlooked(
    autojump_clock: MockClock,
) -> None:
    """All executors are busy with something else."""
    works = Works()
    async with works.app.running() as queue:
        await queue.enqueue_many([call(works.hang)] * 4)
        async with queue.batch() as batch:
            await batch.enqueue_many(calls(works, SLICE, expire_on=10))
        with trio.fail_after(11), pytest.raises(ExceptionGroup):
            await batch.wait()
        assert (await batch.status()).expired == SLICE


async def test_a_provider_without_batches_says_so_with_the_first_slice(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(ProviderStorage(Shelf(), Record), clock=VirtualClock())
    ok = app.job(name="ok")(_ok)
    async with app.connected() as queue:
        with pytest.raises(NotSupported, match="SupportsBatches"):
            async with queue.batch() as batch:
                await batch.enqueue_many(call(ok, str(number)) for number in range(MANY))
