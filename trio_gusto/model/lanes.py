"""Lanes: of the jobs of one lane only so many run at once, in order, wherever they run.

A named worker is a lane with room for one. A concurrency key is one whose room each job says for itself.
A rate key is one with room for all: its jobs wait for tokens (`admission`), one behind the other.
A lane is occupied by the leases of its jobs and by nothing else, so it is free again exactly when they
are: settled, given back or recovered. Nothing is remembered.

Where there is room for one, a node may be given several jobs in a row. It runs them strictly one after
another, so one of them at most is running; and until all of them are settled, no other node gets any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from .job import JobRequest

OF_WORKER, OF_KEY, OF_RATE = "worker ", "key ", "rate "
"""What the names of lanes begin with, by kind."""

ROOM_FOR_ALL = 2**31
"""Of the lane of a rate key."""


def lane_of(request: JobRequest) -> str | None:
    """The name of the lane a job is in, if any; most are in none. A rate key makes one only where there is
    no other. Workers and keys of one name are apart."""
    details = request.details
    if details is None:
        return None
    if details.worker is not None:
        return OF_WORKER + details.worker
    if details.concurrency_key is not None:
        return OF_KEY + details.concurrency_key
    return None if details.rate_key is None else OF_RATE + details.rate_key


def lane_of_worker(worker: str) -> str:
    """The lane of a named worker."""
    return OF_WORKER + worker


def room_of(request: JobRequest) -> int:
    """How many jobs of its lane may run at once for this one to be among them."""
    details = request.details
    if details is None:
        return 1
    if (
        details.rate_key is None
        or details.worker is not None
        or details.concurrency_key is not None
    ):
        return details.concurrency_limit
    return ROOM_FOR_ALL


def can_be_full(lane: str) -> bool:
    """Whether leases can be what keeps jobs of a lane waiting."""
    return not lane.startswith(OF_RATE)


def makes_others_wait(request: JobRequest) -> bool:
    """Whether others behind it in its lane may wait for nothing but its end."""
    lane = lane_of(request)
    return lane is not None and can_be_full(lane)


@attrs.define
class Occupancy:
    """The leases in one lane: how many, how many of them on jobs that run alone, and of those the
    ones that the claiming node holds."""

    leases: int = 0
    singles: int = 0
    own: int = 0

    def add(self, room: int, count: int = 1, *, is_own: bool) -> None:
        """So many leases more, on jobs with this ``room``."""
        self.leases += count
        if room == 1:
            self.singles += count
            if is_own:
                self.own += count

    def room_for(self, room: int, depth: int, *, spends_last: bool = False) -> int:
        """How many jobs with this ``room`` may be leased besides.

        Behind another, a job waits for its turn; so none is put there that would spend its last
        attempt, and no more than ``depth`` are leased ahead to one node.
        """
        if room > 1:
            return max(0, room - self.leases) if self.singles <= 1 else 0
        if self.own != self.leases:
            return 0
        if spends_last:
            return 0 if self.leases else 1
        return max(0, depth - self.own)


class Lanes:
    """What is leased in each lane, while a claim is filled.

    A lane whose next job may not be taken is closed for the rest of the claim: those behind it must
    not overtake it. ``find`` tells what is leased in a lane already, and gives it away. ``depth`` is the
    number of jobs that run alone which the claiming node may hold of one lane.
    """

    def __init__(self, find: Callable[[str], Occupancy | None], depth: int = 1) -> None:
        self.closed: set[str] = set()
        self._find = find
        self._depth = depth
        self._met: dict[str, Occupancy] = {}

    @classmethod
    def of(cls, leased: Iterable[tuple[str, int, int, int]], depth: int) -> Lanes:
        """``leased``: each lane with what an `Occupancy` holds."""
        occupied = {lane: Occupancy(*numbers) for lane, *numbers in leased}
        lanes = cls(occupied.get, depth)
        lanes.closed.update(
            lane for lane, occupancy in occupied.items() if _is_full(lane, occupancy, depth)
        )
        return lanes

    def admit(self, lane: str, room: int, count: int = 1, *, spends_last: bool) -> int:
        """How many of the next ``count`` jobs of a lane in claim order, all alike, may be taken; these are."""
        taken = min(count, self.room_for(lane, room, spends_last=spends_last))
        if taken:
            self.take(lane, room, taken)
        if taken < count:
            self.closed.add(lane)
        return taken

    def room_for(self, lane: str, room: int, *, spends_last: bool) -> int:
        """How many of the next jobs of a lane in claim order, all alike, may be taken."""
        if lane in self.closed:
            return 0
        occupancy = self._met.get(lane)
        if occupancy is None:
            occupancy = self._find(lane)
            if occupancy is None and self._depth == 1 and lane.startswith(OF_WORKER):
                return 1  # it is free
            occupancy = self._met[lane] = occupancy or Occupancy()
        return occupancy.room_for(room, self._depth, spends_last=spends_last)

    def take(self, lane: str, room: int, count: int = 1) -> None:
        """Jobs for which there was room are taken."""
        occupancy = self._met.get(lane)
        if occupancy is None:
            self.closed.add(lane)  # it was free, and had room for this one alone
            return
        occupancy.add(room, count, is_own=True)
        if occupancy.own >= self._depth and _is_full(lane, occupancy, self._depth):
            self.closed.add(lane)


def _is_full(lane: str, occupancy: Occupancy, depth: int) -> bool:
    """Whether it is known that no other job may be taken: all jobs of a named worker run alone."""
    return lane.startswith(OF_WORKER) and not occupancy.room_for(1, depth)
