"""`simulate`: a scenario, an app, a seed, and the history that comes of them."""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Awaitable, Callable
from datetime import datetime

import trio
from trio.testing import MockClock

from ...app import Gusto
from ...model.errors import BackendError
from ...options import values
from ...storage.memory import MemoryStorage
from ...storage.storage import Storage
from ..clock import START
from . import arguments
from .arguments import MOST_NODES
from .failures import SimulationFailed
from .history import History
from .replay import replay_of
from .seeding import seeded
from .world import World

Scenario = Callable[[World], Awaitable[object]]

COLLECTIONS = 3
"""A task that is closed while it is collected brings the others back, until the next time."""


def simulate(
    scenario: Scenario,
    app: Gusto,
    *,
    seed: int = 0,
    nodes: int = 1,
    start: datetime = START,
    make_storage: Callable[[], Storage] = MemoryStorage,
) -> History:
    """Run ``async scenario(world)`` with ``app`` on several nodes, in virtual time.

    A month takes as long as what happens in it: time jumps to the next thing that is due. Nothing is left
    to chance but the seed: which task has its turn next, ids, and Python's `random`; so the same seed
    gives an equal history, and another seed other interleavings. Threads of plain ``def`` handlers, and
    those that `trio.to_thread` runs, work one at a time, while time stands still.

    ``app`` gives handlers, services, middleware and options; its own storage is left alone. Its
    processes are told at once of what others change, so `Options.poll_interval` does not count.

    Args:
        scenario: an async function that is given a `World`.
        app: what runs on each node. It need not run, and may.
        seed: any integer.
        nodes: how many there are at the beginning, ``"node-0"`` and so on.
        start: the instant at which it begins, an aware datetime; 2026-01-01 UTC if left out.
        make_storage: called once, for the storage that all nodes share;
            ``lambda: SqliteStorage(":memory:", inline=True)`` for the SQL of the real one.

    Raises:
        SimulationFailed: whatever the scenario raised, or what broke one of its laws.
        BackendError: it is called inside a Trio run; it begins one itself.
        ArgumentError: ``scenario`` cannot be called, or ``app`` is none.
        OptionsError: ``nodes`` is not between 0 and 100, ``seed`` is no integer, ``start`` names no instant,
            or ``make_storage`` makes no storage.

    >>> from trio_gusto import Gusto
    >>> app = Gusto()
    >>> @app.job
    ... async def greet(name: str) -> str:
    ...     await trio.sleep(60)
    ...     return f"hello {name}"
    >>> async def scenario(world: World) -> None:
    ...     ref = await world.queue.enqueue(greet, "Ann")
    ...     await world.advance(minutes=1)
    ...     print(await ref.result(), world.now())
    >>> history = simulate(scenario, app, seed=7)
    hello Ann 2026-01-01 00:01:00+00:00
    >>> simulate(scenario, app, seed=7) == history
    hello Ann 2026-01-01 00:01:00+00:00
    True
    """
    if trio.lowlevel.in_trio_run():
        raise BackendError(
            "simulate begins a Trio run of its own, and is called inside of one; "
            "call it from a plain function, such as a test that is not async"
        )
    arguments.callable_scenario(scenario)
    arguments.app(app)
    arguments.seed(seed)
    values.integer("nodes", nodes, 0, MOST_NODES)
    arguments.instant("start", start)
    arguments.maker(make_storage)
    history = History(seed, nodes, start)
    error = _play(scenario, app, history, make_storage)
    if error is None:
        return history
    failed = SimulationFailed(error, history, replay_of(scenario, app, history, make_storage))
    if isinstance(error, Exception):
        raise failed from error
    error.add_note(str(failed))  # pytest's own, or an exit: it has to come out as it is
    raise error


def _play(
    scenario: Scenario, app: Gusto, history: History, make_storage: Callable[[], Storage]
) -> BaseException | None:
    """Returns why it has failed, if it has."""
    clock = MockClock(autojump_threshold=0)
    with seeded(history.seed) as scheduler:
        storage = arguments.made(make_storage())
        world = World(app, storage, scheduler, clock, history)
        try:
            return trio.run(world.run, scenario, clock=clock, instruments=[scheduler.threads])
        except trio.TrioInternalError:
            failure = scheduler.failure
            if failure is None:
                raise
    del world, scheduler
    _forget_tasks(failure)
    return failure


def _forget_tasks(failure: BaseException) -> None:
    """Forget those of a run that was given up: what they complain of would hide what is to be said, or come up
    much later, in somebody else's test."""
    traceback.clear_frames(failure.__traceback__)
    before = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        for _ in range(COLLECTIONS):
            gc.collect()
    finally:
        sys.unraisablehook = before
