"""A machine that drives two storages side by side, with tenants that take turns, or are paused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from property_tests.recount import ALL
from property_tests.side_by_side import SideBySide
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import AttemptRecord, ClaimedJob, JobRequest, StoredJob
from trio_gusto.model.lifecycle import admit
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import Cancelled, Completed, Processing, Ready, Scheduled
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Commit, Insert
from trio_gusto.storage.pause_messages import LiftPauses, Pauses, PausesFound, PutPause

WEIGHTS = {"a": 1, "b": 2, "c": 3}
TENANTS = st.sampled_from(["a", "b", "c", ""])
QUEUES = st.sampled_from(["q", "q", "r"])

new_jobs = st.tuples(
    TENANTS,
    QUEUES,
    st.sampled_from([0, 0, 1]),
    st.sampled_from([None, None, 0, 2]),
    st.sampled_from([9, 9, 1]),
    st.sampled_from("ffg"),
)
Shares = list[tuple[str, int]] | None

shares = st.none() | st.lists(
    st.tuples(st.sampled_from(["q", "r"]), st.integers(1, 3)),
    max_size=2,
    unique_by=lambda one: one[0],
)
limits = st.integers(1, 8)
numbers_free = st.sampled_from([99, 99, 1, 2])
unknown = st.sampled_from([(), (), ("g",)])


class Wheel:
    """Whose turn it is, told with fractions: an account of its own, not the product's."""

    def __init__(self) -> None:
        self.now = Fraction(0)
        self.at: dict[str, Fraction] = {}

    def place(self, tenant: str) -> Fraction:
        return max(self.now, self.at.get(tenant, Fraction(0)))

    def copy(self) -> Wheel:
        copy = Wheel()
        copy.now, copy.at = self.now, dict(self.at)
        return copy

    def serve(self, tenant: str) -> None:
        self.now = self.place(tenant)
        self.at[tenant] = self.now + Fraction(1, WEIGHTS.get(tenant, 1))


class TenantAgreement(SideBySide):
    """Which jobs are claimed in turn is found out here by looking at all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.wheels: dict[tuple[str, int], Wheel] = {}

    @rule(some=st.lists(new_jobs, min_size=1, max_size=10))
    def enqueue(self, some: list[tuple[str, str, int, int | None, int, str]]) -> None:
        requests: list[JobRequest] = []
        for tenant, queue, priority, after, attempts, name in some:
            self.made += 1
            requests.append(
                JobRequest(
                    uuid7(self.now * 1000, self.made),
                    name,
                    "[[],{}]",
                    self.now,
                    attempts,
                    None,
                    None if after is None else self.now + after,
                    None,
                    queue,
                    priority,
                    tenant,
                )
            )
        self.tell(Insert(requests, [admit(request) for request in requests]))

    @rule(limit=limits, queues=shares, free=numbers_free, skips=unknown)
    def claim_in_turn(self, limit: int, queues: Shares, free: int, skips: Sequence[str]) -> None:
        """Only who is claimed has had a turn."""
        until = self.now + ALL
        claim = ClaimDue(
            "node-0", self.now, until, limit, free, queues, skips, tenant_weights=WEIGHTS
        )
        before = {place: wheel.copy() for place, wheel in self.wheels.items()}
        chosen = _shared_out(self.claimable(claim), limit, queues, self.turns)
        wanted = self.in_reach(chosen, free)
        self.wheels = before
        for job_id in wanted:
            request = self.jobs[job_id].request
            scope = "" if queues is None else request.queue
            self.wheels.setdefault((scope, request.priority), Wheel()).serve(request.tenant)
        self.note(wanted)
        (reply,) = self.tell(claim)
        assert isinstance(reply, ClaimReply)
        assert [job.request.id for job in reply.jobs] == wanted, "not in turn"
        self.leases += reply.jobs

    @rule(limit=limits, queues=shares, free=numbers_free, skips=unknown)
    def claim_by_due_instant(
        self, limit: int, queues: Shares, free: int, skips: Sequence[str]
    ) -> None:
        claim = ClaimDue("node-1", self.now, self.now + ALL, limit, free, queues, skips)
        before = dict(self.jobs)
        chosen = _shared_out(self.claimable(claim), limit, queues, _by_due_instant)
        wanted = self.in_reach(chosen, free)
        self.note(wanted)
        (reply,) = self.tell(claim)
        assert isinstance(reply, ClaimReply)
        assert [job.request.id for job in reply.jobs] == wanted, "not by due instant"
        self.count_claims(claim, reply, before)
        self.leases += reply.jobs

    def in_reach(self, chosen: Sequence[JobId], free: int) -> Sequence[JobId]:
        """The first of them, up to a last attempt that nobody is free for."""
        for number, job_id in enumerate(chosen):
            job = self.jobs[job_id]
            if number >= free and job.attempt + 1 >= job.request.max_attempts:
                return chosen[:number]
        return chosen

    def note(self, wanted: Sequence[JobId]) -> None:
        self.ever_claimed.update(wanted)
        self.claims.update(wanted)

    def claimable(self, claim: ClaimDue) -> list[StoredJob]:
        names = None if claim.queues is None else {name for name, _ in claim.queues}
        return [
            job
            for job in self.jobs.values()
            if isinstance(job.state, Ready | Scheduled)
            and job.state.due <= self.now
            and (names is None or job.request.queue in names)
            and job.request.name not in claim.skip_names
            and not any(
                pause.covers(job.request.queue, job.request.tenant) for pause in self.pauses
            )
        ]

    def turns(self, scope: str, jobs: Sequence[StoredJob], most: int) -> list[StoredJob]:
        left = list(jobs)
        taken: list[StoredJob] = []
        while left and len(taken) < most:
            top = max(job.request.priority for job in left)
            wheel = self.wheels.setdefault((scope, top), Wheel())
            at_top = [job for job in left if job.request.priority == top]
            job = min(
                at_top, key=lambda job: (wheel.place(job.request.tenant), *_claim_order(job)[1:])
            )
            wheel.serve(job.request.tenant)
            taken.append(job)
            left.remove(job)
        return taken

    @precondition(lambda self: self.held())
    @rule()
    def end_all(self) -> None:
        for lease in self.held():
            at = lease.claimed_at
            state = Completed(self.now, at, at, lease.node)
            self.tell(Commit(lease.request.id, lease.token, state, lease.attempt))

    @precondition(lambda self: self.held())
    @rule(pick=st.integers(0, 9))
    def give_back(self, pick: int) -> None:
        """It keeps its place, and the turn is spent."""
        held = self.held()
        lease = held[pick % len(held)]
        job_id, at = lease.request.id, lease.claimed_at
        record = AttemptRecord(
            lease.attempt, lease.token, lease.node, at, at, self.now, AttemptOutcome.RELEASED
        )
        self.given_back[job_id] += 1
        self.tell(Commit(job_id, lease.token, Ready(lease.due), lease.attempt - 1, record))

    @precondition(lambda self: self.ready())
    @rule(pick=st.integers(0, 9))
    def cancel(self, pick: int) -> None:
        ready = self.ready()
        job = ready[pick % len(ready)]
        self.tell(Commit(job.request.id, job.version, Cancelled(self.now, ""), job.attempt))

    def ready(self) -> list[StoredJob]:
        return [job for job in self.jobs.values() if isinstance(job.state, Ready | Scheduled)]

    def held(self) -> list[ClaimedJob]:
        return [
            lease
            for lease in self.leases
            if (job := self.jobs.get(lease.request.id)) is not None
            and job.version == lease.token
            and isinstance(job.state, Processing)
        ]

    @rule(queue=st.sampled_from([None, None, "q"]), tenant=TENANTS)
    def pause(self, queue: str | None, tenant: str) -> None:
        self.tell(PutPause(queue, tenant, "", self.now))
        self.note_pauses()

    @rule(queue=st.sampled_from([None, None, "q"]), tenant=TENANTS)
    def lift(self, queue: str | None, tenant: str) -> None:
        self.tell(LiftPauses(queue, tenant))
        self.note_pauses()

    @rule()
    def lift_all(self) -> None:
        self.tell(LiftPauses())
        self.note_pauses()

    def note_pauses(self) -> None:
        found = self.ask(Pauses(self.now))
        assert isinstance(found, PausesFound)
        self.pauses = list(found.pauses)

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds


def _claim_order(job: StoredJob) -> tuple[int, int, int]:
    assert isinstance(job.state, Ready | Scheduled)
    return -job.request.priority, job.state.due, job.sequence


def _by_due_instant(_scope: str, jobs: Sequence[StoredJob], most: int) -> list[StoredJob]:
    return sorted(jobs, key=_claim_order)[:most]


def _shared_out(
    jobs: Sequence[StoredJob],
    limit: int,
    queues: list[tuple[str, int]] | None,
    take: Callable[[str, Sequence[StoredJob], int], list[StoredJob]],
) -> list[JobId]:
    """Up to each queue's share first, then what is left of the limit from the same queues."""
    if queues is None:
        return [job.request.id for job in take("", jobs, limit)]
    taken: list[StoredJob] = []
    for share in (True, False):
        for name, most in queues:
            left = [job for job in jobs if job.request.queue == name and job not in taken]
            room = limit - len(taken)
            taken += take(name, left, min(most, room) if share else room)
    return [job.request.id for job in taken]
