"""`World`: what a scenario has in its hands."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import trio
from trio.testing import MockClock

from ...app import Gusto
from ...model.errors import ArgumentError
from ...model.facts import Fact
from ...model.instants import MICROSECONDS, to_instant
from ...queue.jobqueue import JobQueue
from ...storage.news import EVERYTHING
from ...storage.storage import Storage
from . import arguments
from .chronicle import Chronicle
from .clocks import NodeClock
from .exchange import Exchange
from .failures import PATIENCE, NodeDied, NothingHappened
from .happenings import ClockChanged, NodeDrained
from .history import History
from .line import Line
from .points import checked
from .population import Population, require_fates
from .seeding import Scheduler
from .weather import Weather

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
        self._scheduler = scheduler
        self._random = random.Random(f"{history.seed}/world")  # noqa: S311 - it is to be repeated

        def new_clock() -> NodeClock:
            return NodeClock(trio_clock, to_instant(history.start))

        self._clock = new_clock()
        self._clocks = {f"node-{number}": new_clock() for number in range(history.nodes)}
        self._chronicle = Chronicle(history, self._clock.now)
        self.storage = Weather(self._chronicle.tell_of_trouble, (*self._clocks, CLIENT))
        self._exchange = Exchange(scheduler, self._random.random, self._clock.instant)
        self._nodes = Population(
            self._clocks,
            self._chronicle,
            app,
            storage,
            self.storage,
            self._exchange,
            scheduler,
        )
        self._nursery: trio.Nursery

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
            ArgumentError: it is less than nothing, or more than a century.
            OptionsError: one of them is no length.
        """
        length = arguments.length(
            by, weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds
        )
        if length < 0:
            raise ArgumentError("time cannot go back; to set a clock back, use step_clock")
        await self._advance_to(self._clock.instant() + length)

    async def advance_to(self, moment: datetime) -> None:
        """Let time pass until an instant, like `advance`.

        Raises:
            ArgumentError: it has passed already.
            OptionsError: it is no aware datetime.
        """
        instant = arguments.instant("moment", moment)
        if instant < self._clock.instant():
            raise ArgumentError(
                f"{moment} has passed already, and time cannot go back; it is {self.now()}, so give a later one"
            )
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
        self._chronicle.scope.deadline = seconds + PATIENCE.total_seconds()

    # --- nodes --------------------------------------------------------------------------------

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes: ``"node-0"`` and so on."""
        return tuple(self._clocks)

    @property
    def running(self) -> tuple[str, ...]:
        """The names of those that run, and do not stand still."""
        return tuple(self._nodes.running())

    def queue_of(self, node: str) -> JobQueue:
        """The queue of the app on a node, as that process has it.

        Raises:
            ArgumentError: there is no such node, or it does not run.
        """
        queue = self._nodes.life_of(node).queue
        if queue is None:
            raise ArgumentError(f"{node} does not run yet, and has no queue; let it start first")
        return queue

    async def crash(self, node: str, *, at: str | None = None, noticed: bool = False) -> None:
        """A node is gone, like a process that is killed: none of its tasks has a turn any more.

        It may be given several kill points. Once it has crashed at one, the others do not count.

        Args:
            node: its name.
            at: ``None`` means now. The name of a kill point (`KILL_POINTS`) means: as soon as it comes
                there, which this does not wait for.
            noticed: whether the storage notices at once, as SQLite does where the processes share
                a machine. If not, others take its jobs when their leases have passed.

        Raises:
            ArgumentError: there is no such node, it does not run, or something is to befall it at that
                kill point already.
            OptionsError: ``at`` is no kill point.
            KillPointNotReached: it has crashed now, and was to come to a kill point before.
        """
        life = self._nodes.life_of(node)
        if at is not None:
            life.doom(checked(at), "crash")
            return
        self._nodes.crash(life)
        if noticed:
            for name in life.line.names:
                await life.line.storage.detach(name)
            self._exchange.spread(None, EVERYTHING)
        require_fates(life)
        await trio.lowlevel.checkpoint()

    async def pause(self, node: str, *, at: str | None = None) -> None:
        """A node stands still, like a process that is stopped; its leases run out meanwhile.

        Args:
            node: its name.
            at: as for `crash`.

        Raises:
            ArgumentError: there is no such node, it does not run, or something is to befall it at that
                kill point already.
            OptionsError: ``at`` is no kill point.
        """
        life = self._nodes.life_of(node)
        if at is not None:
            life.doom(checked(at), "pause")
            return
        self._nodes.pause(life)
        await trio.lowlevel.checkpoint()

    async def disarm(self, node: str) -> None:
        """Take back what was to befall a node at kill points that it has not come to.

        Raises:
            ArgumentError: there is no such node.
        """
        self._nodes.clock_of(node)
        life = self._nodes.lives.get(node)
        if life is not None:
            life.disarm()

    async def resume(self, node: str) -> None:
        """A node that stood still goes on, and finds out how late it is.

        Raises:
            ArgumentError: there is no such node, or it does not stand still.
        """
        self._nodes.clock_of(node)
        life = self._nodes.lives.get(node)
        if life is None or life.is_over or not life.is_paused:
            raise ArgumentError(
                f"{node} does not stand still, so it cannot go on; pause({node!r}) first"
            )
        self._nodes.resume(life)
        await self.settle()

    async def restart(self, node: str) -> None:
        """Start a node that has crashed or was drained; one that runs or stands still crashes first.

        Raises:
            ArgumentError: there is no such node.
            KillPointNotReached: it ran, and was to come to a kill point before.
        """
        self._nodes.clock_of(node)
        life = self._nodes.lives.get(node)
        if life is not None and not life.is_over:
            self._nodes.crash(life)
            require_fates(life)
        await self._nodes.start(node, self._nursery)

    async def drain(self, node: str) -> None:
        """Let a node stop in an orderly way, and wait until it has, or has crashed at a kill point.

        Raises:
            ArgumentError: there is no such node, or it does not run.
            KillPointNotReached: it was to come to a kill point, and has not on its way.
        """
        life = self._nodes.life_of(node)
        if life.is_paused:
            raise ArgumentError(f"{node} stands still and cannot stop; resume({node!r}) first")
        await life.drain()
        if life.ended.is_set():
            self._chronicle.tell(node, NodeDrained(at=self.now(), node=node))
            require_fates(life)

    # --- clocks -------------------------------------------------------------------------------

    async def step_clock(self, node: str, by: float | timedelta) -> None:
        """Set the wall clock of a node ``by`` seconds (or a timedelta) ahead, or back if negative.

        The node notices within 30 seconds.

        Raises:
            ArgumentError: there is no such node.
            OptionsError: ``by`` is no length.
        """
        length = arguments.length(by)
        clock = self._nodes.clock_of(node)
        clock.step(length)
        self._tell_of_clock(node, timedelta(microseconds=length), clock)

    async def drift_clock(self, node: str, rate: float) -> None:
        """From now on the wall clock of a node gains ``rate`` seconds in a second, or loses them.

        0.0001 is much for a quartz. 0 ends it, and leaves the clock as wrong as it is.

        Raises:
            ArgumentError: there is no such node.
            OptionsError: the clock would stand still or go back, or ``rate`` is no number.
        """
        clock = self._nodes.clock_of(node)
        clock.drift(arguments.rate(rate))
        self._tell_of_clock(node, timedelta(0), clock)

    def _tell_of_clock(self, node: str, by: timedelta, clock: NodeClock) -> None:
        self._chronicle.tell(node, ClockChanged(at=self.now(), node=node, by=by, rate=clock.rate))
        after = self._random.uniform(0, NOTICED)
        self._nursery.start_soon(self._nodes.look_at_clock, node, after)

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
            ArgumentError: it is neither.
            Violation: one of the facts so far fits.
        """
        arguments.kind_of_facts(predicate)
        self._chronicle.forbid(predicate, because)

    # --- from beginning to end ----------------------------------------------------------------

    async def run(self, scenario: Callable[[World], Awaitable[object]]) -> BaseException | None:
        """Play a scenario. Returns why it has failed, if it has."""
        chronicle, around = self._chronicle, self._nodes.around
        self._scheduler.threads.of_the_run.add(trio.lowlevel.current_task())
        line = Line(around.storage, CLIENT, self.storage, self._exchange, _pass_by)
        client = around.replica(line, CLIENT, 1, self._clock)
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._exchange.watch_leases)
            for node in self.nodes:
                await self._nodes.start(node, self._nursery)
            try:
                async with client.connected() as self.queue:
                    await self._play(scenario)
                    chronicle.is_sealed = True
                    self.storage.clear()
            except Exception as error:  # noqa: BLE001 - it is returned
                chronicle.fail(NodeDied(CLIENT, error))
                chronicle.is_sealed = True
            self._scheduler.failure = chronicle.failure
            self._nursery.cancel_scope.cancel()
            # It has an end of its own, and nobody else is there to be cancelled.
            with trio.CancelScope(shield=True):
                await self._nodes.bury()
        return chronicle.failure

    async def _play(self, scenario: Callable[[World], Awaitable[object]]) -> None:
        chronicle = self._chronicle
        self._move_limit(trio.current_time())
        try:
            with chronicle.scope:
                await arguments.awaitable_of(scenario, scenario(self))
                self._nodes.require_all_fates()
                self.storage.require_all_met()
        except trio.Cancelled:
            raise  # a Ctrl-C, or the client has died
        except BaseException as error:  # noqa: BLE001 - it is returned
            chronicle.fail(error)
        if chronicle.scope.cancelled_caught:
            chronicle.fail(NothingHappened())


async def _pass_by(_point: str) -> None:
    """The client comes to no kill point."""
