"""Which jobs a claim finds, in which order."""

from __future__ import annotations

from collections.abc import Callable

from ...model.job import StoredJob
from ...model.lanes import Lanes
from ..messages import ClaimDue
from .fairness import FairShares
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
    index.bring_back(pauses)
    if pauses.cover_everything():
        return lambda _queue, _limit: []
    if lanes is None and claim.tenant_weights is None:
        return lambda queue, limit: index.take_ready(queue, now, limit, skip, pauses or None)
    if lanes is not None:
        index.lanes.shut(claim.closed_lanes)
    among = lanes or Lanes(_nothing)
    among.closed.update(claim.closed_lanes)
    if claim.tenant_weights is not None:
        shares = FairShares(index.turns, claim)
        return lambda queue, limit: index.take_fairly(queue, limit, shares, among, pauses)
    return lambda queue, limit: index.take_selected(queue, now, limit, among, pauses, skip)


def _nothing(_lane: str) -> None:
    """What is leased in a lane when no job in any is ready does not matter."""
