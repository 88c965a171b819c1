"""Storages that break a promise of all messages together: about groups, refusals, pages and order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import attrs
import trio

from trio_gusto.model.errors import DuplicateJob, GustoError, UnknownJob
from trio_gusto.model.job import StoredJob
from trio_gusto.model.lanes import lane_of
from trio_gusto.model.states import Ready
from trio_gusto.model.uniqueness import key_of
from trio_gusto.storage.batch_messages import Batches, Stage, Staged
from trio_gusto.storage.dependency_messages import Dependents
from trio_gusto.storage.lease_messages import Renew, Renewed, RequestCancel
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import (
    ClaimDue,
    Commit,
    Committed,
    Conflict,
    Insert,
    Inserted,
    Write,
    WriteReply,
)
from trio_gusto.storage.news import EVERYTHING, News
from trio_gusto.storage.schedule_messages import FindSchedules, PutSchedule
from trio_gusto.storage.storage import Answer

Replies = Sequence[WriteReply | GustoError]

Kind = TypeVar("Kind")


def lone(kind: type[Kind], writes: Sequence[Write]) -> Kind | None:
    """The write of a group, if it is the only one and of this kind."""
    first: object = writes[0] if len(writes) == 1 else None
    return first if isinstance(first, kind) else None


class SwallowsWhatComesBehindARefusal(MemoryStorage):
    """It answers as if it had been done."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        replies: list[WriteReply | GustoError] = []
        for write in writes:
            is_refused = bool(replies) and isinstance(replies[-1], GustoError)
            hides = is_refused and isinstance(write, Insert)
            replies.append(Inserted() if hides else self.perform(write))
        return replies


class AnswersInsertsFirst(MemoryStorage):
    """It performs a group in order, and gives its replies in another."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        replies = [self.perform(write) for write in writes]
        return sorted(replies, key=lambda reply: not isinstance(reply, Inserted))


class ForgetsTheLastReply(MemoryStorage):
    async def apply(self, writes: Sequence[Write]) -> Replies:
        replies = await super().apply(writes)
        return replies[:-1] if len(replies) > 2 else replies


class TakesAShortCutForALoneCommit(MemoryStorage):
    """On it no record of the attempt is kept."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        alone = lone(Commit, writes)
        if alone is not None:
            writes = [attrs.evolve(alone, record=None)]
        return await super().apply(writes)


class ForgetsKeysOfJobsInLanes(MemoryStorage):
    """Each for itself, keys and named workers are as they should be."""

    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        reply = super()._insert(insert)
        for request in insert.requests:
            key = key_of(request)
            if key is not None and lane_of(request) is not None:
                self._keys._held.pop(key, None)
        return reply


class ReleasesAContinuationTwice(MemoryStorage):
    """It does not compare versions when a wait is over, so the second who says so is heard, too."""

    def _commit(self, commit: Commit) -> Committed | Conflict:
        job = self._jobs.get(commit.job_id)
        waited = job is not None and job.request.details is not None and job.request.details.parents
        if waited and job is not None and isinstance(commit.state, Ready):
            commit = attrs.evolve(commit, version=job.version)
        return super()._commit(commit)


class ReusesATokenThatWasGivenBack(MemoryStorage):
    """A job that is given back unspent is as it was before it was claimed."""

    def _commit(self, commit: Commit) -> Committed | Conflict:
        job = self._jobs.get(commit.job_id)
        unspent = job is not None and commit.attempt < job.attempt
        reply = super()._commit(commit)
        if unspent and job is not None and isinstance(reply, Committed):
            job.version -= 2
        return reply


class RenewsForAnybody(MemoryStorage):
    def _renew(self, renew: Renew) -> Renewed:
        held = [self._jobs[job_id].state for job_id, _ in renew.leases if job_id in self._jobs]
        nodes = [getattr(state, "node", renew.node) for state in held]
        return super()._renew(attrs.evolve(renew, node=nodes[0] if nodes else renew.node))


class RenewsUnderAnyToken(MemoryStorage):
    def _renew(self, renew: Renew) -> Renewed:
        held = self._index.processing
        current = [
            (job_id, held[job_id].version if job_id in held else token)
            for job_id, token in renew.leases
        ]
        return super()._renew(attrs.evolve(renew, leases=current))


class CancelsUnderAnyToken(MemoryStorage):
    def _request_cancel(self, request: RequestCancel) -> Committed | Conflict:
        job = self._index.processing.get(request.job_id)
        return super()._request_cancel(
            attrs.evolve(request, version=request.version if job is None else job.version)
        )


class TakesTokensAhead(MemoryStorage):
    """It compares with ``<=``: a token that nobody has been given yet is as good."""

    def _commit_or_refuse(self, commit: Commit) -> Committed | Conflict | GustoError:
        job = self._jobs.get(commit.job_id)
        if job is not None and job.version <= commit.version:
            commit = attrs.evolve(commit, version=job.version)
        return super()._commit_or_refuse(commit)


class StagesTwice(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._verbs = {**self._verbs, Stage: self._stage}

    def _stage(self, stage: Stage) -> Staged | GustoError:
        pile = self._staging._piles.get(stage.stage)
        found = 0 if pile is None else pile.whole()
        return self._staging.put(attrs.evolve(stage, position=found))


class RemovesSchedulesWhateverTheVersion(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._verbs = {**self._verbs, PutSchedule: self._put_schedule}

    def _put_schedule(self, put: PutSchedule) -> Committed | Conflict:
        kept = self._schedules._schedules.get(put.name)
        if put.schedule is None and kept is not None:
            put = attrs.evolve(put, version=kept.version)
        return self._schedules.put(put)


class OrdersEqualsById(MemoryStorage):
    """Jobs of one priority and instant come as they were made, not as they were stored."""

    def _claimable(self, claim: ClaimDue) -> list[StoredJob]:
        if claim.queues is not None or claim.tenant_weights is not None or claim.ageing is not None:
            return super()._claimable(claim)
        found = super()._claimable(claim)
        return sorted(found, key=place_by_id)


def place_by_id(job: StoredJob) -> tuple[int, int, bytes]:
    return -job.request.priority, getattr(job.state, "due", 0), job.request.id


class TakesTheRestFromAnyQueue(MemoryStorage):
    """What the shares leave is filled in the order of all queues together."""

    def _claimable(self, claim: ClaimDue) -> list[StoredJob]:
        if claim.queues is None:
            return super()._claimable(claim)
        found: list[StoredJob] = []
        for queue, share in claim.queues:
            most = min(share, claim.limit - len(found))
            found += super()._claimable(attrs.evolve(claim, queues=[(queue, most)], limit=most))
        rest = super()._claimable(attrs.evolve(claim, queues=None, limit=1_000))
        names = {queue for queue, _ in claim.queues}
        taken = [job for job in rest if job.request.queue in names][: claim.limit - len(found)]
        for job in rest:
            if job not in taken:
                self._index.put_back(job)
        return found + taken


class Paged(MemoryStorage):
    """Changes one of the queries that come in pages."""

    def asked(self, query: Any) -> Any:
        raise NotImplementedError

    async def read(self, query: Any) -> Any:
        return await super().read(self.asked(query))


class ShowsThePageOfBatchesAgain(Paged):
    def asked(self, query: Any) -> Any:
        if isinstance(query, Batches) and query.before is not None:
            return attrs.evolve(query, before=query.before + 1)
        return query


class ShowsThePageOfSchedulesAgain(Paged):
    def asked(self, query: Any) -> Any:
        if isinstance(query, FindSchedules) and query.after:
            return attrs.evolve(query, after=query.after[:-1])
        return query


class LeavesAWaitOutBetweenPages(Paged):
    def asked(self, query: Any) -> Any:
        between = isinstance(query, Dependents) and query.after > 0
        return attrs.evolve(query, after=query.after + 1) if between else query


class SubmitsBackwards(MemoryStorage):
    def submit(self, writes: Sequence[Write], answer: Answer) -> bool:
        answer([self.perform(write) for write in writes[::-1]][::-1])
        return True


class AnswersWhatIsSubmittedTwice(MemoryStorage):
    def submit(self, writes: Sequence[Write], answer: Answer) -> bool:
        replies = [self.perform(write) for write in writes]
        answer(replies)
        answer(replies)
        return True


class RenewsFromAThreadInVain(MemoryStorage):
    def renew_blocking(self, renew: Renew) -> Renewed | None:
        del renew
        return Renewed([], [])


class NeverAnswersAnEmptyGroup(MemoryStorage):
    """It waits for a reply that nobody gives."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        if not writes:
            await trio.sleep_forever()
        return await super().apply(writes)


class MissesWhatChangedMeanwhile(MemoryStorage):
    """Whoever begins to wait for changes waits for those that come then."""

    async def wait_changed(self, node: str) -> News | None:
        self._bells.hang(node)
        return await super().wait_changed(node)


class TellsOfChangesForEver(MemoryStorage):
    """Whoever waits for changes asks again at once, and burns a processor."""

    async def wait_changed(self, node: str) -> News | None:
        await trio.lowlevel.checkpoint()
        return None


class SaysLessThanWasWritten(MemoryStorage):
    """Who looks after waiting jobs hears of their parents' ends only if he hears everything."""

    async def wait_changed(self, node: str) -> News | None:
        heard = await super().wait_changed(node)
        return heard if heard is None or heard == EVERYTHING else heard & ~News.AWAITED


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (SwallowsWhatComesBehindARefusal, "a duplicate harms its own message only"),
    (AnswersInsertsFirst, "a conflict harms its own message only"),
    (ForgetsTheLastReply, "a duplicate harms its own message only"),
    (
        SwallowsWhatComesBehindARefusal,
        "a refused write harms nobody in its group in a play of everything",
    ),
    (
        TakesAShortCutForALoneCommit,
        "a group does what its writes do one by one in a play of everything",
    ),
    (ForgetsKeysOfJobsInLanes, "what is told is done in a play of chance"),
    (ReleasesAContinuationTwice, "what is told twice counts once in a play of everything"),
    (ReusesATokenThatWasGivenBack, "a token is never used twice"),
    (RenewsForAnybody, "only the holder of a lease renews it"),
    (RenewsUnderAnyToken, "only the holder of a lease renews it"),
    (CancelsUnderAnyToken, "a stale token changes nothing"),
    (TakesTokensAhead, "a stale token changes nothing"),
    (
        TakesTokensAhead,
        "a token that does not hold changes nothing in a play of everything",
    ),
    (StagesTwice, "what is told twice counts once in a play of everything"),
    (
        RemovesSchedulesWhateverTheVersion,
        "a token that does not hold changes nothing in a play of everything",
    ),
    (OrdersEqualsById, "jobs come in one order however they are claimed"),
    (TakesTheRestFromAnyQueue, "queues come in their order however they are claimed"),
    (ShowsThePageOfBatchesAgain, "pages of batches repeat nothing while others come"),
    (ShowsThePageOfSchedulesAgain, "pages of schedules repeat nothing while some go"),
    (LeavesAWaitOutBetweenPages, "pages of waits repeat nothing while some are over"),
    (
        SubmitsBackwards,
        "a submitted group does what an applied one does in a play of everything",
    ),
    (
        AnswersWhatIsSubmittedTwice,
        "a submitted group does what an applied one does in a play of everything",
    ),
    (RenewsFromAThreadInVain, "a lease is renewed from a thread or left as it is"),
    (NeverAnswersAnEmptyGroup, "empty groups and empty inserts do nothing"),
    (MissesWhatChangedMeanwhile, "whoever waits for changes hears of them"),
    (TellsOfChangesForEver, "who waits for changes waits until there are any"),
    (SaysLessThanWasWritten, "what is heard covers what was written"),
]
