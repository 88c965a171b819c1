"""Never early, never after expiry; in order of priority, due instant and insertion."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    Fail,
    Gusto,
    JobExpired,
    JobFailed,
    JobState,
    MemoryStorage,
    Options,
    Retry,
    RetryState,
    Snooze,
    call,
    current_job,
    exponential,
    fixed,
)
from trio_gusto.testing import VirtualClock


def make_app(**options: object) -> Gusto:
    return Gusto(clock=VirtualClock(), options=Options(concurrency=1, **options))  # type: ignore[arg-type]


async def test_a_job_starts_when_it_is_due_and_not_before(autojump_clock: MockClock) -> None:
    app = make_app()

    @app.job
    async def now() -> float:
        return trio.current_time()

    async with app.running() as queue:
        start = trio.current_time()
        ref = await queue.enqueue(now, execute_after=timedelta(hours=1))
        assert await ref.status() is JobState.SCHEDULED
        assert await ref.result() == pytest.approx(start + 3600, abs=0.001)


async def test_a_job_enqueued_while_the_poller_claims_is_not_late(
    autojump_clock: MockClock,
) -> None:
    app = make_app(poll_interval=1000)

    @app.job
    async def now() -> float:
        return trio.current_time()

    async with app.running() as queue:  # the first claim is under way when the job is stored
        start = trio.current_time()
        ref = await queue.enqueue(now, execute_after=1)
        assert await ref.result() == pytest.approx(start + 1, abs=0.001)


async def test_a_job_that_could_not_start_in_time_expires_at_its_instant(
    autojump_clock: MockClock,
) -> None:
    app = make_app(queues=["served"])

    @app.job(queue="unserved")
    async def never() -> None: ...

    async with app.running() as queue:
        start = trio.current_time()
        ref = await queue.enqueue(never, expire_on=60)
        with pytest.raises(JobExpired):
            await ref.result()
        assert trio.current_time() - start == pytest.approx(60, abs=0.1)


async def test_higher_priority_first_then_due_then_inserted(autojump_clock: MockClock) -> None:
    app = make_app()
    order: list[str] = []

    @app.job
    async def note(name: str) -> None:
        order.append(name)

    async with app.connected() as queue:
        await queue.enqueue(note, "later", execute_after=2)
        await queue.enqueue(note, "sooner", execute_after=1)
        await queue.enqueue(note, "first")
        await queue.enqueue(note, "second")
        await queue.enqueue(note, "urgent", priority=5)
        await trio.sleep(3)
    await app.run_until_idle()
    assert order == ["urgent", "first", "second", "sooner", "later"]


async def test_retries_follow_the_policy_and_stop_at_max_attempts(
    autojump_clock: MockClock,
) -> None:
    app = make_app()
    starts: list[float] = []

    @app.job(max_attempts=4, retry=exponential(base=1, factor=2, jitter=0))
    async def flaky() -> None:
        starts.append(trio.current_time())
        raise ConnectionError("down")

    async with app.running() as queue:
        ref = await queue.enqueue(flaky)
        with pytest.raises(JobFailed, match="ConnectionError: down"):
            await ref.result()
        gaps = [later - sooner for sooner, later in pairwise(starts)]
        assert gaps == pytest.approx([1, 2, 4], abs=0.01)
        attempts = await queue.attempts(ref)
        assert [attempt.number for attempt in attempts] == [1, 2, 3, 4]


async def test_retry_by_exception_overrides_the_delay_and_snooze_uses_no_attempt(
    autojump_clock: MockClock,
) -> None:
    app = make_app()
    seen: list[tuple[float, int]] = []

    @app.job(max_attempts=2, retry=fixed(1000))
    async def moody() -> str:
        seen.append((trio.current_time(), current_job().attempt))
        match len(seen):
            case 1:
                raise Snooze(for_=10)
            case 2:
                raise Retry(after=timedelta(seconds=5))
            case _:
                return "done"

    async with app.running() as queue:
        ref = await queue.enqueue(moody)
        assert await ref.result() == "done"
        begin = seen[0][0]
        assert [at - begin for at, _ in seen] == pytest.approx([0, 10, 15], abs=0.01)
        assert [number for _, number in seen] == [1, 1, 2]
        outcomes = [attempt.outcome for attempt in await queue.attempts(ref)]
        assert outcomes == ["snoozed", "failed", "succeeded"]


async def test_a_timeout_cancels_the_handler_and_counts_as_a_failure(
    autojump_clock: MockClock,
) -> None:
    app = make_app()

    @app.job(timeout=30, max_attempts=1)
    async def hang() -> None:
        await trio.sleep_forever()

    async with app.running() as queue:
        start = trio.current_time()
        ref = await queue.enqueue(hang)
        with pytest.raises(JobFailed, match="longer than 30 s"):
            await ref.result()
        assert trio.current_time() - start == pytest.approx(30, abs=0.1)
        (attempt,) = await queue.attempts(ref)
        assert attempt.outcome == "timed_out"


@pytest.mark.parametrize("seconds", [20, -20])
async def test_a_wall_clock_that_is_set_changes_no_timeout(
    autojump_clock: MockClock, seconds: float
) -> None:
    clock = VirtualClock()
    app = Gusto(MemoryStorage(), clock=clock)

    @app.job(timeout=30, max_attempts=1)
    async def hang() -> None:
        clock.step(seconds)
        await trio.sleep_forever()

    async with app.running() as queue:
        start = trio.current_time()
        with pytest.raises(JobFailed, match="longer than 30 s"):
            await (await queue.enqueue(hang)).result()
        assert trio.current_time() - start == pytest.approx(30, abs=0.1)


async def test_a_job_begins_when_the_retry_policy_of_the_one_before_it_has_decided(
    autojump_clock: MockClock,
) -> None:
    clock = VirtualClock()
    options = Options(concurrency=1, prefetch=2)
    app = Gusto(MemoryStorage(), clock=clock, options=options)

    def ponder(state: RetryState) -> None:
        clock.step(5)

    @app.job(retry=ponder)
    async def fail() -> None:
        raise ZeroDivisionError

    @app.job
    async def work() -> None: ...

    async with app.running() as queue:
        failing, working = await queue.enqueue_many([call(fail), call(work)])
        await working.result()
        (first,), (second,) = [await queue.attempts(ref) for ref in (failing, working)]
        assert first.started_at is not None
        assert second.started_at is not None
        assert (second.started_at - first.started_at).total_seconds() == pytest.approx(5, abs=0.1)


async def test_a_retry_that_would_come_too_late_ends_the_job_now(autojump_clock: MockClock) -> None:
    app = make_app()

    @app.job(retry=fixed(100))
    async def flaky() -> None:
        raise OSError("no")

    async with app.running() as queue:
        ref = await queue.enqueue(flaky, expire_on=50)
        with pytest.raises(JobFailed) as caught:
            await ref.result()
        assert caught.value.reason == "expired"


async def test_retry_by_hand_keeps_history(autojump_clock: MockClock) -> None:
    app = make_app()
    broken = [True]

    @app.job(max_attempts=1)
    async def repairable() -> str:
        if broken[0]:
            raise Fail("broken")
        return "whole"

    async with app.running() as queue:
        ref = await queue.enqueue(repairable)
        assert (await ref.wait()).state is JobState.FAILED
        broken[0] = False
        assert await queue.retry(ref)
        assert await ref.result() == "whole"
        assert [a.outcome for a in await queue.attempts(ref)] == ["failed", "succeeded"]
        assert not await queue.retry(ref)


async def test_queues_share_by_weight_and_none_starves(autojump_clock: MockClock) -> None:
    app = make_app(queues={"fast": 3, "slow": 1})
    order: list[str] = []

    @app.job
    async def note(name: str) -> None:
        order.append(name)

    async with app.connected() as queue:
        for _ in range(12):
            await queue.enqueue(note, "fast", queue="fast")
            await queue.enqueue(note, "slow", queue="slow")
    await app.run_until_idle()
    assert [order[:8].count(name) for name in ("fast", "slow")] == [6, 2]
    assert [order[:16].count(name) for name in ("fast", "slow")] == [12, 4]
    assert len(order) == 24


async def test_strict_order_takes_the_first_queue_first(autojump_clock: MockClock) -> None:
    app = make_app(queues=["a", "b"], queue_order="strict")
    order: list[str] = []

    @app.job
    async def note(name: str) -> None:
        order.append(name)

    async with app.connected() as queue:
        for name in ("b", "a", "b", "a"):
            await queue.enqueue(note, name, queue=name)
    await app.run_until_idle()
    assert order == ["a", "a", "b", "b"]
