"""The conformance suite can fail: every storage here breaks one promise, and is caught for it."""

from __future__ import annotations

import attrs
import pytest

from trio_gusto.model.errors import DuplicateJob
from trio_gusto.model.job import StoredJob
from trio_gusto.model.states import Processing, Ready
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Conflict,
    Find,
    Found,
    Get,
    Insert,
    Inserted,
    Prune,
    Pruned,
    Renew,
    Renewed,
    RequestCancel,
)
from trio_gusto.testing.storage_contract import STORAGE_CHECKS, check_storage, run_check
from trio_gusto.testing.storage_contract.runner import sentence


class ForgetsTheToken(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        job = self._jobs.get(commit.job_id)
        return super()._commit(attrs.evolve(commit, version=job.version) if job else commit)


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


class ShowsThePageAgain(MemoryStorage):
    def _find(self, find: Find) -> Found:
        before = None if find.before is None else find.before + 1
        return super()._find(attrs.evolve(find, before=before))


BROKEN = [
    (ForgetsTheToken, "a stale token changes nothing"),
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
    (RenewsPassedLeases, "a passed lease is not renewed"),
    (RevivesCancelledJobs, "a job whose cancellation is asked takes only an end"),
    (KeepsTheLastReason, "a request to cancel keeps its first reason"),
    (PrunesTooEarly, "only jobs that ended before are pruned"),
    (PrunesMoreThanAsked, "pruning goes in slices"),
    (ShowsThePageAgain, "pages are stable while jobs arrive"),
]


CHECKS = {sentence(check): check for check in STORAGE_CHECKS}


@pytest.mark.parametrize(
    ("broken", "promise"), BROKEN, ids=lambda value: getattr(value, "__name__", "")
)
async def test_the_check_of_a_broken_promise_fails(
    broken: type[MemoryStorage], promise: str
) -> None:
    with pytest.raises(AssertionError, match=f"^{promise}: "):
        await run_check(CHECKS[promise], broken)


async def test_check_storage_says_what_was_found_instead() -> None:
    with pytest.raises(AssertionError, match=r"should be .* but is"):
        await check_storage(LosesARecord)


async def test_an_error_of_the_storage_is_noted_with_the_promise() -> None:
    class Breaks(MemoryStorage):
        def _insert(self, insert: Insert) -> Inserted | DuplicateJob:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone") as caught:
        await check_storage(Breaks)
    assert caught.value.__notes__ == ["while checking that a job is kept as it was asked for"]


async def test_losing_jobs_between_openings_is_caught() -> None:
    with pytest.raises(AssertionError, match="opened again"):
        await check_storage(MemoryStorage, reopen=lambda detached: MemoryStorage())
