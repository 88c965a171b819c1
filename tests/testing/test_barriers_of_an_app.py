"""Barriers of a running app: what actors pass, and that they can be held there."""

from __future__ import annotations

from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto import Gusto, JobState, Options, Retry
from trio_gusto.testing import Barriers, BatchPassed, JobPassed, JobSettled, VirtualClock


@pytest.fixture
def app() -> Gusto:
    return Gusto(clock=VirtualClock(), options=Options(concurrency=2))


async def test_a_held_batch_is_claimed_and_not_begun(app: Gusto, autojump_clock: MockClock) -> None:
    ran: list[str] = []

    @app.job
    async def greet(name: str) -> None:
        ran.append(name)

    barriers = Barriers()
    async with app.running(barriers=barriers) as queue:
        async with barriers.batch_start.hold() as at:
            ref = await queue.enqueue(greet, "Ann")
            assert await at.reached() == BatchPassed((ref.id,))
            await wait_all_tasks_blocked()
            assert await ref.status() is JobState.PROCESSING
            assert ran == []
        assert await barriers.batch_completed.wait() == BatchPassed((ref.id,))
        assert ran == ["Ann"]


async def test_a_batch_is_completed_when_all_of_its_jobs_have_settled(
    app: Gusto, autojump_clock: MockClock
) -> None:
    @app.job
    async def nap(seconds: float) -> None:
        await trio.sleep(seconds)

    barriers = Barriers()
    async with app.running(barriers=barriers) as queue:
        async with barriers.sweep_done.hold():
            refs = [await queue.enqueue(nap, seconds) for seconds in (1.0, 5.0)]
        settled: set[object] = set()
        while len(settled) < 2:
            record = await barriers.batch_completed.wait()
            settled.update(record.job_ids)
            for ref in refs:
                if ref.id in record.job_ids:
                    assert await ref.status() is JobState.COMPLETED
        assert settled == {ref.id for ref in refs}


async def test_an_attempt_passes_claim_start_and_settlement_and_a_retry_again(
    app: Gusto, autojump_clock: MockClock
) -> None:
    tries: list[int] = []

    @app.job(name="flaky")
    async def flaky() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise Retry(after=timedelta(hours=1))

    barriers = Barriers()
    async with app.running(barriers=barriers) as queue:
        ref = await queue.enqueue(flaky)
        await ref.wait()
        for attempt in (1, 2):
            for point in (barriers.job_claimed, barriers.job_started):
                assert await point.wait() == JobPassed(ref.id, "flaky", attempt)
            became = JobState.SCHEDULED if attempt == 1 else JobState.COMPLETED
            settled = await barriers.job_settled.wait()
            assert settled == JobSettled(ref.id, "flaky", attempt, became)


async def test_one_job_is_held_before_its_handler_while_others_overtake_it(
    app: Gusto, autojump_clock: MockClock
) -> None:
    ran: list[str] = []

    @app.job
    async def greet(name: str) -> None:
        ran.append(name)

    barriers = Barriers()
    async with app.running(barriers=barriers) as queue:
        ann = await queue.enqueue(greet, "Ann", execute_after=10)
        async with barriers.job_started.hold(job=ann) as at:
            bob = await queue.enqueue(greet, "Bob", execute_after=10)
            await at.reached()
            await bob.wait()
            assert ran == ["Bob"]
        await ann.wait()
    assert ran == ["Bob", "Ann"]


async def test_a_job_that_is_cancelled_while_held_before_its_handler_never_enters_it(
    app: Gusto, autojump_clock: MockClock
) -> None:
    ran: list[str] = []

    @app.job
    async def greet(name: str) -> None:
        ran.append(name)

    barriers = Barriers()
    async with app.running(barriers=barriers) as queue:
        async with barriers.job_started.hold() as at:
            ref = await queue.enqueue(greet, "Ann")
            await at.reached()
            assert await ref.cancel("changed her mind")
        assert (await barriers.job_settled.wait()).job_id == ref.id
        assert (await ref.status(), ran) == (JobState.CANCELLED, [])


async def test_an_executor_is_held_behind_a_recorded_outcome(
    app: Gusto, autojump_clock: MockClock
) -> None:
    @app.job
    async def greet() -> str:
        return "hello"

    barriers = Barriers()
    async with app.running(barriers=barriers) as queue:
        async with barriers.job_settled.hold() as settled, barriers.batch_completed.hold() as done:
            ref = await queue.enqueue(greet)
            await settled.reached()
            assert await ref.result() == "hello"
            await wait_all_tasks_blocked()
            assert "not reached" in repr(done)
        assert (await barriers.batch_completed.wait()).job_ids == (ref.id,)


async def test_leaving_the_app_while_a_batch_is_held_gives_its_jobs_back(
    app: Gusto, autojump_clock: MockClock
) -> None:
    ran: list[str] = []

    @app.job
    async def greet(name: str) -> None:
        ran.append(name)

    barriers = Barriers()
    async with barriers.batch_start.hold() as at, app.running(barriers=barriers) as queue:
        ref = await queue.enqueue(greet, "Ann")
        await at.reached()
    async with app.connected() as queue:
        job = await queue.ref(ref.id).job()
    assert (job.state, job.attempt, ran) == (JobState.READY, 0, [])
    assert (await barriers.job_settled.wait()).state is JobState.READY


async def test_a_sweep_names_the_jobs_whose_deadline_has_passed(
    app: Gusto, autojump_clock: MockClock
) -> None:
    @app.job(timeout=None)
    async def nap() -> None:
        await trio.sleep(7200)

    barriers = Barriers()
    async with app.running(barriers=barriers) as queue:
        for _ in range(2):
            await queue.enqueue(nap)
        late = await queue.enqueue(nap, expire_on=3600)
        record = await barriers.sweep_done.wait()
        while not record.overdue:
            record = await barriers.sweep_done.wait()
        assert (record.overdue, record.lost) == ((late.id,), ())
        assert await late.status() is JobState.EXPIRED


async def test_what_an_earlier_run_left_is_forgotten_when_the_app_runs_again(
    app: Gusto, autojump_clock: MockClock
) -> None:
    @app.job
    async def greet() -> None: ...

    barriers = Barriers()
    for _ in range(2):
        async with app.running(barriers=barriers) as queue:
            ref = await queue.enqueue(greet)
            assert (await barriers.job_claimed.wait()).job_id == ref.id
            await ref.wait()
