"""How a scenario fails: with what is needed to see why, and to see it again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import trio

from trio_gusto import Gusto, JobFinished, JobStarted, MemoryStorage, Options, StorageError
from trio_gusto.model.facts import Fact, JobFact
from trio_gusto.model.failure import leaves
from trio_gusto.storage.lease_messages import Stranded
from trio_gusto.testing import SimulationFailed, World, simulate
from trio_gusto.testing.simulation import (
    History,
    NodeCrashed,
    NodeDied,
    NothingHappened,
    Violation,
)

app = Gusto(options=Options(concurrency=2))


@app.job
async def work(seconds: float = 0) -> float:
    await trio.sleep(seconds)
    return seconds


async def hasty(world: World) -> None:
    """A scenario that is wrong."""
    ref = await world.queue.enqueue(work, 5)
    await world.advance(seconds=2)
    if (await ref.status()).value != "completed":
        raise RuntimeError("it takes five seconds")


def failure_of(*args: Any, **options: Any) -> SimulationFailed:
    with pytest.raises(SimulationFailed) as caught:
        simulate(*args, **options)
    return caught.value


def test_a_failure_tells_seed_history_and_replay() -> None:
    failure = failure_of(hasty, app, seed=41, nodes=2)
    assert isinstance(failure.__cause__, RuntimeError)
    assert failure.seed == 41
    text = str(failure)
    assert "with seed 41: RuntimeError: it takes five seconds" in text
    assert "JobStarted tests.testing.test_simulate_failures.work" in text
    assert failure.replay in text
    assert failure.history.of(JobStarted)
    assert not failure.history.of(JobFinished)


def test_what_must_never_happen_is_caught_when_it_does() -> None:
    reached: list[str] = []

    async def scenario(world: World) -> None:
        world.assert_never(NodeCrashed)
        await world.queue.enqueue(work, 1)
        await world.advance(1)
        await world.crash("node-0")
        await world.advance(1)
        reached.append("this")

    failure = failure_of(scenario, app)
    assert isinstance(failure.__cause__, Violation)
    assert isinstance(failure.history.facts[-1], NodeCrashed)
    assert "NodeCrashed was never to happen" in str(failure)
    assert not reached


def test_what_has_happened_already_breaks_a_law_too() -> None:
    async def scenario(world: World) -> None:
        await world.queue.enqueue(work)
        await world.advance(1)
        world.assert_never(lambda fact: isinstance(fact, JobFinished), "nothing ends")

    assert "nothing ends" in str(failure_of(scenario, app))


def test_the_report_of_a_broken_law_is_about_the_one_job() -> None:
    async def scenario(world: World) -> None:
        refs = [await world.queue.enqueue(work, n) for n in range(20)]

        def ends_seventh(fact: Fact) -> bool:
            return isinstance(fact, JobFinished) and fact.job_id == refs[7].id

        world.assert_never(ends_seventh)
        await world.advance(minutes=5)

    failure = failure_of(scenario, app, nodes=2)
    assert isinstance(failure.__cause__, Violation)
    fact = failure.__cause__.fact
    assert isinstance(fact, JobFact)
    told = str(failure).split("What happened:\n")[1].split("Replay it with:")[0]
    others = {str(one.job_id) for one in failure.history.of(JobStarted)} - {str(fact.job_id)}
    assert str(fact.job_id) in told
    assert not any(other in told for other in others)
    assert len(told.splitlines()) < 10


def test_a_law_that_fails_itself_fails_the_scenario() -> None:
    def broken(_fact: Fact) -> bool:
        raise ZeroDivisionError

    async def scenario(world: World) -> None:
        world.assert_never(broken)
        await world.queue.enqueue(work)
        await world.advance(1)

    async def later(world: World) -> None:
        world.history._entries.clear()
        await scenario(world)

    assert isinstance(failure_of(later, app).__cause__, ZeroDivisionError)


def test_waiting_for_what_never_comes_ends() -> None:
    async def scenario(_world: World) -> None:
        await trio.Event().wait()

    assert isinstance(failure_of(scenario, app, nodes=0).__cause__, NothingHappened)


class Rotten(MemoryStorage):
    """A storage with a defect, of which an app dies."""

    async def read(self, query: Any) -> Any:
        if trio.current_time() > 60 and isinstance(query, Stranded):  # no client asks that
            raise TypeError("rotten")
        return await super().read(query)


class Rotted(Rotten):
    """One of which the client dies, too."""

    async def read(self, query: Any) -> Any:
        return await super().read(Stranded("", 0, 1) if trio.current_time() > 60 else query)


def test_an_app_that_dies_fails_the_scenario() -> None:
    async def scenario(world: World) -> None:
        await world.advance(days=2)

    for node, rotten in (("node-0", Rotten), ("client", Rotted)):
        failure = failure_of(scenario, app, make_storage=rotten, nodes=1 if node != "client" else 0)
        died = failure.__cause__
        assert isinstance(died, NodeDied)
        assert died.node == node
        assert died.__cause__ is not None
        assert {type(leaf) for leaf in leaves(died.__cause__)} == {TypeError}


def test_an_app_that_cannot_start_fails_the_scenario() -> None:
    class Closed(MemoryStorage):
        async def attach(self, node: str) -> None:
            if node.startswith("node-"):
                raise StorageError("no way in")
            await super().attach(node)

    async def scenario(world: World) -> None:
        await world.advance(1)

    assert "no way in" in str(failure_of(scenario, app, make_storage=Closed))


def test_what_is_no_failure_comes_out_as_it_is() -> None:
    async def scenario(_world: World) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit) as caught:
        simulate(scenario, app, seed=8)
    assert "seed 8" in caught.value.__notes__[0]


def test_a_history_differs_from_another_and_from_anything_else() -> None:
    async def short(world: World) -> None:
        await world.advance(1)

    one, other = simulate(short, app), simulate(hasty_no_more, app)
    assert one != other
    assert one != str(one)
    assert isinstance(one, History)
    assert repr(one) == "<History of seed 0: 1 facts>"
    assert one.excerpt() == str(one).rstrip()


async def hasty_no_more(world: World) -> None:
    """One that waits long enough."""
    ref = await world.queue.enqueue(work, 5)
    await world.advance(seconds=5)
    assert await ref.result() == 5


def test_facts_of_one_job_can_be_asked_for() -> None:
    async def scenario(world: World) -> None:
        refs = [await world.queue.enqueue(work, n) for n in range(3)]
        await world.advance(minutes=1)
        (fact,) = world.history.of(JobFinished, job=refs[1].id)
        assert fact.job_id == refs[1].id
        assert not world.history.of(JobFinished, job=UUID(int=0))

    simulate(scenario, app)
