"""Defects that other schedulers have had, each by its symptom, which is not to be seen here.

Those of continuations, batches and schedules stand at the end of their own files, under the same words.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import attrs
import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    Fail,
    Gusto,
    JobFilter,
    JobState,
    MemoryStorage,
    Options,
    Storage,
    StorageBusy,
    call,
    current_job,
    fixed,
)
from trio_gusto.provider import (
    JobSearchParams,
    JobStorageProvider,
    JobStorageRecord,
    ProviderStorage,
)
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import Barriers, FaultyStorage, VirtualClock, drain

storages = pytest.mark.parametrize("kind", ["memory", "sqlite"])


def make(kind: str, path: Path) -> Storage:
    return (
        MemoryStorage()
        if kind == "memory"
        else SqliteStorage(path / "jobs.db", inline=True, watch_interval=60)
    )


# --- claims ---------------------------------------------------------------------------------------


@storages
async def test_two_workers_on_one_storage_never_run_the_same_job(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    """Where rows are read and stay ready, both take them."""
    storage, clock, ran = make(kind, tmp_path), VirtualClock(), Counter[int]()
    apps = [Gusto(storage, clock=clock, options=Options(concurrency=3)) for _ in range(2)]

    async def work(number: int) -> None:
        ran[number] += 1
        await trio.sleep(1)

    handlers = [app.job(name="work")(work) for app in apps]
    async with apps[0].running() as queue, apps[1].running():
        refs = await queue.enqueue_many([call(handlers[0], number) for number in range(60)])
        for ref in refs:
            await ref.result(60)
        nodes = {(await queue.attempts(ref))[0].node_id for ref in refs}
    assert set(ran.values()) == {1}
    assert len(nodes) == 2


async def test_a_task_longer_than_any_lease_is_delivered_once(autojump_clock: MockClock) -> None:
    """Where invisibility is fixed and not renewed, long tasks come twice by design."""
    storage, clock, ran = MemoryStorage(), VirtualClock(), Counter[str]()
    options = Options(concurrency=1, lease=10, default_timeout=None)
    apps = [Gusto(storage, clock=clock, options=options) for _ in range(2)]

    async def import_archive() -> None:
        ran["archive"] += 1
        await trio.sleep(3600)

    handlers = [app.job(name="import")(import_archive) for app in apps]
    async with apps[0].running() as queue, apps[1].running():
        ref = await queue.enqueue(handlers[0])
        await ref.result(7200)
        assert (await ref.job()).attempt == 1
    assert ran == {"archive": 1}


@storages
async def test_jobs_run_in_their_order_however_many_there_are(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    """Where a poll has no order, an old job may wait for ever behind new ones."""
    options = Options(concurrency=1, batch_size=1)
    app = Gusto(make(kind, tmp_path), clock=VirtualClock(), options=options)
    ran: list[int] = []

    @app.job
    async def work(number: int) -> None:
        ran.append(number)
        if number < 100:
            await queue.enqueue(work, number + 100)

    async with app.running() as queue:
        await queue.enqueue_many([call(work, number) for number in range(100)])
        await drain(queue)
    assert ran == list(range(200))


async def test_a_crowd_of_jobs_does_not_run_all_at_once(autojump_clock: MockClock) -> None:
    """Where every command starts a task of its own, nothing bounds their number."""
    app = Gusto(clock=VirtualClock())
    inside, most = 0, 0

    @app.job
    async def work() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await trio.sleep(1)
        inside -= 1

    async with app.running() as queue:
        for ref in await queue.enqueue_many([call(work) for _ in range(500)]):
            await ref.result(1000)
    assert most == os.cpu_count()


# --- batches --------------------------------------------------------------------------------------


@storages
@pytest.mark.parametrize("after_commit", [False, True], ids=["before", "after"])
async def test_a_crash_never_leaves_half_a_batch(
    autojump_clock: MockClock, tmp_path: Path, kind: str, after_commit: bool
) -> None:
    """Where members are stored one by one, a crash leaves those that came first."""
    storage = FaultyStorage(make(kind, tmp_path))
    app = Gusto(storage, clock=VirtualClock())

    @app.job
    async def work() -> None: ...

    async with app.connected() as queue:
        with pytest.raises(StorageBusy):  # noqa: PT012 - the block is what is tested
            async with queue.batch() as batch:
                for _ in range(50):
                    batch.enqueue(work)
                batch.continue_with(work)
                storage.fail_next(after_commit=after_commit)
        assert sum((await queue.stats()).by_state.values()) == (51 if after_commit else 0)
        assert len((await queue.batches()).items) == after_commit


# --- schedules ------------------------------------------------------------------------------------


@storages
async def test_an_exhausted_occurrence_leaves_the_next_all_of_its_attempts(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    """Where one row is used again, its count of failures makes every later first failure final."""
    app = Gusto(make(kind, tmp_path), clock=VirtualClock())
    fails = 3

    @app.job(max_attempts=3, retry=fixed(60))
    async def close_day() -> None:
        nonlocal fails
        fails -= 1
        if fails >= 0:
            raise ValueError("the till does not open")

    async with app.running() as queue:
        await queue.schedule("ledger", close_day, trigger=timedelta(hours=1))
        await trio.sleep(3600 + 600)
        (first,) = (await queue.find()).items
        assert (first.state, first.attempt) == (JobState.FAILED, 3)
        fails = 2
        await trio.sleep(3600)
        second = (await queue.find()).items[0]
        assert (second.state, second.attempt) == (JobState.COMPLETED, 3)


@storages
@pytest.mark.parametrize("minutes", [60, 7], ids=["as it was", "another trigger"])
async def test_registering_a_schedule_again_does_not_touch_its_running_job(
    autojump_clock: MockClock, tmp_path: Path, kind: str, minutes: int
) -> None:
    """Where that is to cancel and to store, a job is deleted while it runs, or nothing is stored."""
    app = Gusto(make(kind, tmp_path), clock=VirtualClock(), options=Options(default_timeout=None))
    done: list[datetime | None] = []

    @app.job
    async def close_day() -> None:
        await trio.sleep(1800)
        done.append(current_job().job.fire_time)

    async with app.running() as queue:
        await queue.schedule("ledger", close_day, trigger=timedelta(hours=1))
        await trio.sleep(3600 + 60)
        (running,) = (await queue.find(JobFilter(states=[JobState.PROCESSING]))).items
        kept = await queue.schedule("ledger", close_day, trigger=timedelta(minutes=minutes))
        assert (kept.last_job_id, kept.last_at) == (running.id, running.fire_time)
        await queue.ref(running.id).result(3600)
    assert done == [datetime(2026, 1, 1, 1, tzinfo=UTC)]


@storages
async def test_a_dead_job_of_a_schedule_that_never_overlaps_does_not_pause_it(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    """Where a dead letter counts as unfinished, its schedule is paused indefinitely."""
    app = Gusto(make(kind, tmp_path), clock=VirtualClock())
    ran: list[int] = []

    @app.job
    async def close_day() -> None:
        ran.append(len(ran))
        raise Fail("the till does not open")

    async with app.running() as queue:
        await queue.schedule("ledger", close_day, trigger=timedelta(hours=1), overlap="skip")
        await trio.sleep(5 * 3600 + 1)
        assert (await queue.stats()).by_state == {JobState.FAILED: 5}
    assert ran == list(range(5))


async def test_a_nightly_schedule_follows_its_own_zone_and_a_pause_is_more_than_a_switch(
    autojump_clock: MockClock,
) -> None:
    """Where cron has no time zone, and all that can be done to a schedule is to switch it off."""
    clock = VirtualClock(datetime(2026, 7, 1, 20, tzinfo=UTC))
    app = Gusto(clock=clock)

    @app.job
    async def close_day() -> None: ...

    async with app.running() as queue:
        for name, zone in (("rome", "Europe/Rome"), ("utc", "UTC")):
            await queue.schedule(
                name, close_day, trigger="0 2 * * *", timezone=zone, coalesce="all", overlap="allow"
            )
        rome, utc = await queue.schedules()
        assert rome.next_at == datetime(2026, 7, 2, 0, tzinfo=UTC)
        assert utc.next_at == datetime(2026, 7, 2, 2, tzinfo=UTC)
        for name in ("rome", "utc"):
            await queue.pause_schedule(name)
        await trio.sleep(2 * 86_400)
        await queue.resume_schedule("rome")
        await queue.resume_schedule("utc", catch_up=True)
        await trio.sleep(1)
        fired = [job.schedule_name for job in (await queue.find()).items]
        assert fired == ["utc", "utc"]


# --- what has been ---------------------------------------------------------------------------------


@storages
async def test_a_cancelled_job_keeps_its_history_and_an_expired_one_goes_with_the_rest(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    """Where to cancel is to delete nothing is left to look at, and expired rows never leave."""
    options = Options(queues=["served"], retention=timedelta(hours=1))
    app = Gusto(make(kind, tmp_path), clock=VirtualClock(), options=options)

    @app.job(queue="served", retry=fixed(3000), max_attempts=5)
    async def work() -> None:
        raise ValueError("a bad value")

    @app.job(queue="unserved", expire_on=60)
    async def never() -> None: ...

    async with app.running() as queue:
        cancelled, expired = await queue.enqueue(work), await queue.enqueue(never)
        await trio.sleep(61)
        assert await cancelled.cancel("not wanted")
        job = await cancelled.job()
        assert (job.state, job.reason, job.attempt) == (JobState.CANCELLED, "not wanted", 1)
        (attempt,) = await queue.attempts(cancelled)
        assert attempt.error is not None
        assert attempt.error.message == "a bad value"
        assert await expired.status() is JobState.EXPIRED
        await trio.sleep(2 * 3600)
        assert await queue.get(cancelled.id) is None
        assert await queue.get(expired.id) is None


# --- tests of applications -------------------------------------------------------------------------


async def test_a_barrier_of_one_app_holds_no_other_in_the_same_process(
    autojump_clock: MockClock,
) -> None:
    """Where barriers are static, every worker of the process stops at them."""
    held, free = Gusto(clock=VirtualClock()), Gusto(clock=VirtualClock())
    barriers, others = Barriers(), Barriers()

    async def work() -> str:
        return "done"

    of_held, of_free = held.job(work), free.job(work)
    async with (
        held.running(barriers=barriers) as queue,
        free.running(barriers=others) as other,
        barriers.batch_start.hold() as at,
    ):
        ref = await queue.enqueue(of_held)
        await at.reached()
        assert await (await other.enqueue(of_free)).result(1) == "done"
        await others.batch_completed.wait()
        assert await ref.status() is JobState.PROCESSING
    # The block released it on its way out.
    async with held.connected() as queue:
        assert await queue.ref(ref.id).status() in {JobState.COMPLETED, JobState.READY}


# --- providers -------------------------------------------------------------------------------------


@attrs.define
class Row(JobStorageRecord):
    failures: int = 0


class HandsOutCopies(JobStorageProvider[Row]):
    """Rows are its own: what it gives away, and what it is given, are copies of them."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.rows: dict[UUID, Row] = {}

    async def store_job(self, record: Row) -> None:
        self.rows[record.tracking_id] = attrs.evolve(record)

    async def get_batch(self, params: JobSearchParams[Row]) -> Sequence[Row]:
        due = [attrs.evolve(row) for row in self.rows.values() if params.match(row)]
        return due[: params.limit]

    async def mark_job_as_complete(self, record: Row) -> None:
        self.rows[record.tracking_id].is_complete = True

    async def cancel_job(self, tracking_id: UUID) -> None:
        self.rows[tracking_id].is_complete = True

    async def on_handler_execution_failure(self, record: Row, error: BaseException) -> None:
        record.failures += 1
        record.execute_after = self.clock.now() + timedelta(seconds=60)
        record.is_complete = record.failures == 3
        await self.store_job(record)


async def test_what_a_provider_decides_about_a_failure_outlives_the_copy_it_was_given(
    autojump_clock: MockClock,
) -> None:
    """Where it is noted on the copy alone, a failed job runs again at once, for ever."""
    clock = VirtualClock()
    provider = HandsOutCopies(clock)
    ran: list[float] = []

    async def work(words: list[str]) -> None:
        assert words == ["a"]
        words.append("what a handler does to its arguments is its own business")
        ran.append(trio.current_time())
        raise ValueError("a bad value")

    for run in range(2):  # the second knows no more than the rows
        app = Gusto(ProviderStorage(provider, Row), clock=clock)
        handler = app.job(name="work")(work)
        async with app.running() as queue:
            if run == 0:
                await queue.enqueue(handler, ["a"])
            await trio.sleep(600 if run else 30)
    assert [at - ran[0] for at in ran] == pytest.approx([0, 60, 120], abs=1)
    (row,) = provider.rows.values()
    assert (row.is_complete, row.failures) == (True, 3)
