"""Storages that each break one promise about rate limits or about ageing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import attrs

from trio_gusto.model.errors import DuplicateJob, UnknownJob
from trio_gusto.model.job import StoredJob
from trio_gusto.model.rates import Demand, KeyLimit, RateLimit, Rates
from trio_gusto.storage.finding_messages import Find, Found
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.pauses import PauseShelf
from trio_gusto.storage.memory.rates import RateShelf
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Insert, Inserted
from trio_gusto.storage.rate_messages import Buckets, BucketsFound


def on_shelf(shelf: type[RateShelf]) -> type[MemoryStorage]:
    """A storage whose buckets stand on this shelf."""

    def init(self: MemoryStorage) -> None:
        MemoryStorage.__init__(self)
        self._rates = shelf()

    return type(shelf.__name__, (MemoryStorage,), {"__init__": init})


class LosesTokens(RateShelf):
    """What is claimed is not written down."""

    def spend(self, reply: ClaimReply, now: int) -> None:
        assert self.now is not None
        if not reply.more:
            reply.next_due = self.now.next_due(reply.next_due)


class TellsNoInstant(RateShelf):
    def spend(self, reply: ClaimReply, now: int) -> None:
        before = reply.next_due
        super().spend(reply, now)
        reply.next_due = before


class RoundsDown(RateShelf):
    """A token takes a whole number of microseconds to grow, by a number that is too small."""

    def begin(self, claim: ClaimDue, *, may_have_keys: bool) -> None:
        super().begin(claim, may_have_keys=may_have_keys)
        if self.now is not None:
            self.now = RoundedRates(self._buckets.get, claim.now, claim.queue_rates)


class RoundedRates(Rates):
    def demands(self, queue: str, limit: KeyLimit | None) -> Sequence[Demand]:
        return [
            (name, RateLimit(1, timedelta(microseconds=rate.period // rate.count), rate.burst))
            for name, rate in super().demands(queue, limit)
        ]


class RefundsTokens(RateShelf):
    """A job that is claimed again takes no token."""

    def spend(self, reply: ClaimReply, now: int) -> None:
        kept = dict(self._buckets)
        super().spend(reply, now)
        if any(job.token > 1 for job in reply.jobs):
            self._buckets = kept


class TakesTokensOfThoseLeftBehind(RateShelf):
    def startable(self, found: Sequence[StoredJob], free: int) -> int:
        reach = super().startable(found, free)
        if self.now is not None:
            self._keep(self.now.spent(self._demands(job.request) for job in found[reach:]), 0)
        return reach


class ClaimsAheadOfExecutors(RateShelf):
    def startable(self, found: Sequence[StoredJob], free: int) -> int:
        return len(found)


class FreezesBuckets(RateShelf):
    """A clock that was set back is waited for."""

    def begin(self, claim: ClaimDue, *, may_have_keys: bool) -> None:
        latest = max((bucket.last for bucket in self._buckets.values()), default=0)
        super().begin(attrs.evolve(claim, now=max(latest, claim.now)), may_have_keys=may_have_keys)


class NeverFull(RateShelf):
    def find(self, query: Buckets) -> BucketsFound:
        return super().find(attrs.evolve(query, now=0))


class OneBucketForAll(RateShelf):
    def begin(self, claim: ClaimDue, *, may_have_keys: bool) -> None:
        super().begin(claim, may_have_keys=may_have_keys)
        if self.now is not None:
            self.now = OneBucket(self._buckets.get, claim.now, claim.queue_rates)


class OneBucket(Rates):
    def demands(self, queue: str, limit: KeyLimit | None) -> Sequence[Demand]:
        return [("key api", rate) for _, rate in super().demands(queue, limit)]


class StopsAtTheFirstThatWaits(MemoryStorage):
    """What waits for a token holds up all that comes behind it."""

    def _claimable(self, claim: ClaimDue) -> list[StoredJob]:
        found = super()._claimable(claim)
        rates = self._rates.now
        if rates is None or rates.next_start is None:
            return found
        waiting = [
            job.request.priority
            for job in self._jobs.values()
            if job.request.details
            and job.request.details.rate_key
            and job not in found
            and job.state.word == "ready"
        ]
        highest = max(waiting, default=-99)
        kept = [job for job in found if job.request.priority >= highest]
        for job in found[len(kept) :]:
            self._index.put_back(job)
        return kept


class OneLimitForAKey(MemoryStorage):
    """The first limit of a key is that of all of its jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: dict[str, RateLimit] = {}

    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        requests = [
            attrs.evolve(
                request,
                details=attrs.evolve(
                    request.details,
                    rate_limit=self.limits.setdefault(
                        request.details.rate_key, request.details.rate_limit
                    ),
                ),
            )
            if request.details and request.details.rate_key and request.details.rate_limit
            else request
            for request in insert.requests
        ]
        return super()._insert(Insert(requests, insert.states))


class IgnoresRatesOfQueues(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return super()._claim_due(attrs.evolve(claim, queue_rates=None))


class ClosesTheLaneToo(RateShelf):
    """Whoever waits for his queue's token holds up his worker's jobs in other queues."""

    def begin(self, claim: ClaimDue, *, may_have_keys: bool) -> None:
        super().begin(claim, may_have_keys=may_have_keys)
        if self.now is not None:
            self.now = AllByKey(self._buckets.get, claim.now, claim.queue_rates)


class AllByKey(Rates):
    def refusal(self, demands: Iterable[Demand]) -> str | None:
        return None if super().refusal(demands) is None else "key of nobody"


class IgnoresPauses(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()

        class Nothing(PauseShelf):
            def __bool__(self) -> bool:
                return False

            def covers(self, request: Any) -> bool:
                return False

        self._pauses = Nothing()


class FindsAnyRateKey(MemoryStorage):
    def _find(self, find: Find) -> Found:
        return super()._find(attrs.evolve(find, rate_keys=frozenset()))


class IgnoresAgeing(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return super()._claim_due(attrs.evolve(claim, ageing=None))


class AgesTwiceAsFast(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        ageing = None if claim.ageing is None else claim.ageing // 2
        return super()._claim_due(attrs.evolve(claim, ageing=ageing))


class ForgetsRateKeysOfWorkers(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        requests = [
            attrs.evolve(
                request, details=attrs.evolve(request.details, rate_key=None, rate_limit=None)
            )
            if request.details and request.details.worker
            else request
            for request in insert.requests
        ]
        return super()._insert(Insert(requests, insert.states))


class ForgetsRateKeysOfBatches(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        requests = [
            attrs.evolve(
                request, details=attrs.evolve(request.details, rate_key=None, rate_limit=None)
            )
            if request.details and request.details.batch
            else request
            for request in insert.requests
        ]
        return super()._insert(Insert(requests, insert.states))


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (on_shelf(LosesTokens), "a rate key has tokens for its burst"),
    (on_shelf(TellsNoInstant), "a rate key has tokens for its burst"),
    (on_shelf(RoundsDown), "a rate is exact"),
    (StopsAtTheFirstThatWaits, "rate keys are in nobodys way"),
    (on_shelf(OneBucketForAll), "rate keys are in nobodys way"),
    (on_shelf(LosesTokens), "rate keys stand in several queues"),
    (on_shelf(TakesTokensOfThoseLeftBehind), "only what is claimed takes a token"),
    (on_shelf(ClaimsAheadOfExecutors), "only what is claimed takes a token"),
    (on_shelf(RefundsTokens), "every attempt takes a token"),
    (OneLimitForAKey, "a rate limit goes with each job"),
    (ForgetsRateKeysOfWorkers, "a named worker waits for the token of its first job"),
    (IgnoresRatesOfQueues, "a queue has a rate"),
    (on_shelf(ClosesTheLaneToo), "a named worker goes on in another queue"),
    (IgnoresPauses, "paused jobs take no token"),
    (on_shelf(FreezesBuckets), "a clock that is set back freezes no bucket"),
    (on_shelf(NeverFull), "buckets fill again"),
    (ForgetsRateKeysOfBatches, "staged jobs keep their rate key"),
    (FindsAnyRateKey, "jobs are found by rate key"),
    (IgnoresAgeing, "ageing counts waiting as priority"),
    (AgesTwiceAsFast, "ageing counts waiting as priority"),
]
"""Each with the promise that it breaks."""
