"""Earlier runs in memory."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from itertools import islice

from ...model.job import StoredJob
from ...model.states import Completed
from ..run_messages import PastRuns, RunsFound
from .index import ENDED


def past_runs(jobs: Iterable[StoredJob], query: PastRuns) -> RunsFound:
    """Those of ``jobs``, all there are, that are asked for."""
    if query.schedule is None:
        newest = nlargest(query.look, filter(_has_ended, jobs), key=_end)
    else:
        made = (job for job in jobs if _is_of(job, query.schedule))
        newest = nlargest(query.look, made, key=lambda job: job.sequence)
    durations = (
        job.state.ended_at - job.state.started_at
        for job in newest
        if isinstance(job.state, Completed)
        and job.request.name == query.name
        and _worker_of(job) == query.worker
    )
    return RunsFound(tuple(islice(durations, query.limit)))


def _has_ended(job: StoredJob) -> bool:
    return isinstance(job.state, ENDED)


def _end(job: StoredJob) -> tuple[int, int]:
    assert isinstance(job.state, ENDED)
    return job.state.ended_at, job.sequence


def _is_of(job: StoredJob, schedule: str) -> bool:
    details = job.request.details
    return details is not None and details.schedule_name == schedule


def _worker_of(job: StoredJob) -> str | None:
    details = job.request.details
    return None if details is None else details.worker
