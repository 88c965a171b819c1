"""Storages that are wrong in one way each, which more than one law has to find.

What is planted for one law alone stands beside it.
"""

from __future__ import annotations

from typing import Any

import attrs

from trio_gusto import MemoryStorage
from trio_gusto.model.dependencies import Dependent
from trio_gusto.model.job import StoredJob
from trio_gusto.model.states import JobState, Waiting
from trio_gusto.model.uniqueness import key_of
from trio_gusto.storage.dependency_messages import DependentJobs, Dependents
from trio_gusto.storage.finding_messages import Tallied
from trio_gusto.storage.lease_messages import Stranded, StrandedJobs
from trio_gusto.storage.memory.claiming import claimable
from trio_gusto.storage.memory.pauses import PauseShelf
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
)
from trio_gusto.storage.schedule_messages import Schedules


class AcceptsStaleLeases(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        job = self._jobs.get(commit.job_id)
        return super()._commit(attrs.evolve(commit, version=job.version) if job else commit)


class BelievesZombies(AcceptsStaleLeases):
    """Their successes, too."""

    def _complete(self, complete: Complete) -> Completions:
        return Completions.of([self._commit(commit) for commit in complete.commits()])


class HidesLostLeases(MemoryStorage):
    def _stranded(self, query: Stranded) -> StrandedJobs:
        return attrs.evolve(super()._stranded(query), lost=[])


class ForgetsRecords(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        reply = super()._commit(commit)
        if isinstance(reply, Committed):
            self._jobs[commit.job_id].history = ()
        return reply


class HoldsKeysForEver(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        held = dict(self._keys._held)
        reply = super()._complete(complete)
        self._keys._held.update(held)
        return reply


class ForgetsKeysOfClaimedJobs(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        reply = super()._claim_due(claim)
        for job in reply.jobs:
            self._keys._held.pop(key_of(job.request) or "", None)
        return reply


class ClaimsWhatIsPaused(MemoryStorage):
    def _claimable(self, claim: ClaimDue) -> list[StoredJob]:
        return claimable(self._index, PauseShelf(), claim)


class SeesAllParentsCompleted(MemoryStorage):
    async def read(self, query: Any) -> Any:
        if not isinstance(query, Dependents):
            return await super().read(query)
        waiting = [job for job in self._jobs.values() if isinstance(job.state, Waiting)]
        return DependentJobs(
            [Dependent(attrs.evolve(job), {JobState.COMPLETED: 1}) for job in waiting]
        )


class TakesFailuresForSuccesses(MemoryStorage):
    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if isinstance(found, DependentJobs):
            for each in found.jobs:
                each.parents = {JobState.COMPLETED: sum(each.parents.values())}
        return found


class KeepsNextInstantsToItself(MemoryStorage):
    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        return attrs.evolve(found, next_at=None) if isinstance(found, Schedules) else found


class ForgetsTheEndedInItsCounts(MemoryStorage):
    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if isinstance(found, Tallied):
            counts = {key: n for key, n in found.counts.items() if not key[0].is_ended}
            return attrs.evolve(found, counts=counts)
        return found
