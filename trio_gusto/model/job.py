"""A job in its four forms: asked for, kept, claimed, and looked at.

`JobRequest` is what a caller asked for and never changes. `StoredJob` is what a storage keeps: the
request and the life around it. `ClaimedJob` is what a claim hands to an executor. `Job` is the flat
record that users look at. Instants are ``int`` microseconds except in the public records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import attrs

from .failure import JobError
from .ids import JobId
from .outcomes import AttemptOutcome
from .rates import RateLimit
from .states import JobState, State

DEFAULT_QUEUE = "default"


@attrs.define
class Details:
    """What few jobs have: kept apart, so that the others do not pay for it.

    ``metadata``, ``retry`` and ``carrier`` hold JSON values only: the caller's own data, a retry
    policy's wire form, and the trace context of the enqueuer. ``schedule_name`` is the schedule that
    made the job, and ``fire_time`` its nominal instant; ``None`` for one that was started by hand.
    ``parents`` are the jobs that this one waited for, or still waits for, batches among them;
    ``batch`` is the one that it belongs to. ``on_conflict`` is a word of `uniqueness.OnConflict`:
    what is done when another live job has the ``unique_key``. ``worker`` is the
    named worker that runs it. ``context`` are JSON values that middleware had it carry from where it
    was enqueued. ``callback`` is the name of the handler that is called with its result.
    At most ``concurrency_limit`` jobs with its ``concurrency_key`` run while it does.
    ``rate_key`` and ``rate_limit`` go together: the bucket that a start takes a token of.

    Two are never stored: a job that is not ``durable`` is kept in memory only, and an ``errand`` is what
    hands the handler's very result or exception to somebody who waits for it in this process.
    """

    ref_id: str | None = None
    tags: tuple[str, ...] = ()
    created_by: str | None = None
    user_id: str | None = None
    metadata: Mapping[str, object] | None = None
    retry: Mapping[str, object] | None = None
    carrier: Mapping[str, str] | None = None
    schedule_name: str | None = None
    fire_time: int | None = None
    parents: tuple[JobId, ...] = ()
    batch: JobId | None = None
    unique_key: str | None = None
    on_conflict: str = "raise"
    worker: str | None = None
    context: Mapping[str, object] | None = None
    callback: str | None = None
    durable: bool = True
    errand: Errand | None = None
    concurrency_key: str | None = None
    concurrency_limit: int = 1
    rate_key: str | None = None
    rate_limit: RateLimit | None = None


@attrs.define
class Errand:
    """What came out of a handler last: its result, and what it raised, if it raised anything."""

    result: object = None
    error: BaseException | None = None


@attrs.define
class JobRequest:
    """What a caller asked for. Never changed after it was made.

    ``args`` is the wire form of the arguments (see ``serialization``), ``name`` the handler's name;
    ``job_type`` and ``method_name`` are the names of the handler's module or class and of its
    function. ``timeout`` is in microseconds.
    """

    id: JobId
    name: str
    args: str
    created_at: int
    max_attempts: int
    timeout: int | None = None
    execute_after: int | None = None
    expire_on: int | None = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    tenant: str = ""
    details: Details | None = None
    job_type: str = ""
    method_name: str = ""


@attrs.frozen
class Progress:
    """How far a running job says it is. ``percent`` is 0 to 100."""

    percent: float
    message: str


@attrs.define
class AttemptRecord:
    """One attempt that is over, as it is kept. ``token`` orders them; a number may come twice.

    Snoozed and released attempts give their number back, so the next has the same.
    """

    number: int
    token: int
    node: str
    claimed_at: int
    started_at: int | None
    ended_at: int
    outcome: AttemptOutcome
    error: JobError | None = None


@attrs.define
class StoredJob:
    """What a storage keeps of a job: the request, and its life so far.

    ``sequence`` is given by the storage and orders jobs that are due at the same instant.
    ``version`` goes up by one with every change of state and is never used again; the version that
    a claim gives is the token of its lease. ``attempt`` counts the attempts spent.
    ``history`` holds the attempts that are over, oldest first, except the one that completed the
    job (`states.Completed` is its record); queries for many jobs leave it at the last one.
    ``progress`` is what an attempt reported last.
    """

    request: JobRequest
    sequence: int
    state: State
    attempt: int = 0
    version: int = 0
    history: Sequence[AttemptRecord] = ()
    progress: Progress | None = None


@attrs.define
class ClaimedJob:
    """What a claim hands to an executor: the request and the lease.

    ``attempt`` is this attempt's number (1-based), ``token`` the lease's token, ``due`` the instant
    it was due at before the claim.
    """

    request: JobRequest
    attempt: int
    token: int
    due: int
    node: str
    claimed_at: int


@attrs.frozen(kw_only=True)
class Job:
    """A job as users look at it: a snapshot.

    ``attempt`` counts the attempts spent so far. ``args`` are the stored positional arguments and
    ``kwargs`` the keyword ones, as plain JSON values. ``reason`` says why the job is cancelled,
    skipped, expired or failed; ``error`` is the exception of its last attempt while that has not
    been made good by a later one. ``concurrency_limit`` is ``None`` without a ``concurrency_key``.
    ``progress`` is what its handler reported last, in this attempt or
    an earlier one.
    """

    id: UUID
    name: str
    job_type: str
    method_name: str
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    queue: str
    priority: int
    tenant: str
    state: JobState
    attempt: int
    max_attempts: int
    created_at: datetime
    execute_after: datetime | None
    expire_on: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    result: object
    error: JobError | None
    reason: str
    ref_id: str | None
    tags: frozenset[str]
    created_by: str | None
    user_id: str | None
    metadata: Mapping[str, object]
    timeout: float | None
    worker: str | None = None
    concurrency_key: str | None = None
    concurrency_limit: int | None = None
    rate_key: str | None = None
    rate_limit: RateLimit | None = None
    progress: Progress | None = None
    unique_key: str | None = None
    batch_id: UUID | None = None
    parent_ids: tuple[UUID, ...] = ()
    schedule_name: str | None = None
    fire_time: datetime | None = None
    reply_to: str | None = None


@attrs.frozen(kw_only=True)
class Attempt:
    """One attempt of a job. An attempt that is still running has no ``ended_at`` and ``outcome``.

    ``number`` is 1-based; snoozed and released attempts give theirs back, so a number may come more
    than once. ``dossier`` says where its tasks stood when it timed out, or when it still ran some seconds after
    it was cancelled; ``None`` of most attempts.
    """

    number: int
    node_id: str
    claimed_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outcome: AttemptOutcome | None
    error: JobError | None
    dossier: str | None = None
