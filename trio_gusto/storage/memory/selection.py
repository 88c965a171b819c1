"""A claim that cannot take whatever is ready: jobs in lanes are, or there are pauses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby

from ...model.job import JobRequest, StoredJob
from ...model.lanes import Lanes, lane_of, room_of
from .agenda import Agenda
from .lanes import Heads, Place

PlainKey = tuple[int, str, str]
"""The negated priority and the queue of jobs that are in no lane, and whose they are, where that matters."""


def tenant_of(key: PlainKey) -> str:
    """The tenant whose jobs stand there."""
    return key[2].removeprefix("of ")


def take_selected(
    agendas: Mapping[PlainKey, Agenda],
    heads: Heads,
    now: int,
    limit: int,
    lanes: Lanes,
    is_wanted: Callable[[JobRequest], bool],
) -> tuple[list[StoredJob], list[StoredJob]]:
    """Take up to ``limit`` jobs, in claim order, and whatever is not wanted before them.

    Returns:
        The jobs taken, and those to be put back.
    """
    taken: list[StoredJob] = []
    passed_over: list[StoredJob] = []
    plain = _first_of(agendas, now)
    in_lane = heads.first()
    while len(taken) < limit and (plain is not None or in_lane is not None):
        if in_lane is None or (plain is not None and plain[0] < in_lane[0]):
            assert plain is not None
            job = plain[1].take(now)
            assert job is not None
            plain = _first_of(agendas, now)
            if not is_over(job, now):
                (taken if is_wanted(job.request) else passed_over).append(job)
            continue
        place, job, line = in_lane
        request = job.request
        if is_over(job, now):
            heads.take(place, line)
        elif not is_wanted(request):
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


def _first_of(agendas: Mapping[PlainKey, Agenda], now: int) -> tuple[Place, Agenda] | None:
    """The first place in claim order where a job in no lane is due, and the agenda it stands in."""
    for rank, keys in groupby(sorted(agendas), key=lambda key: key[0]):
        heads = [
            ((rank, first[0], first[1]), agendas[key])
            for key in keys
            if (first := agendas[key].first()) is not None and first[0] <= now
        ]
        if heads:
            return min(heads, key=lambda head: head[0])
    return None


def in_lanes(jobs: Iterable[StoredJob]) -> bool:
    """Whether any of these jobs is in a lane."""
    return any(lane_of(job.request) is not None for job in jobs)
