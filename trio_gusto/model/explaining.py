"""Why a job is where it is, and what it waits for.

Rule 1: every job has an explanation, and every job that has not ended has one that names what moves
        it on: an instant, other jobs, or a worker.
Rule 2: the rules of a state are asked in order, and the first that has an answer gives it. The last
        rule of each state always has one. So one more obstacle is one more `Reason` and one more
        entry of `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import attrs

from .explanation import Explanation, Reason, Surroundings
from .ids import JobId, to_uuid
from .instants import to_datetime
from .job import StoredJob
from .outcomes import AttemptOutcome
from .states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Condition,
    Expired,
    Failed,
    JobState,
    Processing,
    Ready,
    Scheduled,
    Skipped,
    Waiting,
)

Rule = Callable[..., Explanation | None]  # type: ignore[explicit-any]  # each its own state
"""Takes the job, its state, and what is around it."""


def explain(job: StoredJob, around: Surroundings) -> Explanation:
    """Why ``job`` is where it is."""
    for rule in RULES[job.state.word]:
        explanation = rule(job, job.state, around)
        if explanation is not None:
            return explanation
    raise AssertionError(f"the rules for {job.state.word} end without an answer")


# --- before it is ready ---------------------------------------------------------------------------

_CONDITIONS = {
    Condition.SUCCESS: "to complete",
    Condition.FAILURE: "to end, and one of them otherwise than completed",
    Condition.FINISH: "to end",
}

MOST_NAMED = 100


def _overdue(job: StoredJob, _state: object, around: Surroundings) -> Explanation | None:
    expire_on = job.request.expire_on
    if expire_on is None or expire_on > around.now:
        return None
    return Explanation(
        sentence=f"It was to start before {_at(expire_on)}, so it starts no more; "
        "the next sweep of a worker records its end.",
        reason=Reason.OVERDUE,
        details={"expire_on": to_datetime(expire_on)},
    )


def _behind_callback(
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


def _behind_its_schedule(
    job: StoredJob, state: Waiting, around: Surroundings
) -> Explanation | None:
    details = job.request.details
    if state.parents or details is None or details.schedule_name is None or not around.live:
        return None
    return Explanation(
        sentence=f"It waits for {_count(around.live, 'earlier job')} of the schedule "
        f"{details.schedule_name!r} to end.",
        reason=Reason.WAITING_FOR_EARLIER,
        blocking=_named(around.live),
        details={"schedule_name": details.schedule_name, "live": len(around.live)},
    )


def _behind_parents(_job: StoredJob, state: Waiting, around: Surroundings) -> Explanation | None:
    if not around.live:
        return None
    return Explanation(
        sentence=f"It waits for its parents {_CONDITIONS[state.condition]}; of "
        f"{len(state.parents)}, {len(around.live)} {_have(around.live)} not ended.",
        reason=Reason.WAITING_FOR_PARENTS,
        blocking=_named(around.live),
        details={
            "condition": state.condition.value,
            "parents": len(state.parents),
            "live": len(around.live),
        },
    )


def _about_to_be_released(_job: StoredJob, state: Waiting, _around: Surroundings) -> Explanation:
    return Explanation(
        sentence="All that it waited for has ended, so it is about to be released or cancelled.",
        reason=Reason.WAITING_FOR_RELEASE,
        details={"condition": state.condition.value, "parents": len(state.parents)},
    )


def _after_an_attempt(
    job: StoredJob, state: Scheduled, _around: Surroundings
) -> Explanation | None:
    if not job.history or job.history[-1].ended_at > state.due:
        return None
    last = job.history[-1]
    if last.outcome is AttemptOutcome.SNOOZED:
        return Explanation(
            sentence=f"Its handler put it off until {_at(state.due)}.",
            reason=Reason.SNOOZED,
            until=to_datetime(state.due),
        )
    if job.attempt == 0:
        return None  # it was retried by hand since
    told = "" if last.error is None else f" with {last.error.type}: {last.error.message}"
    return Explanation(
        sentence=f"Attempt {last.number} of {job.request.max_attempts} ended as "
        f"{last.outcome.value}{told}; the next is due at {_at(state.due)}.",
        reason=Reason.RETRYING,
        until=to_datetime(state.due),
        details={
            "attempt": last.number,
            "max_attempts": job.request.max_attempts,
            "outcome": last.outcome,
            "error": last.error,
        },
    )


def _not_due(_job: StoredJob, state: Scheduled, _around: Surroundings) -> Explanation:
    return Explanation(
        sentence=f"It is due at {_at(state.due)}, and not before.",
        reason=Reason.NOT_DUE,
        until=to_datetime(state.due),
    )


# --- ready ----------------------------------------------------------------------------------------


def _paused(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
    pause = around.pause
    if pause is None:
        return None
    covers = {"queue": pause.queue, "tenant": pause.tenant}
    of = " of ".join(f"the {kind} {name!r}" for kind, name in covers.items() if name is not None)
    told = f": {pause.reason}" if pause.reason else ""
    return _due(
        job,
        state,
        Reason.PAUSED,
        f"{of or 'everything'} is paused since {_at(pause.since)}{told}",
        **covers,
        since=to_datetime(pause.since),
        why=pause.reason,
    )


def _worker_busy(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
    details = job.request.details
    if details is None or details.worker is None or not around.in_lane:
        return None
    told = f"runs job {to_uuid(around.in_lane[0])}"
    if len(around.in_lane) > 1:
        told += f", and {len(around.in_lane) - 1} more are leased in a row to its node"
    explanation = _due(
        job,
        state,
        Reason.WORKER_BUSY,
        f"its named worker {details.worker!r} {told}",
        worker=details.worker,
    )
    return attrs.evolve(explanation, blocking=_named(around.in_lane))


def _at_its_limit(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
    details = job.request.details
    if details is None or details.concurrency_key is None:
        return None
    key, limit, leased = details.concurrency_key, details.concurrency_limit, around.in_lane
    if len(leased) < limit:
        return None
    explanation = _due(
        job,
        state,
        Reason.CONCURRENCY_LIMIT,
        f"{_count(leased, 'job')} with the concurrency key {key!r} run or are leased, "
        f"of {limit} at once; they are {', '.join(str(to_uuid(one)) for one in leased[:3])}"
        f"{' and others' if len(leased) > 3 else ''}",
        concurrency_key=key,
        concurrency_limit=limit,
    )
    return attrs.evolve(explanation, blocking=_named(leased))


def _rate_limited(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
    if not around.refusals:
        return None
    bucket, limit, opens_at = max(around.refusals, key=lambda refusal: refusal[2])
    details = job.request.details
    explanation = _due(
        job,
        state,
        Reason.RATE_LIMITED,
        f"the rate limit of the {bucket} allows {limit}; the next one may start at {_at(opens_at)}",
        bucket=bucket,
        count=limit.count,
        per=limit.per,
        burst=limit.burst,
        rate_key=None if details is None else details.rate_key,
    )
    return attrs.evolve(explanation, until=to_datetime(opens_at))


def _unknown_handler(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
    if around.workers is None or around.workers.knows_handler:
        return None
    name = job.request.name
    return _due(
        job,
        state,
        Reason.UNKNOWN_HANDLER,
        f"the workers of this process know no handler {name!r}; it runs where some know it",
    )


def _queue_not_served(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
    if around.workers is None or around.workers.serves_queue:
        return None
    queue = job.request.queue
    return _due(
        job,
        state,
        Reason.QUEUE_NOT_SERVED,
        f"the workers of this process do not serve the queue {queue!r}; it runs where some do",
    )


def _executors_busy(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
    if around.workers is None or around.workers.free:
        return None
    concurrency = around.workers.concurrency
    if around.workers.takes_turns:
        return _due(
            job,
            state,
            Reason.TENANT_SHARE,
            f"all {concurrency} executors of this process are busy; tenants take turns for them, and "
            f"it waits for one of {job.request.tenant!r}",
            concurrency=concurrency,
            tenant=job.request.tenant,
        )
    return _due(
        job,
        state,
        Reason.EXECUTORS_BUSY,
        f"all {concurrency} executors of this process are busy",
        concurrency=concurrency,
    )


def _ready(job: StoredJob, state: Ready, around: Surroundings) -> Explanation:
    request = job.request
    sentence = (
        f"the next free worker that serves the queue {request.queue!r} and knows the handler "
        f"{request.name!r} takes it"
    )
    if around.workers is None:
        sentence += "; this process runs no jobs"
    return _due(job, state, Reason.READY, sentence)


def _due(
    job: StoredJob, state: Ready, reason: Reason, sentence: str, **details: object
) -> Explanation:
    """The explanation of a job that is due."""
    own = {"due": to_datetime(state.due), "name": job.request.name, "queue": job.request.queue}
    return Explanation(
        sentence=f"It is due since {_at(state.due)}, and {sentence}.",
        reason=reason,
        details=own | details,
    )


# --- running --------------------------------------------------------------------------------------


def _lease_lost(_job: StoredJob, state: Processing, around: Surroundings) -> Explanation | None:
    if not around.is_lost:
        return None
    return _running(
        state,
        Reason.LEASE_LOST,
        f"It ran on the node {state.node}, which is gone or let its lease pass; "
        "the next sweep of a worker takes it back.",
    )


def _cancelling(_job: StoredJob, state: Processing, _around: Surroundings) -> Explanation | None:
    if state.cancel_reason is None:
        return None
    return _running(
        state,
        Reason.CANCELLING,
        f"Its cancellation was asked for ({state.cancel_reason or 'no reason given'}), and the node "
        f"{state.node} is about to end it.",
    )


def _processing(job: StoredJob, state: Processing, _around: Surroundings) -> Explanation:
    return _running(
        state,
        Reason.PROCESSING,
        f"Attempt {job.attempt} of {job.request.max_attempts} runs on the node {state.node} since "
        f"{_at(state.claimed_at)}, under a lease until {_at(state.lease_until)}.",
    )


def _running(state: Processing, reason: Reason, sentence: str) -> Explanation:
    return Explanation(
        sentence=sentence,
        reason=reason,
        until=to_datetime(state.lease_until),
        details={"node_id": state.node, "claimed_at": to_datetime(state.claimed_at)},
    )


# --- ended ----------------------------------------------------------------------------------------


def _completed(job: StoredJob, state: Completed, _around: Surroundings) -> Explanation:
    lost = (
        "" if state.result_error is None else f"; its result was not stored: {state.result_error}"
    )
    return Explanation(
        sentence=f"It completed at {_at(state.ended_at)} in attempt {job.attempt}{lost}.",
        reason=Reason.COMPLETED,
        details={"ended_at": to_datetime(state.ended_at), "node_id": state.node},
    )


def _failed(job: StoredJob, state: Failed, _around: Surroundings) -> Explanation:
    last = job.history[-1] if job.history else None
    error = None if last is None else last.error
    told = "" if error is None else f"; the last error was {error.type}: {error.message}"
    return _ended(job, state, Reason.FAILED, "failed", told, error=error)


def _cancelled(job: StoredJob, state: Cancelled, _around: Surroundings) -> Explanation:
    return _ended(job, state, Reason.CANCELLED, "was cancelled")


def _skipped(job: StoredJob, state: Skipped, _around: Surroundings) -> Explanation:
    return _ended(job, state, Reason.SKIPPED, "was skipped")


def _expired(job: StoredJob, state: Expired, _around: Surroundings) -> Explanation:
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
        sentence=f"It {verb} at {_at(state.ended_at)}: {why}{more}.",
        reason=reason,
        details=own | details,
    )


RULES: Mapping[JobState, Sequence[Rule]] = {
    JobState.WAITING: (
        _overdue,
        _behind_callback,
        _behind_its_schedule,
        _behind_parents,
        _about_to_be_released,
    ),
    JobState.SCHEDULED: (_overdue, _after_an_attempt, _not_due),
    JobState.READY: (
        _overdue,
        _paused,
        _worker_busy,
        _at_its_limit,
        _rate_limited,
        _unknown_handler,
        _queue_not_served,
        _executors_busy,
        _ready,
    ),
    JobState.PROCESSING: (_lease_lost, _cancelling, _processing),
    JobState.COMPLETED: (_completed,),
    JobState.FAILED: (_failed,),
    JobState.CANCELLED: (_cancelled,),
    JobState.SKIPPED: (_skipped,),
    JobState.EXPIRED: (_expired,),
}
"""What is asked of a job in each state, in this order."""


# --- words ----------------------------------------------------------------------------------------


def _at(instant: int) -> str:
    return f"{to_datetime(instant):%Y-%m-%d %H:%M:%S} UTC"


def _count(jobs: Sequence[JobId], noun: str) -> str:
    return f"{len(jobs)} {noun}{'' if len(jobs) == 1 else 's'}"


def _have(jobs: Sequence[JobId]) -> str:
    return "has" if len(jobs) == 1 else "have"


def _named(jobs: Sequence[JobId]) -> tuple[UUID, ...]:
    return tuple(map(to_uuid, jobs[:MOST_NAMED]))
