"""Arguments of which nothing can come: refused where they are given, in words that say what to give."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from trio_gusto import (
    ArgumentError,
    Gusto,
    GustoError,
    JobFinished,
    MemoryStorage,
    OptionsError,
    StorageBusy,
)
from trio_gusto.testing import SimulationFailed, World, simulate

app = Gusto()

NAIVE = datetime(2027, 1, 1)  # noqa: DTZ001 - that is what is wrong with it
NAN, INFINITE = float("nan"), float("inf")


async def idle(world: World) -> None:
    """Nothing happens."""
    await world.advance(1)


CALLS: list[tuple[dict[str, Any], type[GustoError], str]] = [
    ({"seed": "x"}, OptionsError, "'seed' cannot be 'x'; give an integer"),
    ({"seed": 1.5}, OptionsError, "'seed' cannot be 1.5"),
    ({"seed": True}, OptionsError, "'seed' cannot be True"),
    ({"nodes": "x"}, OptionsError, "'nodes' cannot be 'x'; give a whole number from 0 to 100"),
    ({"nodes": 101}, OptionsError, "'nodes' cannot be 101"),
    ({"nodes": -1}, OptionsError, "'nodes' cannot be -1"),
    ({"nodes": True}, OptionsError, "'nodes' cannot be True"),
    ({"start": NAIVE}, OptionsError, "give an aware datetime"),
    ({"start": "2026-05-01"}, OptionsError, "give an aware datetime"),
    ({"make_storage": None}, OptionsError, "give a function or class that makes one"),
    ({"make_storage": MemoryStorage()}, OptionsError, "give a function or class"),
    ({"make_storage": lambda: 3}, OptionsError, "cannot be 3; let it return a Storage"),
    ({"app": 3}, ArgumentError, "was given 3 as its app, which has no handlers"),
    ({"scenario": 3}, ArgumentError, "was given 3 as its scenario.*give an async function"),
]


@pytest.mark.parametrize(("arguments", "error", "says"), CALLS, ids=[says for _, _, says in CALLS])
def test_what_cannot_be_simulated_is_refused(
    arguments: dict[str, Any], error: type[GustoError], says: str
) -> None:
    given: dict[str, Any] = {"scenario": idle, "app": app} | arguments
    with pytest.raises(error, match=says):
        simulate(given.pop("scenario"), given.pop("app"), **given)


def test_a_scenario_that_is_not_async_is_refused() -> None:
    def plain(_world: World) -> int:
        return 3

    not_async: Any = plain
    with pytest.raises(
        SimulationFailed, match=r"returned 3, .*make it an async function"
    ) as caught:
        simulate(not_async, app)
    assert isinstance(caught.value.__cause__, ArgumentError)


async def maybe_await(call: Callable[[World], Any], world: World) -> None:
    returned = call(world)
    if returned is not None:
        await returned


VERBS: list[tuple[Callable[[Any], Any], type[GustoError], str]] = [
    (
        lambda w: w.advance("x"),
        OptionsError,
        "'by' cannot be 'x'; give seconds or a tim",
    ),
    (lambda w: w.advance(NAN), OptionsError, "'by' cannot be nan"),
    (lambda w: w.advance(INFINITE), OptionsError, "'by' cannot be inf"),
    (lambda w: w.advance(days=NAN), OptionsError, "'days' cannot be nan; give a finite"),
    (lambda w: w.advance(hours="x"), OptionsError, "'hours' cannot be 'x'"),
    (lambda w: w.advance(days=1e12), ArgumentError, "time cannot go that far"),
    (lambda w: w.advance(weeks=6000), ArgumentError, "give a century at most"),
    (lambda w: w.advance(-1), ArgumentError, "time cannot go back"),
    (lambda w: w.advance_to(NAIVE), OptionsError, "without a time zone"),
    (lambda w: w.advance_to("later"), OptionsError, "'moment' cannot be 'later'"),
    (
        lambda w: w.crash(["node-0"]),
        ArgumentError,
        r"there is no \['node-0'\]; the nodes",
    ),
    (lambda w: w.pause("node-7"), ArgumentError, "there is no 'node-7'; the nodes are"),
    (lambda w: w.resume("node-7"), ArgumentError, "there is no 'node-7'"),
    (lambda w: w.disarm("node-7"), ArgumentError, "there is no 'node-7'"),
    (lambda w: w.restart("node-7"), ArgumentError, "there is no 'node-7'"),
    (lambda w: w.drain("node-7"), ArgumentError, "there is no 'node-7'"),
    (lambda w: w.queue_of("node-7"), ArgumentError, "there is no 'node-7'"),
    (lambda w: w.step_clock("node-0", "x"), OptionsError, "'by' cannot be 'x'"),
    (lambda w: w.step_clock("node-0", NAN), OptionsError, "'by' cannot be nan"),
    (lambda w: w.drift_clock("node-0", NAN), OptionsError, "'rate' cannot be nan"),
    (lambda w: w.drift_clock("node-0", INFINITE), OptionsError, "'rate' cannot be inf"),
    (
        lambda w: w.drift_clock("node-0", "x"),
        OptionsError,
        "give a number, more than -1",
    ),
    (lambda w: w.assert_never("JobFinished"), ArgumentError, "no fact could ever fit"),
    (
        lambda w: w.assert_never(int),
        ArgumentError,
        "give a kind of facts, such as JobFin",
    ),
    (lambda w: w.assert_never(JobFinished | None), ArgumentError, "no fact could ever"),
    (lambda w: w.storage.slow(-5), OptionsError, "'by' cannot be -5; give seconds"),
    (lambda w: w.storage.slow(NAN), OptionsError, "'by' cannot be nan"),
    (lambda w: w.storage.slow(timedelta(-1)), OptionsError, "'by' cannot be datetime"),
    (lambda w: w.storage.slow(1, node="nodo-0"), ArgumentError, "there is no 'nodo-0'"),
    (lambda w: w.storage.slow(1, on="clam"), OptionsError, "give one of apply, read"),
    (
        lambda w: w.storage.fail_next(node="node-7"),
        ArgumentError,
        "there is no 'node-7'",
    ),
    (lambda w: w.storage.locked(node="x"), ArgumentError, "node-0, node-1, client"),
    (lambda w: w.storage.full(node="x"), ArgumentError, "there is no 'x'"),
    (lambda w: w.storage.fail_next(times="a"), OptionsError, "'times' cannot be 'a'"),
    (lambda w: w.storage.fail_next(times=1.5), OptionsError, "give 1 or more"),
    (lambda w: w.storage.fail_next(ValueError("x")), OptionsError, "a storage raises"),
    (
        lambda w: w.storage.fail_next(StorageBusy),
        OptionsError,
        "'error' cannot be <class",
    ),
]


@pytest.mark.parametrize(("call", "error", "says"), VERBS, ids=[says for _, _, says in VERBS])
def test_what_cannot_befall_a_world_is_refused_where_it_is_asked_for(
    call: Callable[[World], Any], error: type[GustoError], says: str
) -> None:
    refused: list[str] = []

    async def scenario(world: World) -> None:
        with pytest.raises(error, match=says):
            await maybe_await(call, world)
        refused.append("yes")
        await world.advance(1)

    history = simulate(scenario, app, nodes=2)
    assert refused
    assert len(history) == 2, "and nothing comes of it"
