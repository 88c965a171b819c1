"""Storages that break one promise about jobs, claims, states and leases each."""

from __future__ import annotations

import attrs

from property_tests.planted import AcceptsStaleLeases
from trio_gusto.model.errors import DuplicateJob
from trio_gusto.model.job import StoredJob
from trio_gusto.model.states import Processing, Ready
from trio_gusto.storage.finding_messages import Find, Found, Get
from trio_gusto.storage.lease_messages import (
    Renew,
    Renewed,
    RequestCancel,
)
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.index import lease_of
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Conflict,
    Insert,
    Inserted,
)
from trio_gusto.storage.retention_messages import Prune, Pruned


class ForgetsToRaiseTheVersion(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        reply = super()._commit(commit)
        job = self._jobs.get(commit.job_id)
        if job is not None:
            job.version = commit.version
        return reply


class ForgetsTheOrder(MemoryStorage):
    def _claimable(self, claim: ClaimDue) -> list[StoredJob]:
        return sorted(super()._claimable(claim), key=lambda job: job.sequence)


class AsksQueuesInAnotherOrder(MemoryStorage):
    def _claimable(self, claim: ClaimDue) -> list[StoredJob]:
        queues = None if claim.queues is None else claim.queues[::-1]
        return super()._claimable(attrs.evolve(claim, queues=queues))


class LosesARecord(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        return super()._commit(attrs.evolve(commit, record=None))


class AppliesHalfAnInsert(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob:
        replies = [
            super(AppliesHalfAnInsert, self)._insert(Insert([request], [state]))
            for request, state in zip(insert.requests, insert.states, strict=True)
        ]
        errors = [reply for reply in replies if isinstance(reply, DuplicateJob)]
        return errors[0] if errors else Inserted()


class IgnoresExpireOn(MemoryStorage):
    def _claimable(self, claim: ClaimDue) -> list[StoredJob]:
        overdue = [job for job in self._index.overdue.values() if isinstance(job.state, Ready)]
        return [*super()._claimable(claim), *overdue]


class ClaimsTooEarly(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return super()._claim_due(attrs.evolve(claim, now=claim.now + 1))


class ClaimsLastAttemptsAhead(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return super()._claim_due(attrs.evolve(claim, free=claim.limit))


class ClaimsUnknownNames(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return super()._claim_due(attrs.evolve(claim, skip_names=()))


class SharesInsteadOfCopying(MemoryStorage):
    def _get(self, get: Get) -> Found:
        return Found([self._jobs[job_id] for job_id in get.job_ids if job_id in self._jobs])


class RenewsPassedLeases(MemoryStorage):
    def _renew(self, renew: Renew) -> Renewed:
        return super()._renew(attrs.evolve(renew, now=0))


class ShortensLeases(MemoryStorage):
    def _renew(self, renew: Renew) -> Renewed:
        renewed = super()._renew(renew)
        for job in self._index.processing.values():
            job.state = attrs.evolve(lease_of(job), lease_until=renew.lease_until)
        return renewed


class RevivesCancelledJobs(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        job = self._jobs.get(commit.job_id)
        if job is not None and isinstance(job.state, Processing):
            job.state = attrs.evolve(job.state, cancel_reason=None)
        return super()._commit(commit)


class KeepsTheLastReason(MemoryStorage):
    def _request_cancel(self, request: RequestCancel) -> Committed | Conflict:
        job = self._index.processing.get(request.job_id)
        if job is not None and isinstance(job.state, Processing):
            job.state = attrs.evolve(job.state, cancel_reason=None)
        return super()._request_cancel(request)


class PrunesTooEarly(MemoryStorage):
    def _prune(self, prune: Prune) -> Pruned:
        return super()._prune(attrs.evolve(prune, ended_before=prune.ended_before + 1))


class PrunesMoreThanAsked(MemoryStorage):
    def _prune(self, prune: Prune) -> Pruned:
        return super()._prune(attrs.evolve(prune, limit=10_000))


class PrunesWhatItIsNotAskedFor(MemoryStorage):
    def _prune(self, prune: Prune) -> Pruned:
        return super()._prune(attrs.evolve(prune, but=prune.but[:0]))


class LooksFromTheBeginning(MemoryStorage):
    def _prune(self, prune: Prune) -> Pruned:
        return super()._prune(attrs.evolve(prune, mark=None))


class NeedsNothing(MemoryStorage):
    def _is_needed(self, job: StoredJob) -> bool:
        return False


class ShowsThePageAgain(MemoryStorage):
    def _find(self, find: Find) -> Found:
        before = None if find.before is None else find.before + 1
        return super()._find(attrs.evolve(find, before=before))


class IgnoresWorkers(MemoryStorage):
    def _find(self, find: Find) -> Found:
        return super()._find(attrs.evolve(find, workers=frozenset()))


class FindsStateByState(MemoryStorage):
    """Each state's jobs are in order, but they come one state after the other."""

    def _find(self, find: Find) -> Found:
        jobs = super()._find(attrs.evolve(find, limit=1_000_000)).jobs
        order = sorted(jobs, key=lambda job: find.states and job.state.word)
        return Found(order[: find.limit])


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (PrunesWhatItIsNotAskedFor, "pruning selects by state tenant and tag"),
    (LooksFromTheBeginning, "pruning looks at some and goes on from there"),
    (NeedsNothing, "jobs of a batch that lives are not pruned"),
    (NeedsNothing, "the newest job of a schedule is not pruned"),
    (AsksQueuesInAnotherOrder, "named workers stand in several queues"),
    (AcceptsStaleLeases, "a stale token changes nothing"),
    (ForgetsToRaiseTheVersion, "a success is its own record"),
    (ForgetsTheOrder, "jobs are claimed by priority then due then sequence"),
    (AsksQueuesInAnotherOrder, "shares of queues are taken first then what is left"),
    (LosesARecord, "records are kept in order"),
    (AppliesHalfAnInsert, "an insert stores all of its jobs or none"),
    (IgnoresExpireOn, "an expired job is not claimed"),
    (ClaimsTooEarly, "a claim leases the job and spends an attempt"),
    (ClaimsLastAttemptsAhead, "a last attempt is claimed for a free executor only"),
    (ClaimsUnknownNames, "unknown names are passed over"),
    (SharesInsteadOfCopying, "what is handed out does not change"),
    (ShortensLeases, "a renewal never shortens a lease"),
    (RenewsPassedLeases, "a passed lease is not renewed"),
    (RevivesCancelledJobs, "a job whose cancellation is asked takes only an end"),
    (KeepsTheLastReason, "a request to cancel keeps its first reason"),
    (PrunesTooEarly, "only jobs that ended before are pruned"),
    (PrunesMoreThanAsked, "pruning goes in slices"),
    (IgnoresWorkers, "every criterion is applied"),
    (FindsStateByState, "jobs of several states are found in one order"),
    (ShowsThePageAgain, "pages are stable while jobs arrive"),
    (ShowsThePageAgain, "pages repeat nothing while jobs change their state"),
]
