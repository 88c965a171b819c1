"""Executors keep to the time: what a handler used up of its own, and what others have to have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.pool import Pool, at_work
from trio_gusto import AttemptOutcome, Gusto, JobState, Options, call, current_job
from trio_gusto.actors.executor import BREATH
from trio_gusto.testing import VirtualClock


def make(clock: VirtualClock, **options: object) -> Gusto:
    return Gusto(clock=clock, options=Options.from_mapping({"concurrency": 1, **options}))


@pytest.mark.parametrize("is_waiting", [False, True])
async def test_a_job_has_the_instants_between_which_its_handler_ran(
    autojump_clock: MockClock, is_waiting: bool
) -> None:
    clock = VirtualClock()
    app = make(clock)
    seen: list[float | None] = []

    @app.job
    async def work(seconds: float) -> None:
        seen.append(current_job()._roster.mean_duration)
        if is_waiting:
            await trio.sleep(seconds)
        else:
            autojump_clock.jump(seconds)

    async with app.running() as queue:
        refs = [await queue.enqueue(work, seconds) for seconds in (2, 4, 0)]
        jobs = [await ref.wait() for ref in refs]
    begun = [job.started_at for job in jobs]
    assert begun[0] is not None
    assert begun == [begun[0], *(begun[0] + timedelta(seconds=after) for after in (2, 6))]
    ended = [begun[0] + timedelta(seconds=after) for after in (2, 6, 6)]
    assert [job.ended_at for job in jobs] == ended
    assert seen == [None, 2_000_000, 3_000_000]


@pytest.mark.parametrize(("microseconds", "together"), [(BREATH, 2), (BREATH + 1, 1)])
async def test_handlers_that_never_wait_run_for_a_breath_and_then_let_others_have_their_turn(
    autojump_clock: MockClock, microseconds: int, together: int
) -> None:
    clock = VirtualClock()
    app = make(clock, prefetch=10)
    turns: set[int] = set()
    ran = 0

    class Turns(trio.abc.Instrument):
        def before_io_wait(self, timeout: float) -> None:
            turns.add(ran)

    @app.job
    async def busy() -> None:
        nonlocal ran
        ran += 1
        clock.step(timedelta(microseconds=microseconds))

    async with app.connected() as queue:
        await queue.enqueue_many([call(busy) for _ in range(6)])
    trio.lowlevel.add_instrument(Turns())
    await app.run_until_idle()
    assert sorted(turns) == list(range(0, 7, together))


async def test_after_a_thread_an_executor_has_a_breath_of_its_own(
    autojump_clock: MockClock,
) -> None:
    clock = VirtualClock()
    app = make(clock, prefetch=10)
    turns: set[int] = set()
    ran = 0

    class Turns(trio.abc.Instrument):
        def before_io_wait(self, timeout: float) -> None:
            turns.add(ran)

    @app.job
    def in_a_thread() -> None:
        clock.step(timedelta(microseconds=BREATH - 50))

    @app.job
    async def busy() -> None:
        nonlocal ran
        ran += 1
        clock.step(timedelta(microseconds=100))

    async with app.connected() as queue:
        await queue.enqueue_many([call(in_a_thread), call(busy), call(busy)])
    trio.lowlevel.add_instrument(Turns())
    await app.run_until_idle()
    assert turns == {0, 2}


def nothing(_clock: VirtualClock) -> None: ...


@pytest.mark.parametrize(
    ("meanwhile", "blocked", "lasts"),
    [
        (nothing, 0.0, 5.0),
        (nothing, 2.0, 5.0),
        (lambda clock: clock.step(3600), 2.0, 5.0),
        (lambda clock: clock.step(-3600), 0.0, 5.0),
        (lambda clock: clock.step(-3600), 2.0, 7.0),
    ],
    ids=["", "blocks", "the clock is set ahead", "back", "back, and it blocks"],
)
@pytest.mark.parametrize("is_service", [False, True])
async def test_a_timeout_counts_from_the_start_of_a_handler_as_far_as_that_is_known(
    autojump_clock: MockClock,
    meanwhile: Callable[[VirtualClock], None],
    blocked: float,
    lasts: float,
    is_service: bool,
) -> None:
    """By a clock that was set back it has begun only now."""
    clock = VirtualClock()
    app = make(clock)
    spans: list[float] = []

    class Shop:
        async def work(self) -> None:
            await work()

    async def work() -> None:
        began = trio.current_time()
        meanwhile(clock)
        autojump_clock.jump(blocked)
        try:
            await trio.sleep_forever()
        finally:
            spans.append(trio.current_time() - began)

    app.service(Shop)
    job = app.job(timeout=5, max_attempts=1)(work)
    async with app.running() as queue:
        await trio.sleep(100)
        if is_service:
            ref = await queue.enqueue(Shop.work, timeout=5, max_attempts=1)
        else:
            ref = await queue.enqueue(job)
        assert (await ref.wait()).state is JobState.FAILED
        (attempt,) = await queue.attempts(ref)
    assert attempt.outcome is AttemptOutcome.TIMED_OUT
    # The deadline of what has something around it is set before it is entered.
    assert spans == [pytest.approx(5.0 if is_service else lasts, rel=1e-8)]


async def test_the_time_of_those_before_it_in_its_turn_is_not_a_handlers_own(
    autojump_clock: MockClock,
) -> None:
    pool = Pool()

    @pool.app.job(name="quick")
    async def quick() -> None:
        autojump_clock.jump(0.0002)

    @pool.app.job(name="slow")
    async def slow() -> None:
        autojump_clock.jump(2)
        await trio.sleep_forever()

    jobs = [pool.claim(1, "quick"), pool.claim(2, "slow", timeout=5_000_000)]
    async with at_work(pool, *jobs):
        await wait_all_tasks_blocked()
        (slot,) = pool.roster.slots
        assert slot.deadline == pytest.approx(5.0002, rel=1e-8)


async def test_the_time_of_one_handler_is_not_that_of_the_next_in_its_place(
    autojump_clock: MockClock,
) -> None:
    app = make(VirtualClock())

    @app.job
    async def nap() -> str:
        await trio.sleep(4)
        return "rested"

    async with app.running() as queue:
        first = await queue.enqueue(nap, timeout=5)
        others = [await queue.enqueue(nap, timeout=None), await queue.enqueue(nap, timeout=5)]
        for ref in (first, *others):
            assert await ref.result() == "rested"
