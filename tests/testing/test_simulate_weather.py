"""A storage that fails, is slow, locked or full; and clocks that are set or go wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest
import trio

from trio_gusto import (
    ArgumentError,
    Gusto,
    GustoError,
    JobClaimed,
    JobFinished,
    JobStarted,
    JobState,
    LeaseExpired,
    MemoryStorage,
    Options,
    OptionsError,
    StorageBusy,
    StorageError,
    StorageFull,
)
from trio_gusto.storage.messages import Write, WriteReply
from trio_gusto.testing import SimulationFailed, World, simulate
from trio_gusto.testing.clock import START
from trio_gusto.testing.simulation import (
    ClockChanged,
    StorageFailed,
    Trouble,
    TroubleNotMet,
    Weather,
)

app = Gusto(options=Options(concurrency=2, lease=30.0))


@app.job
async def work(seconds: float = 0) -> float:
    await trio.sleep(seconds)
    return seconds


# --- the storage ----------------------------------------------------------------------------------


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("stage", ["claim", "outcome", "renewal", "schedule"])
def test_a_call_that_fails_costs_no_job(stage: str, after_commit: bool) -> None:
    async def scenario(world: World) -> None:
        await world.queue.schedule("minutely", work, trigger=timedelta(minutes=1))
        world.storage.fail_next(on=stage, after_commit=after_commit)
        ref = await world.queue.enqueue(work, 15)
        await world.advance(minutes=5)
        assert await ref.status() is JobState.COMPLETED
        (failed,) = world.history.of(StorageFailed)
        assert stage in failed.stages
        assert failed.after_commit is after_commit
        assert failed.error == "StorageBusy"
        ended = [fact.job_id for fact in world.history.of(JobFinished)]
        assert len(set(ended)) == len(ended)
        assert (await world.queue.stats()).by_state[JobState.COMPLETED] == 6

    simulate(scenario, app)


def test_one_node_may_have_all_the_trouble() -> None:
    async def scenario(world: World) -> None:
        world.storage.fail_next(StorageError("broken"), node="node-1", on="read", times=3)
        with world.storage.locked(node="node-0"):
            for _ in range(4):
                await world.queue.enqueue(work, 1)
            await world.queue.schedule("never", work, 1, trigger="0 0 1 1 *")  # cron looks at it
            await world.advance(minutes=1)
        assert {fact.node_id.rpartition("-")[0] for fact in world.history.of(JobClaimed)} == {
            "node-1"
        }
        assert {fact.node for fact in world.history.of(StorageFailed)} == {"node-0", "node-1"}

    simulate(scenario, app, nodes=2)


def test_while_the_storage_is_full_callers_hear_of_it_and_outcomes_are_kept() -> None:
    async def scenario(world: World) -> None:
        ref = await world.queue.enqueue(work, 1)
        await world.advance(0)
        with world.storage.full():
            await world.advance(seconds=10)
            with pytest.raises(StorageFull):
                await world.queue.enqueue(work)
        await world.advance(seconds=10)
        assert await ref.status() is JobState.COMPLETED
        assert len(world.history.of(JobStarted)) == 1

    simulate(scenario, app)


def test_a_handler_ends_before_its_lease_when_the_storage_is_locked() -> None:
    async def scenario(world: World) -> None:
        ref = await world.queue.enqueue(work, 40)
        await world.advance(seconds=1)
        world.storage.locked()
        await world.advance(seconds=45)
        world.storage.clear()
        await world.advance(minutes=2)
        assert await ref.status() is JobState.COMPLETED
        assert len(world.history.of(JobStarted)) == 2
        outcomes = [attempt.outcome for attempt in await world.queue.attempts(ref)]
        assert outcomes == ["released", "succeeded"]

    simulate(scenario, app, nodes=2)


def test_a_slow_storage_loses_no_lease() -> None:
    async def scenario(world: World) -> None:
        world.storage.slow(timedelta(seconds=4))
        world.storage.slow(1, on="read")
        began = trio.current_time()
        ref = await world.queue.enqueue(work, 100)
        assert trio.current_time() - began == pytest.approx(4)
        await world.advance(minutes=4)
        assert await ref.status() is JobState.COMPLETED
        assert not world.history.of(LeaseExpired)

    simulate(scenario, app, nodes=2)


def test_trouble_is_asked_for_in_words_that_there_are() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(OptionsError, match="give one of apply, read, enqueue"):
            world.storage.fail_next(on="commit")
        with pytest.raises(OptionsError, match="at least once"):
            world.storage.fail_next(times=0)
        world.storage.fail_next(StorageBusy("just now"), node="client")
        with pytest.raises(StorageBusy, match="just now"):
            await world.queue.enqueue(work)
        await world.queue.enqueue(work)

    simulate(scenario, app)


@pytest.mark.parametrize(
    ("begin", "says"),
    [
        (
            lambda storage: storage.fail_next(on="pause"),
            r"1 calls \('pause'\) of any node were to fail yet",
        ),
        (lambda storage: storage.fail_next(on="enqueue", times=3), r"2 calls \('enqueue'\) of any"),
        (
            lambda storage: storage.slow(1, on="batch"),
            r"a trouble on calls \('batch'\) of any node has",
        ),
        (
            lambda storage: storage.full(node="node-1"),
            r"a trouble on calls \('apply'\) of node-1 has",
        ),
    ],
    ids=["fails never", "fails once of three times", "slow", "full"],
)
def test_a_trouble_that_meets_nobody_fails_the_scenario(
    begin: Callable[[Weather], Trouble], says: str
) -> None:
    async def scenario(world: World) -> None:
        await world.crash("node-1")
        begin(world.storage)
        with suppress(StorageBusy):
            await world.queue.enqueue(work)

    with pytest.raises(SimulationFailed, match=says) as caught:
        simulate(scenario, app, nodes=2)
    assert isinstance(caught.value.__cause__, TroubleNotMet)

    async def ended(world: World) -> None:
        await world.crash("node-1")
        with begin(world.storage), suppress(StorageBusy):
            await world.queue.enqueue(work)
        begin(world.storage)
        world.storage.clear()

    simulate(ended, app, nodes=2)


# --- clocks ---------------------------------------------------------------------------------------


def test_a_node_whose_clock_was_set_ahead_runs_early_and_soon() -> None:
    async def scenario(world: World) -> None:
        ref = await world.queue.enqueue(work, execute_after=timedelta(minutes=30))
        await world.advance(seconds=1)
        await world.step_clock("node-0", timedelta(hours=1))
        await world.advance(seconds=30)
        assert await ref.status() is JobState.COMPLETED

    history = simulate(scenario, app)
    assert history.of(ClockChanged)[0].by == timedelta(hours=1)


def test_a_node_whose_clock_was_set_back_is_late_and_loses_nothing() -> None:
    async def scenario(world: World) -> None:
        ref = await world.queue.enqueue(work, execute_after=timedelta(minutes=30))
        await world.advance(seconds=1)
        await world.step_clock("node-0", -3600)
        await world.advance(minutes=45)
        assert await ref.status() is JobState.SCHEDULED
        await world.advance(minutes=46)
        assert await ref.status() is JobState.COMPLETED

    simulate(scenario, app)


def test_no_instant_of_a_schedule_fires_twice_by_clocks_that_differ() -> None:
    async def scenario(world: World) -> None:
        await world.queue.schedule("hourly", work, trigger="0 0 * * * *", overlap="allow")
        await world.step_clock("node-1", 90)
        await world.drift_clock("node-2", -0.001)
        await world.advance(days=1)
        await world.step_clock("node-1", -200)
        await world.advance(days=1)
        fired = [job.fire_time for job in (await world.queue.find(limit=1000)).items]
        assert len(fired) == len(set(fired))
        assert len(fired) in (48, 49)  # the clock that goes ahead may be there already

    simulate(scenario, app, nodes=3)


def test_a_clock_that_goes_wrong_comes_right_by_being_looked_at() -> None:
    async def scenario(world: World) -> None:
        await world.drift_clock("node-0", -0.5)
        ref = await world.queue.enqueue(work, execute_after=timedelta(minutes=10))
        await world.advance(minutes=19)
        assert await ref.status() is JobState.SCHEDULED
        await world.advance(minutes=1)
        await world.advance(seconds=30)
        assert await ref.status() is JobState.COMPLETED
        with pytest.raises(OptionsError, match="more than -1"):
            await world.drift_clock("node-0", -1)
        with pytest.raises(ArgumentError, match="there is no 'node-9'"):
            await world.step_clock("node-9", 1)

    simulate(scenario, app)


def test_a_clock_that_hardly_goes_wrong_keeps_nobody_busy_and_makes_nobody_late() -> None:
    asked: list[float] = []

    class Counting(MemoryStorage):
        async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
            asked.append(trio.current_time())
            return await super().apply(writes)

    async def scenario(world: World) -> None:
        await world.drift_clock("node-0", 0.0001)
        await world.advance(days=1)
        assert len(asked) < 24 * 60, "not even once a minute"
        ref = await world.queue.enqueue(work, execute_after=timedelta(hours=5))
        due = trio.current_time() + (5 * 3600 - 86_400 * 0.0001) / 1.0001
        await world.advance(hours=5)
        (began,) = [each.at for each in world.history.entries if isinstance(each.fact, JobStarted)]
        assert (began - START).total_seconds() == pytest.approx(due, abs=0.051)
        assert await ref.status() is JobState.COMPLETED

    simulate(scenario, app, make_storage=Counting)
