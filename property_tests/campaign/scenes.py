"""Plays one plan from its beginning to its reckoning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from uuid import UUID

import attrs

from trio_gusto import MemoryStorage
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import World, simulate
from trio_gusto.testing.clock import START
from trio_gusto.testing.simulation import History, NodeCrashed, NodePaused

from .answers import Tally
from .book import Book, Run
from .looking import Looker
from .oracle import Oracle
from .plans import Plan
from .playing import Player
from .reckoning import reckon
from .service import Service, Spec
from .window import window


@attrs.define
class Explored:
    """How much was tried."""

    worlds: int = 0
    facts: int = 0
    days: float = 0.0
    jobs: int = 0
    looks: int = 0
    points: Counter[str] = attrs.Factory(Counter)
    """How often a node crashed or stood still there."""
    tally: Tally = attrs.Factory(Tally)


class Ears:
    """The handlers' way to the oracle of the world that is being played."""

    oracle: Oracle

    def entered(self, job: UUID, attempt: int, spec: Spec) -> Run:
        return self.oracle.entered(job, attempt, spec)

    def left(self, run: Run, *, returned: bool) -> None:
        self.oracle.left(run, returned=returned)

    def bore(self, run: Run, child: UUID, spec: Spec) -> None:
        self.oracle.bore(run, child, spec)


def play(
    plan: Plan,
    explored: Explored | None = None,
    make_storage: Callable[[], Storage] | None = None,
) -> History:
    """Play a plan.

    Raises:
        SimulationFailed: a law is broken.
    """
    explored = explored or Explored()
    ears = Ears()
    service = Service(ears, fair=plan.fair)

    async def campaign(world: World) -> None:
        def time() -> float:
            return (world.now() - START).total_seconds()

        book = Book(time, plan.fair)
        oracle = ears.oracle = Oracle(book)
        world.assert_never(oracle.hear, "a law is broken")
        async with window(service.app, storages[-1], world) as queue:
            looker = Looker(world, queue, book, hasty=plan.hasty)
            player = Player(world, book, service, looker, explored.tally)
            for act in plan.acts:
                await player.act(act)
            if plan.focus is not None:
                await player.lead(plan.focus)
            await player.calm_down(keeps_pauses=plan.keeps_pauses)
            looker.calm_since = player.calm_since
            await reckon(looker)
        oracle.check()
        explored.looks += looker.looks
        explored.worlds += 1
        explored.facts += oracle.facts
        explored.jobs += len(looker.jobs)
        explored.days += book.time() / 86400
        for entry in world.history.entries:
            match entry.fact:
                case NodeCrashed(point=str(point)) | NodePaused(point=str(point)):
                    explored.points[point] += 1
                case _:
                    pass

    make = make_storage or (in_sqlite if plan.in_sqlite else MemoryStorage)
    storages: list[Storage] = []

    def make_known() -> Storage:
        storages.append(make())
        return storages[-1]

    return simulate(
        campaign,
        service.app,
        seed=plan.seed,
        nodes=max(plan.nodes, 2 if plan.focus else 1),
        make_storage=make_known,
    )


def in_sqlite() -> Storage:
    return SqliteStorage(":memory:", inline=True)
