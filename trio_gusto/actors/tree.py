"""The tree of actors: which there are, in which order they start, and how the tree comes down.

The only module that knows them all. Without a workplace the tree keeps a storage and runs no job.

Coming down, in this order: claim no more; give back what was not begun; let running handlers come
to an end for as long as the drain may take; cancel the rest and give their attempts back; write
what is to be written; let go of the storage.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import trio

from ..clock import Clock
from ..model.errors import StuckHandler
from ..model.explanation import WorkersHere
from ..model.ids import JobId, to_uuid
from ..model.instants import MICROSECONDS
from ..model.states import Ready, Scheduled, Waiting
from ..options import Options
from ..storage.beside import Transient
from ..storage.messages import Insert, Inserted
from ..storage.news import News
from ..storage.storage import Storage
from .canceller import Canceller
from .cron import Cron
from .desk import StorageDesk
from .dossier import Dossiers
from .executor import Executors
from .heart import Heart
from .holder import Holder
from .lease import Cause, Lease, fence_after
from .listener import Listener
from .parents import Parents
from .poller import Poller
from .probe import Probe, enqueued
from .reporter import Reporter
from .reports import Reports
from .resolver import Resolver
from .roster import Roster
from .settler import Settler
from .storekeeper import Storekeeper
from .supervisor import Child, RestartBudget, Supervisor
from .sweeper import Sweeper
from .waiters import Waiters
from .workplace import Workplace

logger = logging.getLogger("trio_gusto")

CLEANUP = 5.0
"""Seconds that cancelled handlers have for their clean-up, and final writes for being written."""


class Workers:
    """The actors that run jobs, over a storage that is served already."""

    def __init__(
        self,
        node: str,
        desk: StorageDesk,
        waiters: Waiters,
        resolver: Resolver,
        workplace: Workplace,
        probe: Probe,
        clock: Clock,
        options: Options,
    ) -> None:
        self._probe = probe
        self._options = options
        self._waiters = waiters
        self._resolver = resolver
        self.workplace = workplace
        ageing = options.priority_ageing
        self.roster = Roster(
            options.concurrency, None if ageing is None else round(ageing * MICROSECONDS)
        )
        reports = Reports(desk, clock, options)
        self.settler = Settler(desk, self.roster, waiters, probe, clock, reports)
        reports.on_first = self.settler.sealed
        self._reporter = Reporter(reports, options.progress_flush_interval)
        self.poller = Poller(
            node, desk, self.roster, self.settler, probe, clock, options, workplace.knows
        )
        self._dossiers = Dossiers(self.roster, reports)
        self.heart = Heart(
            node,
            desk,
            self.roster,
            self.settler,
            probe,
            clock,
            options,
            fence_after(options.lease),
            is_claiming=self.poller.is_claiming,
            on_paused=self.poller.hold,
            on_late=self._dossiers.file,
        )
        self.sweeper = Sweeper(
            node, desk, self.roster, self.settler, waiters, probe, clock, options
        )
        canceller = Canceller(
            desk, waiters, clock, self._call_off, resolver.note, self.poller.wake, probe
        )
        holder = Holder(desk, waiters, canceller, clock, self.poller.note_due)
        self.cron = Cron(desk, holder, probe, clock, self.poller.note_due, self.sweeper.news.ring)
        self._executors = Executors(
            workplace,
            self.roster,
            self.settler,
            probe,
            clock,
            Parents(desk, workplace),
            reports,
        )
        self.settler.on_due = self.poller.note_due
        self.settler.on_awaited = resolver.note
        self.settler.on_children = self._hear_of

    def children(self) -> list[Child]:
        """In the order to start them: whoever supplies comes after those who are supplied."""
        return [
            Child("heart", self.heart.run),
            Child("reporter", self._reporter.run),
            Child("executors", self._executors.run),
            Child("sweeper", self.sweeper.run),
            Child("cron", self.cron.run),
            Child("poller", self.poller.run),
        ]

    def offer(self, name: str, queue: str) -> WorkersHere:
        """What they can do for a job of this handler and queue."""
        queues = self._options.queues
        return WorkersHere(
            knows_handler=self.workplace.knows(name),
            serves_queue=queues is None or queue in queues,
            free=self.roster.free(),
            concurrency=self.roster.concurrency,
            takes_turns=self._options.tenant_order == "fair",
            queue_rate=self._options.queue_rates.get(queue),
        )

    def _hear_of(self, insert: Insert, inserted: Inserted) -> None:
        """New jobs were stored with a success."""
        for replaced in inserted.replaced:
            self._waiters.notify(replaced)
        for position, (request, state) in enumerate(
            zip(insert.requests, insert.states, strict=True)
        ):
            if position in inserted.existing:
                continue
            if isinstance(state, Ready | Scheduled):
                self.poller.note_due(state.due)
            else:
                assert isinstance(state, Waiting)
                self._resolver.note(state.parents)  # they may have ended already
            if request.expire_on is not None:
                self.sweeper.news.ring()
            if self._probe.listening:
                self._probe.announce(enqueued(request, state))

    @trio.lowlevel.enable_ki_protection  # it runs in callers' tasks
    def resize(self, concurrency: int) -> None:
        """Run so many jobs at once from now on; what runs already runs on."""
        former = self.roster.concurrency
        self.roster.resize(concurrency)
        if concurrency < former:
            self.poller.shrink()
        logger.info("%d jobs may run at once from now on, %d before", concurrency, former)

    async def until_idle(self) -> None:
        """Wait until nothing is due, nothing is held, and nothing has been heard of."""
        while not (self.cron.is_rested() and self.poller.idle.is_set()):
            await self.cron.until_rested()
            await self.poller.until_idle()

    def _call_off(self, job_id: JobId, reason: str) -> None:
        self.heart.cancel([(job_id, reason)])

    async def come_down(self, supervisor: Supervisor, drain: Drain) -> None:
        """Stop claiming, drain, cancel what is left, give attempts back."""
        roster = self.roster
        roster.stopping = True
        await supervisor.stop("poller", "cron", "sweeper")
        for lease in roster.take_unbegun():
            self.settler.give_back(lease)
        with trio.CancelScope() as drain.patience:
            if drain.graceful:
                drain.patience.deadline = trio.current_time() + self._options.drain_timeout
            else:
                drain.patience.cancel()
            await self._until_empty()
        for lease in tuple(roster.leases.values()):
            lease.interrupt(Cause.SHUTDOWN)
        with trio.move_on_after(CLEANUP):
            await self._until_empty()
        self._abandon_threads()
        with trio.move_on_after(CLEANUP):
            await self._until_empty()
        await supervisor.stop("executors", "reporter", "heart")

    async def _until_empty(self) -> None:
        while self.roster.leases:
            await self.roster.changed.wait()

    def _abandon_threads(self) -> None:
        for slot in self.roster.slots:
            if slot.lease is not None:
                if slot.deadline != math.inf:  # nobody has found it late so far
                    self._dossiers.file(slot)
                _complain(slot.lease, in_thread=slot.thread_wait is not None)
            if slot.thread_wait is not None:
                slot.thread_wait.cancel()


class Drain:
    """How the tree is to come down; may become less patient on the way."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self.graceful = True
        self.growing = trio.CancelScope()
        self.patience = trio.CancelScope()

    def ask(self, *, graceful: bool) -> None:
        """Ask for the end: gracefully, or with no more than the final writes."""
        if not graceful:
            self.graceful = False
            self.growing.cancel()
            self.patience.cancel()
        self.asked.set()


class Tree:
    """One running app: a storekeeper, and workers if it is to run jobs."""

    def __init__(
        self,
        node: str,
        storage: Storage,
        probe: Probe,
        clock: Clock,
        options: Options,
        workplace: Workplace | None,
        beside: Sequence[Child] = (),
        memory: Transient | None = None,
    ) -> None:
        self.node = node
        self.storage = storage
        self.probe = probe
        self.clock = clock
        self.options = options
        self.drain = Drain()
        self.up = trio.Event()
        """Set when every actor is ready."""
        self._beside = beside
        self.desk = StorageDesk(storage, memory)
        self.waiters = Waiters()
        self.resolver = Resolver(self.desk, self.waiters, probe, clock)
        self.workers = None if workplace is None else self.hire(workplace)
        budget = RestartBudget(options.restart_limit, options.restart_period)
        self.supervisor = Supervisor(budget, probe, clock)

    def hire(self, workplace: Workplace) -> Workers:
        """Workers for this storage; the resolver tells them from now on what it releases."""
        workers = Workers(
            self.node,
            self.desk,
            self.waiters,
            self.resolver,
            workplace,
            self.probe,
            self.clock,
            self.options,
        )
        self.resolver.on_due = workers.poller.note_due
        return workers

    @trio.lowlevel.enable_ki_protection  # a Ctrl-C is for the host, which then asks for a drain
    async def run(self) -> None:
        """Grow, serve until asked to come down, come down.

        Raises:
            BaseException: what an actor died of, if it died once too often.
        """
        # The host's cancellation must not tear down the actors that write its last words; it asks
        # for a drain instead. The deadline is set below, when the tree starts to come down.
        with trio.CancelScope(shield=True) as shield:
            await self.storage.attach(self.node)
            try:
                async with trio.open_nursery() as nursery:
                    await self.supervisor.start(nursery, self._roots())
                    # Some wait for their storage, and the host need not wait with them.
                    with self.drain.growing:
                        await self.supervisor.start(nursery, self._branches())
                        if not self.supervisor.failed.is_set():
                            self.up.set()
                    await self._serve()
                    patience = self.options.drain_timeout + 5 * CLEANUP
                    shield.deadline = trio.current_time() + patience
                    if self.workers is not None:
                        await self.workers.come_down(self.supervisor, self.drain)
                    with trio.move_on_after(CLEANUP):
                        await self.resolver.until_idle()
                    with trio.move_on_after(CLEANUP):
                        await self.desk.finish()
                    await self.supervisor.stop()
            finally:
                self.desk.close()
                self.waiters.notify_all()
                self._complain_of_what_is_left()
                with trio.CancelScope(shield=True, deadline=trio.current_time() + CLEANUP):
                    await self.storage.detach(self.node)
        if self.supervisor.fault is not None:
            raise self.supervisor.fault

    def _complain_of_what_is_left(self) -> None:
        left = self.desk.left_in_memory()
        if left:
            logger.warning(
                "%d jobs that are not durable have not ended, and are lost with this process unless "
                "the app runs again in it",
                left,
            )

    async def _serve(self) -> None:
        """Until asked to come down, or an actor has died for good."""
        async with trio.open_nursery() as nursery:

            async def end_with(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_with, self.drain.asked)
            nursery.start_soon(end_with, self.supervisor.failed)
        if self.supervisor.fault is not None:
            self.drain.ask(graceful=False)

    def _roots(self) -> list[Child]:
        """Ready at once; nothing is brought down in order without them."""
        return [
            Child("storekeeper", Storekeeper(self.desk).run),
            Child("resolver", self.resolver.run),
        ]

    def _branches(self) -> list[Child]:
        workers = self.workers
        calm = self.clock.calm
        hear = [
            (News.ENDED, self.waiters.notify_all),
            (News.AWAITED, self.resolver.hear),
        ]
        if workers is None:
            listener = Listener(self.node, self.storage, hear, calm=calm)
            return [Child("listener", listener.run)]
        hear += [
            (News.CLAIMABLE, workers.poller.wake),
            (News.DEADLINES, workers.sweeper.news.ring),
            (News.SCHEDULES, workers.cron.wake),
        ]
        listener = Listener(
            self.node, self.storage, hear, workers.heart.look_for_requests, calm=calm
        )
        return [*workers.children(), Child("listener", listener.run), *self._beside]


def _complain(lease: Lease, *, in_thread: bool) -> None:
    request = lease.claimed.request
    what_follows = (
        "and a thread cannot be killed; it is left behind. Let the handler call "
        "trio.from_thread.check_cancelled() now and then"
        if in_thread
        else "because it shields itself, so the app waits for it. Give its shielded scope a deadline"
    )
    logger.error(
        "%s",
        StuckHandler(
            f"job {to_uuid(request.id)} ({request.name}) did not end within {CLEANUP:g} s of its "
            f"cancellation, {what_follows}"
        ),
    )
