"""`simulate`: time, seeds, and what is the same again."""

from __future__ import annotations

import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import trio

from tests.testing import simulated
from trio_gusto import (
    ArgumentError,
    BackendError,
    Gusto,
    JobFinished,
    JobStarted,
    JobState,
    Options,
    OptionsError,
)
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import World, simulate

TWO_WEEKS = 14


def an_app() -> Gusto:
    return Gusto(options=Options(concurrency=2))


def in_another_process(seed: int, hash_seed: int, *words: str) -> str:
    command = [sys.executable, "-m", "tests.testing.simulated", str(seed), *words]
    done = subprocess.run(
        command,
        env={"PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


# --- the same again -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_an_equal_history(seed: int) -> None:
    first = simulate(simulated.everything, simulated.app, seed=seed, nodes=3)
    again = simulate(simulated.everything, simulated.app, seed=seed, nodes=3)
    assert first == again
    assert str(first) == str(again)
    assert len(first.facts) > 200


def test_a_history_reads_the_same_in_processes_that_hash_differently() -> None:
    first = in_another_process(3, 1)
    assert first == in_another_process(3, 2)
    assert len(first.splitlines()) > 200


def test_sqlite_has_the_history_of_the_memory() -> None:
    made = simulate(simulated.everything, simulated.app, seed=4, nodes=3)
    in_sqlite = simulate(
        simulated.everything,
        simulated.app,
        seed=4,
        nodes=3,
        make_storage=lambda: SqliteStorage(":memory:", inline=True),
    )
    assert in_sqlite == made


def test_other_seeds_give_other_interleavings() -> None:
    async def scenario(world: World) -> None:
        for seconds in range(6):
            await world.queue.enqueue(simulated.work, seconds)
        await world.advance(minutes=1)

    def order(seed: int) -> tuple[str, ...]:
        """Without ids, which differ anyway: who began which job."""
        history = simulate(scenario, simulated.app, seed=seed, nodes=3)
        began = [entry for entry in history.entries if isinstance(entry.fact, JobStarted)]
        first = {fact.job_id: n for n, fact in enumerate(history.of(JobStarted))}
        assert len(first) == 6
        return tuple(entry.node for entry in began)

    assert len({order(seed) for seed in range(10)}) > 3


def test_random_is_seeded_meanwhile_and_as_before_afterwards() -> None:
    drawn: list[float] = []

    async def scenario(_world: World) -> None:
        drawn.append(random.random())

    before = random.getstate()
    simulate(scenario, an_app(), seed=5)
    simulate(scenario, an_app(), seed=5)
    simulate(scenario, an_app(), seed=6)
    assert drawn[0] == drawn[1] != drawn[2]
    assert random.getstate() == before


def test_nothing_is_left_behind_in_trio() -> None:
    from trio._core import _run

    before = _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING

    async def scenario(_world: World) -> None:
        raise ValueError

    with pytest.raises(AssertionError):
        simulate(scenario, an_app())
    assert (_run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING) == before


# --- time -----------------------------------------------------------------------------------------


def test_what_is_due_at_the_end_of_an_advance_has_run() -> None:
    app = an_app()

    @app.job
    async def work() -> None: ...

    async def scenario(world: World) -> None:
        ref = await world.queue.enqueue(work, execute_after=timedelta(days=30))
        await world.advance(days=30, seconds=-0.000001)
        assert await ref.status() is JobState.SCHEDULED
        await world.advance(0.000001)
        assert await ref.status() is JobState.COMPLETED

    simulate(scenario, app)


def test_an_advance_runs_what_that_makes_due_too() -> None:
    app = an_app()

    @app.job
    async def work() -> None: ...

    async def scenario(world: World) -> None:
        parent = await world.queue.enqueue(work, execute_after=3600)
        line = [parent]
        for _ in range(5):
            line.append(await world.queue.continue_with(line[-1], work))
        await world.advance(hours=1)
        assert [await ref.status() for ref in line] == [JobState.COMPLETED] * 6
        assert world.now() == datetime(2026, 1, 1, 1, tzinfo=UTC)

    simulate(scenario, app, nodes=2)


def test_what_is_enqueued_now_begins_now_on_every_node() -> None:
    """News need no time: a job of an hour, enqueued among others, has ended in an hour."""
    app = Gusto(options=Options(concurrency=8, default_timeout=None))

    @app.job
    async def hour() -> None:
        await trio.sleep(3600)

    async def scenario(world: World) -> None:
        refs = [await world.queue.enqueue(hour) for _ in range(16)]
        await world.advance(hours=1)
        assert [await ref.status() for ref in refs] == [JobState.COMPLETED] * 16

    simulate(scenario, app, nodes=2)


def test_every_instant_of_a_schedule_fires_within_a_month() -> None:
    app = an_app()
    ran: list[int] = []

    @app.job
    async def nightly() -> None:
        await trio.sleep(60)
        ran.append(1)

    async def scenario(world: World) -> None:
        await world.queue.schedule("nightly", nightly, trigger="0 0 2 * * *")
        await world.advance(days=TWO_WEEKS)
        assert len(ran) == TWO_WEEKS
        await world.advance_to(datetime(2026, 2, 1, tzinfo=UTC))
        assert len(ran) == 31

    simulate(scenario, app, nodes=3)


def test_time_goes_on_while_the_scenario_waits() -> None:
    app = an_app()

    @app.job
    async def work() -> str:
        await trio.sleep(100)
        return "done"

    async def scenario(world: World) -> None:
        ref = await world.queue.enqueue(work)
        assert await ref.result() == "done"
        assert world.now() == datetime(2026, 5, 1, 0, 1, 40, tzinfo=UTC)

    simulate(scenario, app, start=datetime(2026, 5, 1, tzinfo=UTC))


def test_time_does_not_go_back() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(ArgumentError, match="step_clock"):
            await world.advance(-1)
        with pytest.raises(ArgumentError, match="has passed already"):
            await world.advance_to(datetime(2025, 1, 1, tzinfo=UTC))

    simulate(scenario, an_app())


# --- nodes ----------------------------------------------------------------------------------------


class Mailer:
    """Something that there is one of in a process."""


class Letters:
    """Wants the one mailer."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer

    async def send(self) -> None:
        await trio.sleep(10)


def test_services_are_built_for_each_node() -> None:
    app = an_app()
    built: list[Mailer] = []

    def build() -> Mailer:
        built.append(Mailer())
        return built[-1]

    app.provide(Mailer, build)
    app.service(Letters)

    async def scenario(world: World) -> None:
        for _ in range(4):
            await world.queue.enqueue(Letters.send)
        await world.advance(minutes=1)

    history = simulate(scenario, app, nodes=2)
    assert len(history.of(JobFinished)) == 4
    assert len(built) == 2


def test_the_apps_own_storage_is_left_alone() -> None:
    app = an_app()

    @app.job
    async def work() -> None: ...

    async def scenario(world: World) -> None:
        await world.queue.enqueue(work)
        await world.advance(1)

    async def ask() -> int:
        async with app.connected() as queue:
            return sum((await queue.stats()).by_state.values())

    simulate(scenario, app)
    assert trio.run(ask) == 0


@pytest.mark.parametrize("nodes", [-1, 101, True])
def test_so_many_nodes_there_cannot_be(nodes: int) -> None:
    with pytest.raises(OptionsError, match="0 to 100"):
        simulate(simulated.everything, an_app(), nodes=nodes)


async def test_it_begins_a_run_of_its_own() -> None:
    with pytest.raises(BackendError, match="plain function"):
        simulate(simulated.everything, an_app())
