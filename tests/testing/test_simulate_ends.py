"""How a simulation comes to its end, whatever nodes and handlers were about to do."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import CoroutineType
from typing import Any

import pytest
import trio

from trio_gusto import Gusto, JobState, MemoryStorage
from trio_gusto.testing import SimulationFailed, World, simulate
from trio_gusto.testing.simulation import GoesOnForEver, KillPointNotReached, seeding

app = Gusto()


class Connection:
    """What a node opens, and has to close."""


class Fetcher:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def fetch(self) -> None:
        await trio.sleep(10_000)


@app.job
async def work(seconds: float = 1) -> None:
    await trio.sleep(seconds)


@app.job
async def shields_itself() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


@app.job
async def shields_its_cleanup() -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()


@app.job
async def swallows_cancelled() -> None:
    while True:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            pass


@app.job
async def shields_itself_again_and_again() -> None:
    while True:
        try:
            with trio.CancelScope(shield=True):
                await trio.sleep(1000)
        except trio.Cancelled:
            pass


@app.job
async def never_waits() -> None:
    while True:
        await trio.lowlevel.checkpoint()


async def crash_beside_a_slow_storage(world: World) -> None:
    world.storage.slow(5)
    await world.pause("node-0", at="claim.after_commit")
    ref = await world.queue.enqueue(work)
    await world.advance(seconds=3)
    with pytest.raises(KillPointNotReached):
        await world.crash("node-0")
    world.storage.clear()
    assert await ref.status() is JobState.READY


def test_a_node_that_crashed_while_the_storage_was_slow_comes_to_no_kill_point_any_more() -> None:
    simulate(crash_beside_a_slow_storage, app)


def test_a_node_that_crashed_while_the_storage_was_slow_writes_nothing_afterwards() -> None:
    storage = MemoryStorage()
    simulate(crash_beside_a_slow_storage, app, make_storage=lambda: storage)

    async def read(world: World) -> None:
        [job] = (await world.queue.find()).items
        assert job.state is JobState.READY

    simulate(read, app, nodes=0, make_storage=lambda: storage)


def test_nodes_close_what_they_have_opened_though_a_kill_point_was_not_reached() -> None:
    own, closed = Gusto(), []

    @contextmanager
    def connect() -> Generator[Connection]:
        yield Connection()
        closed.append("closed")

    own.provide(Connection, connect, lifetime="singleton")
    own.service(Fetcher)

    async def scenario(world: World) -> None:
        await world.pause("node-0", at="release.after_commit")  # what its end comes to
        await world.queue.enqueue(Fetcher.fetch)
        await world.advance(seconds=1)

    with pytest.raises(SimulationFailed) as caught:
        simulate(scenario, own)
    assert isinstance(caught.value.__cause__, KillPointNotReached)
    assert closed == ["closed"]


@pytest.mark.parametrize("crashes", [False, True], ids=["which runs", "which has crashed"])
@pytest.mark.parametrize("handler", [shields_itself, shields_its_cleanup])
def test_a_shield_does_not_outlive_the_simulation_on_a_node(
    handler: Callable[[], Any], crashes: bool
) -> None:
    async def scenario(world: World) -> None:
        await world.queue.enqueue(handler)
        await world.advance(seconds=1)
        if crashes:
            await world.crash("node-0")

    simulate(scenario, app)


@pytest.mark.parametrize("handler", [swallows_cancelled, shields_itself_again_and_again])
def test_a_handler_that_never_ends_is_named(handler: Callable[[], Any]) -> None:
    async def scenario(world: World) -> None:
        await world.queue.enqueue(handler)
        await world.advance(seconds=1)

    with pytest.raises(SimulationFailed, match="does not come to an end") as caught:
        simulate(scenario, app)
    error = caught.value.__cause__
    assert isinstance(error, GoesOnForEver)
    assert any(place.startswith(f"{handler.__name__} ({__file__}:") for place in error.places)


def test_a_handler_that_never_waits_lets_the_simulation_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seeding, "MOST_PASSES", 1000)

    async def scenario(world: World) -> None:
        await world.queue.enqueue(never_waits)
        await world.advance(seconds=1)

    with pytest.raises(
        SimulationFailed, match=r"never_waits \(.*let handlers sleep while they wait"
    ):
        simulate(scenario, app)


def test_who_is_busy_and_writes_nothing_is_given_up_long_before_who_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seeding, "QUIET_PASSES", 300)
    monkeypatch.setattr(seeding, "MOST_PASSES", 30_000)

    async def busy(world: World) -> None:
        for number in range(200):
            await world.queue.enqueue(work, 0, tags={str(number)})
            for _ in range(20):
                await trio.lowlevel.checkpoint()

    async def idle(_world: World) -> None:
        for _ in range(2_000):
            await trio.lowlevel.checkpoint()

    async def writes_for_ever(world: World) -> None:
        while True:
            await world.queue.enqueue(work, 0)

    simulate(busy, app, nodes=2)
    for scenario, place in (idle, "idle"), (writes_for_ever, "enqueue"):
        with pytest.raises(SimulationFailed, match=rf"to an end: {place} \(") as caught:
            simulate(scenario, app)
        assert isinstance(caught.value.__cause__, GoesOnForEver)


@pytest.mark.parametrize("handler", [swallows_cancelled, never_waits])
def test_nothing_of_a_simulation_that_was_given_up_is_there_to_complain_later(
    monkeypatch: pytest.MonkeyPatch, handler: Callable[[], Any]
) -> None:
    monkeypatch.setattr(seeding, "MOST_PASSES", 1000)

    async def scenario(world: World) -> None:
        await world.queue.enqueue(handler)
        await world.advance(seconds=1)

    with pytest.raises(SimulationFailed):
        simulate(scenario, app)
    coroutines = [each for each in gc.get_objects() if type(each) is CoroutineType]
    assert not [each for each in coroutines if each.__qualname__ == "World.run"]


def test_what_a_scenario_failed_of_is_told_even_if_a_handler_never_ends() -> None:
    async def scenario(world: World) -> None:
        await world.queue.enqueue(swallows_cancelled)
        await world.advance(seconds=1)
        raise ValueError("of its own")

    with pytest.raises(SimulationFailed, match="of its own"):
        simulate(scenario, app)
