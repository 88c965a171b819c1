"""Where jobs in each state are looked for.

The index follows the jobs: `enter` writes a job down under its new state, `leave` strikes it out
where that cannot wait. All else is found out late, by agendas that check what they hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ...model.admission import Admission
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
from .agenda import Agenda, ready_since, take_in_one_order
from .fairness import FairShares, TurnShelf
from .lanes import Heads, LaneShelf
from .pauses import PauseShelf
from .selection import PlainKey, take_selected

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
        # By priority (negated, so that the highest sorts first), queue, and tenant where that matters;
        # then of tenants that are paused, as far as a claim has met them.
        self._plain: dict[PlainKey, Agenda] = {}
        self._parked: dict[PlainKey, Agenda] = {}
        self._lifted: object = None
        self._is_by_tenant = False
        self.turns = TurnShelf()
        self.lanes = LaneShelf()
        self._any_in_lanes = False
        """Whether a job in a lane was ready when it was looked at last."""

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
            self.free(job)
            return
        if isinstance(state, ENDED):
            self.ended.lose(job)
            return
        if isinstance(state, Ready):
            lane = lane_of(job.request)
            if lane is not None:
                self.lanes.lose(job, lane)
            else:
                self._lose_plain(job)
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
        self._any_in_lanes = bool(self.lanes)
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
        self,
        queue: str | None,
        now: int,
        limit: int,
        skip_names: Collection[str] = (),
        pauses: PauseShelf | None = None,
    ) -> list[StoredJob]:
        """Take up to ``limit`` claimable jobs, in claim order; no job in a lane is ready."""
        if limit <= 0:
            return []
        taken: list[StoredJob] = []
        passed_over: list[StoredJob] = []
        keys: Collection[PlainKey] = [
            key for key in self._plain if queue is None or key[1] == queue
        ]
        paused: Collection[str] = () if pauses is None else pauses.tenants
        if pauses is not None:
            keys = [key for key in keys if not self._is_closed(key, pauses)]
        for priority in sorted({key[0] for key in keys}):
            agendas = [self._plain[key] for key in keys if key[0] == priority]
            while len(taken) < limit:
                ready = take_in_one_order(agendas, limit - len(taken), now)
                if not ready:
                    break
                for job in ready:
                    expire_on = job.request.expire_on
                    if expire_on is not None and expire_on <= now:
                        continue  # it is written down as overdue
                    request = job.request
                    if (skip_names and request.name in skip_names) or (
                        paused and request.tenant in paused and _covers(pauses, request)
                    ):
                        passed_over.append(job)
                    else:
                        taken.append(job)
        if passed_over:
            self._see_to(passed_over, pauses)
        self._forget_empty_agendas(keys)
        return taken

    def take_selected(
        self,
        queue: str | None,
        now: int,
        limit: int,
        admission: Admission,
        pauses: PauseShelf,
        skip_names: Collection[str],
        ageing: int | None,
    ) -> list[StoredJob]:
        """`take_ready` where jobs in lanes may be ready, there may be pauses and rates of queues, and the
        order may be that of ageing."""
        among, heads = self._among(queue, now, pauses, admission)

        def is_wanted(request: JobRequest) -> bool:
            return request.name not in skip_names and not _covers(pauses, request)

        is_any_unwanted = bool(skip_names) or bool(pauses)
        taken, passed_over = take_selected(
            among, heads, now, limit, admission, is_wanted if is_any_unwanted else None, ageing
        )
        self._see_to(passed_over, pauses)
        self._forget_empty_agendas(among)
        return taken

    def take_fairly(
        self,
        queue: str | None,
        limit: int,
        shares: FairShares,
        admission: Admission,
        pauses: PauseShelf,
    ) -> list[StoredJob]:
        """The same, so that tenants have their turns."""
        self._sort_by_tenant()
        among, heads = self._among(queue, shares.now, pauses, admission)
        taken, passed_over = shares.take(queue or "", among, heads, limit, admission, pauses)
        for job in passed_over:
            self.put_back(job)
        self._forget_empty_agendas(among)
        return taken

    def _among(
        self, queue: str | None, now: int, pauses: PauseShelf, admission: Admission
    ) -> tuple[dict[PlainKey, Agenda], Heads]:
        """What to look into, as far as that is known without a look at each job."""
        closed = {*pauses.closed_queues(), *admission.closed_queues}
        among = {
            key: agenda
            for key, agenda in self._plain.items()
            if queue in (None, key[1])
            and key[1] not in closed
            and not (pauses and self._is_closed(key, pauses))
        }
        names = None if queue is None else [queue]
        return among, self.lanes.heads(names, closed, now)

    @staticmethod
    def _is_closed(key: PlainKey, pauses: PauseShelf) -> bool:
        """Whether none of the jobs there may be claimed."""
        _, queue, tenant = key
        return pauses.cover(queue, tenant)

    def _see_to(self, passed_over: Collection[StoredJob], pauses: PauseShelf | None) -> None:
        """Put back what was not wanted; jobs of paused tenants where no claim meets them again."""
        for job in passed_over:
            request = job.request
            if _covers(pauses, request) and lane_of(request) is None:
                self._agenda_of_tenant(self._parked, job).add(job, due_of(job))
            else:
                self.put_back(job)

    def bring_back(self, pauses: PauseShelf) -> None:
        """Let claims meet the jobs of tenants that are not paused any more."""
        if not self._parked or self._lifted is pauses.lifted:
            return
        self._lifted = pauses.lifted
        for key in tuple(self._parked):
            if self._is_closed(key, pauses):
                continue
            agenda = self._parked.pop(key)
            if key not in self._plain:
                self._plain[key] = agenda
            else:
                for job in agenda.jobs():
                    self._plain[key].add(job, due_of(job))

    def _sort_by_tenant(self) -> None:
        """From now on each tenant's ready jobs have agendas of their own."""
        if self._is_by_tenant:
            return
        self._is_by_tenant = True
        for key in [key for key in self._plain if key[2] is None]:
            for job in self._plain.pop(key).jobs():
                self.put_back(job)

    def leased_lanes(self, node: str, depth: int) -> Lanes | None:
        """What is leased in each lane, as this node sees it; ``None`` if no job in any is ready."""
        return self.lanes.lanes(node, depth) if self.lanes else None

    def holds_back(self, now: int) -> bool:
        """Whether a job in a lane could be claimed, for all that its instants say."""
        return bool(self.lanes) and self.lanes.any_claimable(now)

    def note_leases(self, jobs: Sequence[StoredJob], node: str, now: int) -> tuple[bool, bool]:
        """These jobs were claimed. Returns what a reply says of lanes: ``held`` and ``in_lanes``."""
        if not self._any_in_lanes:
            return False, False
        any_leased = False
        for job in jobs:
            lane = lane_of(job.request)
            if lane is not None:
                any_leased = True
                self.lanes.lease(job, lane, node)
        return self.holds_back(now), any_leased

    def free(self, job: StoredJob) -> None:
        """The lease on a job is no more."""
        lane = lane_of(job.request)
        if lane is not None:
            self.lanes.free(job, lane, lease_of(job).node)

    def count_ready(self) -> int:
        """How many jobs are ready; some more, perhaps, that are not any longer."""
        agendas = (*self._plain.values(), *self._parked.values())
        return sum(map(len, agendas)) + self.lanes.count()

    def put_back(self, job: StoredJob) -> None:
        """Put a ready job back where it was."""
        self._enter_ready(job, due_of(job))

    def _enter_ready(self, job: StoredJob, due: int) -> None:
        request = job.request
        lane = None if request.details is None else lane_of(request)
        if lane is None:
            agenda = self._plain.get((-request.priority, request.queue, None)) or self._agenda(job)
            agenda.add(job, due)
        else:
            self.lanes.add(job, lane, due)

    def _agenda(self, job: StoredJob) -> Agenda:
        """Where it is put down when it is the first there that is ready and in no lane."""
        if self._is_by_tenant:
            return self._agenda_of_tenant(self._plain, job)
        key = (-job.request.priority, job.request.queue, None)
        agenda = self._plain[key] = Agenda(ready_since)
        return agenda

    def _agenda_of_tenant(self, agendas: dict[PlainKey, Agenda], job: StoredJob) -> Agenda:
        request = job.request
        key = (-request.priority, request.queue, request.tenant)
        agenda = agendas.get(key)
        if agenda is None:
            agenda = agendas[key] = Agenda(ready_since)
        return agenda

    def _lose_plain(self, job: StoredJob) -> None:
        """It may stand with all others, or with those of its tenant; or it did, and is there again."""
        request = job.request
        keys = (
            (-request.priority, request.queue, None),
            (-request.priority, request.queue, request.tenant),
        )
        for agendas in (self._plain, self._parked):
            for key in keys:
                if (agenda := agendas.get(key)) is not None:
                    agenda.lose(job)

    def _forget_empty_agendas(self, among: Iterable[PlainKey]) -> None:
        for key in among:
            if self._plain[key].first() is None:
                del self._plain[key]


def _covers(pauses: PauseShelf | None, request: JobRequest) -> bool:
    return pauses is not None and pauses.cover(request.queue, request.tenant)


def due_of(job: StoredJob) -> int:
    """The due instant of a scheduled or ready job."""
    assert isinstance(job.state, (Ready, Scheduled))
    return job.state.due


def lease_of(job: StoredJob) -> Processing:
    """The lease of a processing job."""
    assert isinstance(job.state, Processing)
    return job.state


# Where a job stands in each agenda; ``None`` when it belongs there no more.


def _scheduled_for(job: StoredJob) -> int | None:
    state = job.state
    return state.due if isinstance(state, Scheduled) else None


def _expires_at(job: StoredJob) -> int | None:
    return None if isinstance(job.state, (Processing, *ENDED)) else job.request.expire_on


def _ended_at(job: StoredJob) -> int | None:
    state = job.state
    return state.ended_at if isinstance(state, ENDED) else None
