"""Storages that break one promise about jobs that wait for others each."""

from __future__ import annotations

from typing import Any

import attrs

from trio_gusto.model.errors import DuplicateJob, UnknownJob
from trio_gusto.model.states import Cancelled, Waiting
from trio_gusto.storage.dependency_messages import DependentJobs, Dependents
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import (
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
    Insert,
    Inserted,
)
from trio_gusto.storage.retention_messages import Prune, Pruned


class DeletesWhoIsAwaited(MemoryStorage):
    def _prune(self, prune: Prune) -> Pruned:
        self._awaited.by, kept = {}, self._awaited.by
        try:
            return super()._prune(prune)
        finally:
            self._awaited.by = kept


class ForgetsWhoIsAwaited(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        reply = super()._commit(commit)
        return Committed() if isinstance(reply, Committed) else reply


class ForgetsWhoIsAwaitedAmongSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        return attrs.evolve(super()._complete(complete), awaited=())


class WaitsForAnybody(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        states = [
            attrs.evolve(state, parents=tuple(id_ for id_ in state.parents if id_ in self._jobs))
            if isinstance(state, Waiting)
            else state
            for state in insert.states
        ]
        return super()._insert(attrs.evolve(insert, states=states))


class WaitsForEver(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        job = self._jobs.get(commit.job_id)
        reply = super()._commit(commit)
        if job is not None and isinstance(commit.state, Cancelled) and job.request.details:
            for parent in job.request.details.parents:
                self._awaited.by.setdefault(parent, {})[commit.job_id] = job
        return reply


class SeesWaitsOverTooEarly(MemoryStorage):
    async def read(self, query: Any) -> Any:
        if not isinstance(query, Dependents):
            return await super().read(query)
        waiting = [job for job in self._jobs.values() if isinstance(job.state, Waiting)]
        return DependentJobs([self._awaited._dependent(job, {}) for job in waiting])


class ForgetsTheCondition(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        states = [
            Waiting(state.parents) if isinstance(state, Waiting) else state
            for state in insert.states
        ]
        return super()._insert(attrs.evolve(insert, states=states))


class ShowsEveryWaitAtOnce(MemoryStorage):
    async def read(self, query: Any) -> Any:
        if isinstance(query, Dependents):
            query = attrs.evolve(query, limit=99)
        return await super().read(query)


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (DeletesWhoIsAwaited, "awaited jobs are not pruned"),
    (ForgetsWhoIsAwaited, "replies name jobs that ended and are awaited"),
    (ForgetsWhoIsAwaitedAmongSuccesses, "replies name jobs that ended and are awaited"),
    (WaitsForAnybody, "a parent that is not stored is refused"),
    (WaitsForEver, "nobody is awaited when nobody waits any more"),
    (SeesWaitsOverTooEarly, "a wait may be over when no parent lives"),
    (ForgetsTheCondition, "a waiting job is kept with its parents and condition"),
    (ShowsEveryWaitAtOnce, "waits are asked for by parent and in pages"),
]
