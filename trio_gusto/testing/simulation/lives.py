"""`Life`: one run of the app on a node, from its start to its end.

A life ends as processes end. It drains; or it crashes, and then no task of it has a turn any more,
so that not even a ``finally`` runs. One that stands still comes back as what it was: whatever has
become of its leases meanwhile it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import attrs
import trio

from ...app import Gusto
from ...clock import Clock
from ...model.errors import ArgumentError
from ...model.facts import Fact, JobStarted
from ...queue.jobqueue import JobQueue
from ...storage.storage import Storage
from .clocks import IDLE
from .exchange import Exchange
from .line import Line
from .points import RUNNING
from .seeding import Scheduler, entropy
from .weather import Weather

Fate = Literal["crash", "pause"]


@attrs.frozen
class Surroundings:
    """What all lives of a simulation have in common."""

    app: Gusto
    storage: Storage
    weather: Weather
    exchange: Exchange
    scheduler: Scheduler
    seed: int
    on_fact: Callable[[str, Fact], None]
    on_fate: Callable[[Life, Fate, str], None]
    """Told of a life that has come to a kill point; lets it crash or stand still."""
    on_death: Callable[[Life, Exception], None]
    """Told of a life that has ended of an exception."""

    def replica(self, line: Line, node: str, number: int, clock: Clock) -> Gusto:
        """The app as it is on a node; nothing in it is left to chance."""

        def listener(fact: Fact) -> None:
            self.on_fact(node, fact)

        return self.app.replica(
            line,
            options=attrs.evolve(self.app.options, node_name=node, poll_interval=IDLE),
            clock=clock,
            entropy=entropy(self.seed, f"{node}/{number}"),
            listener=listener,
        )


class Life:
    """The ``number``-th run of the app on the node ``name``."""

    def __init__(self, name: str, number: int, clock: Clock, around: Surroundings) -> None:
        self.name = name
        self.fates: dict[str, Fate] = {}
        """What is to become of it, by kill point."""
        self.is_paused = False
        self.is_over = False
        self.queue: JobQueue | None = None
        self.decided = trio.Event()
        """Set when it is up, or will never be."""
        self.ended = trio.Event()
        self.left = trio.Event()
        """Set when it has ended, or crashed."""
        self.scope = trio.CancelScope()
        self._leave = trio.Event()
        self._task: trio.lowlevel.Task | None = None
        self._around = around
        self.line = Line(around.storage, name, around.weather, around.exchange, self._reach)
        self._app = around.replica(self.line, name, number, clock)

    async def run(self) -> None:
        """Live."""
        scheduler, task = self._around.scheduler, trio.lowlevel.current_task()
        scheduler.own(task, self)
        self._task = task
        try:
            with self.scope:
                async with self._app.running() as self.queue:
                    self.decided.set()
                    await self._leave.wait()
        except Exception as error:  # noqa: BLE001 - judged by the world
            self._around.on_death(self, error)
        finally:
            self.queue, self.is_over = None, True
            self.decided.set()
            self.ended.set()
            self.left.set()
            scheduler.disown(task)

    def tasks(self) -> Iterator[trio.lowlevel.Task]:
        """All tasks of it that have not ended."""
        unseen = [self._task] if self._task is not None and not self.ended.is_set() else []
        while unseen:
            task = unseen.pop()
            yield task
            unseen += [child for nursery in task.child_nurseries for child in nursery.child_tasks]

    async def drain(self) -> None:
        """Let it stop in an orderly way; returns as well if it crashes meanwhile."""
        self._leave.set()
        await self.left.wait()

    def doom(self, point: str, fate: Fate) -> None:
        """Let it crash or stand still when it comes to a kill point.

        Raises:
            ArgumentError: something is to befall it there already.
        """
        if point in self.fates:
            raise ArgumentError(
                f"{self.name} is to {self.fates[point]} at {point} already, and there can be one thing only "
                f"that befalls it there; wait until that has happened, or disarm({self.name!r}) first"
            )
        self.fates[point] = fate
        self.line.armed.add(point)

    def disarm(self) -> None:
        """Let it come to kill points, and nothing befall it."""
        self.fates.clear()
        self.line.armed.clear()

    def note(self, fact: Fact) -> None:
        """It has announced a fact, and may have come to a kill point with that."""
        if RUNNING in self.fates and isinstance(fact, JobStarted):
            self._meet_fate(RUNNING)

    def stand_still(self) -> None:
        """No task of it has a turn any more."""
        self.is_paused = True
        self._around.scheduler.hold(self)

    def go_on(self) -> None:
        """All its tasks go on where they were."""
        self.is_paused = False
        self._around.scheduler.release(self)

    def crash(self) -> None:
        """It is gone."""
        self.is_over = self.line.is_cut = True
        self.queue = None
        self.line.leave()
        self._around.scheduler.hold(self)
        self.decided.set()
        self.left.set()

    def bury(self) -> None:
        """At the end of a simulation: let its tasks come to their end, which nobody sees."""
        self.disarm()  # or they would stand still once more, at a kill point, and for ever
        self._around.scheduler.release(self)
        self.scope.cancel()

    async def _reach(self, point: str) -> None:
        self._meet_fate(point)
        await trio.lowlevel.cancel_shielded_checkpoint()
        if self.line.is_cut:
            await trio.sleep_forever()

    def _meet_fate(self, point: str) -> None:
        self.line.armed.discard(point)
        self._around.on_fate(self, self.fates.pop(point), point)
