"""What is said about why a job is where it is, and what has to be known for it besides the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import attrs

from .ids import JobId
from .pauses import StoredPause
from .rates import RateLimit


class Reason(StrEnum):
    """Why a job is where it is."""

    WAITING_FOR_PARENTS = "waiting_for_parents"
    """Jobs or batches that it waits for have not ended."""

    WAITING_FOR_RELEASE = "waiting_for_release"
    """Nothing keeps it any more, and it is about to be released, or cancelled."""

    WAITING_FOR_CALLBACK = "waiting_for_callback"
    """Its handler has returned, and its callback has not ended."""

    WAITING_FOR_EARLIER = "waiting_for_earlier"
    """Earlier jobs of its schedule have not ended."""

    NOT_DUE = "not_due"
    """Its ``execute_after``, or its schedule's delay, lies ahead."""

    RETRYING = "retrying"
    """An attempt failed, and the retry policy's delay lies ahead."""

    SNOOZED = "snoozed"
    """Its handler put it off."""

    OVERDUE = "overdue"
    """Its ``expire_on`` has come, and it will be recorded as expired."""

    PAUSED = "paused"
    """A pause covers it."""

    WORKER_BUSY = "worker_busy"
    """Its named worker runs another job."""

    CONCURRENCY_LIMIT = "concurrency_limit"
    """As many jobs with its concurrency key run as its limit allows."""

    RATE_LIMITED = "rate_limited"
    """As many jobs of its queue, or with its rate key, have started as may."""

    UNKNOWN_HANDLER = "unknown_handler"
    """This process runs jobs, and does not know its handler."""

    QUEUE_NOT_SERVED = "queue_not_served"
    """This process runs jobs, and not those of its queue."""

    TENANT_SHARE = "tenant_share"
    """All executors of this process are busy, and tenants take turns for them."""

    EXECUTORS_BUSY = "executors_busy"
    """All executors of this process are busy."""

    READY = "ready"
    """The next free worker takes it."""

    CANCELLING = "cancelling"
    """It runs, and its cancellation has been asked for."""

    LEASE_LOST = "lease_lost"
    """The node that ran it is gone, or let its lease pass; it will be taken back."""

    PROCESSING = "processing"
    """A node runs it."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    EXPIRED = "expired"


@attrs.frozen(kw_only=True)
class Explanation:
    """Why a job is where it is: in one ``sentence``, and in fields.

    ``blocking`` are the jobs and batches that have to end first, a hundred of them at most. ``until``
    is the instant at which it moves on, or its lease ends, where one is known. ``details`` hold what
    belongs to the reason, by name.
    """

    sentence: str
    reason: Reason
    blocking: tuple[UUID, ...] = ()
    until: datetime | None = None
    details: Mapping[str, object] = attrs.field(factory=dict[str, object])


@attrs.frozen(kw_only=True)
class WorkersHere:
    """What the workers of the asking process can do for a job."""

    knows_handler: bool
    serves_queue: bool
    free: int
    concurrency: int
    takes_turns: bool = False
    queue_rate: RateLimit | None = None


@attrs.frozen(kw_only=True)
class Surroundings:
    """What has to be known besides the job.

    ``live`` are the parents, or the earlier jobs of its schedule, that have not ended. ``is_lost``:
    its lease has passed, or its node is known to be gone. ``workers`` is ``None`` in a process that
    runs no jobs; what other processes do is not known. ``pause`` is one that covers it, and
    ``in_lane`` the leased jobs of its named worker or concurrency key. ``refusals`` are the buckets that
    have no token for it: each with its limit, and the instant from which it has one. ``dossier`` is that of
    its last attempt.
    """

    now: int
    live: Sequence[JobId] = ()
    is_lost: bool = False
    workers: WorkersHere | None = None
    pause: StoredPause | None = None
    in_lane: Sequence[JobId] = ()
    refusals: Sequence[tuple[str, RateLimit, int]] = ()
    dossier: str | None = None
