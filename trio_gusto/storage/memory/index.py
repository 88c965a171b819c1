"""Where jobs in each state are looked for.

The index follows the jobs: `enter` writes a job down under its new state, `leave` strikes it out
where that cannot wait. All else is found out late, by agendas that check what they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from ...model.admission import Admission
from ...model.ids import JobId
from ...model.job import JobRequest, StoredJob
from ...model.lanes import Lanes, worker_of
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
from .agenda import Agenda, take_in_one_order
from .selection import LaneKey, any_claimable, take_selected

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
        # A lane for each priority (negated, so that the highest sorts first), queue, worker and rate key.
        self._lanes: dict[LaneKey, Agenda] = {}
        self._are_named = False
        """Whether there may be a lane of a named worker."""
        self.are_limited = False
        """Whether there may be a lane with a rate key."""

    def enter(self, job: StoredJob) -> None:
        """Write ``job`` down under its state."""
        state = job.state
        if type(state) is Ready:
            request = job.request
            lane = None
            if request.details is None:
                lane = self._lanes.get((-request.priority, request.queue, "", ""))
            lane = lane or self._lane(job)
            lane.add(job, state.due)
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
            return
        if isinstance(state, ENDED):
            self.ended.lose(job)
            return
        if isinstance(state, Ready):
            self._lane(job).lose(job)
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
            self._lane(due).add(due, state.due)
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
        keys = sorted(key for key in self._lanes if queue is None or key[1] == queue)
        for priority in dict.fromkeys(key[0] for key in keys):
            lanes = [self._lanes[key] for key in keys if key[0] == priority]
            while len(taken) < limit:
                ready = take_in_one_order(lanes, limit - len(taken), now)
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
        self._forget_empty_lanes()
        return taken

    def take_selected(
        self,
        queue: str | None,
        closed: Collection[str],
        now: int,
        limit: int,
        admission: Admission,
        is_wanted: Callable[[JobRequest], bool],
        ageing: int | None = None,
    ) -> list[StoredJob]:
        """`take_ready` where jobs may have to wait, or only some are wanted, of queues not closed; or where
        the order is that of ageing."""
        if limit <= 0:
            return []
        among = {
            key: lane
            for key, lane in self._lanes.items()
            if queue in (None, key[1]) and key[1] not in closed
        }
        taken, passed_over = take_selected(among, now, limit, admission, is_wanted, ageing)
        for job in passed_over:
            self.put_back(job)
        self._forget_empty_lanes()
        return taken

    def lanes_at_work(self) -> Lanes | None:
        """The named workers with a job that is processing; ``None`` if no job of any is ready."""
        if not self._are_named:
            return None
        at_work = (worker_of(job.request) for job in self.processing.values())
        return Lanes(worker for worker in at_work if worker is not None)

    def holds_back(self, now: int) -> bool:
        """Whether a job of a named worker could be claimed, for all that its instants say."""
        return self._are_named and any(any_claimable(lane, now) for lane in self._named_lanes())

    def _named_lanes(self) -> Iterator[Agenda]:
        return (lane for key, lane in self._lanes.items() if key[2])

    def _forget_empty_lanes(self) -> None:
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.first() is not None}
        if self._are_named:
            self._are_named = any(key[2] for key in self._lanes)
        if self.are_limited:
            self.are_limited = any(key[3] for key in self._lanes)

    def put_back(self, job: StoredJob) -> None:
        """Put a ready job back into its lane, where it was."""
        self._lane(job).add(job, due_of(job))

    def _lane(self, job: StoredJob) -> Agenda:
        request = job.request
        worker = worker_of(request) or ""
        rate_key = "" if request.details is None else request.details.rate_key or ""
        key = (-request.priority, request.queue, worker, rate_key)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Agenda(_ready_since)
            self._are_named |= worker != ""
            self.are_limited |= rate_key != ""
        return lane


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
