"""The poller: claims due jobs, never more than this node can run soon.

Woken by an enqueue, by the instant at which the next job falls due, by another process, by leases
that were let go of, and only as a safety net by `Options.poll_interval`.

Rules. What it may hold is the number of executors plus a prefetch: as many jobs as the executors
finish during one round of the storage, which is none when jobs are slow. A claim that would spend
the last attempt of a job is made for a free executor only (the storage is told how many are free).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import filterfalse

import trio

from ..clock import Clock
from ..model import queues
from ..model.errors import StorageError
from ..model.facts import JobClaimed
from ..model.ids import to_uuid
from ..model.instants import MICROSECONDS, to_datetime
from ..model.job import ClaimedJob
from ..options import Options
from ..storage.messages import ClaimDue, ClaimReply
from .desk import Reply, StorageDesk, StoreLetter
from .probe import BatchRecord, Probe
from .roster import Cause, Lease, Roster
from .settler import Settler

logger = logging.getLogger("trio_gusto")

FENCE_MARGIN = 5.0
"""Seconds before its lease passes at which a handler must be gone (a tenth of short leases)."""

LONGEST_SLEEP = 30.0
"""Seconds after which the wall clock is looked at again, since it may have been set."""

MOST_AHEAD = 1024
"""Jobs that are held beyond the number of executors, at most."""

FAULT_PAUSE = 0.5
"""Seconds to wait after the storage refused a claim."""


def fence_after(lease: float) -> float:
    """How many seconds after asking for a lease its handler must be gone."""
    return lease - min(FENCE_MARGIN, lease / 10)


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
        self._next_due: int | None = None
        self._hungry = True
        self._shared_out = 0
        self._notch = 0
        self._round_seconds = 0.002
        self.idle = trio.Event()
        """Set while nothing is due, nothing is held, and nothing has been heard of."""

    # --- what others tell it ---

    def wake(self) -> None:
        """There may be something to claim now."""
        self._hungry = True
        if self.idle.is_set():
            self.idle = trio.Event()
        self._roster.changed.ring()

    def note_due(self, due: int) -> None:
        """A job falls due at ``due``, which may be now."""
        if due <= self._clock.instant():
            if not self._hungry:
                self.wake()
        elif self._next_due is None or due < self._next_due:
            self._next_due = due
            self._roster.changed.ring()

    # --- the actor ---

    @trio.lowlevel.enable_ki_protection
    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Claim until cancelled."""
        task_status.started()
        while True:
            room = self._room()
            if self._hungry and room:
                await self._claim(room)
                continue
            if not self._hungry and not self._roster.leases:
                self.idle.set()
            await self._rest()

    async def until_idle(self) -> None:
        """Wait until nothing is due, nothing is held, and nothing has been heard of."""
        while not self.idle.is_set():
            await self.idle.wait()

    def _room(self) -> int:
        """How many jobs to claim now; none while the backlog is more than half full."""
        roster = self._roster
        ahead = self._ahead()
        waiting = len(roster.backlog)
        roster.backlog.low_water = ahead // 2
        if waiting > ahead // 2:
            return 0
        wanted = roster.backlog.idle + ahead - waiting
        # Outcomes that the storage has not taken yet must not pile up without end either.
        most = 2 * len(roster.slots) + 4 * ahead - len(roster.leases)
        return max(0, min(wanted, most, max(self._options.batch_size, ahead)))

    def _ahead(self) -> int:
        """Jobs to hold beyond the number of executors: what these finish during one round."""
        if self._options.prefetch is not None:
            return self._options.prefetch
        mean = self._roster.mean_duration
        if mean is None:
            return 0
        finished = len(self._roster.slots) * self._round_seconds * MICROSECONDS / max(mean, 1.0)
        return min(MOST_AHEAD, int(2 * finished))

    async def _claim(self, room: int) -> None:
        asked_at = self._clock.monotonic()
        now = self._clock.instant()
        self._hungry = False
        self._next_due = None  # what is noted from here on may be newer than the reply
        claim = ClaimDue(
            self._node,
            now,
            now + round(self._options.lease * MICROSECONDS),
            room,
            self._roster.free(),
            self._queues(room),
            tuple(filterfalse(self._knows, self._roster.unknown_names)),
        )
        letter = ClaimLetter(claim, self, asked_at)
        self._desk.tell(letter)
        reply = await letter.answer()
        if isinstance(reply, StorageError):
            logger.error("a claim failed: %s", reply)
            self._hungry = True
            await trio.sleep(FAULT_PAUSE)
            return
        assert isinstance(reply, ClaimReply)
        self._round_seconds += 0.2 * (self._clock.monotonic() - asked_at - self._round_seconds)
        if reply.next_due is not None:
            self._next_due = min(reply.next_due, self._next_due or reply.next_due)
        if reply.jobs:
            await self._hand_over(reply, asked_at)
        if reply.more:
            self._hungry = True
        if not reply.jobs and self._hungry and not self._roster.free():
            # The next job is on its last attempt and waits for an executor of its own.
            await self._rest()

    def _queues(self, limit: int) -> tuple[tuple[str, int], ...] | None:
        weights = self._options.queue_weights
        if weights is None:
            return None
        if self._options.queue_order == "strict":
            return tuple(queues.strict(tuple(weights), limit))
        self._notch = self._shared_out
        self._shared_out += limit
        return tuple(queues.shares(weights, limit, self._notch))

    def _take(self, reply: ClaimReply, asked_at: float) -> list[Lease]:
        """From now on this node answers for these jobs."""
        jobs = self._in_turn(reply.jobs)
        fence = asked_at + fence_after(self._options.lease)
        observer = self._probe.observer
        span = None if observer is None else observer.batch_started(len(jobs))
        batch = BatchRecord(tuple(job.request.id for job in jobs), span)
        leases = [Lease(job, fence, batch) for job in jobs]
        held = self._roster.leases
        for lease in leases:
            former = held.setdefault(lease.claimed.request.id, lease)
            if former is not lease:
                # Its own lease was lost without a word, or this claim could not have been made.
                former.interrupt(Cause.FENCE)
                former.successor, lease.follows = lease, former
                held[lease.claimed.request.id] = lease
        self._roster.watch(fence)
        if self._probe.listening:
            self._announce(reply)
        return leases

    def _in_turn(self, jobs: Sequence[ClaimedJob]) -> Sequence[ClaimedJob]:
        """Jobs of weighted queues take turns within one claim too, however large it is."""
        weights = self._options.queue_weights
        if weights is None or self._options.queue_order == "strict":
            return jobs
        order = queues.turns([job.request.queue for job in jobs], weights, self._notch)
        return [jobs[position] for position in order]

    async def _hand_over(self, reply: ClaimReply, asked_at: float) -> None:
        leases = self._take(reply, asked_at)
        gate = self._probe.gate
        if gate is not None:
            await self._pass(leases, leases[0].batch)
        # What was won back follows its lost attempt, so that no job runs twice at once here.
        self._roster.backlog.put([lease for lease in leases if lease.follows is None])

    def give_back(self, reply: ClaimReply, asked_at: float) -> None:
        """A stop came while the claim was under way; nobody here will run its jobs."""
        for lease in self._take(reply, asked_at):
            self._settler.give_back(lease)

    async def _pass(self, leases: list[Lease], batch: BatchRecord) -> None:
        """Barriers stand between a claim and its executors; a stop gives the jobs back."""
        assert self._probe.gate is not None
        try:
            if self._probe.watches("job_claimed"):
                for lease in leases:
                    await self._probe.gate.pass_through("job_claimed", lease.claimed)
            if self._probe.watches("batch_start"):
                await self._probe.gate.pass_through("batch_start", batch)
        except trio.Cancelled:
            for lease in leases:
                self._settler.give_back(lease)
            raise

    def _announce(self, reply: ClaimReply) -> None:
        for job in reply.jobs:
            self._probe.announce(
                JobClaimed(
                    at=to_datetime(job.claimed_at),
                    job_id=to_uuid(job.request.id),
                    name=job.request.name,
                    queue=job.request.queue,
                    attempt=job.attempt,
                    node_id=job.node,
                )
            )

    async def _rest(self) -> None:
        """Sleep until there is news, or something falls due, or it is time for the safety poll."""
        patience = min(self._options.poll_interval, LONGEST_SLEEP)
        if self._next_due is not None and not self._hungry:  # hungry, it waits for room alone
            ahead = (self._next_due - self._clock.instant()) / MICROSECONDS
            patience = min(patience, ahead)
        if patience > 0 and await self._roster.changed.wait(self._clock.monotonic() + patience):
            return
        self._hungry = True
        if patience <= 0:
            await trio.lowlevel.checkpoint()


class ClaimLetter(StoreLetter):
    """A claim on its way to the storage, which may answer when nobody waits for it any more."""

    __slots__ = ("_asked_at", "_poller")

    def __init__(self, claim: ClaimDue, poller: Poller, asked_at: float) -> None:
        super().__init__(claim)
        self._poller = poller
        self._asked_at = asked_at

    def deliver(self, reply: Reply) -> None:
        """Hand the reply to the poller, or see to it that what was claimed is not lost."""
        if self._task is not None:
            super().deliver(reply)
        elif isinstance(reply, ClaimReply) and reply.jobs:
            self._poller.give_back(reply, self._asked_at)
