"""A job can be called off before it runs and while it runs, from wherever it is seen."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from uuid import uuid4

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    Gusto,
    GustoError,
    JobCancelled,
    JobRef,
    JobState,
    MemoryStorage,
    Options,
    UnknownJob,
)
from trio_gusto.storage.lease_messages import RequestCancel
from trio_gusto.storage.messages import Commit, Write, WriteReply
from trio_gusto.testing import VirtualClock


async def test_a_job_that_has_not_begun_is_cancelled_at_once() -> None:
    app = Gusto()
    ran: list[int] = []

    @app.job
    async def never() -> None:
        ran.append(1)

    async with app.connected() as queue:
        for after in (0, 60):
            ref = await queue.enqueue(never, execute_after=after)
            assert await ref.cancel("changed my mind")
            job = await ref.job()
            assert (job.state, job.reason) == (JobState.CANCELLED, "changed my mind")
            assert not await ref.cancel()
    await app.run_until_idle()
    assert ran == []


async def test_a_running_job_is_cancelled_in_its_scope_and_may_clean_up() -> None:
    app = Gusto()
    entered = trio.Event()
    cleaned: list[str] = []

    @app.job
    async def long() -> None:
        entered.set()
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(1, shield=True):
                await trio.lowlevel.checkpoint()
                cleaned.append("yes")

    with trio.fail_after(5):
        async with app.running() as queue:
            ref = await queue.enqueue(long)
            await entered.wait()
            assert await queue.cancel(ref, "stop that")
            with pytest.raises(JobCancelled, match="stop that"):
                await ref.result()
            assert cleaned == ["yes"]
            (attempt,) = await queue.attempts(ref)
            assert attempt.outcome == "cancelled"


async def test_a_running_job_is_cancelled_from_another_app_on_the_same_storage() -> None:
    storage = MemoryStorage()
    worker, admin = Gusto(storage), Gusto(storage)
    entered = trio.Event()

    @worker.job
    async def long() -> None:
        entered.set()
        await trio.sleep_forever()

    with trio.fail_after(5):
        async with worker.running() as queue, admin.connected() as office:
            ref = await queue.enqueue(long)
            await entered.wait()
            assert await office.cancel(ref.id, "from the office")
            assert (await office.ref(ref.id).wait()).state is JobState.CANCELLED


async def test_a_handler_that_completes_all_the_same_is_completed() -> None:
    app = Gusto()
    entered = trio.Event()

    @app.job
    async def stubborn() -> str:
        entered.set()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await trio.testing.wait_all_tasks_blocked()
        return "done anyway"

    with trio.fail_after(5):
        async with app.running() as queue:
            ref = await queue.enqueue(stubborn)
            await entered.wait()
            assert await ref.cancel()
            assert await ref.result() == "done anyway"


async def test_a_thread_can_ask_whether_it_was_cancelled() -> None:
    app = Gusto()
    entered = threading.Event()

    @app.job
    def patient() -> None:
        entered.set()
        while True:
            trio.from_thread.check_cancelled()
            threading.Event().wait(0.001)

    with trio.fail_after(10):
        async with app.running() as queue:
            ref = await queue.enqueue(patient)
            await trio.to_thread.run_sync(entered.wait)
            assert await ref.cancel("enough")
            assert (await ref.wait()).state is JobState.CANCELLED


async def test_cancelling_a_prefetched_job_keeps_it_from_being_entered() -> None:
    app = Gusto(options=Options(concurrency=1, prefetch=5))
    entered = trio.Event()
    go_on = trio.Event()
    ran: list[int] = []

    @app.job
    async def first() -> None:
        entered.set()
        await go_on.wait()

    @app.job
    async def second() -> None:
        ran.append(2)

    with trio.fail_after(5):
        async with app.running() as queue:
            await queue.enqueue(first)
            await entered.wait()
            ref = await queue.enqueue(second)
            await trio.testing.wait_all_tasks_blocked()
            assert await ref.status() is JobState.PROCESSING
            assert await ref.cancel("too late")
            assert (await ref.wait()).state is JobState.CANCELLED  # without waiting its turn
            assert not await ref.cancel("again")
            go_on.set()
            await queue.work_until_idle()
            assert [attempt.outcome for attempt in await queue.attempts(ref)] == ["cancelled"]
    assert ran == []


async def test_a_prefetched_job_that_was_called_off_is_not_given_back_when_the_app_stops() -> None:
    app = Gusto(options=Options(concurrency=1, prefetch=5, drain_timeout=0))
    entered = trio.Event()

    @app.job
    async def endless() -> None:
        entered.set()
        await trio.sleep_forever()

    with trio.fail_after(5):
        async with app.running() as queue:
            await queue.enqueue(endless)
            await entered.wait()
            ref = await queue.enqueue(endless)
            await trio.testing.wait_all_tasks_blocked()
            assert await ref.cancel("not wanted")
        async with app.connected() as queue:
            job = await queue.ref(ref.id).job()
            assert (job.state, job.reason) == (JobState.CANCELLED, "not wanted")
            assert len(await queue.attempts(ref.id)) == 1


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_caller_who_is_cancelled_while_he_cancels_leaves_nobody_waiting(
    autojump_clock: MockClock, at_once: bool
) -> None:
    scope = trio.CancelScope()

    class AtOnce(MemoryStorage):
        def perform(self, write: Write) -> WriteReply | GustoError:
            if isinstance(write, Commit | RequestCancel):
                scope.cancel()
            return super().perform(write)

    class ByLetter(AtOnce):
        async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
            return await super().apply(writes)

    app = Gusto(AtOnce() if at_once else ByLetter(), clock=VirtualClock())
    ended: list[tuple[JobState, float]] = []

    @app.job
    async def long() -> None:
        await trio.sleep(8)

    async with app.running() as queue, trio.open_nursery() as nursery:

        async def watch(ref: JobRef[None]) -> None:
            state = (await ref.wait()).state
            ended.append((state, trio.current_time() - start))

        for later in (0, 5):
            ref = await queue.enqueue(long, execute_after=later)
            start = trio.current_time()
            nursery.start_soon(watch, ref)
            await trio.sleep(1)
            with trio.CancelScope() as scope:
                await ref.cancel()
            await trio.sleep(20)
        assert [state for state, _ in ended] == [JobState.CANCELLED] * 2
        assert [after for _, after in ended] == pytest.approx([1, 1], abs=0.1)
        nursery.cancel_scope.cancel()


async def test_an_unknown_job_cannot_be_cancelled() -> None:
    async with Gusto().connected() as queue:
        with pytest.raises(UnknownJob, match="retention"):
            await queue.cancel(uuid4())
