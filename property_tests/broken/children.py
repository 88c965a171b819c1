"""Storages that break one promise about children or callbacks each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from trio_gusto.model.dependencies import Dependent
from trio_gusto.model.errors import DuplicateJob, GustoError
from trio_gusto.model.job import StoredJob
from trio_gusto.model.lanes import lane_of
from trio_gusto.model.states import AwaitingCallback, Completed, JobState, Ready, Waiting
from trio_gusto.model.uniqueness import Admission, admission, has_keys, key_of
from trio_gusto.storage.dependency_messages import DependentJobs, Dependents
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.schedules import ScheduleShelf
from trio_gusto.storage.memory.uniqueness import Keys
from trio_gusto.storage.messages import (
    Commit,
    Committed,
    Conflict,
    Insert,
    Inserted,
    Write,
    WriteReply,
)
from trio_gusto.storage.schedule_messages import HeldJob, PutSchedule

Reply = Committed | Conflict | GustoError


class StoresChildrenOfTheLate(MemoryStorage):
    def _commit_or_refuse(self, commit: Commit) -> Reply:
        reply = super()._commit_or_refuse(commit)
        if isinstance(reply, Conflict) and commit.children is not None:
            self._insert(commit.children)
        return reply


class ForgetsChildren(MemoryStorage):
    def _commit_or_refuse(self, commit: Commit) -> Reply:
        reply = super()._commit_or_refuse(attrs.evolve(commit, children=None))
        return Committed(reply.awaited, Inserted()) if isinstance(reply, Committed) else reply


class ForgetsAllButTheFirstChild(MemoryStorage):
    def _commit_with_children(self, commit: Commit, job: StoredJob, children: Insert) -> Reply:
        few = Insert(children.requests[:1], children.states[:1])
        return super()._commit_with_children(commit, job, few)


class ForgetsManyChildren(MemoryStorage):
    def _commit_with_children(self, commit: Commit, job: StoredJob, children: Insert) -> Reply:
        some = Insert(children.requests[:256], children.states[:256])
        return super()._commit_with_children(commit, job, some)


class EndsAJobWhoseChildrenAreRefused(MemoryStorage):
    def _commit_with_children(self, commit: Commit, job: StoredJob, children: Insert) -> Reply:
        reply = super()._commit_with_children(commit, job, children)
        if isinstance(reply, GustoError):
            self._commit(commit)
        return reply


class StoresTheChildrenBeforeTheRefused(MemoryStorage):
    def _commit_with_children(self, commit: Commit, job: StoredJob, children: Insert) -> Reply:
        reply = super()._commit_with_children(commit, job, children)
        if isinstance(reply, GustoError):
            self._insert(Insert(children.requests[:1], children.states[:1]))
        return reply


class StopsAtARefusedChild(MemoryStorage):
    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        replies: list[WriteReply | GustoError] = []
        for write in writes:
            last = replies[-1] if replies else None
            replies.append(last if isinstance(last, GustoError) else self.perform(write))
        return replies


class FreesTheKeyTooLate(MemoryStorage):
    def _commit_with_children(self, commit: Commit, job: StoredJob, children: Insert) -> Reply:
        inserted = self._insert(children)
        if isinstance(inserted, GustoError):
            return inserted
        reply = self._commit(commit)
        return reply if isinstance(reply, Conflict) else Committed(reply.awaited, inserted)


class FreesTheKeyForGood(MemoryStorage):
    def _commit_with_children(self, commit: Commit, job: StoredJob, children: Insert) -> Reply:
        reply = super()._commit_with_children(commit, job, children)
        if isinstance(reply, GustoError):
            self._keys.set_aside(job)
        return reply


class ForgetsWhoIsAwaited(MemoryStorage):
    def _commit_with_children(self, commit: Commit, job: StoredJob, children: Insert) -> Reply:
        reply = super()._commit_with_children(commit, job, children)
        return attrs.evolve(reply, awaited=()) if isinstance(reply, Committed) else reply


class NamesTheAwaitedThoughTheyRunOn(MemoryStorage):
    def _commit_with_children(self, commit: Commit, job: StoredJob, children: Insert) -> Reply:
        awaited = self._awaited.of(job)
        reply = super()._commit_with_children(commit, job, children)
        return attrs.evolve(reply, awaited=awaited) if isinstance(reply, Committed) else reply


class CountsChildrenIntoTheBatch(MemoryStorage):
    def _commit_with_children(self, commit: Commit, job: StoredJob, children: Insert) -> Reply:
        reply = super()._commit_with_children(commit, job, children)
        batch = None if job.request.details is None else job.request.details.batch
        if batch is not None and isinstance(reply, Committed):
            self._shelf.kept[batch].live += len(children.requests)
        return reply


class ReplacesInSilence(MemoryStorage):
    def _commit_with_children(self, commit: Commit, job: StoredJob, children: Insert) -> Reply:
        reply = super()._commit_with_children(commit, job, children)
        if isinstance(reply, Committed) and reply.inserted is not None:
            return Committed(reply.awaited, attrs.evolve(reply.inserted, replaced=()))
        return reply


class StoresChildrenBackwards(MemoryStorage):
    def _commit_with_children(self, commit: Commit, job: StoredJob, children: Insert) -> Reply:
        if any(isinstance(state, Waiting) for state in children.states):
            return super()._commit_with_children(commit, job, children)
        back = Insert(children.requests[::-1], children.states[::-1])
        return super()._commit_with_children(commit, job, back)


# --- callbacks ------------------------------------------------------------------------------------


class Changed(MemoryStorage):
    """Takes a job that is to wait for its callback in another way."""

    def taken(self, commit: Commit, state: AwaitingCallback) -> Commit:
        return commit

    def after(self, job: StoredJob, state: AwaitingCallback) -> None:
        """It waits now."""

    def _commit(self, commit: Commit) -> Committed | Conflict:
        state = commit.state
        if not isinstance(state, AwaitingCallback):
            return super()._commit(commit)
        reply = super()._commit(self.taken(commit, state))
        if isinstance(reply, Committed):
            self.after(self._jobs[commit.job_id], state)
        return reply


class LosesTheResult(Changed):
    def taken(self, commit: Commit, state: AwaitingCallback) -> Commit:
        return attrs.evolve(commit, state=attrs.evolve(state, result=None))


class LosesTheRecord(Changed):
    def taken(self, commit: Commit, state: AwaitingCallback) -> Commit:
        return attrs.evolve(commit, record=None)


class KeepsTheDeadline(Changed):
    def taken(self, commit: Commit, state: AwaitingCallback) -> Commit:
        return attrs.evolve(commit, forget_expiry=False)


class KeepsTheNamedWorker(Changed):
    def after(self, job: StoredJob, state: AwaitingCallback) -> None:
        lane = lane_of(job.request)
        if lane is not None:
            self._index.lanes.lease(job, lane, state.node)


class ForgetsWhoWaitsForACallback(Changed):
    def after(self, job: StoredJob, state: AwaitingCallback) -> None:
        self._awaited.leave(job)


class LetsGoOfTheKey(Changed):
    def after(self, job: StoredJob, state: AwaitingCallback) -> None:
        self._keys.set_aside(job)


class TakesItForTheEndOfABatch(Changed):
    def after(self, job: StoredJob, state: AwaitingCallback) -> None:
        batch = None if job.request.details is None else job.request.details.batch
        if batch is not None:
            self._shelf.kept[batch].live -= 1


class SeesCallbacksOverTooEarly(MemoryStorage):
    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if not isinstance(query, Dependents) or found.jobs:
            return found
        waiting = [job for job in self._jobs.values() if isinstance(job.state, AwaitingCallback)]
        return DependentJobs([Dependent(attrs.evolve(job), {JobState.READY: 1}) for job in waiting])


class TakesAnyEndForCompleted(MemoryStorage):
    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if isinstance(found, DependentJobs):
            for each in found.jobs:
                if isinstance(each.job.state, AwaitingCallback):
                    each.parents = {JobState.COMPLETED: 1}
        return found


class LosesTheResultAtTheEnd(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        job = self._jobs.get(commit.job_id)
        if (
            job is not None
            and isinstance(job.state, AwaitingCallback)
            and isinstance(commit.state, Completed)
        ):
            commit = attrs.evolve(commit, state=attrs.evolve(commit.state, result=None))
        return super()._commit(commit)


class WaitsOnWhenItIsCalledOff(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        job = self._jobs.get(commit.job_id)
        waits = job is not None and isinstance(job.state, AwaitingCallback)
        was = None if job is None or not waits else attrs.evolve(job)
        reply = super()._commit(commit)
        if was is not None:
            self._awaited.enter(was)
        return reply


class PrunesAwaitedCallbacks(MemoryStorage):
    def _is_needed(self, job: StoredJob) -> bool:
        waiting = self._awaited.by.get(job.request.id, {})
        if any(isinstance(each.state, AwaitingCallback) for each in waiting.values()):
            return False
        return super()._is_needed(job)


class ReplacesWhoeverHasReturned(MemoryStorage):
    class keys(Keys):  # noqa: N801 - a part of the storage
        def admission(self, insert: Insert) -> Admission | DuplicateJob:
            if not has_keys(insert.requests):
                return super().admission(insert)

            def holder(key: str) -> StoredJob | None:
                held = self._held.get(key)
                if held is None or not isinstance(held.state, AwaitingCallback):
                    return held
                return attrs.evolve(held, state=Ready(0))

            return admission(insert.requests, insert.states, holder)

    def __init__(self) -> None:
        super().__init__()
        self._keys = self.keys()


class ReplacesTheJobItComesWith(MemoryStorage):
    """Its own child takes its place, and it waits for its callback all the same."""

    def _commit_with_children(self, commit: Commit, job: StoredJob, children: Insert) -> Reply:
        key = key_of(job.request)
        if key is None or key not in map(key_of, children.requests):
            return super()._commit_with_children(commit, job, children)
        self._keys.set_aside(job)
        return super()._commit_with_children(commit, job, children)


class HoldsItForItsSchedule(MemoryStorage):
    class shelf(ScheduleShelf):  # noqa: N801 - a part of the storage
        def _held(self) -> Iterator[HeldJob]:
            yield from super()._held()
            for name in sorted(self._live):
                for job in self._unfinished(name):
                    if isinstance(job.state, AwaitingCallback):
                        yield HeldJob(job.request.id, name, ())

    def __init__(self) -> None:
        super().__init__()
        self._schedules = self.shelf(self._jobs)
        self._verbs = {**self._verbs, PutSchedule: self._schedules.put}


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (ForgetsChildren, "children are stored with the state"),
    (ForgetsAllButTheFirstChild, "children are stored with the state"),
    (StoresChildrenOfTheLate, "children of a stale token are not stored"),
    (StoresChildrenOfTheLate, "children go by the state that a request to cancel allows"),
    (EndsAJobWhoseChildrenAreRefused, "a refused child leaves everything as it was"),
    (StoresTheChildrenBeforeTheRefused, "a refused child leaves everything as it was"),
    (StopsAtARefusedChild, "a refused child is refused alone"),
    (ForgetsWhoIsAwaited, "a child may wait for the job it comes with"),
    (FreesTheKeyTooLate, "a child may have the key that its job lets go of"),
    (FreesTheKeyForGood, "a refused child leaves its job the key"),
    (ReplacesInSilence, "a child may give way and replace"),
    (CountsChildrenIntoTheBatch, "children belong to no batch of their own accord"),
    (StoresChildrenBackwards, "hundreds of children go with one state"),
    (ForgetsManyChildren, "hundreds of children go with one state"),
    (LosesTheResult, "a job that waits for its callback is kept with its result"),
    (LosesTheRecord, "a job that waits for its callback is kept with its result"),
    (StoresChildrenOfTheLate, "a refused callback leaves its job running"),
    (EndsAJobWhoseChildrenAreRefused, "a refused callback leaves its job running"),
    (KeepsTheDeadline, "a job that waits for its callback holds nobody up"),
    (KeepsTheNamedWorker, "a job that waits for its callback holds nobody up"),
    (SeesCallbacksOverTooEarly, "a wait for a callback may be over when that has ended"),
    (ForgetsWhoWaitsForACallback, "a wait for a callback may be over when that has ended"),
    (LosesTheResultAtTheEnd, "a job whose callback completed completes with its result"),
    (TakesAnyEndForCompleted, "a job whose callback did not complete fails"),
    (PrunesAwaitedCallbacks, "an awaited callback is not pruned"),
    (WaitsOnWhenItIsCalledOff, "a job that was called off waits for its callback no more"),
    (LetsGoOfTheKey, "a job that waits for its callback holds its key"),
    (ReplacesWhoeverHasReturned, "a job that waits for its callback holds its key"),
    (ReplacesTheJobItComesWith, "children meet the key of a job that waits"),
    (TakesItForTheEndOfABatch, "a batch lives while one of its jobs waits for its callback"),
    (NamesTheAwaitedThoughTheyRunOn, "a batch lives while one of its jobs waits for its callback"),
    (HoldsItForItsSchedule, "a job of a schedule that waits for its callback is not held"),
]
