"""A machine that drives two storages side by side: `MemoryStorage` is the model of the other.

Every reply must be equal, every job must be equal after every step, and the laws of leases,
attempts, time and order are checked against a plain recount, so that the model is judged as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from property_tests.batch_agreement import BatchAgreement, few, picks, queue_names
from property_tests.recount import (
    ALL,
    claimable,
)
from property_tests.strategies import NOW, outcomes
from trio_gusto.model.attempts import claimed_again
from trio_gusto.model.dependencies import resolve
from trio_gusto.model.errors import DuplicateJob
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import ClaimedJob, Details, JobRequest, StoredJob
from trio_gusto.model.lifecycle import (
    CalledOff,
    Ending,
    Overdue,
    RetriedByHand,
    Settlement,
    admit,
    advance,
    may,
    settle,
)
from trio_gusto.model.outcomes import Lost, Outcome
from trio_gusto.model.retention import Selection
from trio_gusto.model.states import (
    Completed,
    Condition,
    Ended,
    JobState,
    Processing,
    Ready,
    Waiting,
)
from trio_gusto.model.uniqueness import OnConflict, key_of
from trio_gusto.storage.dependency_messages import DependentJobs, Dependents
from trio_gusto.storage.messages import (
    CancelRequests,
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
    Find,
    Get,
    Insert,
    Renew,
    Renewed,
    RequestCancel,
    Stranded,
    StrandedJobs,
    Tally,
    Write,
)
from trio_gusto.storage.retention_messages import Prune, Pruned

LEASE = 8

texts = st.none() | st.sampled_from(["", "null", "1"])

DETAILS = {
    "x": Details(ref_id="x", tags=("x",), metadata={"n": 1, "t": True}),
    "y": Details(ref_id="y", tags=("y", "x"), created_by="ann", user_id="u", metadata={"n": 1.0}),
}
CRITERIA: list[dict[str, Any]] = [
    {},
    {"names": frozenset({"f"})},
    {"tags_all": frozenset({"x", "y"})},
    {"workers": frozenset({"smtp", "v"})},
    {"created_by": "ann"},
    {"user_id": "u"},
    {"metadata": {"n": 1}},
    {"metadata": {"n": 1.0}},
    {"metadata": {"t": 1}},
    {"metadata": {"t": True}},
]


def accepts(selection: Selection, job: StoredJob) -> bool:
    details = job.request.details
    tags = () if details is None else details.tags
    return selection.accepts(job.state.word, job.request.tenant, tags)


class Agreement(BatchAgreement):
    """Instants are few and close, so that due instants, leases and deadlines meet."""

    workers = 0
    """So many of ``workers + 1`` jobs have a named worker."""

    tenants = st.just("")

    # --- time and nodes -----------------------------------------------------------------------

    @rule(by=st.sampled_from([1, 2, 4, LEASE]))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule(by=st.integers(-12, 12))
    def the_clock_steps(self, by: int) -> None:
        self.clock_stepped |= by < 0
        self.now += by

    @rule(pick=picks)
    def a_node_vanishes(self, pick: int) -> None:
        node = self.nodes.pop(pick % len(self.nodes))
        self.each(lambda storage: storage.detach(node))
        self.made += 1
        self.attach(f"node-{self.made + 1}")

    # --- producers ----------------------------------------------------------------------------

    def request(self, draw: Any) -> JobRequest:
        self.made += 1
        after = draw(st.none() | few)
        life = draw(st.none() | st.integers(1, 12))
        known = draw(st.none() | st.sampled_from(["x", "y"]))
        details = None if known is None else DETAILS[known]
        earliest = self.now + (after or 0)
        if draw(st.integers(0, self.workers)):
            details = Details(worker=draw(st.sampled_from(["smtp", "printer"])))
        return JobRequest(
            uuid7(self.now * 1000, self.made),
            draw(st.sampled_from(["f", "g"])),
            "[[],{}]",
            self.now,
            draw(st.integers(1, 3)),
            execute_after=None if after is None else earliest,
            expire_on=None if life is None else earliest + life,
            queue=draw(queue_names),
            priority=draw(st.sampled_from([0, 0, 1, -1])),
            tenant=draw(self.tenants),
            details=details,
        )

    def insertion(self, draw: Any) -> Insert:
        requests = [self.request(draw) for _ in range(draw(st.integers(1, 3)))]
        if self.jobs and draw(st.integers(0, 9)) == 0:
            requests.append(next(iter(self.jobs.values())).request)
        return Insert(requests, [admit(request) for request in requests])

    @rule(data=st.data(), is_unknown=st.integers(0, 9))
    def enqueue_continuations(self, data: st.DataObject, is_unknown: int) -> None:
        """Of jobs in any state, of each other, and sometimes of one that is not stored before them."""
        requests = [self.request(data.draw) for _ in range(data.draw(st.integers(1, 3)))]
        known = [*list(self.jobs)[-6:], *(request.id for request in requests)]
        if is_unknown == 9:
            known.append(uuid7(0, 7))
        parents = st.lists(st.sampled_from(known), max_size=3).map(tuple)
        conditions = st.sampled_from(Condition)
        states = [Waiting(data.draw(parents), data.draw(conditions)) for _ in requests]
        requests = [
            attrs.evolve(request, details=Details(parents=state.parents))
            for request, state in zip(requests, states, strict=True)
        ]
        self.tell(Insert(requests, states))

    @rule()
    def resolve(self) -> None:
        found = self.ask(Dependents(ALL))
        assert isinstance(found, DependentJobs)
        wanted = {
            job_id
            for job_id, job in self.jobs.items()
            if isinstance(job.state, Waiting) and job.state.parents and self.verdict_of(job)
        }
        decided = {
            each.job.request.id for each in found.jobs if resolve(each, self.now) is not None
        }
        assert decided == wanted
        for each in found.jobs:
            settlement = resolve(each, self.now)
            if settlement is not None:
                self.change(self.jobs[each.job.request.id], settlement)

    def verdict_of(self, job: StoredJob) -> bool:
        """Whether its wait is over, by looking at every parent."""
        assert isinstance(job.state, Waiting)
        words = [
            each.state.word
            for parent in job.state.parents
            for each in ([self.jobs[parent]] if parent in self.jobs else self.members_of(parent))
        ]
        if job.state.condition is Condition.SUCCESS:
            failed = any(word.is_ended and word != JobState.COMPLETED for word in words)
            return failed or all(word.is_ended for word in words)
        return all(word.is_ended for word in words)

    @rule(data=st.data())
    def enqueue_with_unique_keys(self, data: st.DataObject) -> None:
        """Among few keys, so that they meet; what becomes of a conflict is drawn."""
        requests = [self.request(data.draw) for _ in range(data.draw(st.integers(1, 3)))]
        details = st.builds(
            Details,
            unique_key=st.sampled_from([None, "k", "l"]),
            on_conflict=st.sampled_from([word.value for word in OnConflict]),
        )
        requests = [attrs.evolve(request, details=data.draw(details)) for request in requests]
        self.tell(Insert(requests, [admit(request) for request in requests]))

    @rule(data=st.data())
    def enqueue(self, data: st.DataObject) -> None:
        self.tell(self.insertion(data.draw))

    @precondition(lambda self: self.jobs)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        job = self.pick(pick)
        if isinstance(job.state, Processing):
            (reply,) = self.tell(RequestCancel(job.request.id, job.version, f"at {self.now}"))
            assert reply == Committed()
        elif may(job.state, CalledOff):
            self.change(job, advance(job, CalledOff(self.now, "not wanted")))

    @precondition(lambda self: self.jobs)
    @rule(pick=picks)
    def retry_by_hand(self, pick: int) -> None:
        job = self.pick(pick)
        if may(job.state, RetriedByHand):
            again = advance(job, RetriedByHand(self.now))
            if self.is_held_by_another(job):
                commit = Commit(job.request.id, job.version, again.state, again.attempt)
                (reply,) = self.tell(commit)
                assert isinstance(reply, DuplicateJob)
                return
            self.claims[job.request.id] = self.given_back[job.request.id] = 0
            self.change(job, again)

    def is_held_by_another(self, job: StoredJob) -> bool:
        key = key_of(job.request)
        return key is not None and any(
            key_of(each.request) == key and each is not job and not each.state.word.is_ended
            for each in self.jobs.values()
        )

    @invariant()
    def no_two_live_jobs_have_one_key(self) -> None:
        keys = [
            key
            for job in self.jobs.values()
            if not job.state.word.is_ended and (key := key_of(job.request)) is not None
        ]
        assert len(keys) == len(set(keys))

    @precondition(lambda self: self.jobs)
    @rule(pick=picks, off_by=st.sampled_from([-1, 1, 5]))
    def write_with_a_wrong_version(self, pick: int, off_by: int) -> None:
        job = self.pick(pick)
        wrong = job.version + off_by
        replies = self.tell(
            Commit(job.request.id, wrong, Ready(self.now), 0),
            RequestCancel(job.request.id, wrong, "late"),
        )
        assert list(replies) == [Conflict(), Conflict()]

    def pick(self, number: int) -> StoredJob:
        jobs = list(self.jobs.values())
        return jobs[number % len(jobs)]

    def change(self, job: StoredJob, settlement: Settlement) -> None:
        (reply,) = self.tell(
            Commit(
                job.request.id,
                job.version,
                settlement.state,
                settlement.attempt,
                settlement.record,
                settlement.forget_expiry,
            )
        )
        self.check_awaited(reply, [job.request.id])

    def check_awaited(self, reply: object, ended: Sequence[JobId]) -> None:
        """Whoever has ended and is waited for is named."""
        awaited = {
            job_id
            for job_id in ended
            if self.jobs[job_id].state.word.is_ended and self.waiting_for(job_id)
        }
        for job_id in ended:
            details = self.jobs[job_id].request.details
            batch = None if details is None else details.batch
            if self.jobs[job_id].state.word.is_ended and batch and self.waiting_for(batch):
                awaited.add(batch)
        assert isinstance(reply, Committed | Completions)
        assert set(reply.awaited) == awaited

    def waiting_for(self, job_id: JobId) -> bool:
        return any(
            isinstance(job.state, Waiting) and job_id in job.state.parents
            for job in self.jobs.values()
        )

    # --- nodes at work ------------------------------------------------------------------------

    def claiming(self, draw: Any) -> ClaimDue:
        node = draw(st.sampled_from(self.nodes))
        names = draw(
            st.none() | st.lists(st.tuples(queue_names, few), unique_by=lambda pair: pair[0])
        )
        skip = draw(st.sampled_from([(), (), (), ("g",)]))
        return ClaimDue(node, self.now, self.now + LEASE, draw(few), draw(few), names, skip)

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        claim, before = self.claiming(data.draw), self.jobs
        expected = claimable(before, claim, self.pauses)
        self.claims.update(expected)
        self.ever_claimed.update(expected)
        (reply,) = self.tell(claim)
        assert isinstance(reply, ClaimReply)
        self.leases += reply.jobs
        self.count_claims(claim, reply, before)

    @precondition(lambda self: self.leases)
    @rule(pick=picks, outcome=outcomes, delay=st.none() | few, entered=st.booleans())
    def settle(self, pick: int, outcome: Outcome, delay: int | None, entered: bool) -> None:
        """Also with leases that are settled, lost, or somebody else's by now."""
        lease = self.recent(pick)
        ending = Ending(outcome, self.now, lease.claimed_at if entered else None, delay)
        if outcome.word == "succeeded":
            ending.started_at = lease.claimed_at
        self.settle_with(lease, ending)

    def recent(self, pick: int) -> ClaimedJob:
        """A lease, the most recent one for zero."""
        return self.leases[-1 - pick % len(self.leases)]

    def settle_with(self, lease: ClaimedJob, ending: Ending) -> None:
        job = self.jobs.get(lease.request.id)
        is_held = job is not None and job.version == lease.token
        settlement = settle(lease, ending)
        asked = job.state.cancel_reason if job and isinstance(job.state, Processing) else None
        is_refused = is_held and asked is not None and not settlement.state.word.is_ended
        gives_back = settlement.attempt < lease.attempt
        if is_held and gives_back and not is_refused:
            self.given_back[lease.request.id] += 1
        (reply,) = self.tell(
            Commit(
                lease.request.id,
                lease.token,
                settlement.state,
                settlement.attempt,
                settlement.record,
            )
        )
        if not is_held:
            assert reply == Conflict(), "a stale lease was accepted"
        elif is_refused:
            assert reply == Conflict(asked)
            ending.cancel_reason = asked
            self.settle_with(lease, ending)
        else:
            self.check_awaited(reply, [lease.request.id])

    def successes(self, draw: Any) -> Complete:
        """Under leases of any nodes: held ones, stale ones, and some twice; or under none."""
        picked = draw(st.lists(st.integers(0, 5), max_size=5)) if self.leases else []
        claims = [self.recent(pick) for pick in picked]
        return Complete(claims, [self.completed(claim, draw) for claim in claims])

    def completed(self, claim: ClaimedJob, draw: Any) -> Completed:
        """Usually by the node that claimed it, and since then."""
        started_at = claim.claimed_at + draw(few)
        node = draw(st.sampled_from([*[claim.node] * 5, "elsewhere"]))
        return Completed(
            self.now,
            started_at,
            claim.claimed_at,
            node,
            result=draw(texts),
            result_error=draw(texts),
        )

    def refused_of(self, complete: Complete) -> set[int]:
        """The positions that should be refused, if nothing is done to the jobs before."""
        versions = {job_id: job.version for job_id, job in self.jobs.items()}
        refused: set[int] = set()
        for position, claim in enumerate(complete.claims):
            if versions.get(claim.request.id) == claim.token:
                versions[claim.request.id] += 1
            else:
                refused.add(position)
        return refused

    @rule(data=st.data())
    def settle_successes(self, data: st.DataObject) -> None:
        complete = self.successes(data.draw)
        refused = self.refused_of(complete)
        (reply,) = self.tell(complete)
        assert isinstance(reply, Completions)
        assert reply.refused == dict.fromkeys(refused, Conflict())
        self.check_awaited(
            reply,
            [
                claim.request.id
                for position, claim in enumerate(complete.claims)
                if position not in refused
            ],
        )
        for position, (claim, state) in enumerate(
            zip(complete.claims, complete.states, strict=True)
        ):
            if position not in refused:
                job = self.jobs[claim.request.id]
                assert (job.state, job.attempt) == (state, claim.attempt)
                assert job.version == claim.token + 1

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def succeed_under_a_wrong_token(self, pick: int) -> None:
        claim = self.recent(pick)
        state = Completed(self.now, claim.claimed_at, claim.claimed_at, claim.node)
        job = self.jobs.get(claim.request.id)
        stale = attrs.evolve(claim, token=(claim.token if job is None else job.version) - 1)
        (reply,) = self.tell(Complete([stale], [state]))
        assert reply == Completions({0: Conflict()})

    @precondition(lambda self: self.leases)
    @rule(pick=picks, is_foreign=st.integers(0, 9), late_by=st.sampled_from([0, 0, LEASE]))
    def renew(self, pick: int, is_foreign: int, late_by: int) -> None:
        """All leases of a node, also those that it holds no more; perhaps too late."""
        self.now += late_by
        node = self.recent(pick).node
        before = self.jobs
        pairs = list({job.request.id: job.token for job in self.leases if job.node == node}.items())
        node = "nobody" if is_foreign == 9 else node
        (reply,) = self.tell(Renew(node, self.now, self.now + LEASE, pairs))
        assert isinstance(reply, Renewed)
        for job_id, token in pairs:
            job = before.get(job_id)
            state = None if job is None or job.version != token else job.state
            holds = (
                isinstance(state, Processing)
                and state.node == node
                and self.now < state.lease_until
            )
            assert (job_id in reply.lost) is not holds

    # --- upkeep -------------------------------------------------------------------------------

    @rule(pick=picks)
    def sweep(self, pick: int) -> None:
        node = self.nodes[pick % len(self.nodes)]
        stranded = self.ask(Stranded(node, self.now, ALL))
        assert isinstance(stranded, StrandedJobs)
        for job in stranded.lost:
            state = self.jobs[job.request.id].state
            assert isinstance(state, Processing)
            ending = Ending(Lost(), self.now, None, cancel_reason=state.cancel_reason)
            self.settle_with(claimed_again(job), ending)
        for job in stranded.overdue:
            self.change(self.jobs[job.request.id], advance(job, Overdue(self.now)))
        for job in self.jobs.values():
            state, expire_on = job.state, job.request.expire_on
            if isinstance(state, Processing):
                assert state.lease_until > self.now
                assert state.node in self.nodes
            elif not state.word.is_ended:
                assert expire_on is None or self.now < expire_on

    @rule(age=few, limit=st.integers(0, 3))
    def prune(self, age: int, limit: int) -> None:
        """Below a job that stays: a storage may give the highest sequences of all once more."""
        self.made += 1
        newest = JobRequest(uuid7(self.now * 1000, self.made), "f", "[[],{}]", self.now, 1)
        self.tell(Insert([newest], [Waiting()]))
        before = self.now - age
        count = len(self.jobs)
        gone = min(limit, len(self.old(before)))
        (reply,) = self.tell(Prune(before, limit))
        assert reply == Pruned(gone, more=0 < gone == limit)
        assert len(self.jobs) == count - gone

    @rule(
        age=few,
        states=st.frozensets(st.sampled_from([state for state in JobState if state.is_ended])),
        tags=st.frozensets(st.sampled_from(["x", "y"]), max_size=1),
        shielded=st.lists(
            st.builds(
                Selection,
                tenants=st.frozensets(st.sampled_from(["", "acme"]), max_size=1),
                tags=st.frozensets(st.sampled_from(["x", "y"]), max_size=1),
            ),
            max_size=2,
        ),
    )
    def prune_some(
        self,
        age: int,
        states: frozenset[JobState],
        tags: frozenset[str],
        shielded: list[Selection],
    ) -> None:
        self.made += 1
        newest = JobRequest(uuid7(self.now * 1000, self.made), "f", "[[],{}]", self.now, 1)
        self.tell(Insert([newest], [Waiting()]))
        before, only = self.now - age, Selection(states, tags=tags)
        gone = [
            job.request.id
            for job in self.old(before)
            if accepts(only, job) and not any(accepts(each, job) for each in shielded)
        ]
        (reply,) = self.tell(Prune(before, ALL, only, shielded))
        assert reply == Pruned(len(gone))
        assert not any(job_id in self.jobs for job_id in gone)

    def old(self, before: int) -> list[StoredJob]:
        """Jobs that ended before then, and that nobody needs."""
        live = {
            job.request.details.batch
            for job in self.jobs.values()
            if job.request.details is not None and not job.state.word.is_ended
        }
        return [
            job
            for job_id, job in self.jobs.items()
            if isinstance(job.state, Ended)
            and job.state.ended_at < before
            and not self.waiting_for(job_id)
            and not (
                job.request.details is not None
                and job.request.details.batch is not None
                and (
                    self.waiting_for(job.request.details.batch) or job.request.details.batch in live
                )
            )
        ]

    @rule(data=st.data())
    def a_group_of_writes(self, data: st.DataObject) -> None:
        """Some of which are refused, and some of which see what others did."""
        writes: list[Write] = [self.insertion(data.draw)]
        for lease in self.leases[-3:]:
            job = self.jobs.get(lease.request.id)
            if job is not None and job.version == lease.token:
                writes.append(RequestCancel(lease.request.id, lease.token, "in a group"))
            writes.append(Commit(lease.request.id, lease.token - 1, Ready(self.now), 0))
        writes += self.successes_in_a_group(data.draw)
        writes += [Renew("nobody", self.now, self.now + 1, []), self.insertion(data.draw)]
        self.tell(*writes)

    def successes_in_a_group(self, draw: Any) -> list[Write]:
        """Told together and one by one, in any order, between other writes."""
        writes: list[Write] = [self.successes(draw), self.successes(draw)]
        writes += self.successes(draw).commits()
        writes += [
            RequestCancel(claim.request.id, claim.token, "among successes")
            for claim in self.successes(draw).claims
        ]
        return list(draw(st.permutations(writes)))

    # --- looking ------------------------------------------------------------------------------

    @rule(
        states=st.frozensets(st.sampled_from(list(JobState)), max_size=2),
        queues=st.frozensets(queue_names, max_size=2),
        tags=st.frozensets(st.sampled_from(["x", "y"]), max_size=1),
        limit=few,
        before=st.none() | picks,
        criteria=st.sampled_from(CRITERIA),
        since=st.none() | few,
    )
    def look(
        self,
        states: frozenset[JobState],
        queues: frozenset[str],
        tags: frozenset[str],
        limit: int,
        before: int | None,
        criteria: dict[str, Any],
        since: int | None,
    ) -> None:
        self.ask(Find(limit, before, states=states, queues=queues, tags_any=tags))
        moment = None if since is None else NOW + since
        self.ask(Find(limit, before, states=states, created_after=moment, **criteria))
        self.ask(Find(limit, before, created_before=moment, **criteria))
        self.ask(Tally())
        parents = list(self.jobs)[: 2 * limit]
        self.ask(Find(limit, parent=parents[-1] if parents else None))
        self.ask(Dependents(limit, before or 0))
        self.ask(Dependents(limit, before or 0, parents))
        self.ask(Get(list(self.jobs)[:2], "x"))
        self.ask(CancelRequests(self.nodes[0]))
        self.ask(Stranded(self.nodes[0], self.now, ALL))
