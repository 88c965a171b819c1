"""Jobs as queries for many of them are answered: counted, or in brief."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice

import attrs

from ...model.ids import JobId
from ...model.job import StoredJob
from ...model.states import JobState, Ready
from ..criteria import satisfies
from ..finding_messages import Find, Tallied


def tally(jobs: Iterable[StoredJob]) -> Tallied:
    """All jobs, counted."""
    counts: Counter[tuple[JobState, str, str]] = Counter()
    oldest: int | None = None
    for job in jobs:
        state, request = job.state, job.request
        counts[state.word, request.queue, request.tenant] += 1
        if isinstance(state, Ready):
            oldest = state.due if oldest is None else min(oldest, state.due)
    return Tallied(dict(counts), oldest)


def newest(jobs: dict[JobId, StoredJob], find: Find) -> list[StoredJob]:
    """The newest of ``jobs``, which are in order, that satisfy ``find``; in brief."""
    older = (job for job in reversed(jobs.values()) if _is_before(job, find.before))
    return [
        brief(job) for job in islice((job for job in older if satisfies(job, find)), find.limit)
    ]


def _is_before(job: StoredJob, sequence: int | None) -> bool:
    return sequence is None or job.sequence < sequence


def brief(job: StoredJob) -> StoredJob:
    """A copy with the last record of its history at most."""
    return attrs.evolve(job, history=tuple(job.history[-1:]))
