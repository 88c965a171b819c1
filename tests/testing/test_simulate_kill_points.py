"""What is to befall a node at a kill point: it has to come there, and only one thing happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from trio_gusto import ArgumentError, Gusto, JobState, Options, OptionsError
from trio_gusto.testing import SimulationFailed, World, simulate
from trio_gusto.testing.simulation import (
    KillPointNotReached,
    NodeCrashed,
    NodeDrained,
    NodePaused,
)

app = Gusto(options=Options(concurrency=4, lease=30.0))


@app.job
async def work(seconds: float = 0) -> float:
    await trio.sleep(seconds)
    return seconds


def test_a_kill_point_that_is_never_reached_fails_the_scenario() -> None:
    async def scenario(world: World) -> None:
        await world.crash("node-0", at="schedule.before_commit")
        await world.advance(days=1)

    with pytest.raises(SimulationFailed, match=r"never come to schedule\.before_commit") as caught:
        simulate(scenario, app)
    assert isinstance(caught.value.__cause__, KillPointNotReached)


async def drain(world: World) -> None:
    await world.drain("node-0")


async def restart(world: World) -> None:
    await world.restart("node-0")


async def crash(world: World) -> None:
    await world.crash("node-0")


async def restart_the_paused(world: World) -> None:
    await world.pause("node-0")
    await world.restart("node-0")


@pytest.mark.parametrize("end", [drain, restart, crash, restart_the_paused])
@pytest.mark.parametrize("fate", ["crash", "pause"])
def test_a_kill_point_that_is_not_reached_before_the_node_ends_fails_the_scenario(
    fate: str, end: Callable[[World], Awaitable[None]]
) -> None:
    async def scenario(world: World) -> None:
        await (world.crash if fate == "crash" else world.pause)("node-0", at="pause.before_commit")
        await world.advance(1)
        await end(world)
        await world.advance(1)

    with pytest.raises(SimulationFailed, match=r"never come to pause\.before_commit") as caught:
        simulate(scenario, app)
    assert isinstance(caught.value.__cause__, KillPointNotReached)

    async def disarmed(world: World) -> None:
        await (world.crash if fate == "crash" else world.pause)("node-0", at="pause.before_commit")
        await world.disarm("node-0")
        await end(world)
        await world.disarm("node-0")

    simulate(disarmed, app)


def test_a_node_that_crashes_on_its_way_to_its_end_is_not_waited_for() -> None:
    async def scenario(world: World) -> None:
        ref = await world.queue.enqueue(work, 3)
        await world.advance(1)
        await world.crash("node-0", at="outcome.before_commit")
        await world.drain("node-0")
        assert trio.current_time() == pytest.approx(3)
        assert await ref.status() is JobState.PROCESSING
        with pytest.raises(ArgumentError, match="does not run"):
            await world.drain("node-0")

    assert not simulate(scenario, app).of(NodeDrained)


def test_only_one_thing_befalls_a_node_at_a_kill_point() -> None:
    async def scenario(world: World) -> None:
        await world.crash("node-0", at="handler.running")
        with pytest.raises(ArgumentError, match=r"is to crash at handler\.running already"):
            await world.pause("node-0", at="handler.running")
        await world.pause("node-0", at="claim.before_commit")
        with pytest.raises(ArgumentError, match=r"is to pause at claim\.before_commit already"):
            await world.pause("node-0", at="claim.before_commit")
        await world.queue.enqueue(work)
        await world.advance(1)
        await world.pause("node-0", at="claim.before_commit")  # the next time
        await world.resume("node-0")
        await world.advance(1)

    history = simulate(scenario, app)
    assert [fact.point for fact in history.of(NodeCrashed)] == ["handler.running"]
    assert [fact.point for fact in history.of(NodePaused)] == ["claim.before_commit"]


def test_a_node_crashes_at_the_first_of_its_kill_points() -> None:
    async def scenario(world: World) -> None:
        await world.crash("node-0", at="pause.before_commit")
        await world.crash("node-0", at="handler.running")
        await world.queue.enqueue(work)
        await world.advance(1)

    (crashed,) = simulate(scenario, app).of(NodeCrashed)
    assert crashed.point == "handler.running"


def test_what_is_no_kill_point_is_refused() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(OptionsError, match=r"claim\.before_commit"):
            await world.crash("node-0", at="claim")
        with pytest.raises(ArgumentError, match="there is no 'node-7'"):
            await world.crash("node-7")

    simulate(scenario, app)
