"""`Population`: the nodes of a simulation, the life of each, and what befalls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import trio

from ...app import Gusto
from ...model.errors import ArgumentError
from ...model.facts import Fact
from ...storage.news import EVERYTHING
from ...storage.storage import Storage
from . import arguments
from .burial import bury
from .chronicle import Chronicle
from .clocks import NodeClock
from .exchange import Exchange
from .failures import KillPointNotReached, NodeDied
from .happenings import NodeCrashed, NodePaused, NodeResumed, NodeStarted
from .lives import Fate, Life, Surroundings
from .seeding import Scheduler
from .weather import Weather


class Population:
    """All nodes, by name. ``clocks`` are theirs, whichever life they are in."""

    def __init__(
        self,
        clocks: Mapping[str, NodeClock],
        chronicle: Chronicle,
        app: Gusto,
        storage: Storage,
        weather: Weather,
        exchange: Exchange,
        scheduler: Scheduler,
    ) -> None:
        self.lives: dict[str, Life] = {}
        """The present life of each, or its last."""
        self._clocks = clocks
        self._chronicle = chronicle
        self._numbers = dict.fromkeys(clocks, 0)
        self._all: list[Life] = []
        self.around = Surroundings(
            app,
            storage,
            weather,
            exchange,
            scheduler,
            chronicle.history.seed,
            self._hear,
            self._meet_fate,
            self._hear_of_death,
        )

    def clock_of(self, node: str) -> NodeClock:
        """The wall clock of a node.

        Raises:
            ArgumentError: there is no such node.
        """
        return self._clocks[arguments.node(node, self._clocks)]

    def life_of(self, node: str) -> Life:
        """The life of a node that runs, or stands still.

        Raises:
            ArgumentError: there is no such node, or it does not run.
        """
        self.clock_of(node)
        life = self.lives.get(node)
        if life is None or life.is_over:
            raise ArgumentError(f"{node} does not run; start it with restart({node!r})")
        return life

    def running(self) -> Sequence[str]:
        """The names of those that run, and do not stand still."""
        return [
            name
            for name, life in self.lives.items()
            if not life.is_over and not life.is_paused and life.queue is not None
        ]

    # --- what befalls them ---

    async def start(self, node: str, nursery: trio.Nursery) -> None:
        """Begin a life, which ends with ``nursery`` at the latest."""
        clock = self.clock_of(node)
        self._numbers[node] += 1
        number = self._numbers[node]
        life = self.lives[node] = Life(node, number, clock, self.around)
        self._all.append(life)
        self._chronicle.tell(node, NodeStarted(at=self._chronicle.now(), node=node, life=number))
        nursery.start_soon(life.run)
        await life.decided.wait()

    def crash(self, life: Life, point: str | None = None) -> None:
        """End a life between two instants."""
        self._chronicle.tell(
            life.name, NodeCrashed(at=self._chronicle.now(), node=life.name, point=point)
        )
        life.crash()

    def pause(self, life: Life, point: str | None = None) -> None:
        """Let a life stand still."""
        self._chronicle.tell(
            life.name, NodePaused(at=self._chronicle.now(), node=life.name, point=point)
        )
        life.stand_still()

    def resume(self, life: Life) -> None:
        """Let it go on."""
        self._chronicle.tell(life.name, NodeResumed(at=self._chronicle.now(), node=life.name))
        life.go_on()

    async def look_at_clock(self, node: str, after: float) -> None:
        """Let a node that sleeps look at its clock again, in so many seconds."""
        await trio.sleep(after)
        life = self.lives.get(node)
        if life is not None:
            life.line.ring(EVERYTHING)

    def require_all_fates(self) -> None:
        """See that whatever was to befall a life that still runs has.

        Raises:
            KillPointNotReached: then nothing was tried.
        """
        for life in self.lives.values():
            if not life.is_over:
                require_fates(life)

    async def bury(self) -> None:
        """At the end of a simulation: let all tasks come to their end, which nobody sees."""
        await bury(self._all, self.around.scheduler)

    # --- what is heard of them ---

    def _hear(self, node: str, fact: Fact) -> None:
        self._chronicle.tell(node, fact)
        life = self.lives.get(node)
        if life is not None and life.fates:
            life.note(fact)

    def _meet_fate(self, life: Life, fate: Fate, point: str) -> None:
        befall: Callable[[Life, str], None] = self.crash if fate == "crash" else self.pause
        befall(life, point)

    def _hear_of_death(self, life: Life, error: Exception) -> None:
        if not self._chronicle.is_sealed and not life.is_over:
            self._chronicle.fail(NodeDied(life.name, error))


def require_fates(life: Life) -> None:
    """See that whatever was to befall a life has, since it has ended, or the scenario has.

    Raises:
        KillPointNotReached: then nothing was tried.
    """
    if life.fates:
        raise KillPointNotReached(life.name, next(iter(life.fates)))
