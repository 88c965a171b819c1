"""What this node holds and runs: its leases, its executors' slots, and the jobs in between.

Everything in here can be lost: the storage knows the leases, and a start or a sweep finds them
again. Poller, executors and heart share one `Roster`; it does no work of its own.

Rule: a lease is held from its claim until its outcome is recorded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..model.ids import JobId
from ..model.job import Details
from ..model.lanes import lane_of, room_of
from .alarm import Alarm
from .backlog import Backlog
from .lease import Lease, Slot
from .line import Line


class Roster:
    """Leases, slots and backlog of one node, with the figures the poller goes by."""

    __slots__ = (
        "_newest_counts",
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
        "occupied",
        "slots",
        "stopping",
        "unknown_names",
    )

    def __init__(self, concurrency: int, ageing: int | None = None) -> None:
        self.leases: dict[JobId, Lease] = {}
        self.lines: dict[str, Line] = {}
        """Of the lanes whose jobs run alone, and of which any is here."""
        self.concurrency = concurrency
        """How many jobs may run at once. There are more slots while others still have to end."""
        self.slots = [Slot(self.watch) for _ in range(concurrency)]
        self.grown = Alarm()
        """Rings for the executors when there are slots that nobody serves."""
        self.changed = Alarm()
        """Rings for the poller when leases were let go of, and when the backlog runs low."""
        self.backlog = Backlog(self.changed.ring, ageing)
        self.active: Lease | None = None
        """The lease whose handler holds the event loop at this very moment, for the watchdog."""
        self.occupied = Alarm()
        """Rings for the heart when there are leases again, after there were none."""
        self.deadline_alarm = Alarm()
        self.next_deadline = math.inf
        """The instant for which the heart has set its alarm."""
        self.mean_duration: float | None = None
        """Microseconds a job takes, averaged over the recent ones; ``None`` before the first."""
        self._newest_counts = 1.0
        """How much of the mean the next job makes: as much as each of the first twenty, then no less."""
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
            self.slots += [Slot(self.watch) for _ in range(-surplus)]
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
        mean, share = self.mean_duration, self._newest_counts
        self.mean_duration = duration if mean is None else mean + share * (duration - mean)
        if share != 0.05:
            self._newest_counts = max(0.05, share / (1 + share))

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
