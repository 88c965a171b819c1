"""Executors enter handlers of every kind, and judge what comes out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    AttemptOutcome,
    Fact,
    Gusto,
    JobFailed,
    JobStarted,
    JobState,
    Options,
    RetryState,
    Snooze,
    call,
    current_job,
    fixed,
)
from trio_gusto.actors import tree
from trio_gusto.testing import VirtualClock


@pytest.fixture
def app() -> Gusto:
    return Gusto(clock=VirtualClock(), options=Options(concurrency=2))


class Shop:
    async def order(self) -> str:
        return "ordered"

    async def deliver(self) -> str:
        await trio.sleep(1)
        return "delivered"

    def count(self) -> bool:
        return threading.current_thread() is threading.main_thread()


async def test_methods_of_every_kind_are_entered(app: Gusto, autojump_clock: MockClock) -> None:
    app.service(Shop)
    async with app.running() as queue:
        assert await (await queue.enqueue(Shop.order)).result() == "ordered"
        assert await (await queue.enqueue(Shop.deliver)).result() == "delivered"
        assert await (await queue.enqueue(Shop.count)).result() is False


async def test_what_a_job_sees_of_itself(app: Gusto, autojump_clock: MockClock) -> None:
    seen: list[object] = []

    @app.job(name="look", timeout=60, tags=["mine"])
    async def look(number: int) -> None:
        job = current_job()
        seen.extend([job.id, job.attempt, job.job.args, job.job.tags, job.job.state])
        seen.extend([job.deadline, job.shutting_down, job.cancel_requested])

    @app.job(timeout=None)
    async def endless() -> None:
        seen.append(current_job().deadline)

    async with app.running() as queue:
        ref = await queue.enqueue(look, 7)
        job = await ref.wait()
        assert job.started_at is not None
        deadline = job.started_at + timedelta(seconds=60)
        states = [(7,), frozenset({"mine"}), JobState.PROCESSING]
        assert seen == [ref.id, 1, *states, deadline, False, False]
        await (await queue.enqueue(endless)).wait()
        assert seen[-1] is None


@pytest.mark.parametrize("patience", [1000, 0])
async def test_a_job_can_see_that_it_should_come_to_an_end(
    autojump_clock: MockClock, patience: int, caplog: pytest.LogCaptureFixture
) -> None:
    app = Gusto(clock=VirtualClock(), options=Options(drain_timeout=patience))
    seen: list[tuple[bool, bool]] = []

    @app.job
    async def polite() -> None:
        with trio.CancelScope(shield=True):
            for _ in range(20):
                await trio.sleep(1)
        job = current_job()
        seen.append((job.shutting_down, job.cancel_requested))

    async with app.running() as queue:
        await queue.enqueue(polite)
        await trio.sleep(5)
        assert seen == []
    assert seen == [(True, patience == 0)]
    complaints = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert ["shields itself" in complaint for complaint in complaints] == [True] * (patience == 0)


async def test_a_retry_policy_is_asked_with_what_happened(
    app: Gusto, autojump_clock: MockClock
) -> None:
    asked: list[tuple[int, int, str, object]] = []

    def patient(state: RetryState) -> timedelta | None:
        error = state.error
        asked.append((state.attempt, state.max_attempts, repr(error), state.job.args))
        return timedelta(seconds=5) if state.attempt == 1 else None

    @app.job(retry=patient, max_attempts=9)
    async def fail(number: int) -> None:
        raise ValueError(number)

    @app.job(retry=patient, max_attempts=9, timeout=1)
    async def hang() -> None:
        await trio.sleep_forever()

    async with app.running() as queue:
        began = trio.current_time()
        ref = await queue.enqueue(fail, 7)
        with pytest.raises(JobFailed, match="allows no more attempts"):
            await ref.result()
        assert trio.current_time() - began == pytest.approx(5, abs=0.01)
        assert asked == [(number, 9, "ValueError(7)", (7,)) for number in (1, 2)]
        asked.clear()
        await (await queue.enqueue(hang)).wait()
        assert [error for *_, error, _ in asked] == ["TimeoutError('the attempt timed out')"] * 2


async def test_a_call_s_own_policy_wins_over_its_handler_s(
    app: Gusto, autojump_clock: MockClock
) -> None:
    @app.job(retry=fixed(1000))
    async def fail() -> None:
        if current_job().attempt == 1:
            raise ValueError

    async with app.running() as queue:
        began = trio.current_time()
        await (await queue.enqueue(fail, retry=fixed(3))).result()
        assert trio.current_time() - began == pytest.approx(3, abs=0.01)


async def test_a_retry_policy_that_breaks_ends_the_job(
    app: Gusto, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_state: RetryState) -> timedelta | None:
        raise ZeroDivisionError

    @app.job(name="fail", retry=broken)
    async def fail() -> None:
        raise ValueError

    async with app.running() as queue:
        job = await (await queue.enqueue(fail)).wait()
        assert (job.state, job.attempt) == (JobState.FAILED, 1)
    assert "the retry policy of fail failed" in caplog.text


async def test_handlers_that_never_wait_leave_the_loop_its_turns(app: Gusto) -> None:
    """Real time, a few milliseconds: what is measured is who gets the loop."""
    app = Gusto(options=Options(concurrency=1))
    turns = 0

    @app.job
    async def busy() -> None:
        deadline = trio.current_time() + 0.001
        while trio.current_time() < deadline:
            pass

    async def spin() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with app.connected() as queue:
        refs = await queue.enqueue_many([call(busy) for _ in range(30)])
    async with trio.open_nursery() as nursery:
        async with app.running() as queue:
            nursery.start_soon(spin)
            for ref in refs:
                await queue.ref(ref.id).wait()
        nursery.cancel_scope.cancel()
    assert turns > 30


async def test_a_thread_that_does_not_end_is_left_behind_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tree, "CLEANUP", 0.05)
    app = Gusto(options=Options(concurrency=2, drain_timeout=0))
    entered, release = threading.Event(), threading.Event()

    @app.job(name="deaf")
    def deaf() -> None:
        entered.set()
        release.wait(10)

    async with app.running() as queue:
        ref = await queue.enqueue(deaf)
        await trio.to_thread.run_sync(entered.wait)
    release.set()
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert f"job {ref.id} (deaf) did not end" in record.getMessage()
    async with app.connected() as queue:
        job = await queue.ref(ref.id).job()
        assert (job.state, job.attempt) == (JobState.READY, 0)


def test_a_thread_may_even_outlive_the_program_s_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "CLEANUP", 0.05)
    app = Gusto(options=Options(concurrency=1, drain_timeout=0))
    entered, release, ended = threading.Event(), threading.Event(), threading.Event()

    @app.job
    def deaf() -> None:
        entered.set()
        release.wait(10)
        ended.set()

    async def main() -> None:
        async with app.running() as queue:
            await queue.enqueue(deaf)
            await trio.to_thread.run_sync(entered.wait)

    trio.run(main)
    release.set()
    assert ended.wait(5)


async def test_a_job_called_off_between_its_claim_and_its_start_never_starts(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(clock=VirtualClock(), options=Options(concurrency=1, prefetch=5))
    ran: list[str] = []

    @app.job
    async def work(name: str) -> None:
        ran.append(name)
        await trio.sleep(10)

    async with app.running() as queue:
        await queue.enqueue(work, "first")
        ref = await queue.enqueue(work, "second")
        await trio.sleep(1)
        assert await ref.status() is JobState.PROCESSING  # claimed ahead
        assert await ref.cancel("changed my mind")
        job = await ref.wait()
        assert (job.state, job.reason) == (JobState.CANCELLED, "changed my mind")
        (attempt,) = await queue.attempts(ref)
        assert (attempt.outcome, attempt.started_at) == (AttemptOutcome.CANCELLED, None)
    assert ran == ["first"]


async def test_a_snooze_may_go_on_for_ever_without_using_an_attempt(
    app: Gusto, autojump_clock: MockClock
) -> None:
    seen: list[int] = []

    @app.job(max_attempts=2)
    async def sleepy() -> None:
        seen.append(current_job().attempt)
        if len(seen) < 10:
            raise Snooze(for_=60)

    async with app.running() as queue:
        ref = await queue.enqueue(sleepy)
        await ref.result()
        assert seen == [1] * 10
        assert (await ref.job()).attempt == 1


async def test_a_handler_that_awaits_what_belongs_to_asyncio_fails_alone(
    app: Gusto, autojump_clock: MockClock
) -> None:
    class Future:
        _asyncio_future_blocking = True

        def __await__(self) -> Generator[object, None, None]:
            yield self

    @app.job(max_attempts=1)
    async def lost() -> None:
        await trio.sleep(1)
        await Future()

    @app.job
    async def fine() -> str:
        return "fine"

    async with app.running() as queue:
        with pytest.raises(JobFailed, match="asyncio") as caught:
            await (await queue.enqueue(lost)).result()
        assert caught.value.error is not None
        assert caught.value.error.type == "TypeError"
        assert await (await queue.enqueue(fine)).result() == "fine"


async def test_the_start_of_jobs_of_every_kind_is_told(
    app: Gusto, autojump_clock: MockClock
) -> None:
    facts: list[Fact] = []

    @app.job
    async def plain() -> int:
        return 1

    @app.job
    async def waits(seconds: int = 1) -> None:
        await trio.sleep(seconds)

    @app.job
    async def breaks() -> None:
        raise ValueError("no")

    async with app.running() as queue:
        queue._probe.subscribe(facts.append)
        first = await queue.enqueue(plain)
        refs = [
            first,
            await queue.continue_with(first, waits),
            await queue.enqueue(waits),
            await queue.enqueue(plain, callback=waits),
            await queue.enqueue(breaks, max_attempts=1),
        ]
        for ref in refs:
            await ref.wait()
    started = {(fact.job_id, fact.attempt) for fact in facts if isinstance(fact, JobStarted)}
    assert started >= {(ref.id, 1) for ref in refs}
