"""Storages that break one promise about claims and leases, and about how they end, each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from property_tests.broken.changed import Changed
from trio_gusto.model.errors import GustoError
from trio_gusto.model.ids import JobId
from trio_gusto.model.states import Cancelled, Completed, Ready
from trio_gusto.storage.lease_messages import CancelRequests, Renew, RequestCancel, Stranded
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.index import ENDED, lease_of
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Conflict,
    Insert,
    Write,
    WriteReply,
)
from trio_gusto.storage.retention_messages import Prune


class TakesAllShares(Changed):
    """Each queue gives its share, whatever the limit."""

    def told(self, write: Any) -> Any:
        if not isinstance(write, ClaimDue) or write.queues is None:
            return write
        shares = sum(share for _, share in write.queues)
        return attrs.evolve(write, limit=max(write.limit, shares))


class TakesPassedLeasesBackItself(Changed):
    """It does not wait for somebody who decides what becomes of the attempt."""

    def told(self, write: Any) -> Any:
        if isinstance(write, ClaimDue):
            for job in tuple(self._index.processing.values()):
                if lease_of(job).lease_until <= write.now:
                    back = Commit(job.request.id, job.version, Ready(write.now), job.attempt)
                    self._commit(back)
        return write


class ClaimsOnceInAGroup(MemoryStorage):
    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        claims = [write for write in writes if isinstance(write, ClaimDue)]
        return [
            ClaimReply([], more=False, next_due=None)
            if isinstance(write, ClaimDue) and write is not claims[0]
            else self.perform(write)
            for write in writes
        ]


class HidesTheNextInstant(Changed):
    def replied(self, write: Any, reply: Any) -> Any:
        return attrs.evolve(reply, next_due=None) if isinstance(reply, ClaimReply) else reply


class DoesNothingForNothing(MemoryStorage):
    """Who claims no jobs is answered at once."""

    def perform(self, write: Any) -> Any:
        if isinstance(write, ClaimDue) and write.limit == 0:
            return ClaimReply([], more=False, next_due=None)
        return super().perform(write)


class TakesReadyJobsForDue(Changed):
    def told(self, write: Any) -> Any:
        if not isinstance(write, Insert):
            return write
        states = [
            Ready(min(state.due, request.created_at)) if isinstance(state, Ready) else state
            for request, state in zip(write.requests, write.states, strict=True)
        ]
        return attrs.evolve(write, states=states)


class SaysMoreWheneverItTookSome(Changed):
    def replied(self, write: Any, reply: Any) -> Any:
        return attrs.evolve(reply, more=bool(reply.jobs)) if type(reply) is ClaimReply else reply


class SettlesJobsThatAreGone(Changed):
    """Or says so."""

    def replied(self, write: Any, reply: Any) -> Any:
        gone = isinstance(write, Commit) and write.job_id not in self._jobs
        return Committed() if gone else reply


class SpendsEveryAttempt(Changed):
    def told(self, write: Any) -> Any:
        job = self._jobs.get(write.job_id) if isinstance(write, Commit) else None
        return (
            write if job is None else attrs.evolve(write, attempt=max(write.attempt, job.attempt))
        )


class PutsBackBehindAllOthers(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        job = self._index.processing.get(commit.job_id)
        if job is not None and isinstance(commit.state, Ready):
            self._sequence += 1
            job.sequence = self._sequence
        return super()._commit(commit)


class LetsRequestsToCancelBeatASuccess(MemoryStorage):
    def perform(self, write: Any) -> Any:
        if isinstance(write, Commit) and isinstance(write.state, Completed):
            job = self._index.processing.get(write.job_id)
            if job is not None and (reason := lease_of(job).cancel_reason) is not None:
                return Conflict(reason)
        return super().perform(write)


class AsksAnybodyToCancel(Changed):
    """Also who does not run."""

    def replied(self, write: Any, reply: Any) -> Any:
        known = isinstance(write, RequestCancel) and write.job_id in self._jobs
        return Committed() if known else reply


class CancelsOnlyWhatRuns(MemoryStorage):
    def perform(self, write: Any) -> Any:
        cancels = isinstance(write, Commit) and isinstance(write.state, Cancelled)
        if cancels and write.job_id not in self._index.processing:
            return Conflict()
        return super().perform(write)


class KeepsTheDeadlineOfWhatIsRetried(Changed):
    def told(self, write: Any) -> Any:
        return attrs.evolve(write, forget_expiry=False) if isinstance(write, Commit) else write


class PrunesByTheFirstEnd(Changed):
    """A job that runs again has ended for it."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[JobId, int] = {}

    def replied(self, write: Any, reply: Any) -> Any:
        for job in self._jobs.values():
            if isinstance(job.state, ENDED):
                self.ends.setdefault(job.request.id, job.state.ended_at)
        if not isinstance(write, Prune):
            return reply
        old = [job for job, end in self.ends.items() if end < write.ended_before]
        gone = [self._jobs.pop(job) for job in old if job in self._jobs]
        return attrs.evolve(reply, count=reply.count + len(gone))


class RenewsInWordsOnly(Changed):
    def told(self, write: Any) -> Any:
        return attrs.evolve(write, lease_until=0) if isinstance(write, Renew) else write


class HidesRequestsToCancel(Changed):
    def found(self, query: Any, reply: Any) -> Any:
        return attrs.evolve(reply, cancels=[]) if isinstance(query, CancelRequests) else reply


class NoticesNobodyLeaving(MemoryStorage):
    """Though it says that it remembers who is there."""

    async def detach(self, node: str) -> None:
        del node


class TakesItsOwnForForeign(Changed):
    def found(self, query: Any, reply: Any) -> Any:
        if not isinstance(query, Stranded):
            return reply
        return attrs.evolve(reply, foreign=bool(self._index.processing))


class LeavesOverdueJobs(Changed):
    def found(self, query: Any, reply: Any) -> Any:
        return attrs.evolve(reply, overdue=[]) if isinstance(query, Stranded) else reply


class ForgetsTheDeadlineOfWhatWasClaimed(Changed):
    def found(self, query: Any, reply: Any) -> Any:
        if not isinstance(query, Stranded):
            return reply
        return attrs.evolve(reply, overdue=[job for job in reply.overdue if job.version == 0])


class ShowsAllThatIsStranded(Changed):
    def asked(self, query: Any) -> Any:
        return attrs.evolve(query, limit=1_000_000) if isinstance(query, Stranded) else query


class HasNoTurnsWhereThereAreLanes(Changed):
    def told(self, write: Any) -> Any:
        if isinstance(write, ClaimDue) and self._index.lanes:
            return attrs.evolve(write, tenant_weights=None)
        return write


class HasNoTurnsWhileSomethingIsPaused(Changed):
    def told(self, write: Any) -> Any:
        if isinstance(write, ClaimDue) and self._pauses:
            return attrs.evolve(write, tenant_weights=None)
        return write


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (TakesAllShares, "shares never exceed the limit"),
    (TakesPassedLeasesBackItself, "a claimed job is not claimed again"),
    (ClaimsOnceInAGroup, "two claims in one group share the jobs"),
    (HidesTheNextInstant, "a scheduled job is claimed when it is due and not before"),
    (DoesNothingForNothing, "due jobs become ready even when none is taken"),
    (TakesReadyJobsForDue, "a ready job is not claimed before its due instant"),
    (SaysMoreWheneverItTookSome, "more says whether the limit was hit"),
    (SettlesJobsThatAreGone, "a job that is gone is a conflict"),
    (SpendsEveryAttempt, "a given back attempt is not spent"),
    (PutsBackBehindAllOthers, "a job put back keeps its place"),
    (LetsRequestsToCancelBeatASuccess, "a success beats a request to cancel"),
    (AsksAnybodyToCancel, "only a running job can be asked to cancel"),
    (CancelsOnlyWhatRuns, "a job not running is cancelled by its version"),
    (KeepsTheDeadlineOfWhatIsRetried, "a job retried by hand begins again"),
    (PrunesByTheFirstEnd, "a job that runs again is not pruned"),
    (RenewsInWordsOnly, "a renewal moves the lease"),
    (HidesRequestsToCancel, "the holder hears of cancellations"),
    (NoticesNobodyLeaving, "the lease of a node that left is lost at once"),
    (TakesItsOwnForForeign, "own leases are not foreign"),
    (LeavesOverdueJobs, "a job is overdue when its deadline has come"),
    (ForgetsTheDeadlineOfWhatWasClaimed, "a released job is overdue again"),
    (ShowsAllThatIsStranded, "stranded jobs come in slices"),
    (HasNoTurnsWhereThereAreLanes, "jobs in lanes have the turns of their tenants"),
    (HasNoTurnsWhereThereAreLanes, "what cannot be claimed in a lane stands in no turn"),
    (HasNoTurnsWhileSomethingIsPaused, "paused tenants have no turns"),
]
