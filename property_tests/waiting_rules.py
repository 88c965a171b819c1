"""What must hold of jobs that wait for jobs and batches, and of batches.

Nobody is released before all parents have ended, a batch counting as all of its jobs; the condition
decides, as it was at an instant that a reader can have seen; and each is released once.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from property_tests.hearing import Reply, Words, claimed, committed, stored
from trio_gusto.model.dependencies import PARENTS_COMPLETED, PARENTS_FAILED
from trio_gusto.model.errors import BatchError
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import JobRequest
from trio_gusto.model.states import Cancelled, Condition, JobState, State, Waiting
from trio_gusto.storage.batch_messages import InsertBatch
from trio_gusto.storage.messages import Commit, Inserted, Write


@attrs.define
class Wait:
    """A job that waits. ``could`` are the verdicts that were right since it was stored."""

    parents: tuple[JobId, ...]
    condition: Condition
    could_run: bool = False
    could_be_given_up: bool = False
    releases: int = 0
    by_hand: bool = False
    """Somebody had it run again, and so it asks for its parents no more."""


class WaitingRules(Words):
    """Hears who waits for whom, and who has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: dict[JobId, Wait] = {}
        self.members: dict[JobId, list[JobId]] = {}

    def hear(self, write: Write, reply: Reply) -> None:
        if isinstance(write, InsertBatch):
            self._batch(write, reply)
        for request, state in stored(write, reply):
            self._stored(request, state)
        for job in claimed(write, reply):
            self._claimed(job.request.id)
        for commit in committed(write, reply):
            self._committed(commit)
        super().hear(write, reply)

    def look(self) -> None:
        for job_id, wait in self.waits.items():
            if self.words[job_id] is JobState.WAITING:
                runs, is_given_up = self._verdict(wait)
                wait.could_run |= runs
                wait.could_be_given_up |= is_given_up

    def undecided(self) -> list[JobId]:
        """Those who wait, though nothing stands in the way of a verdict."""
        return [
            job_id
            for job_id, wait in self.waits.items()
            if self.words[job_id] is JobState.WAITING and any(self._verdict(wait))
        ]

    def is_finished(self, batch: JobId) -> bool:
        return all(self.has_ended(member) for member in self.members[batch])

    # --- inside ---

    def _verdict(self, wait: Wait) -> tuple[bool, bool]:
        """Whether it may run, and whether it never will."""
        words = [self.words[parent] for parent in self._jobs(wait.parents)]
        ended = all(word.is_ended for word in words)
        unhappy = any(word.is_ended and word is not JobState.COMPLETED for word in words)
        match wait.condition:
            case Condition.SUCCESS:
                return ended and not unhappy, unhappy
            case Condition.FAILURE:
                return ended and unhappy, ended and not unhappy
            case Condition.FINISH:
                return ended, False

    def _jobs(self, parents: Sequence[JobId]) -> list[JobId]:
        return [job for parent in parents for job in self.members.get(parent, [parent])]

    def _batch(self, write: InsertBatch, reply: Reply) -> None:
        batch = write.batch.id
        if isinstance(reply, BatchError):
            refused = batch not in self.members or self.is_finished(batch)
            self.expect(not write.is_new and refused, "a live batch takes more jobs")
        if not isinstance(reply, Inserted):
            return
        if write.is_new:
            self.expect(batch not in self.members, "a batch is opened once")
        else:
            open_ = batch in self.members and (write.reopen or not self.is_finished(batch))
            self.expect(open_, "a finished batch takes more only if it is to be reopened")
        members = self.members.setdefault(batch, [])
        for request in write.jobs.requests:
            if request.details is not None and request.details.batch == batch:
                members.append(request.id)

    def _stored(self, request: JobRequest, state: State) -> None:
        if isinstance(state, Waiting) and state.parents:
            self.waits[request.id] = Wait(state.parents, state.condition)

    def _claimed(self, job_id: JobId) -> None:
        wait = self.waits.get(job_id)
        released = wait is None or wait.by_hand or wait.releases > 0
        self.expect(released, "nobody is claimed who was not released")
        waiting = self.words[job_id] is JobState.WAITING
        self.expect(not waiting, "nobody is claimed who waits")

    def _committed(self, commit: Commit) -> None:
        wait, before = self.waits.get(commit.job_id), self.words[commit.job_id]
        self.expect(not isinstance(commit.state, Waiting), "nobody begins to wait again")
        if wait is None or before is JobState.PROCESSING:
            return
        if before.is_ended:
            completed = before is JobState.COMPLETED
            self.expect(not completed, "who has completed does not run again")
            wait.by_hand = True
        elif not commit.state.word.is_ended:
            wait.releases += 1
            self.expect(wait.releases == 1, "a job is released once")
            self.expect(wait.could_run, "a job is released when its parents have ended as it wants")
        elif isinstance(commit.state, Cancelled) and before is JobState.WAITING:
            reason = commit.state.reason
            given_up = reason in (PARENTS_FAILED, PARENTS_COMPLETED)
            self.expect(
                not given_up or wait.could_be_given_up, "a job is given up when it can run no more"
            )
