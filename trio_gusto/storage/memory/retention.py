"""Which jobs of a `MemoryStorage` are old enough to go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from ...model.ids import JobId
from ...model.job import StoredJob
from ..retention_messages import Prune, Pruned
from .index import ENDED, Index

IsNeeded = Callable[[StoredJob], object]
"""Whether somebody still needs a job, whatever its age."""


def old_jobs(
    prune: Prune, jobs: Mapping[JobId, StoredJob], index: Index, is_needed: IsNeeded
) -> tuple[Sequence[StoredJob], Pruned]:
    """The jobs to be deleted, and the reply that says so."""
    if prune.only is None and not prune.but:
        return _oldest(prune, index, is_needed)
    return _selected(prune, jobs, index, is_needed)


def _oldest(prune: Prune, index: Index, is_needed: IsNeeded) -> tuple[Sequence[StoredJob], Pruned]:
    """Those that ended first."""
    old: dict[JobId, StoredJob] = {}
    kept: list[StoredJob] = []
    while len(old) < prune.limit:
        job = index.ended.take(prune.ended_before - 1)
        if job is None:
            break
        if not isinstance(job.state, ENDED):
            continue  # an agenda may name one that is gone
        if is_needed(job):
            kept.append(job)
        else:
            old[job.request.id] = job
    for job in kept:
        index.enter(job)
    return tuple(old.values()), Pruned(len(old), more=0 < len(old) == prune.limit)


def _selected(
    prune: Prune, jobs: Mapping[JobId, StoredJob], index: Index, is_needed: IsNeeded
) -> tuple[Sequence[StoredJob], Pruned]:
    """Those that the message selects, among the next ``limit`` jobs in the order they came.

    The mark is how many jobs lie before. Where others are deleted meanwhile some may be passed over;
    a fresh look finds them.
    """
    begin = 0 if prune.mark is None else prune.mark[0]
    looked_at = list(islice(jobs.values(), begin, begin + prune.limit))
    old = [job for job in looked_at if _is_meant(job, prune) and not is_needed(job)]
    for job in old:
        index.ended.lose(job)
    if len(looked_at) < prune.limit:
        return old, Pruned(len(old))
    return old, Pruned(len(old), more=True, mark=(begin + prune.limit - len(old),))


def _is_meant(job: StoredJob, prune: Prune) -> bool:
    state, details = job.state, job.request.details
    if not isinstance(state, ENDED) or state.ended_at >= prune.ended_before:
        return False
    of_job = (state.word, job.request.tenant, () if details is None else details.tags)
    if prune.only is not None and not prune.only.accepts(*of_job):
        return False
    return not any(selection.accepts(*of_job) for selection in prune.but)
