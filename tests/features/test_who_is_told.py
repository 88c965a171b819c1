"""Whoever has to look is told, here and on other nodes, so that nobody waits for the safety poll."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    Gusto,
    Handler,
    JobQueue,
    JobRef,
    MemoryStorage,
    Options,
    RateLimit,
    Storage,
)
from trio_gusto.storage.lease_messages import CancelRequests
from trio_gusto.storage.pause_messages import HeardPauses
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import Asked, Fault, FaultyStorage, VirtualClock

Sleep = Handler[[float], None]


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "memory":
        return MemoryStorage()
    return SqliteStorage(tmp_path / "jobs.db", inline=True, synchronous="NORMAL", watch_interval=5)


def make(storage: Storage, clock: VirtualClock, **options: object) -> tuple[Gusto, Sleep]:
    """A node whose safety poll comes too late for any of these tests."""
    given = {"concurrency": 4, "default_timeout": None, "poll_interval": 1000, **options}
    app = Gusto(storage, clock=clock, options=Options(**given))  # type: ignore[arg-type]

    @app.job(name="sleep")
    async def sleep(seconds: float) -> None:
        await trio.sleep(seconds)

    return app, sleep


async def soon(ref: JobRef[None]) -> None:
    """See the job end before anybody looks by himself."""
    with trio.fail_after(2):
        await ref.wait()


# --- a lane whose first job cannot run ------------------------------------------------------------


@asynccontextmanager
async def blocked(
    storage: Storage, **front: object
) -> AsyncGenerator[tuple[JobQueue, Sleep, JobRef[None], JobRef[None]]]:
    """One runs in a lane; the next must run alone in it, and keeps a third from running beside the first."""
    app, sleep = make(storage, VirtualClock())
    async with app.running() as queue:
        running = await queue.enqueue(sleep, 100, concurrency_key="k", concurrency_limit=3)
        await trio.sleep(0.5)
        alone = await queue.enqueue(sleep, 0, concurrency_key="k", concurrency_limit=1, **front)  # type: ignore[call-overload]
        await trio.sleep(0.5)
        third = await queue.enqueue(sleep, 0, concurrency_key="k", concurrency_limit=3)
        await trio.sleep(0.5)
        assert await third.status() == "ready"
        yield queue, sleep, alone, third
        assert await running.status() == "processing"
        await running.cancel()


async def test_who_stands_behind_a_job_that_is_called_off_runs_at_once(
    storage: Storage, autojump_clock: MockClock
) -> None:
    async with blocked(storage) as (_, _, alone, third):
        await alone.cancel()
        await soon(third)


async def test_who_stands_behind_a_job_that_the_next_of_its_schedule_calls_off_runs_at_once(
    storage: Storage, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    lane = {"concurrency_key": "k"}
    app, sleep = make(storage, VirtualClock())
    async with app.running() as queue:
        running = await queue.enqueue(sleep, 200, **lane, concurrency_limit=3)  # type: ignore[call-overload]
        alone: dict[str, Any] = {**lane, "concurrency_limit": 1, "overlap": "cancel_other"}
        await queue.schedule("alone", sleep, 0, trigger=timedelta(minutes=1), **alone)
        await trio.sleep(90)
        third = await queue.enqueue(sleep, 0, **lane, concurrency_limit=3)  # type: ignore[call-overload]
        await trio.sleep(29.5)
        assert await third.status() == "ready"
        await trio.sleep(0.5)
        await soon(third)
        assert await running.status() == "processing"
        await queue.pause_schedule("alone")
        await running.cancel()
    assert not caplog.messages


async def test_who_stands_behind_a_batch_that_is_called_off_runs_at_once(
    storage: Storage, autojump_clock: MockClock
) -> None:
    app, sleep = make(storage, VirtualClock())
    async with app.running() as queue:
        running = await queue.enqueue(sleep, 100, concurrency_key="k", concurrency_limit=3)
        await trio.sleep(0.5)
        async with queue.batch() as batch:
            batch.enqueue(sleep, 0, concurrency_key="k", concurrency_limit=1)
        third = await queue.enqueue(sleep, 0, concurrency_key="k", concurrency_limit=3)
        await trio.sleep(0.5)
        await batch.cancel()
        await soon(third)
        await running.cancel()


async def test_who_stands_behind_a_job_that_expires_runs_at_once(
    storage: Storage, autojump_clock: MockClock
) -> None:
    async with blocked(storage, expire_on=10) as (_, _, alone, third):
        with trio.fail_after(20):
            await alone.wait()
        await soon(third)


async def test_who_stands_behind_a_job_that_is_replaced_runs_at_once(
    storage: Storage, autojump_clock: MockClock
) -> None:
    """On another node, since the one that replaces it has no executor free."""
    clock = VirtualClock()
    (here, sleep), (elsewhere, _) = make(storage, clock, concurrency=1), make(storage, clock)
    lane = {"concurrency_key": "k"}
    unique = {**lane, "concurrency_limit": 1, "unique_key": "u", "on_conflict": "replace"}
    async with here.running() as queue:
        running = await queue.enqueue(sleep, 100, **lane, concurrency_limit=3)  # type: ignore[call-overload]
        await trio.sleep(0.5)
        async with elsewhere.running():
            parent = await queue.enqueue(sleep, 0, execute_after=1000)
            await queue.enqueue(sleep, 0, **unique)  # type: ignore[call-overload]
            third = await queue.enqueue(sleep, 0, **lane, concurrency_limit=3)  # type: ignore[call-overload]
            await trio.sleep(1)
            assert await third.status() == "ready"
            await queue.continue_with(parent, sleep, 0, **unique)  # type: ignore[call-overload]
            await soon(third)
        await parent.cancel()
        await running.cancel()


async def test_a_call_waits_for_its_tokens_and_not_for_jobs_elsewhere_with_the_same_rate(
    autojump_clock: MockClock,
) -> None:
    storage, clock = MemoryStorage(), VirtualClock()
    apps = [Gusto(storage, clock=clock, options=Options(queues=[name])) for name in ("a", "b")]

    async def sleep(seconds: float) -> None:
        await trio.sleep(seconds)

    here, there = (
        app.job(name="sleep", rate_limit=RateLimit(5, per=timedelta(seconds=1)))(sleep)
        for app in apps
    )
    async with apps[0].running() as queue, apps[1].running() as other:
        await other.enqueue(there, 5, queue="b")
        await trio.sleep(1)
        with trio.fail_after(1):
            await queue.run(here, 0, queue="a")


# --- faults of a storage on the way ---------------------------------------------------------------


@asynccontextmanager
async def with_a_long_job(
    kind: type,
) -> AsyncGenerator[tuple[JobQueue, JobRef[None], Callable[[], None]]]:
    """A node runs a job, and a message of this kind to its storage fails once when that is asked for."""
    storage, clock = MemoryStorage(), VirtualClock()
    faults: list[Fault] = []

    def plan(asked: Asked) -> Fault | None:
        is_meant = any(isinstance(message, kind) for message in asked.messages)
        return faults.pop() if faults and is_meant else None

    app, _ = make(FaultyStorage(storage, plan), clock, concurrency=1)
    producer, sleep = make(storage, clock)
    async with app.running(), producer.connected() as queue:
        ref = await queue.enqueue(sleep, 1000)
        await trio.sleep(2)
        yield queue, ref, lambda: faults.append(Fault())
        assert faults == []


async def test_a_cancellation_that_could_not_be_read_is_read_a_second_later(
    autojump_clock: MockClock,
) -> None:
    async with with_a_long_job(CancelRequests) as (_, ref, let_fail):
        let_fail()
        await ref.cancel()
        await soon(ref)


async def test_a_pause_is_heard_of_though_that_could_not_be_noted_at_first(
    autojump_clock: MockClock,
) -> None:
    async with with_a_long_job(HeardPauses) as (queue, ref, let_fail):
        let_fail()
        with trio.fail_after(2):
            await queue.pause(queue="default")
        await ref.cancel()


# --- leases ---------------------------------------------------------------------------------------


async def test_a_short_lease_that_is_lost_is_noticed_in_time_by_a_node_that_heard_of_nothing(
    autojump_clock: MockClock,
) -> None:
    """Nobody tells that he has taken a lease, so others must look before it has passed."""
    storage, clock = MemoryStorage(), VirtualClock()
    is_cut = False

    def plan(_asked: Asked) -> Fault | None:
        return Fault() if is_cut else None

    lost, _ = make(FaultyStorage(storage, plan), clock, lease=3, drain_timeout=0)
    finder, sleep = make(storage, clock, lease=3, queues=["none"])
    async with finder.running() as queue, lost.running():
        await trio.sleep(40)
        ref = await queue.enqueue(sleep, 20)
        await trio.sleep(0.5)
        is_cut = True
        await trio.sleep(3.6)
        assert [one.outcome for one in await queue.attempts(ref)] == ["lost"]
        is_cut = False
        await ref.cancel()
