"""Upkeep, for the machine of `agreement`: leases are recovered, deadlines kept, old jobs deleted."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.batch_agreement import few, picks
from property_tests.recount import (
    ALL,
)
from property_tests.worker_agreement import WorkerAgreement
from trio_gusto.model.attempts import claimed_again
from trio_gusto.model.happenings import Ending, Overdue
from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import JobRequest, StoredJob
from trio_gusto.model.lifecycle import advance
from trio_gusto.model.outcomes import Lost
from trio_gusto.model.retention import Selection
from trio_gusto.model.states import (
    Ended,
    JobState,
    Processing,
    Waiting,
)
from trio_gusto.storage.lease_messages import Stranded, StrandedJobs
from trio_gusto.storage.messages import Insert
from trio_gusto.storage.retention_messages import Prune, Pruned


def accepts(selection: Selection, job: StoredJob) -> bool:
    details = job.request.details
    tags = () if details is None else details.tags
    return selection.accepts(job.state.word, job.request.tenant, tags)


class UpkeepAgreement(WorkerAgreement):
    """What is left of jobs is what a plain recount leaves."""

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
