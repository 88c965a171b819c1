"""A machine that drives two storages side by side, with jobs whose rates are limited, and with ageing.

It has few verbs besides, so that tokens meet named workers, pauses, deadlines and each other often. What a
claim should take is recounted from the law itself: who is not taken could not have started without breaking it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from property_tests.recount import Jobs, is_held
from property_tests.side_by_side import SideBySide
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import AttemptRecord, ClaimedJob, Details, JobRequest
from trio_gusto.model.lifecycle import admit, within_reach
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.pauses import StoredPause
from trio_gusto.model.rates import RateLimit
from trio_gusto.model.states import Completed, JobState, Ready, Scheduled
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Commit, Committed, Insert
from trio_gusto.storage.pause_messages import LiftPauses, PutPause
from trio_gusto.storage.rate_messages import Buckets, BucketsFound

LEASE = 1_000_000
MOST = 9

few = st.integers(0, 4)
picks = st.integers(0, 3)
queue_names = st.sampled_from(["a", "b"])


def limit(count: int, microseconds: int, burst: int | None = None) -> RateLimit:
    return RateLimit(count, per=microseconds / 1_000_000, burst=burst)


KEYS = {"k": limit(2, 10), "l": limit(3, 7, 1), "m": limit(1, 5, 4)}
OTHERS = [limit(1, 30), limit(5, 2), limit(1, 8, 3)]
QUEUES = {"a": limit(2, 9, 3)}

Starts = dict[str, list[int]]


def obeys(starts: Sequence[int], rate: RateLimit) -> bool:
    """In any span no more than the burst, and what grows meanwhile; as it stands in the docstring."""
    count, per = rate.count, rate.period
    return all(
        (last - first + 1 - rate.burst) * per <= (starts[last] - starts[first]) * count
        for last in range(len(starts))
        for first in range(last + 1)
    )


def demands(request: JobRequest, claim: ClaimDue) -> list[tuple[str, RateLimit]]:
    found: list[tuple[str, RateLimit]] = []
    if claim.queue_rates and request.queue in claim.queue_rates:
        found.append((f"queue {request.queue}", claim.queue_rates[request.queue]))
    details = request.details
    if details is not None and details.rate_key is not None:
        assert details.rate_limit is not None
        found.append((f"key {details.rate_key}", details.rate_limit))
    return found


def lane_of(request: JobRequest) -> tuple[str, str] | None:
    """Jobs of a rate key stand in line one behind the other, unless they do so for a worker."""
    details = request.details
    if details is not None and details.worker is not None:
        return "worker", details.worker
    return None if details is None or details.rate_key is None else ("rate", details.rate_key)


class Recount:
    """What a claim should take, by the law."""

    def __init__(
        self, jobs: Jobs, claim: ClaimDue, pauses: Sequence[StoredPause], starts: Starts
    ) -> None:
        self.jobs, self.claim = jobs, claim
        self.starts = defaultdict(list, {name: list(before) for name, before in starts.items()})
        self.closed = {
            lane
            for job in jobs.values()
            if job.state.word is JobState.PROCESSING
            and (lane := lane_of(job.request))
            and lane[0] == "worker"
        }
        self.shut = {
            name
            for name, rate in (claim.queue_rates or {}).items()
            if not self.allows(f"queue {name}", rate)
        }
        self.found: list[JobId] = []
        rank = claim.ageing
        eligible: list[tuple[Any, ...]] = []
        for job in jobs.values():
            request, state = job.request, job.state
            if (
                isinstance(state, Ready | Scheduled)
                and state.due <= claim.now
                and (request.expire_on is None or claim.now < request.expire_on)
                and not any(is_held(request, pause) for pause in pauses)
            ):
                order = (-request.priority, state.due)
                if rank is not None:
                    order = (state.due - request.priority * rank, 0)
                eligible.append((*order, job.sequence, request.id))
        self.eligible = sorted(eligible)

    def allows(self, name: str, rate: RateLimit) -> bool:
        return obeys([*self.starts[name], self.claim.now], rate)

    def take(self, queue: str | None, most: int) -> None:
        claim = self.claim
        for *_, job_id in self.eligible:
            request = self.jobs[job_id].request
            if most <= 0 or len(self.found) >= claim.limit:
                return
            if queue not in (None, request.queue) or job_id in self.found:
                continue
            lane = lane_of(request)
            if request.queue in self.shut or lane in self.closed:
                continue
            wanted = demands(request, claim)
            refused = [name for name, rate in wanted if not self.allows(name, rate)]
            if f"queue {request.queue}" in refused:
                self.shut.add(request.queue)  # as if it were paused
            elif refused:
                assert lane is not None
                self.closed.add(lane)  # whoever has no token for his key holds his lane up
            else:
                for name, _ in wanted:
                    self.starts[name].append(claim.now)
                if lane is not None and lane[0] == "worker":
                    self.closed.add(lane)
                self.found.append(job_id)
                most -= 1

    def all(self) -> list[JobId]:
        claim = self.claim
        if claim.queues is None:
            self.take(None, claim.limit)
        else:
            for queue, share in claim.queues:
                self.take(queue, share)
            for queue, _ in claim.queues:
                self.take(queue, claim.limit)
        jobs = [self.jobs[job_id] for job_id in self.found]
        reach = within_reach([(job.attempt, job.request.max_attempts) for job in jobs], claim.free)
        limited = [number for number, job in enumerate(jobs) if demands(job.request, claim)]
        if limited:
            reach = min(
                reach, max(limited[0], claim.free) if limited[0] >= claim.free else claim.free
            )
            if limited[0] >= claim.free:
                reach = min(reach, limited[0])
        return self.found[:reach]


class RateAgreement(SideBySide):
    """What is claimed is recounted while every key has one limit, and the clock goes forward."""

    ageing: ClassVar[int | None] = None
    weights: ClassVar[dict[str, int] | None] = None
    queue_rates = st.sampled_from([None, None, QUEUES])

    def __init__(self) -> None:
        super().__init__()
        self.starts: Starts = defaultdict(list)
        self.are_mixed = False

    @rule(
        queue=queue_names,
        key=st.sampled_from([None, "k", "k", "l", "m"]),
        worker=st.sampled_from([None, None, None, "smtp"]),
        priority=st.integers(0, 2),
        tenant=st.sampled_from(["", "", "t"]),
        delay=st.sampled_from([None, None, 3, 20]),
        expiry=st.sampled_from([None, None, None, 12]),
        count=st.integers(1, 3),
        attempts=st.sampled_from([1, 5, 5]),
        other=st.sampled_from([None] * 12 + OTHERS),
    )
    def enqueue(
        self,
        queue: str,
        key: str | None,
        worker: str | None,
        priority: int,
        tenant: str,
        delay: int | None,
        expiry: int | None,
        count: int,
        attempts: int,
        other: RateLimit | None,
    ) -> None:
        rate = None if key is None else other or KEYS[key]
        self.are_mixed |= key is not None and other is not None
        details = None if key is None and worker is None else Details(worker=worker)
        if details is not None and key is not None:
            details.rate_key, details.rate_limit = key, rate
        requests: list[JobRequest] = []
        for _ in range(count):
            self.made += 1
            requests.append(
                JobRequest(
                    uuid7(self.now * 1000, self.made),
                    "f",
                    "[[],{}]",
                    self.now,
                    attempts,
                    None,
                    None if delay is None else self.now + delay,
                    None if expiry is None else self.now + expiry + (delay or 0),
                    queue,
                    priority,
                    tenant,
                    details,
                )
            )
        self.tell(Insert(requests, [admit(request) for request in requests]))

    @rule(seconds=st.sampled_from([1, 1, 2, 3, 5, 9, 40]))
    def tick(self, seconds: int) -> None:
        self.now += seconds

    @rule(
        seconds=st.sampled_from([1, 4, 100, 2_000_000]),
        really=st.sampled_from([False] * 9 + [True]),
    )
    def set_the_clock_back(self, seconds: int, really: bool) -> None:
        if really:
            self.now -= seconds
            self.clock_stepped = True

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        names = data.draw(
            st.none()
            | st.none()
            | st.lists(st.tuples(queue_names, few), unique_by=lambda pair: pair[0])
        )
        claim = ClaimDue(
            data.draw(st.sampled_from(self.nodes)),
            self.now,
            self.now + LEASE,
            data.draw(few | st.just(MOST)),
            data.draw(few | st.just(MOST)),
            names,
            queue_rates=data.draw(self.queue_rates),
            ageing=self.ageing,
            tenant_weights=self.weights,
        )
        self.check_claim(claim)

    @rule()
    def claim_everything(self) -> None:
        self.check_claim(
            ClaimDue(self.nodes[0], self.now, self.now + LEASE, 99, 99, ageing=self.ageing)
        )

    def check_claim(self, claim: ClaimDue) -> None:
        before = self.jobs
        expected = Recount(before, claim, self.pauses, self.starts).all()
        (reply,) = self.tell_counting(claim)
        claimed = [job.request.id for job in reply.jobs]
        if not (self.are_mixed or self.clock_stepped):
            assert claimed == expected or self.weights is not None
            # What starts without a token (its queue has no limit just now) is not counted as one.
            for name, rate in {**of_all(QUEUES, "queue"), **of_all(KEYS, "key")}.items():
                assert obeys(self.starts[name], rate), "more jobs started than the limit allows"
            if not reply.more and reply.next_due is not None and reply.next_due > self.now + 1:
                self.check_that_none_starts_before(reply.next_due, claim)

    def check_that_none_starts_before(self, instant: int, claim: ClaimDue) -> None:
        later = ClaimDue(
            claim.node,
            instant - 1,
            instant + LEASE,
            99,
            99,
            claim.queues,
            queue_rates=claim.queue_rates,
            ageing=claim.ageing,
        )
        early = Recount(self.jobs, later, self.pauses, self.starts).all()
        assert not early, "a job could have started before the instant that was told"

    def tell_counting(self, claim: ClaimDue) -> Sequence[ClaimReply]:
        """Claim, with `check_jobs` knowing of it."""
        self.expected_claims = True
        (reply,) = self.tell(claim)
        assert isinstance(reply, ClaimReply)
        self.leases += reply.jobs
        for job in reply.jobs:
            for name, _ in demands(job.request, claim):
                self.starts[name].append(claim.now)
        return [reply]

    def check_jobs(self, before: Jobs) -> None:
        """Count the claims first: the versions of jobs tell them."""
        for job_id, job in self.jobs.items():
            if job.state.word is JobState.PROCESSING and (before[job_id].version != job.version):
                self.claims[job_id] += 1
                self.ever_claimed[job_id] += 1
        super().check_jobs(before)

    @precondition(lambda self: self.leases)
    @rule(pick=picks, end=st.sampled_from(["success", "retry", "give back"]), delay=few)
    def settle(self, pick: int, end: str, delay: int) -> None:
        lease = self.leases[-1 - pick % len(self.leases)]
        job = self.jobs[lease.request.id]
        if job.version != lease.token:
            return
        (reply,) = self.tell(self.commit(lease, end, delay))
        assert isinstance(reply, Committed)

    def commit(self, lease: ClaimedJob, end: str, delay: int) -> Commit:
        job_id, token = lease.request.id, lease.token
        if end == "success" or (end == "retry" and lease.attempt >= lease.request.max_attempts):
            state = Completed(self.now, lease.claimed_at, lease.claimed_at, lease.node)
            return Commit(job_id, token, state, lease.attempt)
        outcome = AttemptOutcome.FAILED if end == "retry" else AttemptOutcome.RELEASED
        record = AttemptRecord(
            lease.attempt, token, lease.node, lease.claimed_at, None, self.now, outcome
        )
        if end == "retry":
            return Commit(job_id, token, Scheduled(self.now + delay), lease.attempt, record)
        self.given_back[job_id] += 1
        return Commit(job_id, token, Ready(lease.due), lease.attempt - 1, record)

    @rule(queue=st.none() | queue_names, tenant=st.sampled_from([None, "t"]), lifts=st.booleans())
    def pause_or_lift(self, queue: str | None, tenant: str | None, lifts: bool) -> None:
        if lifts or (queue is None and tenant is None):
            self.tell(LiftPauses())
            self.pauses = ()
        else:
            self.tell(PutPause(queue, tenant, "", self.now))
            self.pauses = [*self.pauses, StoredPause(queue, tenant, "", self.now)]

    @rule()
    def look_at_buckets(self) -> None:
        names = [*of_all(KEYS, "key"), *of_all(QUEUES, "queue")]
        found = self.ask(Buckets(names, self.now))
        assert isinstance(found, BucketsFound)
        for bucket in found.buckets.values():
            assert bucket.full_at > self.now
        counted = Counter(
            {
                name: sum(one >= found.buckets[name].since for one in self.starts[name])
                for name in found.buckets
            }
        )
        if not (self.are_mixed or self.clock_stepped):
            assert counted == {name: bucket.starts for name, bucket in found.buckets.items()}


class AgeingAgreement(RateAgreement):
    """The same in the order of ageing."""

    ageing = 4


class FairRateAgreement(RateAgreement):
    """The same where tenants take turns; whose turn it is, is recounted elsewhere."""

    weights: ClassVar[dict[str, int] | None] = {"t": 2}


def of_all(limits: dict[str, RateLimit], kind: str) -> dict[str, RateLimit]:
    return {f"{kind} {name}": rate for name, rate in limits.items()}
