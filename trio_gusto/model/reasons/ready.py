"""What a job that is due still waits for."""

from __future__ import annotations

import attrs

from ..explanation import Explanation, Reason, Surroundings
from ..ids import to_uuid
from ..instants import to_datetime
from ..job import StoredJob
from ..rates import of_queue
from ..states import Ready
from .words import at, count, named


def paused(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
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
        f"{of or 'everything'} is paused since {at(pause.since)}{told}",
        **covers,
        since=to_datetime(pause.since),
        why=pause.reason,
    )


def worker_busy(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
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
    return attrs.evolve(explanation, blocking=named(around.in_lane))


def at_its_limit(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
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
        f"{count(leased, 'job')} with the concurrency key {key!r} run or are leased, "
        f"of {limit} at once; they are {', '.join(str(to_uuid(one)) for one in leased[:3])}"
        f"{' and others' if len(leased) > 3 else ''}",
        concurrency_key=key,
        concurrency_limit=limit,
    )
    return attrs.evolve(explanation, blocking=named(leased))


def rate_limited(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
    if not around.refusals:
        return None
    name, limit, opens_at = max(around.refusals, key=lambda refusal: refusal[2])
    queue, details = job.request.queue, job.request.details
    rate_key = None if details is None else details.rate_key
    bucket = f"queue {queue!r}" if name == of_queue(queue) else f"rate key {rate_key!r}"
    explanation = _due(
        job,
        state,
        Reason.RATE_LIMITED,
        f"the rate limit of the {bucket} allows {limit}; the next one may start at {at(opens_at)}",
        bucket=bucket,
        count=limit.count,
        per=limit.per,
        burst=limit.burst,
        rate_key=rate_key,
    )
    return attrs.evolve(explanation, until=to_datetime(opens_at))


def unknown_handler(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
    if around.workers is None or around.workers.knows_handler:
        return None
    name = job.request.name
    return _due(
        job,
        state,
        Reason.UNKNOWN_HANDLER,
        f"the workers of this process know no handler {name!r}; it runs where some know it",
    )


def queue_not_served(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
    if around.workers is None or around.workers.serves_queue:
        return None
    queue = job.request.queue
    return _due(
        job,
        state,
        Reason.QUEUE_NOT_SERVED,
        f"the workers of this process do not serve the queue {queue!r}; it runs where some do",
    )


def executors_busy(job: StoredJob, state: Ready, around: Surroundings) -> Explanation | None:
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


def ready(job: StoredJob, state: Ready, around: Surroundings) -> Explanation:
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
        sentence=f"It is due since {at(state.due)}, and {sentence}.",
        reason=reason,
        details=own | details,
    )
