"""A batch: jobs that were stored together, are counted together, and can be waited for as one.

Rule: a batch is finished while none of its jobs is live. So an empty one is finished at once, and one
that is appended to, or of which a job is retried by hand, is not finished any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import attrs

from .ids import JobId, to_uuid
from .states import JobState

STAGE_LIFE = 24 * 3600 * 1_000_000
"""Microseconds after which jobs that were staged for a batch count as left behind, where nobody can
know whether their node is there."""


@attrs.define
class BatchRequest:
    """A batch as it was asked for. Never changed after it was made."""

    id: JobId
    created_at: int
    tenant: str = ""
    tags: tuple[str, ...] = ()


@attrs.define
class StoredBatch:
    """What a storage tells of a batch: the request, and its jobs counted by state.

    ``sequence`` is given by the storage, in the order of insertion.
    """

    request: BatchRequest
    sequence: int
    counts: Mapping[JobState, int]


@attrs.frozen(kw_only=True)
class BatchStatus:
    """How far a batch is: how many jobs it has, in all and by state.

    ``is_finished``: none of them will run any more, unless it is retried by hand or more are
    appended. Jobs that retention has removed count no more.
    """

    id: UUID
    tenant: str
    tags: frozenset[str]
    total: int
    scheduled: int
    ready: int
    waiting: int
    processing: int
    completed: int
    failed: int
    cancelled: int
    skipped: int
    expired: int
    is_finished: bool


def status_of(batch: StoredBatch) -> BatchStatus:
    """The record that users look at."""
    counts = {state: batch.counts.get(state, 0) for state in JobState}
    return BatchStatus(
        id=to_uuid(batch.request.id),
        tenant=batch.request.tenant,
        tags=frozenset(batch.request.tags),
        total=sum(counts.values()),
        is_finished=not any(count for state, count in counts.items() if not state.is_ended),
        **{state.value: count for state, count in counts.items()},
    )
