"""The buckets that a `MemoryStorage` keeps: those that are not full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from ...model.admission import key_limit
from ...model.job import JobRequest, StoredJob
from ...model.rates import Bucket, Demand, Rates, startable
from ..messages import ClaimDue, ClaimReply
from ..rate_messages import Buckets, BucketsFound


class RateShelf:
    """Buckets by name, and what the claim that is being filled takes off them."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._filling: list[tuple[int, str]] = []
        """A heap: when each is full, and when those were that have been taken from since."""
        self.now: Rates | None = None
        """Those of the claim; ``None`` while nothing is limited."""

    def begin(self, claim: ClaimDue, *, may_have_keys: bool) -> None:
        """A claim is about to be filled; if ``may_have_keys``, by jobs that have rate keys, perhaps."""
        if may_have_keys or claim.queue_rates is not None:
            self.now = Rates(self._buckets.get, claim.now, claim.queue_rates)
        else:
            self.now = None

    def startable(self, found: Sequence[StoredJob], free: int) -> int:
        """How many of the jobs found may be claimed for so many executors."""
        assert self.now is not None
        if not self.now.any_met:
            return len(found)
        return startable([bool(self._demands(job.request)) for job in found], free)

    def spend(self, reply: ClaimReply, now: int) -> None:
        """These were claimed: take their tokens, and say when others may start."""
        assert self.now is not None
        if not self.now.any_met:
            return
        spent = self.now.spent(self._demands(job.request) for job in reply.jobs)
        if spent:
            self._keep(spent, now)
        if not reply.more:
            reply.next_due = self.now.next_due(reply.next_due)

    def _keep(self, buckets: Mapping[str, Bucket], now: int) -> None:
        self._buckets.update(buckets)
        for name, bucket in buckets.items():
            heappush(self._filling, (bucket.full_at, name))
        while self._filling and self._filling[0][0] <= now:
            _, name = heappop(self._filling)
            kept = self._buckets.get(name)
            if kept is not None and kept.full_at <= now:
                del self._buckets[name]

    def find(self, query: Buckets) -> BucketsFound:
        """Answer a query."""
        found = {name: self._buckets.get(name) for name in query.names}
        return BucketsFound(
            {name: each for name, each in found.items() if each and each.full_at > query.now}
        )

    def _demands(self, request: JobRequest) -> Sequence[Demand]:
        assert self.now is not None
        return self.now.demands(request.queue, key_limit(request))
