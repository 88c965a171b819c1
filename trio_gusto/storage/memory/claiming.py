"""Which jobs a claim finds, in which order."""

from __future__ import annotations

from collections.abc import Callable

from ...model.admission import Admission
from ...model.job import JobRequest, StoredJob
from ...model.lanes import Lanes
from ...model.rates import Rates
from ..messages import ClaimDue
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
    lanes = index.lanes_at_work()
    if lanes is None and not pauses and rates is None and claim.ageing is None:
        return lambda queue, limit: index.take_ready(queue, now, limit, skip)
    if pauses.cover_everything():
        return lambda _queue, _limit: []
    admission = Admission(lanes or Lanes(()), rates or Rates(lambda _: None, now, None))
    served = None if claim.queues is None else [name for name, _ in claim.queues]
    closed = {*pauses.closed_queues(), *admission.rates.closed_queues(served)}

    def is_wanted(request: JobRequest) -> bool:
        return request.name not in skip and not pauses.covers(request)

    def take(queue: str | None, limit: int) -> list[StoredJob]:
        return index.take_selected(queue, closed, now, limit, admission, is_wanted, claim.ageing)

    return take
