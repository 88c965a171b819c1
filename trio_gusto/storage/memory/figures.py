"""Jobs as queries for many of them are answered: counted, or in brief."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs

from ...model.job import StoredJob
from ...model.states import JobState, Ready
from ..messages import Tallied


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


def brief(job: StoredJob) -> StoredJob:
    """A copy with the last record of its history at most."""
    return attrs.evolve(job, history=tuple(job.history[-1:]))
