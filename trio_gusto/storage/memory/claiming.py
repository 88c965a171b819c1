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
    admission = Admission(among, rates)
    if rates is not None:
        served = None if claim.queues is None else [name for name, _ in claim.queues]
        admission.closed_queues |= rates.closed_queues(served)
    if claim.tenant_weights is not None:
        shares = FairShares(index.turns, claim)
        return _until_filled(
            admission,
            lambda queue, limit: index.take_fairly(queue, limit, shares, admission, pauses),
        )
    return _until_filled(
        admission,
        lambda queue, limit: index.take_selected(
            queue, now, limit, admission, pauses, skip, claim.ageing
        ),
    )


def _until_filled(admission: Admission, take: Take) -> Take:
    """A step ends at the first job for which its queue has no token any more; then the others are asked."""

    def filled(queue: str | None, limit: int) -> list[StoredJob]:
        taken: list[StoredJob] = []
        while len(taken) < limit:
            closed = len(admission.closed_queues)
            taken += take(queue, limit - len(taken))
            if len(admission.closed_queues) == closed:
                break
        return taken

    return filled


def _nothing(_lane: str) -> None:
    """What is leased in a lane when no job in any is ready does not matter."""
