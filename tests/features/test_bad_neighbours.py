"""Handlers that harm what they run beside: the others go on, and somebody is told.

Blocked event loops are in `test_blocked_loop`, odd exceptions in `test_handlers_may_raise_anything`, handlers
that shield themselves in `test_dossiers`, and those that kill their process in `tests/processes/test_poison`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import Gusto, JobContext, JobState, Options, current_job
from trio_gusto.actors import lease as leases
from trio_gusto.testing import VirtualClock

kept: list[object] = []


class Works:
    """An app with one executor, where an actor that dies is not started again."""

    def __init__(self, *, real_time: bool = False) -> None:
        options = Options(concurrency=1, restart_limit=0)
        self.app = (
            Gusto(options=options) if real_time else Gusto(options=options, clock=VirtualClock())
        )
        self.good = self.app.job(name="good")(self.run_well)

    async def run_well(self) -> str:
        await trio.sleep(0.1)
        return "fine"

    async def check_the_others_run(self, bad: Callable[[], Awaitable[None]]) -> JobState:
        """Run a handler, and two that behave, on the same executor; how the first has ended."""
        handler = self.app.job(name="bad", max_attempts=1)(bad)
        with trio.fail_after(10):
            async with self.app.running() as queue:
                ref = await queue.enqueue(handler)
                ended = await ref.wait()
                for _ in range(2):
                    assert await (await queue.enqueue(self.good)).result() == "fine"
        return ended.state


async def leaves_a_scope_open() -> None:
    trio.CancelScope().__enter__()
    await trio.sleep(0.1)


async def leaves_a_scope_open_without_waiting() -> None:
    trio.CancelScope().__enter__()


async def leaves_a_nursery_open() -> None:
    manager: AbstractAsyncContextManager[trio.Nursery] = trio.open_nursery()
    kept.append(manager)
    nursery = await manager.__aenter__()
    nursery.start_soon(trio.sleep_forever)


async def leaves_a_task_that_fails() -> None:
    async def boom() -> None:
        await trio.sleep(0.05)
        raise ValueError("left behind")

    manager: AbstractAsyncContextManager[trio.Nursery] = trio.open_nursery()
    kept.append(manager)
    nursery = await manager.__aenter__()
    nursery.start_soon(boom)


async def numbers() -> AsyncGenerator[int]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        for number in range(3):
            yield number


async def leaves_a_generator_half_way() -> None:
    generator = numbers()
    kept.append(generator)
    async for _ in generator:
        break


async def exhausts_memory() -> None:
    kept.append([0] * 2**60)


async def recurses_for_ever() -> None:
    await recurses_for_ever()


@pytest.mark.parametrize(
    ("bad", "state"),
    [
        (leaves_a_scope_open, JobState.COMPLETED),
        (leaves_a_scope_open_without_waiting, JobState.COMPLETED),
        (leaves_a_nursery_open, JobState.COMPLETED),
        (leaves_a_task_that_fails, JobState.COMPLETED),
        (leaves_a_generator_half_way, JobState.COMPLETED),
        (exhausts_memory, JobState.FAILED),
        (recurses_for_ever, JobState.FAILED),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_the_next_jobs_of_the_same_executor_run(
    bad: Callable[[], Awaitable[None]], state: JobState, autojump_clock: MockClock
) -> None:
    assert await Works().check_the_others_run(bad) is state


async def test_what_was_left_open_is_named_in_the_log(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    await Works().check_the_others_run(leaves_a_scope_open)
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert "(bad) has left a cancel scope or a nursery open" in record.getMessage()
    assert "aclosing" in record.getMessage()


async def test_a_scope_left_open_with_a_deadline_costs_the_next_job_no_attempt(
    autojump_clock: MockClock,
) -> None:
    works = Works()

    @works.app.job(name="bad")
    async def leaves_a_deadline() -> None:
        trio.move_on_after(0.05).__enter__()
        await trio.lowlevel.checkpoint()

    with trio.fail_after(10):
        async with works.app.running() as queue:
            bad, good = await queue.enqueue(leaves_a_deadline), await queue.enqueue(works.good)
            assert (await bad.wait()).state is JobState.COMPLETED
            assert await good.result() == "fine"
            assert (await good.job()).attempt == 1
            outcomes = [attempt.outcome for attempt in await queue.attempts(good)]
            assert outcomes == ["succeeded"]


async def test_a_handler_that_swallows_every_cancellation_is_named_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(leases, "PATIENCE", 0.05)
    app = Gusto(options=Options(concurrency=2, restart_limit=0))
    release = trio.Event()

    @app.job(name="stubborn", timeout=0.02, max_attempts=1)
    async def stubborn() -> str:
        while not release.is_set():
            try:
                await trio.sleep(0.01)
            except trio.Cancelled:
                pass
        return "at last"

    @app.job
    async def good() -> str:
        await trio.sleep(0.2)
        return "fine"

    with trio.fail_after(8):
        async with app.running() as queue:
            ref = await queue.enqueue(stubborn)
            assert await (await queue.enqueue(good)).result() == "fine"
            (attempt,) = await queue.attempts(ref)
            assert attempt.dossier is not None
            assert "in stubborn" in attempt.dossier
            assert "still runs" in caplog.text
            release.set()
            assert await ref.result() == "at last"


@pytest.mark.parametrize("where", ["a system task", "a nursery of its host"])
async def test_a_task_that_outlives_its_job_harms_nobody_and_is_heard_no_more(
    where: str, autojump_clock: MockClock
) -> None:
    app = Gusto(options=Options(concurrency=1, restart_limit=0), clock=VirtualClock())
    heard: list[JobContext] = []

    async def outlives(context: JobContext) -> None:
        await trio.sleep(2)
        context.progress(99, "too late")
        context.log("too late")
        heard.append(context)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, app.running() as queue:

            @app.job
            async def leaks() -> None:
                context = current_job()
                context.progress(10, "in time")
                if where == "a system task":
                    trio.lowlevel.spawn_system_task(outlives, context)
                else:
                    nursery.start_soon(outlives, context)

            ref = await queue.enqueue(leaks)
            assert (await ref.wait()).state is JobState.COMPLETED
            await trio.sleep(5)
            job = await ref.job()
            assert job.progress is not None
            assert job.progress.message == "in time"
            assert list(await queue.logs(ref)) == []
    assert heard
