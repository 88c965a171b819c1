"""`World`: what a scenario has in its hands."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

import trio
from trio.testing import MockClock

from ...app import Gusto
from ...model.errors import ArgumentError, OptionsError
from ...model.facts import Fact
from ...model.instants import MICROSECONDS, to_duration, to_instant
from ...queue.jobqueue import JobQueue
from ...storage.storage import Storage
from .clocks import NodeClock
from .exchange import Exchange
from .failures import PATIENCE, KillPointNotReached, NodeDied, NothingHappened, Violation
from .happenings import (
    ClockChanged,
    NodeCrashed,
    NodeDrained,
    NodePaused,
    NodeResumed,
    NodeStarted,
    StorageFailed,
)
from .history import Entry, History
from .line import Line
from .nodes import Fate, Life, Surroundings
from .points import checked
from .seeding import Scheduler
from .weather import Trouble, Weather

CLIENT = "client"
"""What `World.queue` is called in histories."""

EDGE = 0.4 / MICROSECONDS
"""Seconds by which time goes beyond an instant that it is moved to, so that whatever is due at that
instant is, in spite of rounding. No clock shows it."""

NOTICED = 30.0
"""Seconds within which a machine notices that its clock was set."""


class World:
    """Nodes, a storage, and time, all of which do what the scenario says.

    Time stands still while the scenario does something, and goes on while it waits for something:
    with `advance` up to an instant, otherwise to whatever happens next.
    """

    queue: JobQueue
    """What the scenario enqueues and asks with: an app that is connected and runs no job."""

    def __init__(
        self,
        app: Gusto,
        storage: Storage,
        scheduler: Scheduler,
        trio_clock: MockClock,
        history: History,
    ) -> None:
        self.history = history
        self.storage = Weather(self._note_failure)
        self._scheduler = scheduler
        self._trio_clock = trio_clock
        self._clock = self._new_clock()
        self._clocks = {f"node-{number}": self._new_clock() for number in range(history.nodes)}
        self._lives: dict[str, Life] = {}
        self._numbers = dict.fromkeys(self._clocks, 0)
        self._buried: list[Life] = []
        self._laws: list[tuple[Callable[[Fact], bool], str]] = []
        self._random = random.Random(f"{history.seed}/world")  # noqa: S311 - it is to be repeated
        self._around = Surroundings(
            app,
            storage,
            self.storage,
            Exchange(scheduler, self._random.random, self._clock.instant),
            scheduler,
            history.seed,
            self._note,
            self._meet_fate,
            self._hear_of_death,
        )
        self._is_sealed = False
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery
        self.failure: BaseException | None = None
        """Why the scenario has failed."""

    # --- time ---------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The true time, which is that of all clocks that nobody has changed."""
        return self._clock.now()

    async def advance(
        self,
        by: float | timedelta = 0,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> None:
        """Let so much time pass: ``by`` seconds or a timedelta, and the others together.

        Everything due up to and including the instant at the end happens, and what that makes due.
        What takes time itself, as a handler that sleeps, is where it is by then.

        Raises:
            ArgumentError: it is less than nothing.
        """
        named = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
        length = to_duration(by) + to_duration(named)
        if length < 0:
            raise ArgumentError("time cannot go back; to set a clock back, use step_clock")
        await self._advance_to(self._clock.instant() + length)

    async def advance_to(self, moment: datetime) -> None:
        """Let time pass until an instant, like `advance`.

        Raises:
            ArgumentError: it has passed already.
        """
        instant = to_instant(moment)
        if instant < self._clock.instant():
            raise ArgumentError(f"{moment} has passed already; it is {self.now()}")
        await self._advance_to(instant)

    async def settle(self) -> None:
        """Wait until nothing happens any more unless time goes on."""
        await self._scheduler.until_idle(1)

    async def _advance_to(self, instant: int) -> None:
        seconds = (instant - to_instant(self.history.start)) / MICROSECONDS
        self._move_limit(seconds)
        await trio.sleep_until(seconds + EDGE)
        await self.settle()

    def _move_limit(self, seconds: float) -> None:
        self._scope.deadline = seconds + PATIENCE.total_seconds()

    # --- nodes --------------------------------------------------------------------------------

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes: ``"node-0"`` and so on."""
        return tuple(self._clocks)

    @property
    def running(self) -> tuple[str, ...]:
        """The names of those that run, and do not stand still."""
        return tuple(
            name
            for name, life in self._lives.items()
            if not life.is_over and not life.is_paused and life.queue is not None
        )

    def queue_of(self, node: str) -> JobQueue:
        """The queue of the app on a node, as that process has it.

        Raises:
            ArgumentError: there is no such node, or it does not run.
        """
        queue = self._life(node).queue
        if queue is None:
            raise ArgumentError(f"{node} does not run")
        return queue

    async def crash(self, node: str, *, at: str | None = None, noticed: bool = False) -> None:
        """A node is gone, like a process that is killed: none of its tasks has a turn any more.

        Args:
            node: its name.
            at: ``None`` means now. The name of a kill point (`KILL_POINTS`) means: as soon as it comes
                there, which this does not wait for.
            noticed: whether the storage notices at once, as SQLite does where the processes share
                a machine. If not, others take its jobs when their leases have passed.

        Raises:
            ArgumentError: there is no such node, or it does not run.
            OptionsError: ``at`` is no kill point.
        """
        life = self._life(node)
        if at is not None:
            life.doom(checked(at), "crash")
            return
        self._crash(life, None)
        if noticed:
            for name in life.line.names:
                await life.line.storage.detach(name)
            self._around.exchange.spread(None)
        await trio.lowlevel.checkpoint()

    async def pause(self, node: str, *, at: str | None = None) -> None:
        """A node stands still, like a process that is stopped; its leases run out meanwhile.

        Args:
            node: its name.
            at: as for `crash`.

        Raises:
            ArgumentError: there is no such node, or it does not run.
            OptionsError: ``at`` is no kill point.
        """
        life = self._life(node)
        if at is not None:
            life.doom(checked(at), "pause")
            return
        self._pause(life, None)
        await trio.lowlevel.checkpoint()

    async def resume(self, node: str) -> None:
        """A node that stood still goes on, and finds out how late it is.

        Raises:
            ArgumentError: there is no such node, or it does not stand still.
        """
        life = self._lives.get(node)
        if life is None or life.is_over or not life.is_paused:
            raise ArgumentError(f"{node} does not stand still")
        self._tell(node, NodeResumed(at=self.now(), node=node))
        life.go_on()
        await self.settle()

    async def restart(self, node: str) -> None:
        """Start a node that has crashed or was drained; one that runs or stands still crashes first.

        Raises:
            ArgumentError: there is no such node.
        """
        self._clock_of(node)
        life = self._lives.get(node)
        if life is not None and not life.is_over:
            self._crash(life, None)
        await self._start(node)

    async def drain(self, node: str) -> None:
        """Let a node stop in an orderly way, and wait until it has.

        Raises:
            ArgumentError: there is no such node, or it does not run.
        """
        life = self._life(node)
        if life.is_paused:
            raise ArgumentError(f"{node} stands still and cannot stop; resume({node!r}) first")
        await life.drain()
        self._tell(node, NodeDrained(at=self.now(), node=node))

    # --- clocks -------------------------------------------------------------------------------

    async def step_clock(self, node: str, by: float | timedelta) -> None:
        """Set the wall clock of a node ``by`` seconds (or a timedelta) ahead, or back if negative.

        The node notices within 30 seconds.

        Raises:
            ArgumentError: there is no such node.
        """
        length = to_duration(by)
        clock = self._clock_of(node)
        clock.step(length)
        self._tell_of_clock(node, timedelta(microseconds=length), clock)

    async def drift_clock(self, node: str, rate: float) -> None:
        """From now on the wall clock of a node gains ``rate`` seconds in a second, or loses them.

        0.0001 is much for a quartz. 0 ends it, and leaves the clock as wrong as it is.

        Raises:
            ArgumentError: there is no such node.
            OptionsError: the clock would stand still or go back.
        """
        if rate <= -1:
            raise OptionsError("rate", rate, "give more than -1, or the clock would go back")
        clock = self._clock_of(node)
        clock.drift(rate)
        self._tell_of_clock(node, timedelta(0), clock)

    def _tell_of_clock(self, node: str, by: timedelta, clock: NodeClock) -> None:
        self._tell(node, ClockChanged(at=self.now(), node=node, by=by, rate=clock.rate))
        self._nursery.start_soon(self._look_at_clock, node, self._random.uniform(0, NOTICED))

    async def _look_at_clock(self, node: str, after: float) -> None:
        """Whoever sleeps there looks at the clock again."""
        await trio.sleep(after)
        life = self._lives.get(node)
        if life is not None:
            life.line.ring()

    def _clock_of(self, node: str) -> NodeClock:
        clock = self._clocks.get(node)
        if clock is None:
            raise ArgumentError(f"there is no {node!r}; the nodes are {', '.join(self._clocks)}")
        return clock

    def _new_clock(self) -> NodeClock:
        start = to_instant(self.history.start)
        return NodeClock(self._trio_clock, start, self._scheduler.standing_still)

    # --- laws ---------------------------------------------------------------------------------

    def assert_never(
        self, predicate: Callable[[Fact], bool] | type[Fact], because: str = ""
    ) -> None:
        """Let the simulation fail as soon as a fact fits; those so far are looked at, too.

        Args:
            predicate: a kind of facts, or a function that is called with each. It may look at
                `history`, whose last entry is that fact.
            because: said in the failure.

        Raises:
            Violation: one of the facts so far fits.
        """
        fits = partial(_is_a, predicate) if isinstance(predicate, type) else predicate
        name = getattr(predicate, "__name__", repr(predicate))
        law = fits, because or f"{name} was never to happen"
        for fact in self.history.facts:
            if fits(fact):
                raise Violation(fact, law[1])
        self._laws.append(law)

    # --- what is heard of nodes ---------------------------------------------------------------

    def _note(self, node: str, fact: Fact) -> None:
        self._tell(node, fact)
        life = self._lives.get(node)
        if life is not None and life.fates:
            life.note(fact)

    def _tell(self, node: str, fact: Fact) -> None:
        if self._is_sealed:
            return
        self.history.note(Entry(self.now(), node, fact))
        for predicate, because in self._laws:
            try:
                if predicate(fact):
                    self._fail(Violation(fact, because))
            except Exception as error:  # noqa: BLE001 - the predicate's own; it is the scenario's
                self._fail(error)

    def _note_failure(self, node: str, stages: tuple[str, ...], trouble: Trouble) -> None:
        fact = StorageFailed(
            at=self.now(),
            node=node,
            stages=stages,
            error=type(trouble.error).__name__,
            after_commit=trouble.after_commit,
        )
        self._tell(node, fact)

    def _hear_of_death(self, life: Life, error: Exception) -> None:
        if self._is_sealed or life.is_over:
            return
        self._fail(NodeDied(life.name, error))

    def _meet_fate(self, life: Life, fate: Fate, point: str) -> None:
        (self._crash if fate == "crash" else self._pause)(life, point)

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
            self._scope.cancel()

    def _crash(self, life: Life, point: str | None) -> None:
        self._tell(life.name, NodeCrashed(at=self.now(), node=life.name, point=point))
        life.crash()

    def _pause(self, life: Life, point: str | None) -> None:
        self._tell(life.name, NodePaused(at=self.now(), node=life.name, point=point))
        life.stand_still()

    def _life(self, node: str) -> Life:
        self._clock_of(node)
        life = self._lives.get(node)
        if life is None or life.is_over:
            raise ArgumentError(f"{node} does not run; start it with restart({node!r})")
        return life

    async def _start(self, node: str) -> None:
        self._numbers[node] += 1
        number = self._numbers[node]
        life = self._lives[node] = Life(node, number, self._clocks[node], self._around)
        self._buried.append(life)
        self._tell(node, NodeStarted(at=self.now(), node=node, life=number))
        self._nursery.start_soon(life.run)
        await life.decided.wait()

    # --- from beginning to end ----------------------------------------------------------------

    async def run(self, scenario: Callable[[World], Awaitable[object]]) -> None:
        """Play a scenario; what it raises is `failure` then."""
        self._scheduler.of_the_run.add(trio.lowlevel.current_task())
        line = Line(self._around.storage, CLIENT, self.storage, self._around.exchange, _pass_by)
        client = self._around.replica(line, CLIENT, 1, self._clock)
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._around.exchange.watch_leases)
            for node in self.nodes:
                await self._start(node)
            try:
                async with client.connected() as self.queue:
                    await self._play(scenario)
                    self._is_sealed = True
                    self.storage.clear()
            except Exception as error:  # noqa: BLE001 - raised again by `simulate`
                self._fail(NodeDied(CLIENT, error))
                self._is_sealed = True
            for life in self._buried:
                life.bury()
            self._nursery.cancel_scope.cancel()

    async def _play(self, scenario: Callable[[World], Awaitable[object]]) -> None:
        self._move_limit(trio.current_time())
        try:
            with self._scope:
                await scenario(self)
                self._require_fates()
        except trio.Cancelled:
            raise  # a Ctrl-C
        except BaseException as error:  # noqa: BLE001 - raised again by `simulate`
            self._fail(error)
        if self._scope.cancelled_caught:
            self._fail(NothingHappened())

    def _require_fates(self) -> None:
        """Whatever was to befall a life that still runs has not: then nothing was tried."""
        for life in self._lives.values():
            if life.fates and not life.is_over:
                raise KillPointNotReached(life.name, next(iter(life.fates)))


async def _pass_by(_point: str) -> None:
    """The client comes to no kill point."""


def _is_a(kind: type[Fact], fact: Fact) -> bool:
    return isinstance(fact, kind)
