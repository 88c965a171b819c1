"""A stored job as the flat record that users look at.

Looking never fails: what cannot be read is shown as the text that is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..model.attempts import token_of
from ..model.failure import JobError
from ..model.ids import to_uuid
from ..model.instants import MICROSECONDS, to_datetime, to_optional_datetime
from ..model.job import Attempt, AttemptRecord, Details, Job, JobRequest, StoredJob
from ..model.outcomes import AttemptOutcome
from ..model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Expired,
    Failed,
    Processing,
    Ready,
    Scheduled,
    Skipped,
    State,
    Waiting,
)
from .calls import ARGS, KWARGS
from .codec import Codec, DecodeError
from .forms import is_array, is_object
from .registry import Registry

_NO_DETAILS = Details()


def view(job: StoredJob, registry: Registry, codec: Codec) -> Job:
    """The public record of a job."""
    request, state = job.request, job.state
    details = request.details or _NO_DETAILS
    args, kwargs = _arguments(request.args, codec)
    job_type, method_name = _path(request, registry)
    ended_at = None if isinstance(state, _LIVE) else state.ended_at
    return Job(
        id=to_uuid(request.id),
        name=request.name,
        job_type=job_type,
        method_name=method_name,
        args=args,
        kwargs=kwargs,
        queue=request.queue,
        priority=request.priority,
        tenant=request.tenant,
        state=state.word,
        attempt=job.attempt,
        max_attempts=request.max_attempts,
        created_at=to_datetime(request.created_at),
        execute_after=to_optional_datetime(request.execute_after),
        expire_on=to_optional_datetime(request.expire_on),
        started_at=to_optional_datetime(_started_at(job)),
        ended_at=to_optional_datetime(ended_at),
        result=_result(job, registry, codec),
        error=_error(job),
        reason=state.reason if isinstance(state, _WITH_REASON) else "",
        ref_id=details.ref_id,
        unique_key=details.unique_key,
        tags=frozenset(details.tags),
        created_by=details.created_by,
        user_id=details.user_id,
        metadata=MappingProxyType(dict(details.metadata or {})),
        worker=details.worker,
        concurrency_key=details.concurrency_key,
        concurrency_limit=(None if details.concurrency_key is None else details.concurrency_limit),
        rate_key=details.rate_key,
        rate_limit=details.rate_limit,
        batch_id=None if details.batch is None else to_uuid(details.batch),
        parent_ids=tuple(map(to_uuid, details.parents)),
        timeout=None if request.timeout is None else request.timeout / MICROSECONDS,
        progress=job.progress,
        schedule_name=details.schedule_name,
        fire_time=to_optional_datetime(details.fire_time),
    )


def attempt_view(
    attempt: AttemptRecord | Processing | Completed,
    job: StoredJob,
    dossiers: Mapping[int, str] | None = None,
) -> Attempt:
    """The public record of one attempt, of those that `attempts.attempts_of` lists.

    ``dossiers`` are those of the job, by token.
    """
    dossier = dossiers.get(token_of(attempt, job)) if dossiers else None
    match attempt:
        case AttemptRecord():
            return Attempt(
                number=attempt.number,
                node_id=attempt.node,
                claimed_at=to_datetime(attempt.claimed_at),
                started_at=to_optional_datetime(attempt.started_at),
                ended_at=to_datetime(attempt.ended_at),
                outcome=attempt.outcome,
                error=attempt.error,
                dossier=dossier,
            )
        case Processing():
            return Attempt(
                number=job.attempt,
                node_id=attempt.node,
                claimed_at=to_datetime(attempt.claimed_at),
                started_at=None,  # only its node knows, until it has ended
                ended_at=None,
                outcome=None,
                error=None,
                dossier=dossier,
            )
        case Completed():
            return Attempt(
                number=job.attempt,
                node_id=attempt.node,
                claimed_at=to_datetime(attempt.claimed_at),
                started_at=to_datetime(attempt.started_at),
                ended_at=to_datetime(attempt.ended_at),
                outcome=AttemptOutcome.SUCCEEDED,
                error=None,
                dossier=dossier,
            )


_LIVE = (Waiting, AwaitingCallback, Scheduled, Ready, Processing)
_WITH_REASON = (Failed, Cancelled, Skipped, Expired)


def _arguments(text: str, codec: Codec) -> tuple[tuple[object, ...], MappingProxyType[str, object]]:
    try:
        wire: Any = codec.loads(text)
    except DecodeError:
        wire = [text]
    args: Any = wire
    kwargs: dict[str, object] = {}
    if is_object(wire) and wire.keys() == {ARGS, KWARGS}:
        args, kwargs = wire[ARGS], wire[KWARGS]
    return tuple(args) if is_array(args) else (args,), MappingProxyType(kwargs)


def _path(request: JobRequest, registry: Registry) -> tuple[str, str]:
    if request.method_name:
        return request.job_type, request.method_name
    handler = registry.find(request.name)
    if handler is not None:
        return handler.job_type, handler.method_name
    job_type, _, method_name = request.name.rpartition(".")
    return job_type, method_name


def _started_at(job: StoredJob) -> int | None:
    state = job.state
    if isinstance(state, Completed | AwaitingCallback):
        return state.started_at
    if isinstance(state, Processing):
        return state.claimed_at
    return job.history[-1].started_at if job.history else None


def _result(job: StoredJob, registry: Registry, codec: Codec) -> object:
    state: State = job.state
    if not isinstance(state, Completed):
        return None
    try:
        return codec.load_result(state.result, registry.find(job.request.name))
    except DecodeError:
        return state.result


def _error(job: StoredJob) -> JobError | None:
    if isinstance(job.state, Completed) or not job.history:
        return None
    return job.history[-1].error
