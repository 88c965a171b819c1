"""Leaving the block drains; interruption is not failure."""

from __future__ import annotations

import threading

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto import Gusto, JobState, MemoryStorage, Options
from trio_gusto.testing import Asked, Fault, FaultyStorage, VirtualClock


async def states(app: Gusto) -> list[tuple[JobState, int, str]]:
    async with app.connected() as queue:
        jobs = (await queue.find()).items
        return [(job.state, job.attempt, job.reason) for job in jobs]


def run_virtually(main: object) -> None:
    trio.run(main, clock=MockClock(autojump_threshold=0))  # type: ignore[arg-type]


def test_running_jobs_may_end_and_waiting_ones_stay() -> None:
    app = Gusto(clock=VirtualClock(), options=Options(concurrency=1, prefetch=3))

    @app.job
    async def work() -> None:
        await trio.sleep(10)

    async def main() -> None:
        async with app.running() as queue:
            for _ in range(3):
                await queue.enqueue(work)
            await trio.sleep(1)
        assert trio.current_time() == pytest.approx(10, abs=0.1)
        assert sorted(await states(app)) == [
            (JobState.COMPLETED, 1, ""),
            (JobState.READY, 0, ""),
            (JobState.READY, 0, ""),
        ]

    run_virtually(main)


def test_past_the_drain_timeout_jobs_are_cancelled_and_their_attempts_given_back() -> None:
    app = Gusto(clock=VirtualClock(), options=Options(concurrency=1, drain_timeout=5))

    @app.job
    async def endless() -> None:
        await trio.sleep_forever()

    async def main() -> None:
        async with app.running() as queue:
            ref = await queue.enqueue(endless)
            await trio.sleep(1)
        assert trio.current_time() == pytest.approx(6, abs=0.1)
        assert await states(app) == [(JobState.READY, 0, "")]
        async with app.connected() as queue:
            (attempt,) = await queue.attempts(ref)
            assert (attempt.outcome, attempt.number) == ("released", 1)

    run_virtually(main)


def test_a_job_with_one_attempt_is_not_entered_twice() -> None:
    app = Gusto(clock=VirtualClock(), options=Options(concurrency=1, drain_timeout=1))

    @app.job(max_attempts=1)
    async def endless() -> None:
        await trio.sleep_forever()

    async def main() -> None:
        async with app.running() as queue:
            await queue.enqueue(endless)
            await trio.sleep(1)
        assert await states(app) == [(JobState.FAILED, 1, "interrupted")]

    run_virtually(main)


async def test_a_cancelled_host_does_not_wait_for_the_drain() -> None:
    app = Gusto(options=Options(concurrency=1, drain_timeout=1000))

    @app.job
    async def endless() -> None:
        await trio.sleep_forever()

    with trio.fail_after(5):
        with trio.CancelScope() as scope:
            async with app.running() as queue:
                await queue.enqueue(endless)
                await wait_all_tasks_blocked()
                scope.cancel()
        assert await states(app) == [(JobState.READY, 0, "")]


@pytest.mark.parametrize("how", ["running", "connected"])
async def test_a_host_that_is_cancelled_while_the_app_starts_is_let_go(how: str) -> None:
    app = Gusto()
    with trio.fail_after(5):
        with trio.CancelScope() as scope:
            scope.cancel()
            async with app.running() if how == "running" else app.connected():
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert await states(app) == []


async def test_a_host_that_is_cancelled_while_its_storage_does_not_answer_is_let_go(
    autojump_clock: MockClock,
) -> None:
    """The first sweep is part of the start."""

    def never(asked: Asked) -> Fault | None:
        return Fault(on="read", error=None, delay=10**9) if asked.on == "read" else None

    app = Gusto(FaultyStorage(MemoryStorage(), never))
    with trio.move_on_after(5) as patience:
        async with app.running():
            await trio.sleep_forever()
    assert patience.cancelled_caught
    assert trio.current_time() < 60


async def test_a_host_that_loses_its_patience_while_draining_is_let_go() -> None:
    app = Gusto(options=Options(concurrency=1, drain_timeout=1000))

    @app.job
    async def endless() -> None:
        await trio.sleep_forever()

    with trio.fail_after(5):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def host() -> None:
                    async with app.running() as queue:
                        await queue.enqueue(endless)
                        await wait_all_tasks_blocked()

                nursery.start_soon(host)
                await wait_all_tasks_blocked(0.05)
                scope.cancel()
        assert await states(app) == [(JobState.READY, 0, "")]


async def test_a_slot_stays_taken_until_its_thread_has_ended() -> None:
    app = Gusto(options=Options(concurrency=1, default_timeout=0.01, default_max_attempts=1))
    let_go = threading.Event()

    @app.job
    def deaf() -> None:
        let_go.wait(10)

    @app.job
    async def quick() -> str:
        return "at last"

    with trio.fail_after(10):
        async with app.running() as queue:
            slow = await queue.enqueue(deaf)
            ref = await queue.enqueue(quick)
            await trio.sleep(0.1)
            assert await slow.status() is JobState.PROCESSING
            assert await ref.status() is JobState.READY
            let_go.set()
            assert await ref.result() == "at last"
            assert (await slow.wait()).state is not JobState.PROCESSING


def test_a_hundred_starts_leave_nothing_behind() -> None:
    app = Gusto()
    before = threading.active_count()

    async def main() -> None:
        for _ in range(100):
            async with app.running():
                pass

    trio.run(main)
    assert threading.active_count() <= before + 1
