"""What moves on a job that runs."""

from __future__ import annotations

from ..explanation import Explanation, Reason, Surroundings
from ..instants import to_datetime
from ..job import StoredJob
from ..states import Processing
from .words import at


def lease_lost(_job: StoredJob, state: Processing, around: Surroundings) -> Explanation | None:
    if not around.is_lost:
        return None
    return _running(
        state,
        Reason.LEASE_LOST,
        f"It ran on the node {state.node}, which is gone or let its lease pass; "
        "the next sweep of a worker takes it back.",
    )


def cancelling(_job: StoredJob, state: Processing, _around: Surroundings) -> Explanation | None:
    if state.cancel_reason is None:
        return None
    return _running(
        state,
        Reason.CANCELLING,
        f"Its cancellation was asked for ({state.cancel_reason or 'no reason given'}), and the node "
        f"{state.node} is about to end it.",
    )


def processing(job: StoredJob, state: Processing, _around: Surroundings) -> Explanation:
    return _running(
        state,
        Reason.PROCESSING,
        f"Attempt {job.attempt} of {job.request.max_attempts} runs on the node {state.node} since "
        f"{at(state.claimed_at)}, under a lease until {at(state.lease_until)}.",
    )


def _running(state: Processing, reason: Reason, sentence: str) -> Explanation:
    return Explanation(
        sentence=sentence,
        reason=reason,
        until=to_datetime(state.lease_until),
        details={"node_id": state.node, "claimed_at": to_datetime(state.claimed_at)},
    )
