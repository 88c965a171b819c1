"""The facts about jobs that this node claims and runs, as they are announced. Made only where somebody listens."""

from __future__ import annotations

from datetime import datetime

from ..model.facts import (
    JobAwaitsCallback,
    JobClaimed,
    JobFinished,
    JobRetrying,
    JobStarted,
    LeaseRefused,
)
from ..model.ids import to_uuid
from ..model.instants import to_datetime
from ..model.job import ClaimedJob
from ..model.outcomes import Outcome, describe
from ..model.states import AwaitingCallback, Failed, Ready, Scheduled, State


def job_claimed(job: ClaimedJob) -> JobClaimed:
    """This node has leased it."""
    return JobClaimed(
        at=to_datetime(job.claimed_at),
        job_id=to_uuid(job.request.id),
        name=job.request.name,
        queue=job.request.queue,
        attempt=job.attempt,
        node_id=job.node,
    )


def job_started(claimed: ClaimedJob, started_at: int) -> JobStarted:
    """Its handler is entered."""
    return JobStarted(
        at=to_datetime(started_at),
        job_id=to_uuid(claimed.request.id),
        name=claimed.request.name,
        queue=claimed.request.queue,
        attempt=claimed.attempt,
        node_id=claimed.node,
    )


def lease_refused(claimed: ClaimedJob, at: datetime) -> LeaseRefused:
    """Its outcome came too late."""
    return LeaseRefused(
        at=at,
        job_id=to_uuid(claimed.request.id),
        name=claimed.request.name,
        queue=claimed.request.queue,
        attempt=claimed.attempt,
        node_id=claimed.node,
    )


def attempt_over(
    claimed: ClaimedJob, outcome: Outcome, now: int, state: State
) -> JobRetrying | JobFinished | JobAwaitsCallback:
    """What a node did with a job that it had claimed: it has ended, or is to run again, or to be called back."""
    if isinstance(state, AwaitingCallback):
        return JobAwaitsCallback(
            at=to_datetime(now),
            job_id=to_uuid(claimed.request.id),
            name=claimed.request.name,
            queue=claimed.request.queue,
            attempt=claimed.attempt,
            callback_id=to_uuid(state.callback),
        )
    error = describe(outcome)
    if isinstance(state, Scheduled | Ready):
        return JobRetrying(
            at=to_datetime(now),
            job_id=to_uuid(claimed.request.id),
            name=claimed.request.name,
            queue=claimed.request.queue,
            attempt=claimed.attempt,
            outcome=outcome.word,
            due=to_datetime(state.due),
            error=error,
        )
    return JobFinished(
        at=to_datetime(now),
        job_id=to_uuid(claimed.request.id),
        name=claimed.request.name,
        queue=claimed.request.queue,
        attempt=claimed.attempt,
        state=state.word,
        reason=getattr(state, "reason", ""),
        error=error if isinstance(state, Failed) else None,
    )
