"""Threads take real time, and no virtual one: whoever starts them, everybody else waits."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio

from trio_gusto import Gusto, JobFinished, JobState, Options
from trio_gusto.testing import World, simulate

START = datetime(2026, 1, 1, tzinfo=UTC)


def an_app() -> Gusto:
    return Gusto(options=Options(concurrency=4, lease=30.0))


def test_plain_functions_run_in_threads_and_take_no_time() -> None:
    app = an_app()

    @app.job
    def compute(n: int) -> int:
        trio.from_thread.check_cancelled()
        return 2 * n

    async def scenario(world: World) -> None:
        refs = [await world.queue.enqueue(compute, n) for n in range(10)]
        await world.advance(0)
        assert [await ref.result() for ref in refs] == [2 * n for n in range(10)]
        assert world.now() == START

    assert simulate(scenario, app, nodes=2) == simulate(scenario, app, nodes=2)


def test_a_thread_may_want_something_of_the_loop() -> None:
    app = an_app()

    @app.job
    async def work() -> str:
        return "worked"

    async def scenario(world: World) -> None:
        @app.job
        def asks() -> str:
            ref = trio.from_thread.run(world.queue.enqueue, work)
            return trio.from_thread.run(ref.result)

        ref = await world.queue.enqueue(asks)
        assert await ref.result() == "worked"

    simulate(scenario, app)


def a_moment_of_real_time(milliseconds: int = 10) -> str:
    threading.Event().wait(milliseconds / 1000)  # which must not show
    return "passed"


async def in_a_thread(n: int) -> None:
    await trio.to_thread.run_sync(a_moment_of_real_time, n)


async def in_one_of_few_threads(n: int, few: trio.CapacityLimiter) -> None:
    await trio.to_thread.run_sync(a_moment_of_real_time, n, limiter=few)


async def in_a_thread_that_may_be_abandoned(n: int) -> None:
    await trio.to_thread.run_sync(a_moment_of_real_time, n, abandon_on_cancel=True)


async def in_two_threads_at_once(n: int) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(in_a_thread, n)
        nursery.start_soon(in_a_thread, n)


async def of_a_generator(n: int) -> None:
    async def chunks() -> AsyncIterator[int]:
        for _ in range(2):
            await in_a_thread(n)
            yield n

    async for _ in chunks():
        pass


async def asks_for_one_step(_n: int) -> None:
    def body() -> None:
        for _ in range(3):
            a_moment_of_real_time(2)
            trio.from_thread.run_sync(trio.current_time)

    await trio.to_thread.run_sync(body)


async def asks_for_many_steps(_n: int) -> None:
    def body() -> None:
        for _ in range(3):
            a_moment_of_real_time(2)
            trio.from_thread.run(trio.sleep, 20)

    await trio.to_thread.run_sync(body)


async def has_a_task_started(_n: int) -> None:
    def body() -> None:
        for _ in range(3):
            a_moment_of_real_time(2)
            trio.from_thread.run(trio.sleep, 20)

    await trio.to_thread.run_sync(body, abandon_on_cancel=True)


@pytest.mark.parametrize(
    ("work", "takes"),
    [
        (in_a_thread, 0),
        (in_one_of_few_threads, 0),
        (in_a_thread_that_may_be_abandoned, 0),
        (in_two_threads_at_once, 0),
        (of_a_generator, 0),
        (asks_for_one_step, 0),
        (asks_for_many_steps, 60),
        (has_a_task_started, 60),
    ],
)
def test_what_an_async_handler_does_in_threads_takes_no_time_and_is_the_same_again(
    work: Any, takes: float
) -> None:
    """Whatever the thread waits for in the loop takes its time."""
    app, took = an_app(), set[float]()

    few = trio.CapacityLimiter(1)

    @app.job(timeout=600)
    async def threaded(n: int) -> None:
        began = trio.current_time()
        await (work(n, few) if work is in_one_of_few_threads else work(n))
        took.add(round(trio.current_time() - began, 3))

    @app.job
    async def beside() -> None:
        await trio.sleep(1)

    async def scenario(world: World) -> None:
        await world.queue.schedule("often", beside, trigger=timedelta(seconds=10))
        refs = [await world.queue.enqueue(threaded, n) for n in range(6)]
        for ref in refs:
            assert await ref.wait() is not None
        await world.queue.remove_schedule("often")
        await world.advance(60)
        ended = world.history.of(JobFinished)
        assert {fact.state for fact in ended} == {JobState.COMPLETED}

    first = simulate(scenario, app, seed=1, nodes=2)
    for _ in range(2):
        assert simulate(scenario, app, seed=1, nodes=2) == first
    assert took == {takes}


def test_a_thread_that_is_at_work_when_the_scenario_ends_is_waited_for() -> None:
    app, ended = an_app(), []

    @app.job
    async def threaded() -> None:
        def body() -> None:
            try:
                trio.from_thread.run(trio.sleep, 100)
            finally:
                a_moment_of_real_time()
                ended.append("thread")

        await trio.to_thread.run_sync(body)

    async def scenario(world: World) -> None:
        await world.queue.enqueue(threaded)
        await world.advance(1)
        assert not ended

    simulate(scenario, app)
    assert ended == ["thread"]


@pytest.mark.parametrize("fate", ["crash", "pause"])
def test_a_thread_begins_on_a_node_that_is_about_to_crash_and_nothing_comes_of_it(
    fate: str,
) -> None:
    app, done = an_app(), list[str]()

    @app.job
    async def threaded() -> None:
        await trio.to_thread.run_sync(done.append, "thread")
        done.append("handler")

    async def scenario(world: World) -> None:
        await (world.crash if fate == "crash" else world.pause)("node-0", at="handler.running")
        await world.queue.enqueue(threaded)
        await world.advance(5)
        assert done == ["thread"], "the node stands still, or is gone, when the thread is ready"
        if fate == "pause":
            await world.resume("node-0")
            assert done == ["thread", "handler"]

    simulate(scenario, app)
