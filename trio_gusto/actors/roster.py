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
from ..model.job import ClaimedJob, Details, JobRequest
from ..model.lanes import lane_of, room_of
from ..model.states import JobState, State
from .line import Line
from .probe import BatchRecord

NewJob = tuple[JobRequest, State]
"""A job that is not stored yet, and its first state."""


class Cause(Enum):
    """Why a running handler is cancelled."""

    TIMEOUT = auto()
    CANCEL = auto()
    FENCE = auto()
    SHUTDOWN = auto()
    PAUSE = auto()
    SHRINK = auto()


class Lease:
    """One claimed job in this process, from the claim until its outcome is recorded."""

    __slots__ = (
        "batch",
        "cancel_reason",
        "cause",
        "children",
        "claimed",
        "fence",
        "is_behind",
        "line",
        "over",
        "parents",
        "recorded",
        "slot",
        "started_at",
        "state",
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
        self.children: list[NewJob] | None = None
        """The jobs that its handler wants stored with its success."""
        self.waited = False
        """Whether the handler has let the event loop have its turn."""
        self.line: Line | None = None
        """Where it stands, if others have to wait for it, or it for them."""
        self.is_behind = False
        """Whether it was claimed to wait in a line, which then hands it to the executors."""
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
        """Whether the next job needs another scope, because this one was cancelled, or may need
        another slot, because there are to be fewer."""
        self.lease: Lease | None = None
        self.deadline = math.inf
        self.turned_at = -math.inf
        """The monotonic instant since which its executor has not waited."""
        self.thread_wait: trio.CancelScope | None = None
        """Set while the slot waits for a cancelled handler's thread to end."""


class Backlog:
    """Claimed jobs that no executor has taken yet, highest priority first, then in claim order."""

    __slots__ = ("_lanes", "_parked", "_ring", "_size", "_top", "low_water", "wants_idle")

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self.low_water = 0
        """Rings when it falls to so many jobs."""
        self.wants_idle = False
        """Whether it rings when an executor has nothing to do."""
        self._lanes: dict[int, deque[Lease]] = {}
        self._top: list[int] = []
        """A heap of the negated priorities that have a lane."""
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
        for lease in leases:
            priority = lease.claimed.request.priority
            if lane is None or priority != last_priority:
                lane, last_priority = self._lane(priority), priority
            lane.append(lease)
        self._size += len(leases)
        if leases:
            self.wake(1)

    def put_first(self, lease: Lease) -> None:
        """Add one that was claimed before most that wait; the executor that asks next takes it."""
        self._lane(lease.claimed.request.priority).appendleft(lease)
        self._size += 1

    def _lane(self, priority: int) -> deque[Lease]:
        lane = self._lanes.get(-priority)
        if lane is None:
            lane = self._lanes[-priority] = deque()
            heapq.heappush(self._top, -priority)
        return lane

    def wake(self, most: int) -> None:
        """Wake as many executors as there are jobs for, ``most`` at most."""
        for _ in range(min(most, self._size, len(self._parked))):
            trio.lowlevel.reschedule(self._parked.popleft())

    def call_in(self, most: int) -> None:
        """Wake so many executors that wait, at most, although there may be nothing to take."""
        for _ in range(min(most, len(self._parked))):
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
        "concurrency",
        "deadline_alarm",
        "grown",
        "has_let_go",
        "leases",
        "lines",
        "mean_duration",
        "next_deadline",
        "slots",
        "stopping",
        "unknown_names",
    )

    def __init__(self, concurrency: int) -> None:
        self.leases: dict[JobId, Lease] = {}
        self.lines: dict[str, Line] = {}
        """Of the lanes whose jobs run alone, and of which any is here."""
        self.concurrency = concurrency
        """How many jobs may run at once. There are more slots while others still have to end."""
        self.slots = [Slot() for _ in range(concurrency)]
        self.grown = Alarm()
        """Rings for the executors when there are slots that nobody serves."""
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
        """Whether a lease was let go of since the last claim was made, so that a lane may have room."""
        self.stopping = False
        """Whether this node is going down, and running jobs should come to an end."""
        self.unknown_names: set[str] = set()
        """Handler names met in claimed jobs that this node did not know, and so claims no more
        until it does."""

    def free(self) -> int:
        """Executors that would take a job at once."""
        return max(0, self.backlog.idle - len(self.backlog))

    def resize(self, concurrency: int) -> None:
        """Have so many slots: more at once, fewer as those that are taken become free."""
        self.concurrency = concurrency
        surplus = len(self.slots) - concurrency
        if surplus < 0:
            self.slots += [Slot() for _ in range(-surplus)]
            self.grown.ring()
        elif surplus:
            # Whichever is free first has to leave, and nobody asks for that before each job.
            for slot in self.slots:
                slot.used_up = True
            self.backlog.call_in(surplus)

    def keeps(self, slot: Slot) -> bool:
        """Whether a slot that is free goes on; those that ask first leave, if there are too many."""
        if len(self.slots) <= self.concurrency:
            return True
        self.slots.remove(slot)
        return False

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
        if lease.line is not None:
            self.step_out(lease)
            self.backlog.wake(1)
        self.has_let_go = True
        self.changed.ring()

    def let_go_all(self, leases: Sequence[Lease], *, frees_lanes: bool) -> None:
        """`let_go` of many at once, whose handlers have returned. ``frees_lanes``: as `step_out` said."""
        held = self.leases
        for lease in leases:
            lease.batch.outstanding -= 1
            job_id = lease.claimed.request.id
            if held.get(job_id) is lease:
                del held[job_id]
        if frees_lanes:
            self.has_let_go = True
        self.changed.ring()

    def stand_in_lanes(self, leases: Sequence[Lease]) -> None:
        """See to it that those just claimed wait for what must not run beside them in their lanes.

        A job in a lane with more room stands in a line of its own: its end makes room for another.
        """
        details: Details | None = None
        lane, room = None, 0
        for lease in leases:
            request = lease.claimed.request
            if request.details is None or lease.line is not None:
                continue
            if request.details is not details:  # jobs of one lane often share theirs
                details = request.details
                lane, room = lane_of(request), room_of(request)
            if lane is None:
                continue
            line = self.lines.get(lane) if room == 1 else Line(lease)
            if line is None:
                lease.line = self.lines[lane] = Line(lease, lane)
            elif line.front is lease:
                lease.line = line
            else:
                line.join(lease)
                line.low_water = len(line.waiting) // 2

    def follow(self, lease: Lease, former: Lease) -> None:
        """Let ``lease``, just won back, wait for the end of the lost attempt of its job.

        That one may stand in the line of a lane, and then so does this.
        """
        if former.over:
            return
        if former.line is None:
            former.line = Line(former)
        former.line.join(lease)

    def step_out(self, lease: Lease) -> bool:
        """Its handler has ended, or will not be entered: let the next in its line go on.

        Nobody is woken for that: an executor whose job has ended takes the next one itself.

        Returns:
            Whether it is worth while to claim more of its lane when its end is recorded.
        """
        line, lease.line = lease.line, None
        assert line is not None
        following = line.leave(lease)
        left = len(line.waiting)
        if following is not None:
            self.backlog.put_first(following)
            if left == line.low_water:
                self.has_let_go = True  # so that more are claimed in time
                self.changed.ring()
        elif line.front is None and line.lane is not None:
            self.lines.pop(line.lane, None)
        return left <= line.low_water

    def take_unbegun(self) -> list[Lease]:
        """All that no executor has taken, in order: for giving them back."""
        waiting: list[Lease] = []
        for lease in self.leases.values():
            if lease.line is not None and lease.line.waiting:
                waiting += lease.line.waiting
                lease.line.waiting.clear()
        return [*self.backlog.take_all(), *waiting]
