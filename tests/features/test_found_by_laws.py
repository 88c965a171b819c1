"""What the laws of the whole scheduler have found, each as one small example."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto import (
    Gusto,
    GustoError,
    JobExpired,
    JobState,
    MemoryStorage,
    Options,
    Retry,
    Snooze,
    call,
    current_job,
    fixed,
    no_retry,
    retry_on,
)
from trio_gusto.storage.messages import Write, WriteReply
from trio_gusto.testing import VirtualClock, World, simulate


@pytest.mark.parametrize("many", [False, True])
async def test_a_deadline_is_kept_by_the_sweep_that_its_enqueue_woke(
    autojump_clock: MockClock, many: bool
) -> None:
    app = Gusto(clock=VirtualClock(), options=Options(queues=["served"]))

    @app.job(queue="unserved", expire_on=7)
    async def never() -> None: ...

    async with app.running() as queue:
        start = trio.current_time()
        (ref,) = await queue.enqueue_many([call(never)]) if many else [await queue.enqueue(never)]
        with pytest.raises(JobExpired):
            await ref.result()
        assert trio.current_time() - start == pytest.approx(7, abs=0.1)


async def test_a_job_that_falls_due_while_all_executors_are_busy_keeps_nothing_spinning() -> None:
    app = Gusto(options=Options(concurrency=1, prefetch=0))
    go_on = trio.Event()

    @app.job
    async def wait() -> None:
        await go_on.wait()

    with trio.fail_after(5):
        async with app.running() as queue:
            await queue.enqueue(wait)
            await queue.enqueue(wait, execute_after=0.01)
            await trio.sleep(0.02)
            await wait_all_tasks_blocked(0.01)  # never returns beside a task that spins
            go_on.set()


class AnswersLate(MemoryStorage):
    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        replies = await super().apply(writes)
        await trio.sleep(0.1)
        return replies


async def test_a_due_time_heard_of_during_a_claim_is_not_forgotten(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(AnswersLate(), clock=VirtualClock(), options=Options(concurrency=2))

    @app.job
    async def note() -> float:
        return trio.current_time()

    async with app.running() as queue:
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(queue.enqueue, note)
            await trio.sleep(0.05)
            ref = await queue.enqueue(note, execute_after=1)
        assert await ref.result() - start == pytest.approx(1.15, abs=0.11)


async def test_a_job_that_is_won_back_waits_until_its_lost_attempt_has_ended(
    autojump_clock: MockClock,
) -> None:
    clock, storage = VirtualClock(), MemoryStorage()
    app = Gusto(storage, clock=clock, options=Options(concurrency=2, lease=10))
    neighbour = Gusto(storage, clock=clock, options=Options(queues=["other"], lease=10))
    inside: list[int] = []
    most: list[int] = []

    @app.job
    async def slow() -> str:
        number = current_job().attempt
        inside.append(number)
        most.append(len(inside))
        try:
            await trio.sleep(100 if number == 1 else 20)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                await trio.sleep(1)  # its clean-up
            inside.remove(number)
        return f"attempt {number}"

    async with app.running() as queue:
        ref = await queue.enqueue(slow)
        await trio.sleep(1)
        clock.step(20)  # for all others the lease has passed
        async with neighbour.running():
            assert await ref.result() == "attempt 2"
    assert most == [1, 1]


async def test_a_job_retried_by_hand_before_its_time_is_recovered_at_once(
    autojump_clock: MockClock,
) -> None:
    clock, storage = VirtualClock(), MemoryStorage()
    doomed = Gusto(storage, clock=clock, options=Options(lease=10))
    rescuer = Gusto(storage, clock=clock, options=Options(lease=10))

    @doomed.job(name="job")
    async def hang() -> int:
        await trio.sleep_forever()
        return 0

    @rescuer.job(name="job")
    async def note() -> int:
        return current_job().attempt

    async with doomed.running() as queue:
        ref = await queue.enqueue(hang, execute_after=3600)
        await ref.cancel()
        assert await queue.retry(ref)
        await trio.sleep(1)
        (attempt,) = await queue.attempts(ref)
        await storage.detach(attempt.node_id)  # as if its process were gone
        start = trio.current_time()
        async with rescuer.running() as office:
            assert await office.ref(ref.id).result() == 2
        assert trio.current_time() - start < 5


async def test_a_job_behind_one_that_timed_out_has_all_its_time(autojump_clock: MockClock) -> None:
    options = Options(concurrency=1, prefetch=3, default_timeout=20, default_max_attempts=2)
    app = Gusto(clock=VirtualClock(), options=options)

    @app.job
    async def hang() -> None:
        await trio.sleep_forever()

    @app.job
    async def quick() -> int:
        await trio.sleep(5)
        return current_job().attempt

    async with app.running() as queue:
        _, ref = await queue.enqueue_many([call(hang), call(quick)])
        assert await ref.result() == 1
        (attempt,) = await queue.attempts(ref)
        assert attempt.started_at is not None
        assert attempt.started_at >= attempt.claimed_at
        assert attempt.ended_at is not None
        assert (attempt.ended_at - attempt.started_at).total_seconds() == 5


@pytest.mark.parametrize(
    ("beside", "ends", "seconds"),
    [(ValueError("bad address"), "failed", 0), (ConnectionError("down"), "completed", 1)],
)
@pytest.mark.parametrize("wish", [Retry(after=30), Snooze(for_=30)])
async def test_an_error_beside_a_wish_for_another_attempt_is_judged_by_the_policy(
    autojump_clock: MockClock, beside: Exception, ends: str, seconds: int, wish: Exception
) -> None:
    app = Gusto(clock=VirtualClock())

    @app.job(retry=retry_on({ConnectionError: fixed(1)}, otherwise=no_retry()))
    async def fetch() -> None:
        if current_job().attempt == 1:
            raise ExceptionGroup("two requests", [beside, wish])

    async with app.running() as queue:
        start = trio.current_time()
        assert (await (await queue.enqueue(fetch)).wait()).state == ends
        assert trio.current_time() - start == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("seed", range(20))
def test_who_waits_in_a_simulation_until_it_has_settled_waits_for_jobs_in_threads(
    seed: int,
) -> None:
    app = Gusto(options=Options(concurrency=2))

    @app.job
    def compute() -> None: ...

    async def scenario(world: World) -> None:
        await world.queue.enqueue_many([call(compute)] * 5)
        await world.settle()
        assert (await world.queue.stats()).by_state == {JobState.COMPLETED: 5}

    simulate(scenario, app, seed=seed, nodes=2)


def test_a_handler_that_begins_before_its_app_is_up_may_enqueue_children() -> None:
    app = Gusto()

    @app.job
    async def child() -> None: ...

    @app.job(max_attempts=1)
    async def parent() -> None:
        await current_job().queue.enqueue(child)

    async def scenario(world: World) -> None:
        await world.drain("node-0")
        refs = [await world.queue.enqueue(parent) for _ in range(3)]
        await world.restart("node-0")
        await world.advance()
        assert [await ref.status() for ref in refs] == [JobState.COMPLETED] * 3

    for seed in range(10):
        simulate(scenario, app, seed=seed)


def test_what_nobody_takes_is_not_explained_by_an_instant_that_has_passed() -> None:
    app = Gusto()

    @app.job
    async def late() -> None: ...

    async def scenario(world: World) -> None:
        ref = await world.queue.enqueue(late, execute_after=3)
        assert (await world.queue.explain(ref)).reason == "not_due"
        await world.advance(3)
        explanation = await world.queue.explain(ref)
        assert explanation.reason == "ready"
        assert "this process runs no jobs" in explanation.sentence
        await world.queue.pause()
        assert (await world.queue.explain(ref)).reason == "paused"

    simulate(scenario, app, nodes=0)
