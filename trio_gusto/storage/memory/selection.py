"""A claim that cannot take whatever is ready: some jobs have to wait for others, for tokens or for a pause
to end; or one that takes them in the order of ageing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby

from ...model.admission import Admission
from ...model.job import JobRequest, StoredJob
from ...model.order import place
from .agenda import Agenda

LaneKey = tuple[int, str, str, str]
"""The negated priority, the queue, and the named worker and the rate key, if any."""


def take_selected(
    agendas: Mapping[LaneKey, Agenda],
    now: int,
    limit: int,
    admission: Admission,
    is_wanted: Callable[[JobRequest], bool],
    ageing: int | None = None,
) -> tuple[list[StoredJob], list[StoredJob]]:
    """Take up to ``limit`` jobs out of agendas, in claim order, and whatever stands in their way.

    Returns:
        The jobs taken, and those to be put back.
    """
    taken: list[StoredJob] = []
    passed_over: list[StoredJob] = []
    # Without ageing one priority comes after the other, and fewer heads have to be compared.
    for _, keys in groupby(sorted(agendas), key=lambda key: key[0] if ageing is None else None):
        open_lanes = [(key, agendas[key]) for key in keys]
        while len(taken) < limit:
            heads = [
                (place(key[0], first[0], first[1], ageing), key, agenda)
                for key, agenda in open_lanes
                if admission.is_open(key[1], key[2] or None, key[3] or None)
                and (first := agenda.first()) is not None
                and first[0] <= now
            ]
            if not heads:
                break
            _, (_, queue, worker, key), agenda = min(heads, key=lambda head: head[0])
            job = agenda.take(now)
            assert job is not None
            expire_on = job.request.expire_on
            if expire_on is not None and expire_on <= now:
                continue  # it is written down as overdue
            details = job.request.details
            limit_of_key = None if details is None else details.rate_limit
            if is_wanted(job.request) and admission.admit(
                queue, worker or None, key or None, limit_of_key
            ):
                taken.append(job)
            else:
                passed_over.append(job)
    return taken, passed_over


def any_claimable(agenda: Agenda, now: int) -> bool:
    """Whether the due instant and the ``expire_on`` of any job in it allow a claim."""
    while (first := agenda.first()) is not None and first[0] <= now:
        expire_on = first[2].request.expire_on
        if expire_on is None or expire_on > now:
            return True
        agenda.take(now)  # it is written down as overdue
    return False
