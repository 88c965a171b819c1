"""Storages that are wrong, each in one way, for the laws of a campaign to find."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import attrs

from trio_gusto import MemoryStorage, RateLimit
from trio_gusto.model.errors import GustoError, StorageBusy
from trio_gusto.model.ids import to_job_id
from trio_gusto.model.job import ClaimedJob
from trio_gusto.model.lanes import Lanes
from trio_gusto.model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Failed,
    JobState,
    Processing,
    Ready,
    Scheduled,
    Waiting,
)
from trio_gusto.storage.batch_messages import BatchesFound
from trio_gusto.storage.lease_messages import Renew, Renewed, Stranded, StrandedJobs
from trio_gusto.storage.memory.index import Index
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
    Insert,
    Inserted,
)
from trio_gusto.storage.schedule_messages import Fire


class RunsWhatHasCompleted(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        commits = [attrs.evolve(one, state=Ready(0)) for one in complete.commits()]
        return Completions.of([self._commit(one) for one in commits])


class GivesAnAttemptAway(MemoryStorage):
    _has_given = False

    def _commit(self, commit: Commit) -> Committed | Conflict:
        if not self._has_given:
            self._has_given = True
            commit = attrs.evolve(commit, attempt=0)
        return super()._commit(commit)


class AllowsMoreAttempts(MemoryStorage):
    """Whoever claims is told of a higher ``max_attempts``."""

    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        reply = super()._claim_due(claim)
        for job in reply.jobs:
            job.request = attrs.evolve(job.request, max_attempts=9)
        return reply


class GivesTheSameToAnother(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._given: list[tuple[str, ClaimedJob]] = []

    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        reply = super()._claim_due(claim)
        others = [job for node, job in self._given if node != claim.node]
        self._given = [(node, job) for node, job in self._given if job not in others]
        self._given += [(claim.node, job) for job in reply.jobs]
        return attrs.evolve(reply, jobs=[*reply.jobs, *others])


class TakesLeasesAway(MemoryStorage):
    def _stranded(self, query: Stranded) -> StrandedJobs:
        return super()._stranded(attrs.evolve(query, now=query.now + 25_000_000))


class FreesLanes(MemoryStorage):
    """Nobody is at work in a lane, whatever is asked."""

    def __init__(self) -> None:
        super().__init__()

        class Forgetful(Index):
            def leased_lanes(self, node: str, depth: int) -> Lanes | None:
                for lane in tuple(self.lanes._lines):
                    self.lanes._unpark(lane)
                lanes = super().leased_lanes(node, depth)
                return None if lanes is None else Lanes(lambda _: None, depth)

        self._index = Forgetful()


class ClaimsEarly(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return super()._claim_due(attrs.evolve(claim, now=claim.now + 10_000_000))


class LosesDeadlines(MemoryStorage):
    """Whatever is done for others, a deadline is forgotten."""

    def _insert(self, insert: Insert) -> Any:
        for job in self._jobs.values():
            self._index.leave(job)
            job.request = attrs.evolve(job.request, expire_on=None)
            self._index.enter(job)
        return super()._insert(insert)


class PutsTheEarlierOff(MemoryStorage):
    """Whoever is ready makes room for whoever comes."""

    def _insert(self, insert: Insert) -> Any:
        for job in self._jobs.values():
            if isinstance(job.state, Ready):
                self._index.leave(job)
                job.state = Ready(job.state.due + 60_000_000)
                self._index.enter(job)
        return super()._insert(insert)


class FiresAgain(MemoryStorage):
    """Every second time the mark stays where it was."""

    _forgets = False

    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        name = fire.schedule.request.name
        before = self._schedules._schedules.get(name)
        # With an id of their own, or the second would be refused.
        fire.requests = [attrs.evolve(one, id=to_job_id(uuid4())) for one in fire.requests]
        reply = super()._fire(fire)
        if before is not None and isinstance(reply, Committed):
            self._forgets = not self._forgets
            if self._forgets:
                again = attrs.evolve(before, version=fire.schedule.version)
                self._schedules._schedules[name] = again
        return reply


class FiresBesideTheInstant(MemoryStorage):
    """Every second time a second too late."""

    _late = False

    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        self._late = not self._late
        for request in fire.requests:
            assert request.details is not None
            if self._late and request.details.fire_time is not None:
                request.details.fire_time += 1_000_000
        return super()._fire(fire)


class MovesOnWithoutItsJobs(MemoryStorage):
    """Every third time."""

    _fired = 0

    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        self._fired += 1
        if self._fired % 3 == 2:
            fire = attrs.evolve(fire, requests=(), states=())
        return super()._fire(fire)


class PutsOffForEver(MemoryStorage):
    """A job that is to run again waits for others instead."""

    def _commit(self, commit: Commit) -> Committed | Conflict:
        if isinstance(commit.state, Scheduled):
            commit = attrs.evolve(commit, state=Waiting())
        return super()._commit(commit)


class FailsWhatHasEnded(MemoryStorage):
    def _insert(self, insert: Insert) -> Any:
        for job in self._jobs.values():
            if job.state.word.is_ended:
                self._index.leave(job)
                job.state = Failed(insert.requests[0].created_at, "for no reason")
                self._index.enter(job)
        return super()._insert(insert)


class CancelsWhatFails(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        if isinstance(commit.state, Failed):
            state = Cancelled(commit.state.ended_at, "for no reason")
            commit = attrs.evolve(commit, state=state)
        return super()._commit(commit)


class MiscountsBatches(MemoryStorage):
    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if isinstance(found, BatchesFound):
            for batch in found.batches:
                batch.counts = {JobState.FAILED: sum(batch.counts.values())}
        return found


class KnowsNoPriority(MemoryStorage):
    def _insert(self, insert: Insert) -> Any:
        requests = [attrs.evolve(request, priority=0) for request in insert.requests]
        return super()._insert(attrs.evolve(insert, requests=requests))


class LosesJobs(MemoryStorage):
    def _insert(self, insert: Insert) -> Any:
        half = len(insert.requests) // 2 or 1
        return super()._insert(Insert(insert.requests[:half], insert.states[:half]))


class CutsLeases(MemoryStorage):
    """Every renewal leaves a second."""

    def _renew(self, renew: Renew) -> Renewed:
        renewed = super()._renew(renew)
        for job in self._index.processing.values():
            assert isinstance(job.state, Processing)
            job.state = attrs.evolve(job.state, lease_until=renew.now + 1_000_000)
        return renewed


class WaitsForNothing(MemoryStorage):
    """What is to be tried again is due at once."""

    def _commit(self, commit: Commit) -> Committed | Conflict:
        if isinstance(commit.state, Scheduled) and commit.record is not None:
            commit = attrs.evolve(commit, state=Scheduled(commit.record.ended_at + 1))
        return super()._commit(commit)


class WaitsForLong(MemoryStorage):
    """What is to be tried again is due a second late."""

    def _commit(self, commit: Commit) -> Committed | Conflict:
        if isinstance(commit.state, Scheduled) and commit.record is not None:
            commit = attrs.evolve(commit, state=Scheduled(commit.state.due + 1_000_000))
        return super()._commit(commit)


class EndsBeforeItsCallback(MemoryStorage):
    """Whose handler has returned has completed."""

    def _commit(self, commit: Commit) -> Committed | Conflict:
        state = commit.state
        if isinstance(state, AwaitingCallback) and commit.record is not None:
            ended_at = commit.record.ended_at
            over = Completed(ended_at, state.started_at, state.claimed_at, state.node, state.result)
            commit = attrs.evolve(commit, state=over)
        return super()._commit(commit)


class FailsWithItsCallback(MemoryStorage):
    """However that ends, the job has failed."""

    def _commit(self, commit: Commit) -> Committed | Conflict:
        job = self._jobs.get(commit.job_id)
        if job and isinstance(job.state, AwaitingCallback) and isinstance(commit.state, Completed):
            commit = attrs.evolve(commit, state=Failed(commit.state.ended_at, "for no reason"))
        return super()._commit(commit)


class LosesChildren(MemoryStorage):
    """A success is stored, and says that its children are."""

    def _commit_or_refuse(self, commit: Commit) -> Committed | Conflict | GustoError:
        children = commit.children
        reply = super()._commit_or_refuse(attrs.evolve(commit, children=None))
        if children is None or not isinstance(reply, Committed):
            return reply
        return attrs.evolve(reply, inserted=Inserted())


class KeepsChildrenOfFailed(MemoryStorage):
    """A success is refused, since its lease has passed, and its children are stored."""

    def _commit_or_refuse(self, commit: Commit) -> Committed | Conflict | GustoError:
        reply = super()._commit_or_refuse(commit)
        if commit.children is not None and isinstance(reply, Conflict):
            self._insert(commit.children)
        return reply


class RefusesNowAndThen(MemoryStorage):
    """It is busy, every third time, and nothing has befallen it."""

    _asked = 0

    def _insert(self, insert: Insert) -> Any:
        self._asked += 1
        return StorageBusy("for no reason") if self._asked % 3 == 0 else super()._insert(insert)


class GrowsTokensFaster(MemoryStorage):
    def _insert(self, insert: Insert) -> Any:
        for request in insert.requests:
            if request.details is not None and request.details.rate_limit is not None:
                request.details.rate_limit = RateLimit(5, per=5)
        return super()._insert(insert)
