"""Services that are simulated, with whatever a seed has in store for them; and the laws can fail."""

from __future__ import annotations

import random
from collections.abc import Callable
from uuid import UUID

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from property_tests.planted import BelievesZombies
from trio_gusto import Gusto, JobFinished, JobState, MemoryStorage, Options, current_job, fixed
from trio_gusto.model.facts import Fact
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import SimulationFailed, World, simulate

LEASE = 20.0

POINTS = (
    None,
    "claim.after_commit",
    "handler.running",
    "outcome.before_commit",
    "outcome.after_commit",
    "schedule.after_commit",
)
"""Where a node may meet its fate; it need not come there."""

app = Gusto(
    options=Options(
        concurrency=2,
        lease=LEASE,
        default_retry=fixed(1),
        default_max_attempts=50,
        quarantine_after=None,  # what befalls nodes here is no fault of their jobs
    )
)


@app.job
async def work(seconds: float) -> None:
    await trio.sleep(seconds)
    if seconds and current_job().attempt == 1:
        await current_job().queue.enqueue(work, 0)


@app.job
def compute(n: int) -> int:
    return n


def in_sqlite() -> Storage:
    return SqliteStorage(":memory:", inline=True)


def expect_single_ends(world: World) -> None:
    ended: set[object] = set()

    def ends_again(fact: Fact) -> bool:
        again = isinstance(fact, JobFinished) and fact.job_id in ended
        if isinstance(fact, JobFinished):
            ended.add(fact.job_id)
        return again

    world.assert_never(ends_again, "a job ends once")


async def anything(world: World) -> None:
    """Whatever comes of the seed; and in the end every job has ended, once."""
    expect_single_ends(world)
    await world.queue.schedule("minutely", work, 0, trigger="0 * * * * *", overlap="allow")
    refs: list[UUID] = []
    for _ in range(12):
        if random.random() < 0.3:
            refs.append((await world.queue.enqueue(compute, 1)).id)
        else:
            refs.append((await world.queue.enqueue(work, random.choice([5, 30]))).id)
        await befall(world, random.choice(world.nodes))
        await world.advance(random.choice([0, 1, 10]))
    for node in world.nodes:
        await world.disarm(node)
        await world.restart(node)
    await world.queue.remove_schedule("minutely")
    await world.advance(minutes=10)
    assert {await world.queue.ref(ref).status() for ref in refs} == {JobState.COMPLETED}
    jobs = (await world.queue.find(limit=1000)).items
    assert {job.state for job in jobs} == {JobState.COMPLETED}
    fired = [job.fire_time for job in jobs if job.schedule_name]
    assert len(set(fired)) == len(fired)


async def befall(world: World, node: str) -> None:
    if node not in world.running:
        if world.history.facts and random.random() < 0.5:
            await world.disarm(node)  # if it stands still
            await world.restart(node)
        return
    match random.randrange(4):
        case 0:
            await world.disarm(node)
            await world.crash(node, at=random.choice(POINTS), noticed=False)
        case 1:
            await world.disarm(node)
            await world.pause(node, at=random.choice(POINTS))
        case 2:
            world.storage.fail_next(on=random.choice(["claim", "outcome"]), after_commit=True)
        case _:
            pass


@pytest.mark.parametrize("make_storage", [MemoryStorage, in_sqlite])
@given(seed=st.integers(0, 2**32))
def test_whatever_happens_every_job_ends_once(
    make_storage: Callable[[], Storage], seed: int
) -> None:
    simulate(anything, app, seed=seed, nodes=3, make_storage=make_storage)


async def zombie(world: World) -> None:
    """A node that stands still with an outcome, and comes back."""
    expect_single_ends(world)
    await world.pause("node-0", at="outcome.before_commit")
    for _ in range(6):
        await world.queue.enqueue(work, 1)
    await world.advance(3 * LEASE)
    await world.resume("node-0")
    await world.advance(minutes=5)


def test_the_law_catches_a_storage_that_believes_zombies() -> None:
    with pytest.raises(SimulationFailed, match="a job ends once"):
        simulate(zombie, app, nodes=2, make_storage=BelievesZombies)
    simulate(zombie, app, nodes=2)
