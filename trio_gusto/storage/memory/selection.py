"""A claim that cannot take whatever is ready: jobs in lanes are, or there are pauses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heapreplace

from ...model.job import JobRequest, StoredJob
from ...model.lanes import Lanes, room_of
from .agenda import Agenda
from .lanes import Heads, Place

PlainKey = tuple[int, str, str | None]
"""The negated priority and the queue of jobs that are in no lane, and whose they are, where that matters."""


def take_selected(
    agendas: Mapping[PlainKey, Agenda],
    heads: Heads,
    now: int,
    limit: int,
    lanes: Lanes,
    is_wanted: Callable[[JobRequest], bool] | None,
) -> tuple[list[StoredJob], list[StoredJob]]:
    """Take up to ``limit`` jobs, in claim order, and whatever is not wanted before them; ``None`` wants all.

    Returns:
        The jobs taken, and those to be put back.
    """
    taken: list[StoredJob] = []
    passed_over: list[StoredJob] = []
    fronts = Fronts(agendas, now)
    plain = fronts.first()
    in_lane = heads.first()
    while len(taken) < limit and (plain is not None or in_lane is not None):
        if in_lane is None or (plain is not None and plain < in_lane[0]):
            assert plain is not None
            job = fronts.take()
            plain = fronts.first()
            if job is not None and not is_over(job, now):
                unwanted = is_wanted is not None and not is_wanted(job.request)
                (passed_over if unwanted else taken).append(job)
            continue
        place, job, line = in_lane
        request = job.request
        if is_over(job, now):
            heads.take(place, line)
        elif is_wanted is not None and not is_wanted(request):
            heads.take(place, line)
            passed_over.append(job)
        elif lanes.admit(
            line.lane, room_of(request), spends_last=job.attempt + 1 >= request.max_attempts
        ):
            heads.take(place, line, parks=line.lane in lanes.closed)
            taken.append(job)
        else:
            heads.park(line)
        in_lane = heads.first()
    heads.close()
    return taken, passed_over


def is_over(job: StoredJob, now: int) -> bool:
    """Whether it is past its ``expire_on``; then it is written down as overdue."""
    expire_on = job.request.expire_on
    return expire_on is not None and expire_on <= now


class Fronts:
    """The first jobs of agendas, in claim order, as far as they are due."""

    def __init__(self, agendas: Mapping[PlainKey, Agenda], now: int) -> None:
        self._now = now
        self._last: StoredJob | None = None
        self._heap = [
            (key[0], first[0], first[1], number, agenda)
            for number, (key, agenda) in enumerate(agendas.items())
            if (first := agenda.first()) is not None and first[0] <= now
        ]
        heapify(self._heap)

    def first(self) -> Place | None:
        """Where the first of all stands."""
        return self._heap[0][:3] if self._heap else None

    def take(self) -> StoredJob | None:
        """That job; ``None`` if it was written down twice, and has been taken."""
        rank, _, _, number, agenda = self._heap[0]
        job = agenda.take(self._now)
        first = agenda.first()
        if first is None or first[0] > self._now:
            heappop(self._heap)
        else:
            heapreplace(self._heap, (rank, first[0], first[1], number, agenda))
        if job is self._last:
            return None
        self._last = job
        return job
