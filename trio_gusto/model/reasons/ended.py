"""How a job ended."""

from __future__ import annotations

from ..explanation import Explanation, Reason, Surroundings
from ..instants import to_datetime
from ..job import StoredJob
from ..quarantine import is_quarantined
from ..states import Cancelled, Completed, Expired, Failed, Skipped
from .words import at


def completed(job: StoredJob, state: Completed, _around: Surroundings) -> Explanation:
    lost = (
        "" if state.result_error is None else f"; its result was not stored: {state.result_error}"
    )
    return Explanation(
        sentence=f"It completed at {at(state.ended_at)} in attempt {job.attempt}{lost}.",
        reason=Reason.COMPLETED,
        details={"ended_at": to_datetime(state.ended_at), "node_id": state.node},
    )


def failed(job: StoredJob, state: Failed, _around: Surroundings) -> Explanation:
    last = job.history[-1] if job.history else None
    error = None if last is None else last.error
    if is_quarantined(state.reason):
        told = ", which its handler may have done; it runs again only if it is retried by hand"
        return _ended(job, state, Reason.FAILED, "failed", told, error=error, quarantined=True)
    told = "" if error is None else f"; the last error was {error.type}: {error.message}"
    return _ended(job, state, Reason.FAILED, "failed", told, error=error)


def cancelled(job: StoredJob, state: Cancelled, _around: Surroundings) -> Explanation:
    return _ended(job, state, Reason.CANCELLED, "was cancelled")


def skipped(job: StoredJob, state: Skipped, _around: Surroundings) -> Explanation:
    return _ended(job, state, Reason.SKIPPED, "was skipped")


def expired(job: StoredJob, state: Expired, _around: Surroundings) -> Explanation:
    return _ended(job, state, Reason.EXPIRED, "expired")


def _ended(
    job: StoredJob,
    state: Failed | Cancelled | Skipped | Expired,
    reason: Reason,
    verb: str,
    more: str = "",
    **details: object,
) -> Explanation:
    why = state.reason or "no reason given"
    own = {"ended_at": to_datetime(state.ended_at), "reason": state.reason, "attempt": job.attempt}
    return Explanation(
        sentence=f"It {verb} at {at(state.ended_at)}: {why}{more}.",
        reason=reason,
        details=own | details,
    )
