"""Which jobs a claim finds, in which order."""

from __future__ import annotations

from collections.abc import Callable

from ...model.admission import Admission
from ...model.job import StoredJob
from ...model.lanes import Lanes
from ...model.rates import Rates
from ..messages import ClaimDue
from .fairness import FairShares
from .index import Index
from .pauses import PauseShelf

Take = Callable[[str | None, int], list[StoredJob]]
"""Takes up to so many jobs of a queue, or of all, out of the index."""


def claimable(
    index: Index, pauses: PauseShelf, claim: ClaimDue, rates: Rates | None = None
) -> list[StoredJob]:
    """Up to ``limit`` jobs in claim order, taken out of the index."""
    limit, take = claim.limit, _taking(index, pauses, claim, rates)
    if claim.queues is None:
        return take(None, limit)
    found: list[StoredJob] = []
    for name, share in claim.queues:
        found += take(name, min(share, limit - len(found)))
    for name, _ in claim.queues:
        found += take(name, limit - len(found))
    return found


def _taking(index: Index, pauses: PauseShelf, claim: ClaimDue, rates: Rates | None) -> Take:
    now, skip = claim.now, claim.skip_names
    lanes = index.leased_lanes(claim.node, claim.depth)
    index.bring_back(pauses)
    index.lanes.order_by(claim.ageing)
    if pauses.cover_everything():
        return lambda _queue, _limit: []
    has_rules = claim.tenant_weights is not None or claim.ageing is not None
    if lanes is None and rates is None and not has_rules:
        return lambda queue, limit: index.take_ready(queue, now, limit, skip, pauses or None)
    if lanes is not None:
        index.lanes.shut(claim.closed_lanes)
    among = lanes or Lanes(_nothing)
    among.closed.update(claim.closed_lanes)
    admission = Admission(among, rates, claim.queues)
    weights, ageing = claim.tenant_weights, claim.ageing
    shares = None if weights is None else FairShares(index.turns, claim)

    def take(queue: str | None, limit: int) -> list[StoredJob]:
        if shares is not None:
            return index.take_fairly(queue, limit, shares, admission, pauses)
        return index.take_selected(queue, now, limit, admission, pauses, skip, ageing)

    return lambda queue, limit: admission.fill(limit, lambda left: take(queue, left))


def _nothing(_lane: str) -> None:
    """What is leased in a lane when no job in any is ready does not matter."""
