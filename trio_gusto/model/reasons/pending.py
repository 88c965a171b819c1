"""What a job waits for before it is ready: other jobs, or an instant."""

from __future__ import annotations

from ..explanation import Explanation, Reason, Surroundings
from ..ids import to_uuid
from ..instants import to_datetime
from ..job import StoredJob
from ..outcomes import AttemptOutcome
from ..states import AwaitingCallback, Condition, Scheduled, Waiting
from .words import at, count, have, named

_CONDITIONS = {
    Condition.SUCCESS: "to complete",
    Condition.FAILURE: "to end, and one of them otherwise than completed",
    Condition.FINISH: "to end",
}


def overdue(job: StoredJob, _state: object, around: Surroundings) -> Explanation | None:
    expire_on = job.request.expire_on
    if expire_on is None or expire_on > around.now:
        return None
    return Explanation(
        sentence=f"It was to start before {at(expire_on)}, so it starts no more; "
        "the next sweep of a worker records its end.",
        reason=Reason.OVERDUE,
        details={"expire_on": to_datetime(expire_on)},
    )


def behind_callback(
    _job: StoredJob, state: Waiting | AwaitingCallback, _around: Surroundings
) -> Explanation | None:
    if not isinstance(state, AwaitingCallback):
        return None
    return Explanation(
        sentence="Its handler has returned; it waits for its callback, a job of its own, to end.",
        reason=Reason.WAITING_FOR_CALLBACK,
        blocking=(to_uuid(state.callback),),
        details={"started_at": to_datetime(state.started_at), "node_id": state.node},
    )


def behind_its_schedule(job: StoredJob, state: Waiting, around: Surroundings) -> Explanation | None:
    details = job.request.details
    if state.parents or details is None or details.schedule_name is None or not around.live:
        return None
    return Explanation(
        sentence=f"It waits for {count(around.live, 'earlier job')} of the schedule "
        f"{details.schedule_name!r} to end.",
        reason=Reason.WAITING_FOR_EARLIER,
        blocking=named(around.live),
        details={"schedule_name": details.schedule_name, "live": len(around.live)},
    )


def behind_parents(_job: StoredJob, state: Waiting, around: Surroundings) -> Explanation | None:
    if not around.live:
        return None
    return Explanation(
        sentence=f"It waits for its parents {_CONDITIONS[state.condition]}; of "
        f"{len(state.parents)}, {len(around.live)} {have(around.live)} not ended.",
        reason=Reason.WAITING_FOR_PARENTS,
        blocking=named(around.live),
        details={
            "condition": state.condition.value,
            "parents": len(state.parents),
            "live": len(around.live),
        },
    )


def about_to_be_released(_job: StoredJob, state: Waiting, _around: Surroundings) -> Explanation:
    return Explanation(
        sentence="All that it waited for has ended, so it is about to be released or cancelled.",
        reason=Reason.WAITING_FOR_RELEASE,
        details={"condition": state.condition.value, "parents": len(state.parents)},
    )


def after_an_attempt(job: StoredJob, state: Scheduled, _around: Surroundings) -> Explanation | None:
    if not job.history or job.history[-1].ended_at > state.due:
        return None
    last = job.history[-1]
    if last.outcome is AttemptOutcome.SNOOZED:
        return Explanation(
            sentence=f"Its handler put it off until {at(state.due)}.",
            reason=Reason.SNOOZED,
            until=to_datetime(state.due),
        )
    if job.attempt == 0:
        return None  # it was retried by hand since
    told = "" if last.error is None else f" with {last.error.type}: {last.error.message}"
    return Explanation(
        sentence=f"Attempt {last.number} of {job.request.max_attempts} ended as "
        f"{last.outcome.value}{told}; the next is due at {at(state.due)}.",
        reason=Reason.RETRYING,
        until=to_datetime(state.due),
        details={
            "attempt": last.number,
            "max_attempts": job.request.max_attempts,
            "outcome": last.outcome,
            "error": last.error,
        },
    )


def not_due(_job: StoredJob, state: Scheduled, _around: Surroundings) -> Explanation:
    return Explanation(
        sentence=f"It is due at {at(state.due)}, and not before.",
        reason=Reason.NOT_DUE,
        until=to_datetime(state.due),
    )
