"""Leases: renewed, lost, and which of the jobs under them were called off."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice

import attrs

from ...model.ids import JobId
from ...model.job import StoredJob
from ...model.pauses import StoredPause
from ...model.states import Processing
from ..lease_messages import (
    CancelRequests,
    CancelsAsked,
    Renew,
    Renewed,
    RequestCancel,
    Stranded,
    StrandedJobs,
)
from ..messages import Committed, Conflict
from .figures import brief
from .index import Index, lease_of
from .staging import Staging


def stranded(
    index: Index, staging: Staging, query: Stranded, present: Collection[str]
) -> StrandedJobs:
    """Jobs that nobody moves on by himself; ``present`` are the nodes that are there."""
    index.look_at_deadlines(query.now)
    lost: list[StoredJob] = []
    instants: list[int] = []
    for job in index.processing.values():
        lease = lease_of(job)
        if lease.lease_until <= query.now or lease.node not in present:
            lost.append(job)
        else:
            instants.append(lease.lease_until)
    expiry = index.expiring.first()
    if expiry is not None:
        instants.append(expiry[0])
    return StrandedJobs(
        [brief(job) for job in lost[: query.limit]],
        [brief(job) for job in islice(index.overdue.values(), query.limit)],
        min(instants, default=None),
        any(lease_of(job).node != query.node for job in index.processing.values()),
        staging.left_behind(present),
    )


def cancel_requests(
    index: Index, query: CancelRequests, pauses: Sequence[StoredPause]
) -> CancelsAsked:
    """The processing jobs of a node whose cancellation was asked for."""
    asked: list[tuple[JobId, str]] = []
    for job_id, job in index.processing.items():
        lease = lease_of(job)
        if lease.node == query.node and lease.cancel_reason is not None:
            asked.append((job_id, lease.cancel_reason))
    return CancelsAsked(asked, pauses)


def renew_held(index: Index, ask: Renew) -> Renewed:
    """Move the leases that are still held."""
    lost: list[JobId] = []
    cancels: list[tuple[JobId, str]] = []
    for job_id, token in ask.leases:
        job = index.processing.get(job_id)
        if job is None or job.version != token or not is_held(lease_of(job), ask):
            lost.append(job_id)
            continue
        lease = lease_of(job)
        job.state = attrs.evolve(lease, lease_until=max(lease.lease_until, ask.lease_until))
        if lease.cancel_reason is not None:
            cancels.append((job_id, lease.cancel_reason))
    return Renewed(lost, cancels)


def note_cancel(index: Index, ask: RequestCancel) -> Committed | Conflict:
    """Write the reason down, the first one that is given."""
    job = index.processing.get(ask.job_id)
    if job is None or job.version != ask.version:
        return Conflict()
    lease = lease_of(job)
    if lease.cancel_reason is None:
        job.state = attrs.evolve(lease, cancel_reason=ask.reason)
    return Committed()


def is_held(lease: Processing, ask: Renew) -> bool:
    """Whether a lease may be renewed."""
    return lease.node == ask.node and ask.now < lease.lease_until
