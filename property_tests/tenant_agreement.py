"""A machine that drives two storages side by side, with tenants that take turns, or are paused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from property_tests.recount import ALL
from property_tests.side_by_side import SideBySide
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import ClaimedJob, JobRequest, StoredJob
from trio_gusto.model.lifecycle import admit
from trio_gusto.model.states import Completed, Processing, Ready, Scheduled
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Commit, Insert
from trio_gusto.storage.pause_messages import LiftPauses, Pauses, PausesFound, PutPause

WEIGHTS = {"a": 1, "b": 2, "c": 3}
TENANTS = st.sampled_from(["a", "b", "c", ""])
QUEUES = st.sampled_from(["q", "q", "r"])

new_jobs = st.tuples(
    TENANTS, QUEUES, st.sampled_from([0, 0, 1]), st.sampled_from([None, None, 0, 2])
)
shares = st.none() | st.lists(
    st.tuples(st.sampled_from(["q", "r"]), st.integers(1, 3)),
    max_size=2,
    unique_by=lambda one: one[0],
)


class Wheel:
    """Whose turn it is, told with fractions: an account of its own, not the product's."""

    def __init__(self) -> None:
        self.now = Fraction(0)
        self.at: dict[str, Fraction] = {}

    def place(self, tenant: str) -> Fraction:
        return max(self.now, self.at.get(tenant, Fraction(0)))

    def serve(self, tenant: str) -> None:
        self.now = self.place(tenant)
        self.at[tenant] = self.now + Fraction(1, WEIGHTS.get(tenant, 1))


class TenantAgreement(SideBySide):
    """Which jobs are claimed in turn is found out here by looking at all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.wheels: dict[tuple[str, int], Wheel] = {}

    @rule(some=st.lists(new_jobs, min_size=1, max_size=10))
    def enqueue(self, some: list[tuple[str, str, int, int | None]]) -> None:
        requests: list[JobRequest] = []
        for tenant, queue, priority, after in some:
            self.made += 1
            requests.append(
                JobRequest(
                    uuid7(self.now * 1000, self.made),
                    "f",
                    "[[],{}]",
                    self.now,
                    9,
                    None,
                    None if after is None else self.now + after,
                    None,
                    queue,
                    priority,
                    tenant,
                )
            )
        self.tell(Insert(requests, [admit(request) for request in requests]))

    @rule(limit=st.integers(1, 8), queues=shares)
    def claim_in_turn(self, limit: int, queues: list[tuple[str, int]] | None) -> None:
        claim = ClaimDue(
            "node-0", self.now, self.now + ALL, limit, 99, queues, (), tenant_weights=WEIGHTS
        )
        wanted = self.in_turn(limit, queues)
        self.note(wanted)
        (reply,) = self.tell(claim)
        assert isinstance(reply, ClaimReply)
        assert [job.request.id for job in reply.jobs] == wanted, "not in turn"
        self.leases += reply.jobs

    @rule(limit=st.integers(1, 8), queues=shares)
    def claim_by_due_instant(self, limit: int, queues: list[tuple[str, int]] | None) -> None:
        claim = ClaimDue("node-1", self.now, self.now + ALL, limit, 99, queues)
        before = dict(self.jobs)
        wanted = _shared_out(self.claimable(queues), limit, queues, _by_due_instant)
        self.note(wanted)
        (reply,) = self.tell(claim)
        assert isinstance(reply, ClaimReply)
        assert [job.request.id for job in reply.jobs] == wanted, "not by due instant"
        self.count_claims(claim, reply, before)
        self.leases += reply.jobs

    def note(self, wanted: Sequence[JobId]) -> None:
        self.ever_claimed.update(wanted)
        self.claims.update(wanted)

    def claimable(self, queues: list[tuple[str, int]] | None) -> list[StoredJob]:
        names = None if queues is None else {name for name, _ in queues}
        return [
            job
            for job in self.jobs.values()
            if isinstance(job.state, Ready | Scheduled)
            and job.state.due <= self.now
            and (names is None or job.request.queue in names)
            and not any(
                pause.covers(job.request.queue, job.request.tenant) for pause in self.pauses
            )
        ]

    def in_turn(self, limit: int, queues: list[tuple[str, int]] | None) -> list[JobId]:
        return _shared_out(self.claimable(queues), limit, queues, self.turns)

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
