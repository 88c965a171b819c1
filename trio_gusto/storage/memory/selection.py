"""A claim that cannot take whatever is ready: named workers have jobs, or there are pauses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby

from ...model.job import JobRequest, StoredJob
from ...model.lanes import Lanes
from .agenda import Agenda

LaneKey = tuple[int, str, str]
"""The negated priority, the queue, and the named worker, if any."""


def take_selected(
    agendas: Mapping[LaneKey, Agenda],
    now: int,
    limit: int,
    lanes: Lanes,
    is_wanted: Callable[[JobRequest], bool],
) -> tuple[list[StoredJob], list[StoredJob]]:
    """Take up to ``limit`` jobs out of agendas, in claim order, and whatever stands in their way.

    Returns:
        The jobs taken, and those to be put back.
    """
    taken: list[StoredJob] = []
    passed_over: list[StoredJob] = []
    for _, keys in groupby(sorted(agendas), key=lambda key: key[0]):
        open_lanes = [(key[2] or None, agendas[key]) for key in keys]
        while len(taken) < limit:
            heads = [
                (first, worker, agenda)
                for worker, agenda in open_lanes
                if lanes.is_free(worker)
                and (first := agenda.first()) is not None
                and first[0] <= now
            ]
            if not heads:
                break
            _, worker, agenda = min(heads, key=lambda head: head[0][:2])
            job = agenda.take(now)
            assert job is not None
            expire_on = job.request.expire_on
            if expire_on is not None and expire_on <= now:
                continue  # it is written down as overdue
            if not is_wanted(job.request):
                passed_over.append(job)
            elif lanes.admit(worker):
                taken.append(job)
    return taken, passed_over


def any_claimable(agenda: Agenda, now: int) -> bool:
    """Whether the due instant and the ``expire_on`` of any job in it allow a claim."""
    while (first := agenda.first()) is not None and first[0] <= now:
        expire_on = first[2].request.expire_on
        if expire_on is None or expire_on > now:
            return True
        agenda.take(now)  # it is written down as overdue
    return False
