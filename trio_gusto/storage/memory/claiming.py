"""Which jobs a claim finds, in which order."""

from __future__ import annotations

from collections.abc import Callable

from ...model.job import JobRequest, StoredJob
from ...model.lanes import Lanes
from ..messages import ClaimDue
from .index import Index
from .pauses import PauseShelf

Take = Callable[[str | None, int], list[StoredJob]]
"""Takes up to so many jobs of a queue, or of all, out of the index."""


def claimable(index: Index, pauses: PauseShelf, claim: ClaimDue) -> list[StoredJob]:
    """Up to ``limit`` jobs in claim order, taken out of the index."""
    limit, take = claim.limit, _taking(index, pauses, claim)
    if claim.queues is None:
        return take(None, limit)
    found: list[StoredJob] = []
    for name, share in claim.queues:
        found += take(name, min(share, limit - len(found)))
    for name, _ in claim.queues:
        found += take(name, limit - len(found))
    return found


def _taking(index: Index, pauses: PauseShelf, claim: ClaimDue) -> Take:
    now, skip = claim.now, claim.skip_names
    lanes = index.leased_lanes(claim.node, claim.depth)
    is_fair = claim.tenant_weights is not None
    if is_fair or pauses.name_tenants():
        index.sort_by_tenant()
    if lanes is None and not pauses and not is_fair:
        return lambda queue, limit: index.take_ready(queue, now, limit, skip)
    if pauses.cover_everything():
        return lambda _queue, _limit: []
    if lanes is not None:
        index.lanes.shut(claim.closed_lanes)
    lanes = lanes or Lanes(_nothing)
    lanes.closed.update(claim.closed_lanes)
    if is_fair:
        return lambda queue, limit: index.take_fairly(queue, limit, claim, lanes, pauses)
    closed, covers_tenant = pauses.closed_queues(), pauses.cover_tenant

    def is_wanted(request: JobRequest) -> bool:
        return request.name not in skip and not pauses.covers(request)

    return lambda queue, limit: index.take_selected(
        queue, closed, now, limit, lanes, is_wanted, covers_tenant
    )


def _nothing(_lane: str) -> None:
    """What is leased in a lane when no job in any is ready does not matter."""
