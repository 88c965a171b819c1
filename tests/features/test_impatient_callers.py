"""Who is cancelled while his jobs are being stored has stored them, and they are noticed all the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    Gusto,
    GustoError,
    Handler,
    JobFilter,
    JobQueue,
    JobState,
    MemoryStorage,
    Options,
    call,
)
from trio_gusto.storage.messages import Write, WriteReply
from trio_gusto.testing import VirtualClock


class AnswersLate(MemoryStorage):
    """Its callers can leave after the commit."""

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        replies = await super().apply(writes)
        await trio.sleep(1)
        return replies


Never = Handler[[], None]


async def enqueue(queue: JobQueue, never: Never) -> None:
    await queue.enqueue(never, expire_on=7)


async def enqueue_many(queue: JobQueue, never: Never) -> None:
    await queue.enqueue_many([call(never, expire_on=7)])


async def enqueue_unique(queue: JobQueue, never: Never) -> None:
    await queue.enqueue(never, expire_on=7, unique_key="key")


async def continue_with(queue: JobQueue, never: Never) -> None:
    (parent,) = (await queue.find()).items
    await queue.continue_with(parent, never, expire_on=7)


async def batch(queue: JobQueue, never: Never) -> None:
    async with queue.batch() as batch:
        batch.enqueue(never, expire_on=7)


async def trigger(queue: JobQueue, never: Never) -> None:
    await queue.trigger_schedule("by hand")


Store = Callable[[JobQueue, Never], Awaitable[None]]


@pytest.mark.parametrize(
    "store", [enqueue, enqueue_many, enqueue_unique, continue_with, batch, trigger]
)
async def test_a_deadline_is_kept_though_nobody_waited_for_its_job(
    store: Store, autojump_clock: MockClock
) -> None:
    app = Gusto(AnswersLate(), clock=VirtualClock(), options=Options(queues=["served"]))

    @app.job(queue="unserved")
    async def never() -> None: ...

    async with app.running() as queue:
        await queue.enqueue(never)
        await queue.schedule("by hand", never, trigger=timedelta(days=1), expire_on=7)
        with trio.move_on_after(0.5) as patience:
            await store(queue, never)
        assert patience.cancelled_caught
        await trio.sleep(9)  # and not until the sweeper looks by itself, every half a minute
        expired = await queue.find(JobFilter(states=[JobState.EXPIRED]))
        assert len(expired.items) == 1


async def test_a_continuation_is_released_though_nobody_waited_for_it(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(AnswersLate(), clock=VirtualClock())
    ran = trio.Event()

    @app.job
    async def first() -> None: ...

    @app.job
    async def then() -> None:
        ran.set()

    async with app.running() as queue:
        parent = await queue.enqueue(first)
        await parent.wait()
        with trio.move_on_after(0.5) as patience:
            await queue.continue_with(parent, then)
        assert patience.cancelled_caught
        with trio.fail_after(9):
            await ran.wait()


async def test_one_that_waits_no_longer_takes_nothing_from_his_neighbour(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(clock=VirtualClock())

    @app.job
    async def work() -> str:
        await trio.sleep(5)
        return "done"

    async with app.running() as queue:
        ref = await queue.enqueue(work)
        results: list[str] = []

        async def wait() -> None:
            results.append(await ref.result())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            with pytest.raises(trio.TooSlowError):
                await ref.result(timeout=1)
        assert (results, trio.current_time()) == (["done"], 5)
