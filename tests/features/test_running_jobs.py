"""Enqueue a typed call; a worker runs it; the result can be awaited."""

from __future__ import annotations

import contextvars
import threading
from functools import partial

import anyio
import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    AlreadyRunning,
    BackendError,
    Gusto,
    JobQueue,
    JobState,
    NoCurrentJob,
    Options,
    StorageError,
    call,
    current_job,
)


@pytest.fixture
def app() -> Gusto:
    return Gusto(options=Options(concurrency=4))


async def test_an_async_handler_runs_and_its_result_is_awaited(app: Gusto) -> None:
    @app.job
    async def greet(name: str, greeting: str = "hello") -> str:
        await trio.lowlevel.checkpoint()
        return f"{greeting} {name}"

    async with app.running() as queue:
        ref = await queue.enqueue(greet, "Ann")
        assert await ref.result() == "hello Ann"
        assert await ref.status() is JobState.COMPLETED


async def test_a_plain_handler_runs_in_a_thread_of_its_own(app: Gusto) -> None:
    here = threading.get_ident()

    @app.job
    def where() -> int:
        return threading.get_ident()

    @app.job(thread=False)
    def inline() -> int:
        return threading.get_ident()

    async with app.running() as queue:
        assert await (await queue.enqueue(where)).result() != here
        assert await (await queue.enqueue(inline)).result() == here


async def test_keyword_arguments_travel_in_a_partial(app: Gusto) -> None:
    @app.job
    async def join(*parts: str, sep: str = " ") -> str:
        return sep.join(parts)

    async with app.running() as queue:
        ref = await queue.enqueue(partial(join, sep="-"), "a", "b")
        assert await ref.result() == "a-b"


async def test_the_undecorated_original_may_be_enqueued(app: Gusto) -> None:
    async def double(number: int) -> int:
        return 2 * number

    app.job(double)
    async with app.running() as queue:
        assert await (await queue.enqueue(double, 21)).result() == 42


async def test_many_calls_are_stored_in_one_go(app: Gusto) -> None:
    @app.job
    async def double(number: int) -> int:
        return 2 * number

    async with app.running() as queue:
        refs = await queue.enqueue_many([call(double, number) for number in range(100)])
        assert [await ref.result() for ref in refs] == [2 * number for number in range(100)]


async def test_a_producer_runs_nothing(app: Gusto) -> None:
    @app.job
    async def noop() -> None: ...

    async with app.connected() as queue:
        ref = await queue.enqueue(noop)
        await trio.testing.wait_all_tasks_blocked()
        assert await ref.status() is JobState.READY
    async with app.running():
        await trio.testing.wait_all_tasks_blocked()
    async with app.connected() as queue:
        job = await queue.get(ref.id)
        assert job is not None
        assert job.state is JobState.COMPLETED


async def test_run_until_idle_runs_what_is_due_and_what_that_makes_due(app: Gusto) -> None:
    seen: list[int] = []
    queues: list[JobQueue] = []

    @app.job
    async def count_down(number: int) -> None:
        seen.append(number)
        if number:
            await queues[0].enqueue(count_down, number - 1)

    async with app.connected() as queue:
        queues.append(queue)
        await queue.enqueue(count_down, 3)
        await queue.work_until_idle()
    assert seen == [3, 2, 1, 0]
    await app.run_until_idle()
    assert seen == [3, 2, 1, 0]


async def test_an_app_may_run_again_but_not_twice_at_once(app: Gusto) -> None:
    for _ in range(2):
        async with app.running():
            with pytest.raises(AlreadyRunning, match="running already"):
                async with app.running():
                    pass


async def test_an_exception_of_the_block_comes_out_as_it_is(app: Gusto) -> None:
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:
        async with app.running():
            raise error
    assert caught.value is error


async def test_the_host_s_cancellation_ends_the_block(app: Gusto) -> None:
    with trio.CancelScope() as scope:
        async with app.running():
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


def test_on_another_event_loop_it_says_where_it_runs(app: Gusto) -> None:
    async def main() -> None:
        async with app.running():
            pass

    with pytest.raises(BackendError, match=r"trio\.run"):
        anyio.run(main, backend="asyncio")


async def test_a_closed_queue_says_so(app: Gusto) -> None:
    @app.job
    async def noop() -> None: ...

    async with app.running() as queue:
        pass
    with pytest.raises(StorageError, match="closed"):
        await queue.enqueue(noop)


async def test_the_current_job_is_seen_in_tasks_and_threads_of_the_handler_only(
    app: Gusto,
) -> None:
    async def note(into: list[object]) -> None:
        into.append(current_job().id)

    @app.job
    async def look() -> int:
        seen: list[object] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(note, seen)
        seen.append(await trio.to_thread.run_sync(lambda: current_job().id))
        assert set(seen) == {current_job().id}
        return current_job().attempt

    async with app.running() as queue:
        assert await (await queue.enqueue(look)).result() == 1
        with pytest.raises(NoCurrentJob):
            current_job()


async def test_context_variables_do_not_leak_from_job_to_job() -> None:
    app = Gusto(options=Options(concurrency=1))
    colour = contextvars.ContextVar("colour", default="none")
    colour.set("host")

    @app.job
    async def paint(new: str) -> str:
        before = colour.get()
        colour.set(new)
        await trio.lowlevel.checkpoint()
        assert colour.get() == new
        return before

    async with app.running() as queue:
        refs = [await queue.enqueue(paint, new) for new in ("red", "blue")]
        assert [await ref.result() for ref in refs] == ["host", "host"]
    assert colour.get() == "host"


def test_waiting_for_a_result_is_woken_by_the_outcome_not_by_polling() -> None:
    app = Gusto(options=Options(concurrency=1))

    @app.job
    async def slow() -> float:
        await trio.sleep(100)
        return trio.current_time()

    async def main() -> None:
        async with app.running() as queue:
            ended = await (await queue.enqueue(slow)).result()
            assert trio.current_time() == ended

    trio.run(main, clock=MockClock(autojump_threshold=0))
