"""A machine that drives two storages side by side, with jobs in lanes and claims that lease them in a row.

Lanes are few and claims are small, so that lanes are nearly always full, and walks have to step over them.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from property_tests.recount import ALL, claimable, lane_of, limit_of
from property_tests.side_by_side import SideBySide
from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import AttemptRecord, ClaimedJob, Details, JobRequest
from trio_gusto.model.lifecycle import admit
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import (
    Cancelled,
    Completed,
    Failed,
    Processing,
    Ready,
    Scheduled,
    State,
)
from trio_gusto.storage.finding_messages import Find
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Commit, Insert
from trio_gusto.storage.pause_messages import LiftPauses, Pauses, PausesFound, PutPause

LANES = (
    None,
    Details(worker="a"),
    Details(worker="a"),
    Details(concurrency_key="a"),
    Details(concurrency_key="b", concurrency_limit=2),
    Details(concurrency_key="b", concurrency_limit=3),
    Details(concurrency_key="b"),
)

picks = st.integers(0, 3)
jobs = st.tuples(
    st.sampled_from(LANES),
    st.sampled_from(["q", "q", "r"]),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([1, 2, 9]),
    st.sampled_from([None, None, None, 0, 2]),
    st.sampled_from([None, None, None, 1, 4]),
)
shares = st.none() | st.lists(
    st.tuples(st.sampled_from(["q", "r"]), st.integers(1, 3)),
    max_size=2,
    unique_by=lambda one: one[0],
)


class LaneAgreement(SideBySide):
    """What may be leased is recounted (`recount.claimable`)."""

    @rule(some=st.lists(jobs, min_size=1, max_size=8))
    def enqueue(
        self, some: list[tuple[Details | None, str, int, int, int | None, int | None]]
    ) -> None:
        requests: list[JobRequest] = []
        for details, queue, priority, attempts, after, expiry in some:
            self.made += 1
            requests.append(
                JobRequest(
                    uuid7(self.now * 1000, self.made),
                    "f",
                    "[[],{}]",
                    self.now,
                    attempts,
                    None,
                    None if after is None else self.now + after,
                    None if expiry is None else self.now + (after or 0) + expiry,
                    queue,
                    priority,
                    details=None if details is None else attrs.evolve(details),
                )
            )
        self.tell(Insert(requests, [admit(request) for request in requests]))

    @rule(
        pick=picks,
        limit=st.integers(1, 5),
        free=st.integers(0, 5),
        depth=st.integers(1, 3),
        queues=shares,
    )
    def claim(
        self, pick: int, limit: int, free: int, depth: int, queues: list[tuple[str, int]] | None
    ) -> None:
        node = self.nodes[pick % len(self.nodes)]
        claim = ClaimDue(node, self.now, self.now + ALL, limit, free, queues, (), depth)
        before, wanted = self.jobs, claimable(self.jobs, claim, self.pauses)
        self.ever_claimed.update(wanted)
        self.claims.update(wanted)
        (reply,) = self.tell(claim)
        assert isinstance(reply, ClaimReply)
        self.leases += reply.jobs
        self.count_claims(claim, reply, before)

    @precondition(lambda self: self.held())
    @rule(pick=picks, how=st.sampled_from(["done", "done", "back", "later", "failed"]))
    def end(self, pick: int, how: str) -> None:
        held = self.held()
        self.settle(held[pick % len(held)], how)

    @precondition(lambda self: self.held())
    @rule()
    def end_all(self) -> None:
        for lease in self.held():
            self.settle(lease, "done")

    def held(self) -> list[ClaimedJob]:
        return [
            lease
            for lease in self.leases
            if (job := self.jobs.get(lease.request.id)) is not None
            and job.version == lease.token
            and isinstance(job.state, Processing)
        ]

    def settle(self, lease: ClaimedJob, how: str) -> None:
        attempt, outcome = lease.attempt, AttemptOutcome.FAILED
        at = lease.claimed_at
        state: State = Failed(self.now, "no more")
        if how == "done":
            state = Completed(self.now, at, at, lease.node)
        elif how == "back":
            state, outcome, attempt = Ready(self.now), AttemptOutcome.RELEASED, attempt - 1
            self.given_back[lease.request.id] += 1
        elif how == "later" and attempt < lease.request.max_attempts:
            state = Scheduled(self.now + 2)
        record = AttemptRecord(lease.attempt, lease.token, lease.node, at, at, self.now, outcome)
        job_id = lease.request.id
        self.tell(Commit(job_id, lease.token, state, attempt, None if how == "done" else record))

    @rule(pick=picks)
    def call_off(self, pick: int) -> None:
        """A job that has not begun, perhaps the first of its lane."""
        ready = [job for job in self.jobs.values() if isinstance(job.state, Ready | Scheduled)]
        if ready:
            job = ready[pick % len(ready)]
            self.tell(Commit(job.request.id, job.version, Cancelled(self.now, ""), job.attempt))

    @rule(queue=st.sampled_from([None, "q", "r"]))
    def pause(self, queue: str | None) -> None:
        self.tell(PutPause(queue, "" if queue is None else None, "", self.now))
        self.note_pauses()

    @rule()
    def resume(self) -> None:
        self.tell(LiftPauses())
        self.note_pauses()

    def note_pauses(self) -> None:
        found = self.ask(Pauses(self.now))
        assert isinstance(found, PausesFound)
        self.pauses = list(found.pauses)

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(key=st.sampled_from(["a", "b", "c"]))
    def look(self, key: str) -> None:
        self.ask(Find(9, concurrency_keys=frozenset({key})))
        self.ask(Find(9, workers=frozenset({key})))

    @invariant()
    def a_lane_is_never_too_full(self) -> None:
        """Those that run alone are with one node, which runs them one after another."""
        lanes: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for job in self.jobs.values():
            if isinstance(job.state, Processing) and (lane := lane_of(job)) is not None:
                lanes[lane].append((limit_of(job), job.state.node))
        for leased in lanes.values():
            limits = Counter(limit for limit, _ in leased)
            assert limits[1] <= 1 or len(limits) == 1, "a line of jobs is not alone in its lane"
            assert len({node for limit, node in leased if limit == 1}) <= 1, "two nodes at once"
            assert limits[1] == len(leased) or len(leased) <= max(limits), "a lane is too full"
