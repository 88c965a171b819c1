"""The sweeper: moves on what nobody else will.

Leases whose node has vanished, jobs whose `expire_on` has come, what a vanished node has staged for a
batch, ended jobs past their retention. It
looks at its start, so that what a crash left behind runs again at once; then at the instants that
the storage names, every second while other nodes hold leases, and else often enough to see such a lease
before it has passed. Looking writes nothing.
"""

from __future__ import annotations

import logging

import trio

from ..clock import Clock
from ..model.attempts import claimed_again
from ..model.errors import GustoError, UnreadableRecord
from ..model.facts import JobFinished, LeaseExpired
from ..model.happenings import Ending, Overdue, Settlement
from ..model.ids import to_uuid
from ..model.instants import MICROSECONDS, to_datetime
from ..model.job import StoredJob
from ..model.lanes import makes_others_wait
from ..model.lifecycle import advance, settle
from ..model.outcomes import Lost
from ..model.quarantine import is_quarantined, loss_of
from ..model.retention import Cut, Retention
from ..model.states import Failed, Processing, Ready, Scheduled
from ..options import Options
from ..storage.batch_messages import Discard
from ..storage.finding_messages import Get
from ..storage.lease_messages import Stranded
from ..storage.messages import Commit, Committed
from ..storage.retention_messages import Prune
from .alarm import Alarm
from .desk import StorageDesk
from .probe import Probe
from .roster import Roster
from .settler import Settler
from .waiters import Waiters

logger = logging.getLogger("trio_gusto")

SLICE = 500
"""Jobs looked at, or deleted, in one go."""

RESTS = 3
"""How many times as long as a slice of retention took everybody else has the storage after it."""

NEIGHBOURLY = 1.0
"""Seconds between looks while other nodes hold leases: they may vanish."""

PRUNING = 300.0
"""Seconds between rounds of retention; or as long as the clock lets us sleep, if that is longer."""

FRESH_LOOK = 3600.0
"""Seconds after which a rule looks at all ended jobs again, and not only at those that have become
old enough since: what somebody needed then may be needed no more."""

FAULT_PAUSE = 1.0
"""Seconds to wait after the storage failed."""


class Sweeper:
    """Derives from the storage what is to be done, and does it."""

    def __init__(
        self,
        node: str,
        desk: StorageDesk,
        roster: Roster,
        settler: Settler,
        waiters: Waiters,
        probe: Probe,
        clock: Clock,
        options: Options,
    ) -> None:
        self._node = node
        self._desk = desk
        self._roster = roster
        self._settler = settler
        self._waiters = waiters
        self._probe = probe
        self._clock = clock
        self._options = options
        self._next_prune = 0.0
        self._pruning = max(PRUNING, clock.longest_sleep)
        self._fresh_look = 0.0
        self._marks: dict[int, tuple[int, ...] | None] = {}
        """Up to where each cut has looked."""
        self._cuts: list[tuple[int, Cut]] = []
        """What is left of this round, with the numbers."""
        retention = options.retention
        self._retention = (
            retention if isinstance(retention, Retention) else Retention(default=retention)
        )
        self.news = Alarm()
        """Rings when a job with an `expire_on` was stored, or something changed from outside."""

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Sweep until cancelled. Ready after the first sweep."""
        pause = await self._try_sweep()
        task_status.started()
        while True:
            await self.news.wait(self._clock.monotonic() + pause)
            pause = await self._try_sweep()

    async def _try_sweep(self) -> float:
        try:
            return await self.sweep()
        except GustoError as fault:
            logger.warning("a sweep failed: %s", fault)
            return FAULT_PAUSE

    async def sweep(self) -> float:
        """Look once and act; returns for how many seconds there is nothing more to do."""
        now = self._clock.instant()
        found = await self._desk.read(Stranded(self._node, now, SLICE))
        for job in found.lost:
            # An attempt that is live in this very process is never taken from it, whatever the
            # wall clock says: its own fence decides.
            if job.request.id not in self._roster.leases:
                await self._recover(job, now)
        for job in found.overdue:
            await self._end(job, advance(job, Overdue(now)), now)
        for stage in found.stages:
            while (await self._desk.ask(Discard(stage, SLICE))).count == SLICE:
                await trio.lowlevel.checkpoint()
        until_pruning = await self._prune()
        if self._probe.gate is not None:
            await self._probe.gate.pass_through("sweep_done", (found.lost, found.overdue))
        if len(found.lost) == SLICE or len(found.overdue) == SLICE:
            return 0.0
        pause = min(until_pruning, NEIGHBOURLY if found.foreign else self._rest())
        if found.next_at is not None:
            pause = min(pause, max(0.0, (found.next_at - now) / MICROSECONDS))
        return pause

    def _rest(self) -> float:
        """For how long to leave alone what no other node holds: nobody tells that he has taken a lease."""
        longest = self._clock.longest_sleep
        if longest > Clock.longest_sleep:
            return longest  # in a simulation, which tells of leases that have passed
        return min(longest, self._options.lease / 2)

    async def _recover(self, job: StoredJob, now: int) -> None:
        state = job.state
        assert isinstance(state, Processing)
        loss = await self._loss(job)
        ending = Ending(loss, now, None, cancel_reason=state.cancel_reason)
        settlement = settle(claimed_again(job), ending)
        if await self._end(job, settlement, now):
            logger.warning(
                "attempt %d of job %s (%s) was lost with node %s",
                job.attempt,
                to_uuid(job.request.id),
                job.request.name,
                state.node,
            )
            if isinstance(settlement.state, Failed) and is_quarantined(settlement.state.reason):
                logger.error(
                    "job %s (%s) is %s; see why, and retry it by hand then",
                    to_uuid(job.request.id),
                    job.request.name,
                    settlement.state.reason,
                )
            if isinstance(settlement.state, Ready | Scheduled):
                self._settler.on_due(settlement.state.due)
            if self._probe.listening:
                self._probe.announce(
                    LeaseExpired(
                        at=to_datetime(now),
                        job_id=to_uuid(job.request.id),
                        name=job.request.name,
                        queue=job.request.queue,
                        attempt=job.attempt,
                        node_id=state.node,
                    )
                )

    async def _loss(self, job: StoredJob) -> Lost:
        """What was lost; the whole history is read only of what may have been lost before."""
        quarantine_after = self._options.quarantine_after
        if quarantine_after is None or job.attempt == 1:
            return Lost(1, quarantine_after)
        try:
            whole = (await self._desk.read(Get([job.request.id]))).jobs
        except UnreadableRecord as fault:
            logger.warning("how often a job was lost is not known: %s", fault)
            return Lost(1, quarantine_after)
        # If it has moved on meanwhile, its end is refused.
        return loss_of(whole[0] if whole else job, quarantine_after)

    async def _end(self, job: StoredJob, settlement: Settlement, now: int) -> bool:
        """Record what becomes of ``job``, unless somebody was quicker."""
        commit = Commit(
            job.request.id, job.version, settlement.state, settlement.attempt, settlement.record
        )
        reply = await self._desk.ask(commit)
        if not isinstance(reply, Committed):
            return False
        if reply.awaited:
            self._settler.on_awaited(reply.awaited)
        if settlement.state.word.is_ended:
            self._waiters.notify(job.request.id)
            if makes_others_wait(job.request):
                self._settler.on_due(now)  # the next in its lane may be claimed
            if self._probe.listening:
                self._probe.announce(
                    JobFinished(
                        at=to_datetime(now),
                        job_id=to_uuid(job.request.id),
                        name=job.request.name,
                        queue=job.request.queue,
                        attempt=settlement.attempt,
                        state=settlement.state.word,
                        reason=getattr(settlement.state, "reason", ""),
                        error=None if settlement.record is None else settlement.record.error,
                    )
                )
        return True

    async def _prune(self) -> float:
        """A slice of retention, if it is time for one; returns for how many seconds it is not.

        After a slice there is a rest: others of this process want the interpreter, and those of
        another stand at a lock, which they never get where it is taken again at once.
        """
        moment = self._clock.monotonic()
        if not self._cuts:
            if moment < self._next_prune:
                return self._next_prune - moment
            self._begin_round(moment)
            if not self._cuts:
                return self._pruning
        number, cut = self._cuts[0]
        mark = self._marks.get(number)
        prune = Prune(cut.ended_before, SLICE, cut.only, cut.but, mark)
        pruned = await self._desk.prune(prune)
        self._marks[number] = pruned.mark
        if not pruned.more:
            del self._cuts[0]
        return RESTS * (self._clock.monotonic() - moment) if self._cuts else self._pruning

    def _begin_round(self, moment: float) -> None:
        self._next_prune = moment + self._pruning
        if moment >= self._fresh_look:
            self._fresh_look = moment + FRESH_LOOK
            self._marks.clear()
        self._cuts = list(enumerate(self._retention.cuts(self._clock.instant())))
