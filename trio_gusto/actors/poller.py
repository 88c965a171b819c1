"""The poller: claims due jobs, never more than this node can run soon.

Woken by an enqueue, by the instant at which the next job falls due, by another process, by leases
that were let go of, and only as a safety net by `Options.poll_interval`.

Rules. How much it holds is said by `supply`. A claim that would spend the last attempt of a job, or a
token of a rate limit, is made for free executors only (the storage is told how many are free).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import filterfalse

import trio

from ..clock import Clock
from ..model.errors import GustoError
from ..model.instants import MICROSECONDS
from ..model.pauses import StoredPause, covered
from ..options import Options
from ..storage.messages import ClaimDue, ClaimReply
from ..storage.pause_messages import HeardPauses
from .announcements import job_claimed
from .claim_letter import ClaimLetter
from .desk import HeededLetter, Reply, StorageDesk
from .lease import Cause, Lease, fence_after
from .probe import BatchRecord, Probe
from .roster import Roster
from .settler import Settler
from .supply import Supply

logger = logging.getLogger("trio_gusto")

FAULT_PAUSE = 0.5
"""Seconds to wait after the storage has failed."""


class Poller:
    """Keeps the executors supplied."""

    def __init__(
        self,
        node: str,
        desk: StorageDesk,
        roster: Roster,
        settler: Settler,
        probe: Probe,
        clock: Clock,
        options: Options,
        knows: Callable[[str], object],
    ) -> None:
        self._knows = knows
        self._node = node
        self._desk = desk
        self._roster = roster
        self._settler = settler
        self._probe = probe
        self._clock = clock
        self._options = options
        self._queue_rates = options.queue_rates or None
        self._next_due: int | None = None
        self._hungry = True
        self._claim: ClaimLetter | None = None
        """The claim that is under way."""
        self._taken: list[list[Lease]] = []
        """What was claimed and has to pass barriers."""
        self._is_resting = self._is_serving = self._is_stuck = self._has_failed = False
        self._rests_until = 0
        self._are_held = False
        """Whether jobs of named workers wait for one that may be running here to end."""
        self._heard = 0
        """Up to which number this node has said that it has heard of pauses."""
        self._is_unheard = False
        """Whether that could not be noted, so that it has to be said again."""
        self._supply = Supply(roster, options, is_gated=probe.gate is not None)
        self.idle = trio.Event()
        """Set while nothing is due, nothing is held, and nothing has been heard of."""

    # --- what others tell it ---

    @trio.lowlevel.enable_ki_protection  # it runs in callers' tasks
    def wake(self) -> None:
        """There may be something to claim now.

        The claim is told at once, so that it joins the transaction of what it is to find.
        """
        if self._claim is not None and not self._claim.is_sealed:
            return  # it will find that, too
        if self._hungry and not self._is_stuck:
            return
        self._hungry, self._is_stuck = True, False
        if self.idle.is_set():
            self.idle = trio.Event()
        if self._is_resting:
            self._ask()

    @trio.lowlevel.enable_ki_protection
    def note_due(self, due: int) -> None:
        """A job falls due at ``due``, which may be now."""
        if due <= self._clock.instant():
            self.wake()
        elif self._next_due is None or due < self._next_due:
            self._next_due = due
            self._roster.changed.ring()

    @trio.lowlevel.enable_ki_protection
    def hold(self, pauses: Sequence[StoredPause]) -> str:
        """Pauses hold: give back what they cover and is not begun, and say so. Returns this node's name.

        What is claimed from now on the storage has looked at already; not so the claim under way.
        """
        if self._claim is not None and self._claim.is_sealed:
            self._claim.pauses = pauses
        self._give_back_unbegun(self._roster.leases.values(), pauses)
        number = max((pause.number for pause in pauses), default=0)  # it may be lifted already
        if number > self._heard:
            self._heard = number
            self._say_heard()
        return self._node

    def _say_heard(self) -> None:
        self._is_unheard = False
        self._desk.tell(HeededLetter(HeardPauses(self._node, self._heard), self._noted_pauses))

    @trio.lowlevel.enable_ki_protection
    def shrink(self) -> None:
        """There are to be fewer executors: give back what is not begun, and claim for those that stay.

        It was claimed for more of them. What waits longer now, others may run sooner; and a last
        attempt is for an executor that is free.
        """
        if self._claim is not None and self._claim.is_sealed:
            self._claim.is_for_more = True
        self._roster.backlog.take_all()
        self._give_back_unbegun(self._roster.leases.values())

    def _give_back_unbegun(
        self, leases: Iterable[Lease], pauses: Sequence[StoredPause] | None = None
    ) -> None:
        """Give back what no handler was entered for; with ``pauses``, what they cover of it."""
        for lease in tuple(leases):
            unbegun = lease.started_at is None and not lease.over
            if unbegun and (pauses is None or covered(pauses, lease.claimed.request)):
                self._settler.give_back(lease)

    def _noted_pauses(self, reply: Reply) -> None:
        if isinstance(reply, GustoError):
            logger.warning("that this node has heard of a pause could not be noted: %s", reply)
            self._is_unheard = self._has_failed = True
            self._roster.changed.ring()

    # --- the actor ---

    @trio.lowlevel.enable_ki_protection
    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Claim until cancelled."""
        task_status.started()
        self._is_serving = True
        try:
            while True:
                if self._has_failed:
                    await trio.sleep(FAULT_PAUSE)
                    self._has_failed = False
                    if self._is_unheard:
                        self._say_heard()
                while self._taken:
                    await self._pass(self._taken[0])
                    self._roster.backlog.put(_unhindered(self._taken.pop(0)))
                if self._are_held and self._roster.has_let_go:
                    self._hungry = True
                self._ask()
                if not self._hungry and self._claim is None and not self._roster.leases:
                    self.idle.set()
                self._is_resting = True
                await self._rest()
                self._is_resting = self._is_stuck = False
        finally:
            self._is_serving = self._is_resting = False
            for leases in self._taken:
                self._give_back(leases)
            self._taken.clear()

    def is_claiming(self) -> bool:
        """Whether a claim is under way."""
        return self._claim is not None

    async def until_idle(self) -> None:
        """Wait until nothing is due, nothing is held, and nothing has been heard of."""
        while not self.idle.is_set():
            await self.idle.wait()

    def _ask(self) -> None:
        """Tell the storekeeper to claim, if that is wanted."""
        is_free = self._claim is None and not self._taken
        if self._hungry and is_free and self._supply.room():
            self._claim = ClaimLetter(self)
            self._desk.tell_last(self._claim)
            if self.idle.is_set():  # not for the asker's sake: others take this claim for theirs
                self.idle = trio.Event()
        self._roster.backlog.is_wanted = self._hungry and self._claim is None

    def claim(self) -> ClaimDue:
        """What to claim now."""
        room = self._supply.room()
        now = self._clock.instant()
        self._hungry = self._roster.has_let_go = False
        self._next_due = None  # what is noted from here on may be newer than the reply
        return ClaimDue(
            self._node,
            now,
            now + round(self._options.lease * MICROSECONDS),
            room,
            self._roster.free(),
            self._supply.queues(room),
            tuple(filterfalse(self._knows, self._roster.unknown_names)),
            self._supply.depth(),
            tenant_weights=self._options.turns_of_tenants,
            queue_rates=self._queue_rates,
            ageing=self._roster.backlog.ageing,
        )

    def answered(self, claim: ClaimLetter, reply: Reply) -> None:
        """The storage has answered the claim that was under way."""
        self._claim = None
        if not isinstance(reply, ClaimReply):
            if self._is_serving:
                logger.error("a claim failed: %s", reply)
            self._hungry = self._has_failed = True
            self._roster.changed.ring()
            return
        took = self._clock.monotonic() - claim.told_at
        self._supply.round_seconds += 0.2 * (took - self._supply.round_seconds)
        if reply.next_due is not None:
            self._next_due = min(reply.next_due, self._next_due or reply.next_due)
        self._are_held = reply.held
        if reply.jobs:
            leases = self._take(reply, claim.asked_at)
            if claim.pauses:
                self._give_back_unbegun(leases, claim.pauses)
            if claim.is_for_more:
                self._give_back_unbegun(leases)
            if not self._is_serving:
                self._give_back(leases)  # a stop came meanwhile
            elif self._probe.gate is None:
                self._roster.backlog.put(_unhindered(leases))
            else:
                self._taken.append(leases)
        if reply.more:
            self._hungry = True
        if not reply.jobs and self._hungry and not self._roster.free():
            # The next job is on its last attempt and waits for an executor of its own.
            self._is_stuck = self._roster.backlog.is_wanted = True
            return
        if self._is_resting:
            self._ask()
        if self._claim is None and not self._may_rest_on():
            self._roster.changed.ring()

    def _may_rest_on(self) -> bool:
        """Whether there is nothing to do for the task that rests."""
        if self._hungry or self._taken or not self._roster.leases:
            return False
        return self._next_due is None or self._next_due >= self._rests_until

    def _take(self, reply: ClaimReply, asked_at: float) -> list[Lease]:
        """From now on this node answers for these jobs."""
        jobs = self._supply.in_turn(reply.jobs)
        fence = asked_at + fence_after(self._options.lease)
        observer = self._probe.observer
        span = None if observer is None else observer.batch_started(len(jobs))
        batch = BatchRecord(tuple([job.request.id for job in jobs]), span)
        leases = [Lease(job, fence, batch) for job in jobs]
        held = self._roster.leases
        if not held:
            self._roster.occupied.ring()
        for job_id, lease in zip(batch.job_ids, leases, strict=True):
            former = held.setdefault(job_id, lease)
            if former is not lease:
                # Its own lease was lost without a word, or this claim could not have been made.
                former.interrupt(Cause.FENCE)
                self._roster.follow(lease, former)
                held[job_id] = lease
        if reply.in_lanes:
            self._roster.stand_in_lanes(leases)
        self._roster.watch(fence)
        if self._probe.listening:
            for job in reply.jobs:
                self._probe.announce(job_claimed(job))
        return leases

    def _give_back(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            self._settler.give_back(lease)

    async def _pass(self, leases: list[Lease]) -> None:
        """Barriers stand between a claim and its executors; a stop gives the jobs back."""
        gate = self._probe.gate
        assert gate is not None
        for lease in leases:
            await gate.pass_through("job_claimed", lease.claimed)
        await gate.pass_through("batch_start", leases[0].batch)

    async def _rest(self) -> None:
        """Sleep until there is news, or something falls due, or it is time for the safety poll."""
        now = self._clock.instant()
        patience = min(self._options.poll_interval, self._clock.longest_sleep)
        if self._next_due is not None and not self._hungry:  # hungry, it waits for room alone
            patience = min(patience, (self._next_due - now) / MICROSECONDS)
        self._rests_until = now + int(patience * MICROSECONDS)
        if patience > 0 and await self._roster.changed.wait(self._clock.monotonic() + patience):
            return
        self._hungry = True


def _unhindered(leases: list[Lease]) -> list[Lease]:
    """Those that need not wait in a line for others, which would hand them to the executors."""
    return [lease for lease in leases if not lease.is_behind]
