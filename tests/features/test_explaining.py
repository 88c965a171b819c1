"""`JobQueue.explain`: what the queue finds out about a job, on every storage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import trio
import trio.testing

from trio_gusto import Gusto, JobRef, MemoryStorage, Options, Reason, UnknownJob, no_retry
from trio_gusto.model.ids import to_job_id
from trio_gusto.model.states import Processing
from trio_gusto.storage.messages import ClaimDue
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "memory":
        return MemoryStorage()
    return SqliteStorage(tmp_path / "jobs.db", inline=True, synchronous="NORMAL")


class Jobs:
    """An app whose handlers return, fail, and stay."""

    def __init__(self, storage: Storage, options: Options | None = None) -> None:
        self.app = Gusto(storage, options=options, clock=VirtualClock(START))
        self.greet = self.app.job(name="greet")(self._greet)
        self.fail = self.app.job(name="fail", retry=no_retry())(self._fail)
        self.stay = self.app.job(name="stay")(trio.sleep_forever)

    async def _greet(self) -> str:
        return "hello"

    async def _fail(self) -> None:
        raise OSError("the disk is full")


async def reason(ref: JobRef[object]) -> Reason:
    return (await ref._queue.explain(ref)).reason


async def test_jobs_before_they_run_and_after(
    storage: Storage, autojump_clock: trio.testing.MockClock
) -> None:
    jobs = Jobs(storage)
    async with jobs.app.connected() as queue:
        later = await queue.enqueue(jobs.greet, execute_after=60)
        explanation = await queue.explain(later)
        assert explanation.reason is Reason.NOT_DUE
        assert explanation.until == START + timedelta(seconds=60)

        ready = await queue.enqueue(jobs.greet)
        explanation = await queue.explain(ready.id)
        assert explanation.reason is Reason.READY
        assert explanation.sentence.endswith("this process runs no jobs.")

        failing = await queue.enqueue(jobs.fail)
        after = await queue.continue_with([ready, later], jobs.greet)
        explanation = await queue.explain(after)
        assert explanation.reason is Reason.WAITING_FOR_PARENTS
        assert set(explanation.blocking) == {ready.id, later.id}

        await queue.work_until_idle()
        assert await reason(ready) is Reason.COMPLETED
        assert (await queue.explain(failing)).sentence.endswith("OSError: the disk is full.")
        assert (await queue.explain(after)).blocking == (later.id,)

        await later.cancel("no need")
        assert (await queue.explain(later)).details["reason"] == "no need"
        with pytest.raises(UnknownJob):
            await queue.explain(uuid4())


async def test_a_job_that_waits_for_a_batch(
    storage: Storage, autojump_clock: trio.testing.MockClock
) -> None:
    jobs = Jobs(storage)
    async with jobs.app.connected() as queue:
        async with queue.batch() as batch:
            batch.enqueue(jobs.greet)
            after = batch.continue_with(jobs.greet)
        assert (await queue.explain(after)).blocking == (batch.id,)


async def test_jobs_beside_workers(
    storage: Storage, autojump_clock: trio.testing.MockClock
) -> None:
    jobs = Jobs(storage, Options(concurrency=1, queues=["default"]))
    async with jobs.app.running() as queue:
        running = await queue.enqueue(jobs.stay)
        await trio.sleep(1)
        explanation = await queue.explain(running)
        assert explanation.reason is Reason.PROCESSING
        assert explanation.until is not None
        assert 60 <= (explanation.until - START).total_seconds() < 61
        behind = await queue.enqueue(jobs.greet)
        elsewhere = await queue.enqueue(jobs.greet, queue="mail")
        assert await reason(behind) in {Reason.EXECUTORS_BUSY, Reason.PROCESSING}
        assert await reason(elsewhere) is Reason.QUEUE_NOT_SERVED
        await running.cancel("enough")


async def test_a_pause_and_a_named_worker_that_is_at_work(
    storage: Storage, autojump_clock: trio.testing.MockClock
) -> None:
    jobs = Jobs(storage)
    async with jobs.app.running() as queue:
        running = await queue.enqueue(jobs.stay, worker="smtp")
        await trio.sleep(1)
        behind = await queue.enqueue(jobs.greet, worker="smtp")
        explanation = await queue.explain(behind)
        assert explanation.reason is Reason.WORKER_BUSY
        assert explanation.blocking == (running.id,)
        await queue.pause(queue="default", reason="the relay is down")
        explanation = await queue.explain(behind)
        assert explanation.reason is Reason.PAUSED
        assert explanation.details["why"] == "the relay is down"
        await running.cancel("enough")


async def test_a_handler_that_only_others_know(
    storage: Storage, autojump_clock: trio.testing.MockClock
) -> None:
    other = Gusto(storage, clock=VirtualClock(START))

    @other.job(name="their own")
    async def theirs() -> None: ...

    async with other.connected() as queue:
        job = (await queue.enqueue(theirs)).id
    async with Jobs(storage).app.running() as queue:
        await trio.sleep(1)
        assert (await queue.explain(job)).reason is Reason.UNKNOWN_HANDLER


async def test_the_lease_of_a_node_that_is_gone(
    storage: Storage, autojump_clock: trio.testing.MockClock
) -> None:
    jobs = Jobs(storage)
    async with jobs.app.connected() as queue:
        ref = await queue.enqueue(jobs.greet)
        await storage.attach("gone")
        now = int(START.timestamp()) * 1_000_000
        await storage.apply([ClaimDue("gone", now, now + 60_000_000, 9, 9)])
        stored = await queue.reader.known(to_job_id(ref.id))
        assert isinstance(stored.state, Processing)
        assert await reason(ref) is Reason.PROCESSING
        await storage.detach("gone")
        assert await reason(ref) is Reason.LEASE_LOST


async def test_a_job_behind_the_earlier_one_of_its_schedule(
    storage: Storage, autojump_clock: trio.testing.MockClock
) -> None:
    jobs = Jobs(storage, Options(concurrency=2))
    async with jobs.app.running() as queue:
        await queue.schedule(
            "often",
            jobs.stay,
            trigger=timedelta(seconds=10),
            overlap="buffer_one",
        )
        await trio.sleep(25)
        found = (await queue.find()).items
        first, second = (job for job in reversed(found) if job.state in {"processing", "waiting"})
        explanation = await queue.explain(second)
        assert explanation.reason is Reason.WAITING_FOR_EARLIER
        assert explanation.blocking == (first.id,)
        await queue.remove_schedule("often")
        await queue.cancel(second)
        await queue.cancel(first)
