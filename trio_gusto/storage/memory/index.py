"""Where jobs in each state are looked for.

The index follows the jobs: `enter` writes a job down under its new state, `leave` strikes it out
where that cannot wait. All else is found out late, by agendas that check what they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from ...model.fairness import Turns
from ...model.ids import JobId
from ...model.job import JobRequest, StoredJob
from ...model.lanes import Lanes, lane_of
from ...model.states import (
    Cancelled,
    Completed,
    Expired,
    Failed,
    Processing,
    Ready,
    Scheduled,
    Skipped,
)
from ..messages import ClaimDue
from .agenda import Agenda, take_in_one_order
from .fairness import FairShares
from .lanes import LaneShelf
from .pauses import PauseShelf
from .selection import PlainKey, take_selected, tenant_of

ENDED = (Completed, Failed, Cancelled, Skipped, Expired)


class Index:
    """The jobs of one storage by state, due instant and deadline."""

    def __init__(self) -> None:
        self.processing: dict[JobId, StoredJob] = {}
        self.scheduled = Agenda(_scheduled_for)
        self.ended = Agenda(_ended_at)
        # Jobs not running whose `expire_on` lies ahead of the instant last looked at, and behind.
        self.expiring = Agenda(_expires_at)
        self.overdue: dict[JobId, StoredJob] = {}
        self._looked_at = 0
        # By priority (negated, so that the highest sorts first), queue, and tenant where that matters.
        self._plain: dict[PlainKey, Agenda] = {}
        self._is_by_tenant = False
        self.turns: dict[tuple[str, int], Turns] = {}
        """Whose turn it is, in a queue (an empty name stands for all) at a priority."""
        self.lanes = LaneShelf()

    def enter(self, job: StoredJob) -> None:
        """Write ``job`` down under its state."""
        state = job.state
        if type(state) is Ready:
            self._enter_ready(job, state.due)
        elif type(state) is Scheduled:
            self.scheduled.add(job, state.due)
        elif type(state) is Processing:
            self.processing[job.request.id] = job
            return
        elif isinstance(state, ENDED):
            self.ended.add(job, state.ended_at)
            return
        if job.request.expire_on is not None:
            self.expiring.add(job, job.request.expire_on)

    def leave(self, job: StoredJob) -> None:
        """Strike ``job`` out, before its state changes."""
        state = job.state
        if isinstance(state, Processing):
            del self.processing[job.request.id]
            self.free(job, state)
            return
        if isinstance(state, ENDED):
            self.ended.lose(job)
            return
        if isinstance(state, Ready):
            lane = lane_of(job.request)
            if lane is not None:
                self.lanes.lose(job, lane)
            else:
                self._agenda(job).lose(job)
        elif isinstance(state, Scheduled):
            self.scheduled.lose(job)
        if job.request.expire_on is not None and not self.overdue.pop(job.request.id, None):
            self.expiring.lose(job)

    def look_at(self, now: int) -> None:
        """Make ready what is due, and sort the deadlines into those ahead and those passed."""
        while (due := self.scheduled.take(now)) is not None:
            state = due.state
            assert isinstance(state, Scheduled)
            due.state = Ready(state.due)
            due.version += 1
            self._enter_ready(due, state.due)
        self.look_at_deadlines(now)

    def look_at_deadlines(self, now: int) -> None:
        """Sort the deadlines into those ahead of ``now`` and those passed."""
        if now < self._looked_at:
            # The clock stepped back, and what had passed lies ahead again.
            for job in tuple(self.overdue.values()):
                self.leave(job)  # it may stand in its lane still, and would be there twice
                self.enter(job)
        self._looked_at = now
        while (passed := self.expiring.take(now)) is not None:
            self.overdue[passed.request.id] = passed

    def take_ready(
        self, queue: str | None, now: int, limit: int, skip_names: Collection[str] = ()
    ) -> list[StoredJob]:
        """Take up to ``limit`` claimable jobs out of their lanes, in claim order."""
        if limit <= 0:
            return []
        taken: list[StoredJob] = []
        passed_over: list[StoredJob] = []
        keys = sorted(key for key in self._plain if queue is None or key[1] == queue)
        for priority in dict.fromkeys(key[0] for key in keys):
            agendas = [self._plain[key] for key in keys if key[0] == priority]
            while len(taken) < limit:
                ready = take_in_one_order(agendas, limit - len(taken), now)
                if not ready:
                    break
                for job in ready:
                    expire_on = job.request.expire_on
                    if expire_on is not None and expire_on <= now:
                        continue  # it is written down as overdue
                    if skip_names and job.request.name in skip_names:
                        passed_over.append(job)
                    else:
                        taken.append(job)
        for job in passed_over:
            self.put_back(job)
        self._forget_empty_agendas()
        return taken

    def take_selected(
        self,
        queue: str | None,
        closed: Collection[str],
        now: int,
        limit: int,
        lanes: Lanes,
        is_wanted: Callable[[JobRequest], bool],
        covers_tenant: Callable[[str, str], bool],
    ) -> list[StoredJob]:
        """`take_ready` where jobs are in lanes, or only some are wanted, of queues not closed."""
        if limit <= 0:
            return []
        among = {
            key: agenda
            for key, agenda in self._plain.items()
            if queue in (None, key[1])
            and key[1] not in closed
            and not (key[2] and covers_tenant(key[1], tenant_of(key)))
        }
        heads = self.lanes.heads(None if queue is None else [queue], closed, now)
        taken, passed_over = take_selected(among, heads, now, limit, lanes, is_wanted)
        for job in passed_over:
            self.put_back(job)
        self._forget_empty_agendas()
        return taken

    def sort_by_tenant(self) -> None:
        """From now on each tenant's ready jobs have agendas of their own."""
        if self._is_by_tenant:
            return
        self._is_by_tenant = True
        agendas, self._plain = self._plain, {}
        for agenda in agendas.values():
            while (entry := agenda.first()) is not None:
                agenda.take(entry[0])
                self.put_back(entry[2])

    def take_fairly(
        self,
        queue: str | None,
        limit: int,
        claim: ClaimDue,
        lanes: Lanes,
        pauses: PauseShelf,
    ) -> list[StoredJob]:
        """Take jobs so that tenants have their turns."""
        if limit <= 0:
            return []
        assert claim.tenant_weights is not None
        closed = pauses.closed_queues()
        among = {
            key: agenda
            for key, agenda in self._plain.items()
            if queue in (None, key[1]) and not pauses.cover_tenant(key[1], tenant_of(key))
        }
        heads = self.lanes.heads(None if queue is None else [queue], closed, claim.now)
        shares = FairShares(self.turns, queue or "", claim.tenant_weights)
        taken, passed_over = shares.take(
            among,
            heads,
            claim.now,
            limit,
            lanes,
            lambda request: request.name not in claim.skip_names and not pauses.covers(request),
        )
        for job in passed_over:
            self.put_back(job)
        self._forget_empty_agendas()
        return taken

    def leased_lanes(self, node: str, depth: int) -> Lanes | None:
        """What is leased in each lane, as this node sees it; ``None`` if no job in any is ready."""
        return self.lanes.lanes(node, depth) if self.lanes else None

    def holds_back(self, now: int) -> bool:
        """Whether a job in a lane could be claimed, for all that its instants say."""
        return bool(self.lanes) and self.lanes.any_claimable(now)

    def lease(self, job: StoredJob, node: str) -> None:
        """A job was claimed that may be in a lane."""
        lane = lane_of(job.request)
        if lane is not None:
            self.lanes.lease(job, lane, node)

    def free(self, job: StoredJob, lease: Processing) -> None:
        """The lease on a job is no more."""
        lane = lane_of(job.request)
        if lane is not None:
            self.lanes.free(job, lane, lease.node)

    def count_ready(self) -> int:
        """How many jobs are ready; some more, perhaps, that are not any longer."""
        return sum(map(len, self._plain.values())) + self.lanes.count()

    def put_back(self, job: StoredJob) -> None:
        """Put a ready job back where it was."""
        self._enter_ready(job, due_of(job))

    def _enter_ready(self, job: StoredJob, due: int) -> None:
        request = job.request
        lane = None if request.details is None else lane_of(request)
        if lane is None:
            agenda = self._plain.get((-request.priority, request.queue, "")) or self._agenda(job)
            agenda.add(job, due)
        else:
            self.lanes.add(job, lane, due)

    def _agenda(self, job: StoredJob) -> Agenda:
        """Where it stands while it is ready and in no lane."""
        request = job.request
        tenant = f"of {request.tenant}" if self._is_by_tenant else ""
        key = (-request.priority, request.queue, tenant)
        agenda = self._plain.get(key)
        if agenda is None:
            agenda = self._plain[key] = Agenda(_ready_since)
        return agenda

    def _forget_empty_agendas(self) -> None:
        self._plain = {
            key: agenda for key, agenda in self._plain.items() if agenda.first() is not None
        }


def due_of(job: StoredJob) -> int:
    """The due instant of a scheduled or ready job."""
    assert isinstance(job.state, (Ready, Scheduled))
    return job.state.due


def lease_of(job: StoredJob) -> Processing:
    """The lease of a processing job."""
    assert isinstance(job.state, Processing)
    return job.state


# Where a job stands in each agenda; ``None`` when it belongs there no more.


def _ready_since(job: StoredJob) -> int | None:
    state = job.state
    return state.due if type(state) is Ready else None


def _scheduled_for(job: StoredJob) -> int | None:
    state = job.state
    return state.due if isinstance(state, Scheduled) else None


def _expires_at(job: StoredJob) -> int | None:
    return None if isinstance(job.state, (Processing, *ENDED)) else job.request.expire_on


def _ended_at(job: StoredJob) -> int | None:
    state = job.state
    return state.ended_at if isinstance(state, ENDED) else None
