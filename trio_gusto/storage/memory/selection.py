"""A claim that cannot take whatever is ready: jobs in lanes are, there are pauses or rates of queues, or the
order is another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heapreplace

from ...model.admission import Admission, key_limit
from ...model.job import JobRequest, StoredJob
from ...model.lanes import room_of
from ...model.order import Place, place
from .agenda import Agenda
from .lanes import Heads, Line

PlainKey = tuple[int, str, str | None]
"""The negated priority and the queue of jobs that are in no lane, and whose they are, where that matters."""


def take_selected(
    agendas: Mapping[PlainKey, Agenda],
    heads: Heads,
    now: int,
    limit: int,
    admission: Admission,
    is_wanted: Callable[[JobRequest], bool] | None,
    ageing: int | None = None,
) -> tuple[list[StoredJob], list[StoredJob]]:
    """Take up to ``limit`` jobs, in claim order, and whatever is not wanted before them (``None`` wants all);
    none behind the first for which its queue has no token.

    Returns:
        The jobs taken, and those to be put back.
    """
    taken: list[StoredJob] = []
    passed_over: list[StoredJob] = []
    fronts = Fronts(agendas, now, ageing)
    plain = fronts.first()
    in_lane = heads.first()
    while len(taken) < limit and (plain is not None or in_lane is not None):
        if in_lane is None or (plain is not None and plain < in_lane[0]):
            assert plain is not None
            job = fronts.take()
            plain = fronts.first()
            if job is not None and not is_over(job, now):
                if is_wanted is not None and not is_wanted(job.request):
                    passed_over.append(job)
                elif admission.admit_plain(job.request.queue):
                    taken.append(job)
                else:
                    passed_over.append(job)
                    break
            continue
        _, job, line = in_lane
        request = job.request
        if is_over(job, now):
            heads.take(job, line)
        elif is_wanted is not None and not is_wanted(request):
            heads.take(job, line)
            passed_over.append(job)
        elif admits(admission, heads, job, line):
            taken.append(job)
        elif request.queue in admission.closed_queues:
            break
        in_lane = heads.first()
    heads.close()
    return taken, passed_over


def admits(admission: Admission, heads: Heads, job: StoredJob, line: Line) -> bool:
    """Take the first job out of its line if it may be taken. If not, and it is not for want of a token of its
    queue, nothing behind it is met any more."""
    request, lane = job.request, line.lane
    spends_last = job.attempt + 1 >= request.max_attempts
    limit = key_limit(request)
    if admission.admit(request.queue, lane, room_of(request), limit, spends_last=spends_last):
        heads.take(job, line, parks=lane in admission.lanes.closed)
        return True
    if request.queue not in admission.closed_queues:
        heads.park(line, is_for_now=lane in admission.waiting_lanes)
    return False


def is_over(job: StoredJob, now: int) -> bool:
    """Whether it is past its ``expire_on``; then it is written down as overdue."""
    expire_on = job.request.expire_on
    return expire_on is not None and expire_on <= now


class Fronts:
    """The first jobs of agendas, in claim order; one that is not due is met, and not taken."""

    def __init__(
        self, agendas: Mapping[PlainKey, Agenda], now: int, ageing: int | None = None
    ) -> None:
        self._now = now
        self._ageing = ageing
        self._last: StoredJob | None = None
        self._heap = [
            (place(key[0], first[0], first[1], ageing), number, key[0], agenda)
            for number, (key, agenda) in enumerate(agendas.items())
            if (first := agenda.first()) is not None
        ]
        heapify(self._heap)

    def first(self) -> Place | None:
        """Where the first of all stands."""
        return self._heap[0][0] if self._heap else None

    def take(self) -> StoredJob | None:
        """That job; ``None`` if it is not due, or was written down twice, and has been taken."""
        _, number, rank, agenda = self._heap[0]
        job = agenda.take(self._now)
        first = agenda.first()
        if first is None or first[0] > self._now:
            heappop(self._heap)
        else:
            following = place(rank, first[0], first[1], self._ageing)
            heapreplace(self._heap, (following, number, rank, agenda))
        if job is self._last:
            return None
        self._last = job
        return job
