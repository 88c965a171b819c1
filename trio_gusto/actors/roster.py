"""What this node holds and runs: its leases, its executors' slots, and the jobs in between.

Everything in here can be lost: the storage knows the leases, and a start or a sweep finds them
again. Poller, executors and heart share one `Roster`; it does no work of its own.

Rules. A lease is held from its claim until its outcome is recorded. Its *fence* is the monotonic
instant at which its handler must be gone, counted from before the claim or renewal was sent. A slot
runs one lease at a time; whoever interrupts it names the cause first, so that the executor can tell
why its handler was cancelled.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto

import trio

from ..model.dependencies import Parent
from ..model.ids import JobId
from ..model.job import ClaimedJob
from ..model.order import place
from ..model.states import JobState
from .probe import BatchRecord


class Cause(Enum):
    """Why a running handler is cancelled."""

    TIMEOUT = auto()
    CANCEL = auto()
    FENCE = auto()
    SHUTDOWN = auto()
    PAUSE = auto()


class Lease:
    """One claimed job in this process, from the claim until its outcome is recorded."""

    __slots__ = (
        "batch",
        "cancel_reason",
        "cause",
        "claimed",
        "fence",
        "follows",
        "over",
        "parents",
        "recorded",
        "slot",
        "started_at",
        "state",
        "successor",
        "waited",
    )

    def __init__(self, claimed: ClaimedJob, fence: float, batch: BatchRecord) -> None:
        self.claimed = claimed
        self.fence = fence
        self.batch = batch
        self.slot: Slot | None = None
        self.cause: Cause | None = None
        self.cancel_reason: str | None = None
        self.started_at: int | None = None
        self.over = False
        """Whether its outcome is on its way to the storage."""
        self.parents: tuple[Parent, ...] = ()
        """The jobs that this one waited for, read before its handler is entered."""
        self.waited = False
        """Whether the handler has let the event loop have its turn."""
        self.follows: Lease | None = None
        """A lost attempt of the same job that has not ended here yet; this one waits for it."""
        self.successor: Lease | None = None
        self.recorded: trio.Event | None = None
        """Set when the outcome is recorded; there only while barriers are in use."""
        self.state: JobState | None = None
        """What was recorded of the job; ``None`` before, and if the outcome was refused."""

    def settled(self) -> tuple[ClaimedJob, JobState | None]:
        """What a barrier behind the outcome is told."""
        return self.claimed, self.state

    def interrupt(self, cause: Cause) -> None:
        """Cancel the handler, or keep it from being entered. The first cause stands."""
        if self.cause is None:
            self.cause = cause
        if self.slot is not None:
            self.slot.used_up = True
            self.slot.scope.cancel()

    def cancel(self, reason: str) -> None:
        """Interrupt it because somebody called the job off."""
        self.cancel_reason = reason
        self.interrupt(Cause.CANCEL)


class Slot:
    """One executor's place: the scope its handlers run in, and what runs there."""

    __slots__ = ("deadline", "lease", "scope", "thread_wait", "turned_at", "used_up")

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.used_up = False
        """Whether the scope was cancelled, so that the next job needs a new one."""
        self.lease: Lease | None = None
        self.deadline = math.inf
        self.turned_at = -math.inf
        """The monotonic instant since which its executor has not waited."""
        self.thread_wait: trio.CancelScope | None = None
        """Set while the slot waits for a cancelled handler's thread to end."""


class Backlog:
    """Claimed jobs that no executor has taken yet, highest priority first, then in claim order."""

    __slots__ = ("_lanes", "_parked", "_ring", "_size", "_top", "ageing", "low_water", "wants_idle")

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self.low_water = 0
        """Rings when it falls to so many jobs."""
        self.wants_idle = False
        """Whether it rings when an executor has nothing to do."""
        self.ageing: int | None = None
        """The span of `Options.priority_ageing` in microseconds; the order is then that of `order.place`."""
        self._lanes: dict[int, deque[Lease]] = {}
        self._top: list[int] = []
        """A heap of the negated priorities that have a lane; with ageing, of the places."""
        self._size = 0
        self._parked: deque[trio.lowlevel.Task] = deque()

    def __len__(self) -> int:
        return self._size

    @property
    def idle(self) -> int:
        """How many executors wait for a job."""
        return len(self._parked)

    def put(self, leases: list[Lease]) -> None:
        """Add claimed jobs and wake one executor; it wakes others when its job waits.

        Many jobs end without ever waiting, and then one executor runs through all of them, where
        waking each would cost more than its job.
        """
        lane: deque[Lease] | None = None
        last_priority = 0
        for lease in leases if self.ageing is None else ():
            priority = lease.claimed.request.priority
            if lane is None or priority != last_priority:
                lane, last_priority = self._lane(-priority), priority
            lane.append(lease)
        if self.ageing is not None:
            self._put_aged(leases, self.ageing)
        self._size += len(leases)
        if leases:
            self.wake(1)

    def _put_aged(self, leases: list[Lease], ageing: int) -> None:
        for lease in leases:
            claimed = lease.claimed
            self._lane(place(-claimed.request.priority, claimed.due, 0, ageing)[0]).append(lease)

    def _lane(self, rank: int) -> deque[Lease]:
        lane = self._lanes.get(rank)
        if lane is None:
            lane = self._lanes[rank] = deque()
            heapq.heappush(self._top, rank)
        return lane

    def wake(self, most: int) -> None:
        """Wake as many executors as there are jobs for, ``most`` at most."""
        for _ in range(min(most, self._size, len(self._parked))):
            trio.lowlevel.reschedule(self._parked.popleft())

    def pop(self) -> Lease | None:
        """The next job, if there is one."""
        while self._top:
            lane = self._lanes[self._top[0]]
            if lane:
                self._size -= 1
                if self._size == self.low_water:
                    self._ring()
                return lane.popleft()
            del self._lanes[heapq.heappop(self._top)]
        return None

    def take_all(self) -> list[Lease]:
        """All that wait, in order: for giving them back."""
        taken: list[Lease] = []
        while (lease := self.pop()) is not None:
            taken.append(lease)
        return taken

    async def park(self) -> None:
        """Wait until there is something to take; somebody else may be quicker."""
        task = trio.lowlevel.current_task()
        self._parked.append(task)
        if self.wants_idle:
            self._ring()

        def leave(_raise_cancel: object) -> trio.lowlevel.Abort:
            self._parked.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)


class Alarm:
    """Wakes one task, at once or at an instant; a ring that comes before the wait is kept."""

    __slots__ = ("_rung", "_scope")

    def __init__(self) -> None:
        self._rung = False
        self._scope: trio.CancelScope | None = None

    def ring(self) -> None:
        """Wake the task that waits, or the next one that will."""
        if not self._rung:
            self._rung = True
            if self._scope is not None:
                self._scope.cancel()

    async def wait(self, until: float = math.inf) -> bool:
        """Wait for a ring, or for the monotonic instant ``until``. Returns whether it rang."""
        if not self._rung:
            with trio.CancelScope(deadline=until) as scope:
                self._scope = scope
                try:
                    await trio.sleep_forever()
                finally:
                    self._scope = None
        else:
            await trio.lowlevel.checkpoint()
        rung, self._rung = self._rung, False
        return rung


class Roster:
    """Leases, slots and backlog of one node, with the figures the poller goes by."""

    __slots__ = (
        "active",
        "backlog",
        "changed",
        "deadline_alarm",
        "has_let_go",
        "leases",
        "mean_duration",
        "next_deadline",
        "slots",
        "stopping",
        "unknown_names",
    )

    def __init__(self, concurrency: int) -> None:
        self.leases: dict[JobId, Lease] = {}
        self.slots = [Slot() for _ in range(concurrency)]
        self.changed = Alarm()
        """Rings for the poller when leases were let go of, and when the backlog runs low."""
        self.backlog = Backlog(self.changed.ring)
        self.active: Lease | None = None
        """The lease whose handler holds the event loop at this very moment, for the watchdog."""
        self.deadline_alarm = Alarm()
        self.next_deadline = math.inf
        """The instant for which the heart has set its alarm."""
        self.mean_duration: float | None = None
        """Microseconds a job takes, averaged over the recent ones; ``None`` before the first."""
        self.has_let_go = False
        """Whether a lease was let go of since the last claim was made."""
        self.stopping = False
        """Whether this node is going down, and running jobs should come to an end."""
        self.unknown_names: set[str] = set()
        """Handler names met in claimed jobs that this node did not know, and so claims no more
        until it does."""

    def free(self) -> int:
        """Executors that would take a job at once."""
        return max(0, self.backlog.idle - len(self.backlog))

    def share_work(self) -> None:
        """A handler waits: let other executors take what is in the backlog meanwhile."""
        if self.backlog:
            self.backlog.wake(len(self.slots))

    def watch(self, deadline: float) -> None:
        """See to it that the heart wakes at ``deadline`` at the latest."""
        if deadline < self.next_deadline:
            self.next_deadline = deadline
            self.deadline_alarm.ring()

    def note_duration(self, duration: int) -> None:
        """Take one job's running time into the mean."""
        mean = self.mean_duration
        self.mean_duration = duration if mean is None else mean + 0.05 * (duration - mean)

    def let_go(self, lease: Lease) -> None:
        """The outcome is recorded, or the lease is known to be lost."""
        lease.batch.outstanding -= 1
        # A handler that outlived its lease may find a later attempt of its job here.
        if self.leases.get(lease.claimed.request.id) is lease:
            del self.leases[lease.claimed.request.id]
        successor, lease.successor = lease.successor, None
        if successor is not None:
            self.backlog.put([successor])
        self.has_let_go = True
        self.changed.ring()

    def let_go_all(self, leases: Sequence[Lease]) -> None:
        """`let_go` of many at once."""
        held = self.leases
        for lease in leases:
            lease.batch.outstanding -= 1
            job_id = lease.claimed.request.id
            if held.get(job_id) is lease:
                del held[job_id]
            if lease.successor is not None:
                self.backlog.put([lease.successor])
                lease.successor = None
        self.has_let_go = True
        self.changed.ring()

    def take_unbegun(self) -> list[Lease]:
        """All that no executor has taken, in order: for giving them back."""
        held = self.leases.values()
        followers = [one for one in held if one.follows and one.follows.successor is one]
        return [*self.backlog.take_all(), *followers]
