"""The backlog: jobs that are leased to this node and wait for one of its executors."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

import trio

from ..model.job import ClaimedJob
from ..model.order import place
from .lease import Lease


class Backlog:
    """Claimed jobs that no executor has taken yet, highest priority first, then in claim order."""

    __slots__ = ("_lanes", "_parked", "_ring", "_size", "_top", "ageing", "is_wanted", "low_water")

    def __init__(self, ring: Callable[[], None], ageing: int | None = None) -> None:
        self._ring = ring
        self.ageing = ageing
        """The span of `Options.priority_ageing` in microseconds; the order is then that of `order.place`."""
        self.low_water = 0
        """Whether it runs low: when it falls to so many jobs."""
        self.is_wanted = False
        """Whether it rings when it runs low, and when an executor has nothing to do."""
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
        for lease in leases:
            priority = lease.claimed.request.priority
            if self.ageing is not None:
                lane = self._lane(self._rank(lease.claimed))
            elif lane is None or priority != last_priority:
                lane, last_priority = self._lane(-priority), priority
            lane.append(lease)
        self._size += len(leases)
        self.wake(1)

    def put_first(self, lease: Lease) -> None:
        """Add one that was claimed before most that wait; the executor that asks next takes it."""
        self._lane(self._rank(lease.claimed)).appendleft(lease)
        self._size += 1

    def _rank(self, claimed: ClaimedJob) -> int:
        return place(-claimed.request.priority, claimed.due, 0, self.ageing)[0]

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
                if self.is_wanted and self._size == self.low_water:
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
        if self.is_wanted:
            self._ring()

        def leave(_raise_cancel: object) -> trio.lowlevel.Abort:
            self._parked.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)
