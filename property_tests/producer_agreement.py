"""Producers, for the machine of `agreement`: they enqueue, call off and retry, and what waited is released."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from property_tests.batch_agreement import BatchAgreement, few, picks, queue_names
from property_tests.recount import (
    ALL,
)
from trio_gusto.model.dependencies import resolve
from trio_gusto.model.errors import DuplicateJob
from trio_gusto.model.happenings import CalledOff, RetriedByHand, Settlement
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import Details, JobRequest, StoredJob
from trio_gusto.model.lifecycle import admit, advance, may
from trio_gusto.model.states import (
    Condition,
    JobState,
    Processing,
    Ready,
    Waiting,
)
from trio_gusto.model.uniqueness import OnConflict, key_of
from trio_gusto.storage.dependency_messages import DependentJobs, Dependents
from trio_gusto.storage.lease_messages import RequestCancel
from trio_gusto.storage.messages import Commit, Committed, Completions, Conflict, Insert

DETAILS = {
    "x": Details(ref_id="x", tags=("x",), metadata={"n": 1, "t": True}),
    "y": Details(ref_id="y", tags=("y", "x"), created_by="ann", user_id="u", metadata={"n": 1.0}),
}


# Made once: Hypothesis looks at each strategy that is new to it, which takes longer than a draw.
delays = st.none() | few
lives = st.none() | st.integers(1, 12)
marks = st.none() | st.sampled_from(["x", "y"])
worker_names = st.sampled_from(["smtp", "printer"])
handler_names = st.sampled_from(["f", "g"])
budgets = st.integers(1, 3)
priorities = st.sampled_from([0, 0, 1, -1])


class ProducerAgreement(BatchAgreement):
    """Every reply says what a plain look at the jobs says."""

    workers = 0
    """So many of ``workers + 1`` jobs have a named worker."""

    tenants = st.just("")

    def request(self, draw: Any) -> JobRequest:
        self.made += 1
        after = draw(delays)
        life = draw(lives)
        known = draw(marks)
        details = None if known is None else DETAILS[known]
        earliest = self.now + (after or 0)
        if draw(st.integers(0, self.workers)):
            details = Details(worker=draw(worker_names))
        return JobRequest(
            uuid7(self.now * 1000, self.made),
            draw(handler_names),
            "[[],{}]",
            self.now,
            draw(budgets),
            execute_after=None if after is None else earliest,
            expire_on=None if life is None else earliest + life,
            queue=draw(queue_names),
            priority=draw(priorities),
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
