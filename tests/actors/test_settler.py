"""The end of an attempt meets what happened to its job meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    ArgumentError,
    Gusto,
    GustoError,
    JobFinished,
    JobState,
    MemoryStorage,
    Options,
    Retry,
    Snooze,
    current_job,
    fixed,
)
from trio_gusto.model.facts import Fact
from trio_gusto.storage.messages import Commit, Complete, Write, WriteReply
from trio_gusto.testing import Barriers, VirtualClock


class Mute(MemoryStorage):
    """Tells no node what the others do."""

    async def wait_changed(self, node: str) -> None:
        await trio.sleep_forever()


@pytest.mark.parametrize("error", [ValueError("no"), Snooze(for_=60), Retry(after=60)], ids=repr)
async def test_a_job_called_off_elsewhere_is_cancelled_instead_of_run_again(
    autojump_clock: MockClock, error: Exception
) -> None:
    storage, clock = Mute(), VirtualClock()
    app, elsewhere = (Gusto(storage, clock=clock, options=Options(lease=1000)) for _ in range(2))
    facts: list[Fact] = []

    @app.job
    async def work() -> None:
        await trio.sleep(10)
        raise error

    async with app.running() as queue, elsewhere.connected() as other:
        queue._probe.subscribe(facts.append)
        ref = await queue.enqueue(work)
        await trio.sleep(1)
        assert await other.ref(ref.id).cancel("not needed")
        assert await other.ref(ref.id).cancel("a second reason")
        job = await ref.wait()
        assert (job.state, job.reason) == (JobState.CANCELLED, "not needed")
        assert [one.outcome for one in await queue.attempts(ref)] == ["cancelled"]
        (fact,) = [fact for fact in facts if isinstance(fact, JobFinished)]
        assert (fact.state, fact.reason, fact.error) == (JobState.CANCELLED, "not needed", None)


async def test_a_job_that_was_about_to_complete_may_do_so(autojump_clock: MockClock) -> None:
    storage, clock = Mute(), VirtualClock()
    app, elsewhere = (Gusto(storage, clock=clock, options=Options(lease=1000)) for _ in range(2))

    @app.job
    async def work() -> str:
        await trio.sleep(10)
        return "done"

    async with app.running() as queue, elsewhere.connected() as other:
        ref = await queue.enqueue(work)
        await trio.sleep(1)
        assert await other.ref(ref.id).cancel()
        assert await ref.result() == "done"
        assert not await other.ref(ref.id).cancel()


async def test_whoever_waits_for_a_job_looks_when_its_outcome_came_too_late(
    autojump_clock: MockClock,
) -> None:
    """Another has completed it, and told nobody here."""
    storage, clock = Mute(), VirtualClock()
    app, heir = (Gusto(storage, clock=clock, options=Options(lease=1000)) for _ in range(2))

    @app.job(name="work")
    async def zombie() -> str:
        await trio.sleep(20)
        return "done too late"

    @heir.job(name="work")
    async def work() -> str:
        return "done elsewhere"

    async with app.running() as queue:
        ref = await queue.enqueue(zombie)
        await trio.sleep(1)
        (attempt,) = await queue.attempts(ref)

        async def take_over() -> None:
            await storage.detach(attempt.node_id)
            await heir.run_until_idle()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_over)
            assert await ref.result() == "done elsewhere"
        assert trio.current_time() == pytest.approx(20, abs=0.1)


async def test_an_outcome_that_a_storage_refuses_is_logged_and_the_job_recovered(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Picky(MemoryStorage):
        refusals = 1

        async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
            if self.refusals and any(isinstance(write, Commit | Complete) for write in writes):
                self.refusals -= 1
                replies = await super().apply(
                    [one for one in writes if not isinstance(one, Commit | Complete)]
                )
                assert len(replies) == len(writes) - 1
                return [*replies, ArgumentError("cannot be stored")]
            return await super().apply(writes)

    app = Gusto(Picky(), clock=VirtualClock(), options=Options(lease=10))

    @app.job
    async def work() -> int:
        await trio.sleep(1)
        return current_job().attempt

    async with app.running() as queue:
        began = trio.current_time()
        ref = await queue.enqueue(work)
        assert await ref.result() == 2
        assert trio.current_time() - began < 45  # its lease, and the sweeper's longest sleep
        assert [one.outcome for one in await queue.attempts(ref)] == ["lost", "succeeded"]
    assert "was refused: cannot be stored" in caplog.text


@pytest.mark.parametrize("how", ["cancelled", "timed out", "given back"])
async def test_barriers_are_told_of_attempts_that_were_interrupted(
    autojump_clock: MockClock, how: str
) -> None:
    options = Options(concurrency=1, prefetch=1, drain_timeout=1)
    app, barriers = Gusto(clock=VirtualClock(), options=options), Barriers()

    @app.job(timeout=5 if how == "timed out" else None, max_attempts=2, retry=fixed(1000))
    async def endless() -> None:
        await trio.sleep_forever()

    with trio.fail_after(100):
        async with app.running(barriers=barriers) as queue:
            async with barriers.batch_start.hold():
                ref = await queue.enqueue(endless)
            await trio.sleep(1)
            if how == "cancelled":
                await ref.cancel()
                await ref.wait()
            elif how == "timed out":
                await trio.sleep(5)
        record = await barriers.job_settled.wait()
        expected = {"cancelled": "cancelled", "timed out": "scheduled", "given back": "ready"}
        assert (record.job_id, record.state) == (ref.id, expected[how])
        assert (await barriers.batch_completed.wait()).job_ids == (ref.id,)


async def test_barriers_are_told_of_attempts_that_no_executor_had(
    autojump_clock: MockClock,
) -> None:
    """Of two jobs that were claimed one waits for the only executor, and is given back."""
    options = Options(concurrency=1, prefetch=1, drain_timeout=1)
    app, barriers = Gusto(clock=VirtualClock(), options=options), Barriers()

    @app.job
    async def endless() -> None:
        await trio.sleep_forever()

    with trio.fail_after(100):
        async with app.running(barriers=barriers) as queue:
            refs = [await queue.enqueue(endless) for _ in range(2)]
            await trio.sleep(1)
        passed = [await barriers.job_settled.wait() for _ in range(2)]
        assert {record.job_id for record in passed} == {ref.id for ref in refs}


async def test_a_listener_that_fails_harms_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = Gusto(clock=VirtualClock())
    facts: list[str] = []

    def broken(_fact: Fact) -> None:
        raise ZeroDivisionError

    @app.job
    async def work() -> str:
        return "done"

    async with app.running() as queue:
        unsubscribe = queue._probe.subscribe(broken)
        forget = queue._probe.subscribe(lambda fact: facts.append(type(fact).__name__))
        assert await (await queue.enqueue(work)).result() == "done"
        unsubscribe()
        forget()
        assert await (await queue.enqueue(work)).result() == "done"
    assert sorted(facts) == ["JobClaimed", "JobEnqueued", "JobFinished", "JobStarted"]
    assert "a listener failed on JobEnqueued" in caplog.text
