"""A job's attempts, read back from what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from .job import AttemptRecord, ClaimedJob, StoredJob
from .outcomes import AttemptOutcome
from .states import Completed, Processing


def attempts_of(job: StoredJob) -> Sequence[AttemptRecord | Processing | Completed]:
    """All attempts of a job: those recorded, then the one that its state itself records.

    A job that had to wait for its callback has a record of the attempt that succeeded.
    """
    state = job.state
    if isinstance(state, Processing) or (isinstance(state, Completed) and not _has_success(job)):
        return (*job.history, state)
    return job.history


def token_of(attempt: AttemptRecord | Processing | Completed, job: StoredJob) -> int:
    """The token of the lease of one attempt, of those that `attempts_of` lists."""
    match attempt:
        case AttemptRecord():
            return attempt.token
        case Processing():
            return job.version
        case Completed():
            return job.version - 1  # that it ended was the last change
        case _:
            assert_never(attempt)


def _has_success(job: StoredJob) -> bool:
    return bool(job.history) and job.history[-1].outcome is AttemptOutcome.SUCCEEDED


def claimed_again(job: StoredJob) -> ClaimedJob:
    """The claim that a processing job is under, read back from the storage.

    Used to settle an attempt in its node's place, when that has vanished. The instant it was due
    at is not kept while a job runs; what it was first due at serves for it, or the claim itself if
    that came sooner (a job retried by hand does not wait for its `execute_after`).
    """
    state, request = job.state, job.request
    assert isinstance(state, Processing)
    due = request.created_at if request.execute_after is None else request.execute_after
    due = min(due, state.claimed_at)
    return ClaimedJob(request, job.attempt, job.version, due, state.node, state.claimed_at)
