"""Nodes that crash, at every kill point of a job's life; and nodes that come back as zombies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, get_args

import pytest
import trio

from property_tests.planted import BelievesZombies
from trio_gusto import (
    ArgumentError,
    Gusto,
    JobFilter,
    JobFinished,
    JobQueue,
    JobRef,
    JobState,
    LeaseExpired,
    LeaseRefused,
    MemoryStorage,
    Options,
    Snooze,
    StorageError,
    current_job,
    fixed,
)
from trio_gusto.storage.messages import (
    Commit,
    Write,
)
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import KILL_POINTS, SimulationFailed, World, simulate
from trio_gusto.testing.simulation import (
    NodeCrashed,
    NodeStarted,
    Violation,
    points,
)

LEASE = 30.0

MADE = {"memory": MemoryStorage, "sqlite": lambda: SqliteStorage(":memory:", inline=True)}

storages = pytest.mark.parametrize("make_storage", MADE.values(), ids=MADE)

app = Gusto(
    options=Options(
        concurrency=4,
        lease=LEASE,
        default_retry=fixed(1.0),
        default_max_attempts=5,
        retention=timedelta(hours=12),
    )
)


@app.job
async def work(seconds: float = 0) -> float:
    await trio.sleep(seconds)
    return seconds


@app.job
async def long() -> str:
    """Long enough for renewals and reports."""
    for percent in range(0, 100, 25):
        current_job().progress(percent)
        await trio.sleep(LEASE / 4)
    return "long"


@app.job
async def flaky() -> None:
    if current_job().attempt == 1:
        raise ConnectionError("at first")


@app.job
async def sleepy() -> None:
    if trio.current_time() < 3:
        raise Snooze(for_=2)


def test_every_kind_of_write_is_of_a_stage() -> None:
    kinds = set(get_args(Write)) - {Commit}  # a commit is of one by what it says
    assert set(points.STAGE_OF) == kinds
    assert set(points.STAGE_OF.values()) <= set(points.STAGES)


# --- at every kill point --------------------------------------------------------------------------


async def live(world: World, queue: JobQueue) -> list[JobRef[Any]]:
    """Let everything happen that can happen to a job; returns the jobs that are said to be stored."""
    stored: list[JobRef[Any]] = []

    async def attempt(verb: Callable[[], Awaitable[JobRef[Any] | None]]) -> None:
        with trio.move_on_after(5):
            try:
                ref = await verb()
            except (StorageError, trio.ClosedResourceError):
                return
            if ref is not None:
                stored.append(ref)

    async def batched() -> JobRef[Any]:
        async with queue.batch() as batch:
            batch.enqueue(work, 1)
            batch.enqueue(work, 2)
            return batch.continue_with(work, 3)

    async def called_off() -> None:
        await queue.cancel(later)

    async def paused() -> None:
        await queue.pause(queue="other")

    async def scheduled() -> None:
        await queue.schedule("minutely", work, trigger=timedelta(minutes=1))

    parent = await world.queue.enqueue(work, 1)
    stored += [
        parent,
        await world.queue.continue_with(parent, work, 1),
        await world.queue.enqueue(long),
        await world.queue.enqueue(flaky),
        await world.queue.enqueue(sleepy),
    ]
    later = await world.queue.enqueue(work, execute_after=timedelta(hours=1))
    for verb in (batched, called_off, paused, scheduled, lambda: queue.enqueue(work)):
        await attempt(verb)
    return [*stored, later]


@storages
@pytest.mark.parametrize("point", KILL_POINTS)
def test_wherever_a_node_crashes_every_job_ends(
    point: str, make_storage: Callable[[], Storage]
) -> None:
    async def scenario(world: World) -> None:
        # One job is under the lease of a node that is gone, so that there is something to recover.
        await world.pause("node-0")
        await world.crash("node-1", at="handler.running")
        orphan = await world.queue.enqueue(work, 1)
        await world.advance(seconds=1)
        queue = world.queue_of("node-0")
        await world.crash("node-0", at=point)
        await world.resume("node-0")
        stored = [orphan, *await live(world, queue)]
        # Retention comes hours later.
        await world.advance(days=1 if "retention" in point else 0, minutes=5)
        crashed = [fact for fact in world.history.of(NodeCrashed) if fact.node == "node-0"]
        assert [fact.point for fact in crashed] == [point]
        await world.restart("node-0")
        await world.restart("node-1")
        await world.advance(hours=2)
        if await world.queue.get_schedule("minutely") is not None:
            await world.queue.remove_schedule("minutely")
        await world.advance(minutes=5)
        await check_all(world, stored, has_retention="retention" in point)

    simulate(scenario, app, seed=1, nodes=2, make_storage=make_storage)


async def check_all(world: World, stored: Sequence[JobRef[Any]], *, has_retention: bool) -> None:
    page = await world.queue.find(JobFilter(), limit=1000)
    assert page.next is None
    jobs = {job.id: job for job in page.items}
    # An instant is skipped while the job of the one before has not ended.
    good = {JobState.COMPLETED, JobState.CANCELLED, JobState.SKIPPED}
    assert {job.state for job in jobs.values()} <= good
    if not has_retention:
        assert {ref.id for ref in stored} <= jobs.keys(), "no job is lost"
    fired = [job.fire_time for job in jobs.values() if job.schedule_name]
    assert len(set(fired)) == len(fired), "no instant twice"
    ends = [fact.job_id for fact in world.history.of(JobFinished)]
    assert len(set(ends)) == len(ends), "no job ends twice"


def test_a_job_of_a_crashed_node_runs_again_when_its_lease_has_passed() -> None:
    async def scenario(world: World) -> None:
        await world.crash("node-0", at="outcome.before_commit")
        ref = await world.queue.enqueue(work, 1)
        await world.advance(seconds=LEASE - 1)
        assert await ref.status() is JobState.PROCESSING
        await world.restart("node-0")
        await world.advance(seconds=1)
        assert [fact.attempt for fact in world.history.of(LeaseExpired)] == [1]
        await world.advance(seconds=1)
        assert await ref.status() is JobState.COMPLETED
        outcomes = [attempt.outcome for attempt in await world.queue.attempts(ref)]
        assert outcomes == ["lost", "succeeded"]

    simulate(scenario, app)


def test_a_crash_that_is_noticed_needs_no_lease_to_pass() -> None:
    async def scenario(world: World) -> None:
        await world.pause("node-1")
        ref = await world.queue.enqueue(work, 20)
        await world.advance(seconds=1)
        await world.resume("node-1")
        await world.crash("node-0", noticed=True)
        await world.advance(seconds=20)
        assert await ref.status() is JobState.COMPLETED

    simulate(scenario, app, nodes=2)


def test_of_a_crashed_process_not_even_a_finally_runs() -> None:
    left: list[str] = []
    crashing = Gusto()

    @crashing.job
    async def tidy() -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 10)
                nursery.start_soon(trio.sleep, 5)
        finally:
            left.append("tidied up")

    async def scenario(world: World) -> None:
        await world.queue.enqueue(tidy)
        await world.advance(seconds=1)
        await world.crash("node-0")
        await world.advance(hours=1)
        assert not left
        assert world.running == ()

    history = simulate(scenario, crashing)
    assert history.facts[-1] == history.of(NodeCrashed)[0], "and nothing is heard of it any more"


@pytest.mark.parametrize("fate", ["crash", "pause"])
def test_a_node_can_crash_or_stand_still_while_a_thread_is_at_work(fate: str) -> None:
    threaded = Gusto(options=Options(lease=LEASE))
    entered: list[int] = []

    @threaded.job
    def compute() -> None:
        entered.append(current_job().attempt)

    async def scenario(world: World) -> None:
        await world.pause("node-1")
        await (world.crash if fate == "crash" else world.pause)("node-0", at="handler.running")
        ref = await world.queue.enqueue(compute)
        await world.advance(1)
        await world.resume("node-1")
        await world.advance(2 * LEASE)
        assert await ref.status() is JobState.COMPLETED
        if fate == "pause":
            await world.resume("node-0")
        await world.advance(2 * LEASE)
        assert [attempt.outcome for attempt in await world.queue.attempts(ref)] == [
            "lost",
            "succeeded",
        ]

    assert simulate(scenario, threaded, nodes=2) == simulate(scenario, threaded, nodes=2)
    assert entered == [1, 2, 1, 2]


def test_a_restarted_node_is_another_process() -> None:
    async def scenario(world: World) -> None:
        await world.restart("node-0")
        await world.drain("node-0")
        with pytest.raises(ArgumentError, match="does not run"):
            world.queue_of("node-0")
        await world.restart("node-0")
        assert world.running == ("node-0",)

    history = simulate(scenario, app)
    assert [fact.life for fact in history.of(NodeStarted)] == [1, 2, 3]


def test_a_node_can_crash_while_it_starts() -> None:
    async def scenario(world: World) -> None:
        await world.pause("node-0", at="claim.before_commit")
        ref = await world.queue.enqueue(work)
        await world.advance(1)
        await world.restart("node-0")  # one that stands still is killed
        await world.advance(1)
        assert await ref.status() is JobState.COMPLETED

    simulate(scenario, app)


# --- zombies --------------------------------------------------------------------------------------


@storages
@pytest.mark.parametrize("seed", range(3))
def test_a_zombies_outcome_does_not_land(make_storage: Callable[[], Storage], seed: int) -> None:
    async def scenario(world: World) -> None:
        await world.pause("node-1")
        await world.pause("node-0", at="outcome.before_commit")
        ref = await world.queue.enqueue(work, 1)
        await world.advance(seconds=5)
        await world.resume("node-1")
        await world.advance(seconds=2 * LEASE)
        assert await ref.status() is JobState.COMPLETED
        before = await world.queue.attempts(ref)
        await world.resume("node-0")
        await world.advance(minutes=5)
        assert await world.queue.attempts(ref) == before
        assert [attempt.outcome for attempt in before] == ["lost", "succeeded"]
        assert before[1].node_id.startswith("node-1")
        (refused,) = world.history.of(LeaseRefused)
        assert refused.attempt == 1
        assert len(world.history.of(JobFinished)) == 1

    simulate(scenario, app, nodes=2, seed=seed, make_storage=make_storage)


def test_a_zombies_handler_is_cancelled_before_it_goes_on() -> None:
    went_on: list[str] = []
    both = Gusto(options=Options(lease=LEASE))

    @both.job
    async def slow() -> None:
        await trio.sleep(10)
        went_on.append(f"attempt {current_job().attempt}")

    async def scenario(world: World) -> None:
        await world.pause("node-1")
        ref = await world.queue.enqueue(slow)
        await world.advance(seconds=5)
        await world.pause("node-0")
        await world.resume("node-1")
        await world.advance(minutes=2)
        assert await ref.status() is JobState.COMPLETED
        await world.resume("node-0")
        await world.advance(minutes=2)
        assert world.running == ("node-0", "node-1")

    simulate(scenario, both, nodes=2)
    assert went_on[0] == "attempt 2"


def test_a_storage_that_believes_zombies_is_found_out() -> None:
    async def scenario(world: World) -> None:
        ended: set[object] = set()

        def ends_twice(fact: object) -> bool:
            again = isinstance(fact, JobFinished) and fact.job_id in ended
            if isinstance(fact, JobFinished):
                ended.add(fact.job_id)
            return again

        world.assert_never(ends_twice, "a job ends once")
        await world.pause("node-1")
        await world.pause("node-0", at="outcome.before_commit")
        await world.queue.enqueue(work, 1)
        await world.advance(seconds=5)
        await world.resume("node-1")
        await world.advance(seconds=2 * LEASE)
        await world.resume("node-0")
        await world.advance(minutes=5)

    simulate(scenario, app, nodes=2)
    with pytest.raises(SimulationFailed, match="a job ends once") as caught:
        simulate(scenario, app, nodes=2, make_storage=BelievesZombies)
    assert isinstance(caught.value.__cause__, Violation)


def test_only_who_stands_still_can_go_on() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(ArgumentError, match="does not stand still"):
            await world.resume("node-0")
        await world.pause("node-0")
        with pytest.raises(ArgumentError, match="stands still and cannot stop"):
            await world.drain("node-0")
        await world.resume("node-0")
        await world.drain("node-0")

    simulate(scenario, app)
