"""The conformance suite can fail: every storage here breaks one promise, and is caught for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest

from tests.storage import (
    broken_children,
    broken_dossiers,
    broken_rates,
    broken_reports,
    broken_runs,
)
from trio_gusto.model.errors import DuplicateJob, GustoError, UnknownJob
from trio_gusto.model.job import StoredJob
from trio_gusto.model.lanes import Lanes, Occupancy
from trio_gusto.model.schedule import StoredSchedule
from trio_gusto.model.states import Cancelled, Processing, Ready, Waiting
from trio_gusto.storage.batch_messages import (
    Discard,
    Discarded,
    InsertBatch,
    Stage,
    Staged,
)
from trio_gusto.storage.dependency_messages import DependentJobs, Dependents
from trio_gusto.storage.finding_messages import Find, Found, Get
from trio_gusto.storage.lease_messages import (
    CancelRequests,
    Renew,
    Renewed,
    RequestCancel,
    Stranded,
    StrandedJobs,
)
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.claiming import claimable
from trio_gusto.storage.memory.index import Index, lease_of
from trio_gusto.storage.memory.pauses import PauseShelf
from trio_gusto.storage.memory.schedules import ScheduleShelf
from trio_gusto.storage.memory.uniqueness import Keys
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
    Write,
    WriteReply,
)
from trio_gusto.storage.pause_messages import HeardPauses, LiftPauses, Pauses, PutPause
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.schedule_messages import (
    FindSchedules,
    Fire,
    KeptSchedule,
    PutSchedule,
    Schedules,
)
from trio_gusto.storage.storage import Storage
from trio_gusto.testing.storage_contract import (
    STORAGE_CHECKS,
    check_reopening,
    check_storage,
    run_check,
)
from trio_gusto.testing.storage_contract.callbacks import CALLBACK_CHECKS
from trio_gusto.testing.storage_contract.children import CHILDREN_CHECKS
from trio_gusto.testing.storage_contract.rating import RATING_CHECKS
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


class ForgetsTheTokensOfSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        claims = [
            attrs.evolve(claimed, token=self._jobs[claimed.request.id].version)
            if claimed.request.id in self._jobs
            else claimed
            for claimed in complete.claims
        ]
        return super()._complete(attrs.evolve(complete, claims=claims))


class ForgetsToRaiseTheVersionsOfSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        reply = super()._complete(complete)
        for position, claimed in enumerate(complete.claims):
            if position not in reply.refused:
                self._jobs[claimed.request.id].version = claimed.token
        return reply


class RefusesAllBecauseOfOne(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        held = self._index.processing
        claims = complete.claims
        if all(
            claimed.request.id in held and held[claimed.request.id].version == claimed.token
            for claimed in claims
        ):
            return super()._complete(complete)
        return Completions(dict.fromkeys(range(len(claims)), Conflict()))


class StopsAtTheFirstRefused(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        for position in range(len(complete.claims)):
            until = Complete(complete.claims[: position + 1], complete.states[: position + 1])
            last = Complete(until.claims[-1:], until.states[-1:])
            if super()._complete(last).refused:
                rest = range(position, len(complete.claims))
                return Completions(dict.fromkeys(rest, Conflict()))
        return Completions()


class CountsTheRefused(MemoryStorage):
    """From nought, wherever they stand."""

    def _complete(self, complete: Complete) -> Completions:
        return Completions(dict(enumerate(super()._complete(complete).refused.values())))


class HidesWhatItRefused(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        super()._complete(complete)
        return Completions()


class SettlesWhatIsGone(MemoryStorage):
    """Or says so."""

    def _complete(self, complete: Complete) -> Completions:
        refused = super()._complete(complete).refused
        return Completions(
            {
                position: reply
                for position, reply in refused.items()
                if complete.claims[position].request.id in self._jobs
            }
        )


class CountsASuccessTwice(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        refused = dict(super()._complete(complete).refused)
        for position in tuple(refused):
            claimed = complete.claims[position]
            if claimed in complete.claims[:position]:
                del refused[position]
                self._jobs[claimed.request.id].state = complete.states[position]
        return Completions(refused)


class LosesOneResult(MemoryStorage):
    """The others keep theirs."""

    def _complete(self, complete: Complete) -> Completions:
        states = list(complete.states)
        if len(states) > 1:
            states[-2] = attrs.evolve(states[-2], result=None)
        return super()._complete(attrs.evolve(complete, states=states))


class GivesEveryOneAResult(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        states = [attrs.evolve(state, result=state.result or "null") for state in complete.states]
        return super()._complete(attrs.evolve(complete, states=states))


class LosesWhyAResultIsMissing(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        states = [attrs.evolve(state, result_error=None) for state in complete.states]
        return super()._complete(attrs.evolve(complete, states=states))


class TakesTheRequestToCancelForAnError(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        states = list(complete.states)
        for position, claimed in enumerate(complete.claims):
            job = self._index.processing.get(claimed.request.id)
            if job is not None and isinstance(job.state, Processing):
                reason = job.state.cancel_reason
                error = states[position].result_error or reason
                states[position] = attrs.evolve(states[position], result_error=error)
        return super()._complete(attrs.evolve(complete, states=states))


class LetsRequestsToCancelBeatSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        asked = {
            job_id: job.state.cancel_reason
            for job_id, job in self._index.processing.items()
            if isinstance(job.state, Processing) and job.state.cancel_reason is not None
        }
        refused: dict[int, Conflict | GustoError] = {}
        for position, claimed in enumerate(complete.claims):
            alone = Complete([claimed], [complete.states[position]])
            if claimed.request.id in asked:
                refused[position] = Conflict(asked[claimed.request.id])
            elif super()._complete(alone).refused:
                refused[position] = Conflict()
        return Completions(refused)


class RefusesNodesThatLeft(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        refused = dict(super()._complete(complete).refused)
        for position, claimed in enumerate(complete.claims):
            if claimed.node not in self._nodes:
                refused[position] = Conflict()
        return Completions(refused)


class RefusesPassedLeases(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        jobs = [self._jobs.get(claimed.request.id) for claimed in complete.claims]
        late = [
            job is not None
            and isinstance(job.state, Processing)
            and job.state.lease_until <= state.ended_at
            for job, state in zip(jobs, complete.states, strict=True)
        ]
        if any(late):
            return Completions({late.index(True): Conflict()})
        return super()._complete(complete)


class LosesTheHistoryOfSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        for claimed in complete.claims:
            if claimed.request.id in self._jobs:
                self._jobs[claimed.request.id].history = ()
        return super()._complete(complete)


class SpendsAnotherAttempt(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        reply = super()._complete(complete)
        for position, claimed in enumerate(complete.claims):
            if position not in reply.refused:
                self._jobs[claimed.request.id].attempt += 1
        return reply


class TakesAllForItsOwn(MemoryStorage):
    """The first node of a message is that of all."""

    def _complete(self, complete: Complete) -> Completions:
        states = [attrs.evolve(it, node=complete.states[0].node) for it in complete.states]
        return super()._complete(attrs.evolve(complete, states=states))


class KeepsTheLeasesOfSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        held = dict(self._index.processing)
        reply = super()._complete(complete)
        for position, claimed in enumerate(complete.claims):
            if position not in reply.refused:
                job = held[claimed.request.id]
                again = attrs.evolve(
                    job, state=Processing(claimed.node, claimed.claimed_at, claimed.claimed_at)
                )
                self._index.processing[claimed.request.id] = again
        return reply


class NeverPrunesSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        ended, self._index.ended = self._index.ended, Index().ended
        try:
            return super()._complete(complete)
        finally:
            self._index.ended = ended


class RefusesNothing(MemoryStorage):
    """It takes a message without successes for a mistake."""

    def _complete(self, complete: Complete) -> Completions:
        if not complete.claims:
            return Completions({0: Conflict()})
        return super()._complete(complete)


class PerformsSuccessesFirst(MemoryStorage):
    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        order = sorted(range(len(writes)), key=lambda it: not isinstance(writes[it], Complete))
        replies = await super().apply([writes[position] for position in order])
        return [replies[order.index(position)] for position in range(len(writes))]


class PerformsSuccessesLast(MemoryStorage):
    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        order = sorted(range(len(writes)), key=lambda it: isinstance(writes[it], Complete))
        replies = await super().apply([writes[position] for position in order])
        return [replies[order.index(position)] for position in range(len(writes))]


class ForgetsWhatIsBehindTheFirstPiece(MemoryStorage):
    """It cuts long messages into pieces, and counts in each of them."""

    def _complete(self, complete: Complete) -> Completions:
        refused: dict[int, Conflict | GustoError] = {}
        for first in range(0, len(complete.claims), 128):
            piece = slice(first, first + 128)
            part = Complete(complete.claims[piece], complete.states[piece])
            refused.update(super()._complete(part).refused)
        return Completions(refused)


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


class FiresWhateverTheVersion(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        kept = self._schedules._schedules.get(fire.schedule.request.name)
        return super()._fire(attrs.evolve(fire, version=kept.version) if kept else fire)


class FiresByHalves(MemoryStorage):
    """The schedule moves on, its last job is lost."""

    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        half = attrs.evolve(fire, requests=fire.requests[:-1], states=fire.states[:-1])
        return super()._fire(half)


class FiresAndStaysWhereItWas(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        name = fire.schedule.request.name
        before = self._schedules._schedules.get(name)
        reply = super()._fire(fire)
        if before is not None and isinstance(reply, Committed):
            self._schedules._schedules[name] = before
        return reply


class RefusesAnInstantThatHasItsJob(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        if any(request.id in self._jobs for request in fire.requests):
            return Conflict()
        return super()._fire(fire)


class StoresAnInstantTwice(MemoryStorage):
    """The job that was there begins again."""

    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        if self._schedules.is_at(fire.schedule.request.name, fire.version):
            for request in fire.requests:
                self._jobs.pop(request.id, None)
        return super()._fire(fire)


class EditsWhileItFires(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        reply = super()._fire(fire)
        if isinstance(reply, Committed):
            self._schedules._schedules[fire.schedule.request.name] = fire.schedule
        return reply


class OverwritesSchedules(ScheduleShelf):
    def put(self, put: PutSchedule) -> Committed | Conflict:
        kept = self._schedules.get(put.name)
        return super().put(attrs.evolve(put, version=None if kept is None else kept.version))


class GivesSchedulesInTheOrderTheyCame(ScheduleShelf):
    def find(self, query: FindSchedules) -> Schedules:
        found = super().find(attrs.evolve(query, limit=1_000_000))
        order = list(self._schedules)
        shown = sorted(found.found, key=lambda one: order.index(one.schedule.request.name))
        return attrs.evolve(found, found=tuple(shown[: query.limit]))


class TellsTheFirstInstantOfAll(ScheduleShelf):
    """Also of those that are due, so that who asks again looks for ever."""

    def find(self, query: FindSchedules) -> Schedules:
        first = super().find(attrs.evolve(query, due_by=None)).next_at
        return attrs.evolve(super().find(query), next_at=first)


class CountsJobsStartedByHand(ScheduleShelf):
    def add(self, job: StoredJob) -> None:
        details = job.request.details
        if details is not None and details.schedule_name is not None:
            self._live.setdefault(details.schedule_name, {})[job.request.id] = job

    def _unfinished(self, name: str) -> list[StoredJob]:
        return list(self._live.get(name, {}).values())


class ForgetsJobsThatRunAgain(ScheduleShelf):
    def add(self, job: StoredJob) -> None:
        if job.version == 0:
            super().add(job)


class ForgetsWhoIsHeld(ScheduleShelf):
    def find(self, query: FindSchedules) -> Schedules:
        return attrs.evolve(super().find(query), held=())


class HandsOutItsOwnSchedules(ScheduleShelf):
    def advance(self, schedule: StoredSchedule) -> None:
        mine = self._schedules[schedule.request.name]
        mine.next_at, mine.version = schedule.next_at, schedule.version

    def _kept(self, schedule: StoredSchedule) -> KeptSchedule:
        return attrs.evolve(super()._kept(schedule), schedule=schedule)


def on_shelf(shelf: type[ScheduleShelf]) -> type[MemoryStorage]:
    """A storage that keeps its schedules there."""

    class OnShelf(MemoryStorage):
        def __init__(self) -> None:
            super().__init__()
            self._schedules = shelf(self._jobs)
            self._verbs = {**self._verbs, PutSchedule: self._schedules.put}

    OnShelf.__name__ = shelf.__name__
    return OnShelf


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
        return DependentJobs([self._awaited._dependent(job) for job in waiting])


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


class StoresTheBatchAloneFirst(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        reply = super()._insert_batch(write)
        if isinstance(reply, DuplicateJob | UnknownJob):
            self._shelf.open(write)
        return reply


class NumbersWhatItRefuses(MemoryStorage):
    refused = 0

    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        reply = super()._insert_batch(write)
        if isinstance(reply, Inserted):
            self._shelf.kept[write.batch.id].sequence += self.refused
        else:
            self.refused += 1
        return reply


class AppendsToAnyBatch(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        return super()._insert_batch(attrs.evolve(write, reopen=True))


class ForgetsThatBatchesAreAwaited(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        reply = super()._commit(commit)
        if not isinstance(reply, Committed):
            return reply
        return Committed(tuple(name for name in reply.awaited if name in self._jobs))


class KeepsEmptyBatches(MemoryStorage):
    def _prune(self, prune: Prune) -> Pruned:
        kept = dict(self._shelf.kept)
        pruned = super()._prune(prune)
        self._shelf.kept.update(kept)
        return pruned


class IgnoresKeys(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        self._keys = Keys()
        return super()._insert(insert)


class HoldsKeysForEver(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        held = dict(self._keys._held)
        reply = super()._commit(commit)
        self._keys._held.update(held)
        return reply


class HoldsKeysOfSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        held = dict(self._keys._held)
        reply = super()._complete(complete)
        self._keys._held.update(held)
        return reply


class RefusesInsteadOfGivingWay(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        requests = [
            attrs.evolve(
                one, details=one.details and attrs.evolve(one.details, on_conflict="raise")
            )
            for one in insert.requests
        ]
        return super()._insert(attrs.evolve(insert, requests=requests))


class ReplacesInSilence(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        reply = super()._insert(insert)
        return attrs.evolve(reply, awaited=()) if isinstance(reply, Inserted) else reply


class LiveAgainWithoutTheKey(MemoryStorage):
    def _commit_or_refuse(self, commit: Commit) -> Committed | Conflict | GustoError:
        if isinstance(commit.state, Ready):
            self._keys._held.clear()
        return super()._commit_or_refuse(commit)


class Everywhere(Lanes):
    """With room for everybody."""

    def admit(self, lane: str, room: int, count: int = 1, *, spends_last: bool) -> int:
        return True


class OtherIndex(Index):
    """With a fault in what it says of named workers."""

    def leased_lanes(self, node: str, depth: int) -> Lanes | None:
        for lane in tuple(self.lanes._lines):
            self.lanes._unpark(lane)
        return None if super().leased_lanes(node, depth) is None else Everywhere(lambda _: None)


class NamesNobodyAtWork(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._index = OtherIndex()


class ForgetsLimits(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        for request in insert.requests:
            if request.details is not None:
                request.details.concurrency_limit = 1
        return super()._insert(insert)


class TakesNamesForOne(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        for request in insert.requests:
            if request.details is not None:
                request.details.worker = request.details.worker or request.details.concurrency_key
        return super()._insert(insert)


class FindsAnyConcurrencyKey(MemoryStorage):
    def _find(self, find: Find) -> Found:
        return super()._find(attrs.evolve(find, concurrency_keys=frozenset()))


class OtherLanes(Lanes):
    """With a fault in which jobs it admits."""

    def __init__(self, find: Callable[[str], Occupancy | None], depth: int) -> None:
        super().__init__(lambda lane: self.seen(find(lane)), depth)

    def seen(self, leased: Occupancy | None) -> Occupancy | None:
        return leased


class ByTheWidest(OtherLanes):
    def admit(self, lane: str, room: int, count: int = 1, *, spends_last: bool) -> int:
        return super().admit(lane, max(room, 3), count, spends_last=spends_last)


class Anybodys(OtherLanes):
    def seen(self, leased: Occupancy | None) -> Occupancy | None:
        return leased and attrs.evolve(leased, own=leased.singles)


class Carefree(OtherLanes):
    def admit(self, lane: str, room: int, count: int = 1, *, spends_last: bool) -> int:
        return super().admit(lane, room, count, spends_last=False)


class Mixed(OtherLanes):
    def admit(self, lane: str, room: int, count: int = 1, *, spends_last: bool) -> int:
        occupancy = self._met.get(lane)
        if occupancy is not None and room > 1:
            occupancy.singles = 0
        return super().admit(lane, room, count, spends_last=spends_last)


class OtherLanesIndex(Index):
    lanes_of: type[OtherLanes]

    def leased_lanes(self, node: str, depth: int) -> Lanes | None:
        lanes = super().leased_lanes(node, depth)
        for lane in tuple(self.lanes._lines):
            self.lanes._unpark(lane)
        return lanes and self.lanes_of(lanes._find, depth)


def with_lanes(lanes: type[OtherLanes]) -> Index:
    index = OtherLanesIndex()
    index.lanes_of = lanes
    return index


class AdmitsByTheLimitOfOthers(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._index = with_lanes(ByTheWidest)


class LeasesInARowToAnybody(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._index = with_lanes(Anybodys)


class LeasesLastAttemptsAhead(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._index = with_lanes(Carefree)


class JoinsRows(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._index = with_lanes(Mixed)


class IgnoresTheDepth(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return super()._claim_due(attrs.evolve(claim, depth=claim.depth and 9))


class ForgetsPriorities(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        requests = [attrs.evolve(request, priority=0) for request in insert.requests]
        return super()._insert(attrs.evolve(insert, requests=requests))


class FreesAWorkerWithItsLease(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        for job in self._index.processing.values():
            lease = lease_of(job)
            if lease.lease_until <= claim.now:
                self._index.free(job)
        return super()._claim_due(claim)


class HidesThatJobsAreHeld(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return attrs.evolve(super()._claim_due(claim), held=False)


class SaysThatJobsAreHeld(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        reply = super()._claim_due(claim)
        named = [job for job in self._jobs.values() if job.request.details]
        return attrs.evolve(reply, held=any(isinstance(job.state, Ready) for job in named))


class ClaimsWhatIsPaused(MemoryStorage):
    def _claimable(self, claim: ClaimDue) -> list[StoredJob]:
        return claimable(self._index, PauseShelf(), claim)


class TakesTheNewReason(PauseShelf):
    def put(self, put: PutPause) -> Committed:
        self._pauses.pop((put.queue, put.tenant), None)
        return super().put(put)


class LiftsOnlyItself(PauseShelf):
    def lift(self, lift: LiftPauses) -> Committed:
        self._pauses.pop((lift.queue, lift.tenant), None)
        return Committed()


class CountsFromOneAgain(PauseShelf):
    def lift(self, lift: LiftPauses) -> Committed:
        self._number = 0
        return super().lift(lift)


class HearsOnlyTheLast(PauseShelf):
    def hear(self, heard: HeardPauses) -> Committed:
        self._heard[heard.node] = heard.number
        return Committed()


def pausing_with(shelf: type[PauseShelf]) -> type[MemoryStorage]:
    class Pausing(MemoryStorage):
        def __init__(self) -> None:
            super().__init__()
            pauses = self._pauses = shelf()
            self._verbs = {
                **self._verbs,
                PutPause: pauses.put,
                LiftPauses: pauses.lift,
                HeardPauses: pauses.hear,
            }

    return Pausing


class NamesWhoseLeaseHasPassed(MemoryStorage):
    async def read(self, query: Any) -> Any:
        return await super().read(Pauses(0) if isinstance(query, Pauses) else query)


class HidesPauses(MemoryStorage):
    async def read(self, query: Any) -> Any:
        reply = await super().read(query)
        return attrs.evolve(reply, pauses=()) if isinstance(query, CancelRequests) else reply


class ShowsWhatIsStaged(MemoryStorage):
    """It takes every slice for a batch of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._verbs = {**self._verbs, Stage: self._stage}

    def _stage(self, stage: Stage) -> Staged | GustoError:
        reply = self._staging.put(stage)
        if isinstance(reply, Staged):
            self._insert(stage.jobs)
        return reply


class StoresWhateverIsStaged(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        pile = None if write.stage is None else self._staging._piles.get(write.stage)
        staged = write.staged if pile is None else len(pile.requests)
        return super()._insert_batch(attrs.evolve(write, staged=staged))


class StoresWhatIsStagedAgain(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        piles = dict(self._staging._piles)
        reply = super()._insert_batch(write)
        self._staging._piles = piles
        return reply


class StoresWhatIsStagedLast(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        pile = None if write.stage is None else self._staging._piles.get(write.stage)
        if pile is None:
            return super()._insert_batch(write)
        waiting = [type(state) is Waiting for state in write.jobs.states].count(True)
        first = len(write.jobs.states) - waiting
        pile.requests[:0] = write.jobs.requests[:first]
        pile.states[:0] = write.jobs.states[:first]
        rest = Insert(write.jobs.requests[first:], write.jobs.states[first:])
        return super()._insert_batch(attrs.evolve(write, jobs=rest, staged=len(pile.requests)))


class LosesWhatIsStagedWhenItIsRefused(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        reply = super()._insert_batch(write)
        if isinstance(reply, GustoError):
            self._staging.drop(write.stage)
        return reply


class ForgetsWorkersOfStagedJobs(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._verbs = {**self._verbs, Stage: self._stage}

    def _stage(self, stage: Stage) -> Staged | GustoError:
        requests = [
            attrs.evolve(request, details=attrs.evolve(request.details, worker=None))
            if request.details is not None
            else request
            for request in stage.jobs.requests
        ]
        return self._staging.put(
            attrs.evolve(stage, jobs=attrs.evolve(stage.jobs, requests=requests))
        )


class DiscardsEverything(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._verbs = {**self._verbs, Discard: self._discard}

    def _discard(self, discard: Discard) -> Discarded:
        return self._staging.discard(attrs.evolve(discard, limit=1_000_000))


class MixesUpBlocks(MemoryStorage):
    """It keeps what is staged under the batch, not under the stage."""

    def __init__(self) -> None:
        super().__init__()
        self._verbs = {**self._verbs, Stage: self._stage}

    def _stage(self, stage: Stage) -> Staged | GustoError:
        return self._staging.put(attrs.evolve(stage, stage=stage.batch))

    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        stage = None if write.stage is None else write.batch.id
        return super()._insert_batch(attrs.evolve(write, stage=stage))


class SweepsWhatIsThere(MemoryStorage):
    def _stranded(self, query: Stranded) -> StrandedJobs:
        return attrs.evolve(super()._stranded(query), stages=tuple(self._staging._piles))


class LetsJobsOfABatchGiveWay(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        vars(self._keys)["taken"] = lambda _insert: None
        try:
            return super()._insert_batch(write)
        except KeyError:
            return Inserted()


BROKEN = [
    (LetsJobsOfABatchGiveWay, "jobs of a batch give way to nobody"),
    (IgnoresKeys, "a live job holds its unique key"),
    (HoldsKeysForEver, "an ended job has given its unique key back"),
    (HoldsKeysOfSuccesses, "an ended job has given its unique key back"),
    (RefusesInsteadOfGivingWay, "a new job may give way to the one that has its key"),
    (RefusesInsteadOfGivingWay, "a new job may replace one that has not begun"),
    (ReplacesInSilence, "a new job may replace one that has not begun"),
    (LiveAgainWithoutTheKey, "a job cannot be live again while another has its key"),
    (PrunesWhatItIsNotAskedFor, "pruning selects by state tenant and tag"),
    (LooksFromTheBeginning, "pruning looks at some and goes on from there"),
    (NeedsNothing, "jobs of a batch that lives are not pruned"),
    (NeedsNothing, "the newest job of a schedule is not pruned"),
    (NamesNobodyAtWork, "a named worker has one job at a time"),
    (NamesNobodyAtWork, "several claims of a group share a named worker"),
    (FreesAWorkerWithItsLease, "a named worker is at work until its job is settled"),
    (HidesThatJobsAreHeld, "a named worker has one job at a time"),
    (SaysThatJobsAreHeld, "an expired job does not hold its named worker up"),
    (ForgetsPriorities, "jobs of a named worker come in order"),
    (AsksQueuesInAnotherOrder, "named workers stand in several queues"),
    (NamesNobodyAtWork, "named workers are in nobodys way"),
    (ForgetsWorkersOfStagedJobs, "staged jobs keep their named worker"),
    (NamesNobodyAtWork, "a concurrency key has room for its limit"),
    (ForgetsLimits, "a concurrency key has room for its limit"),
    (ForgetsLimits, "staged jobs keep their concurrency key"),
    (AdmitsByTheLimitOfOthers, "a limit goes with each job"),
    (TakesNamesForOne, "a worker and a key of one name are apart"),
    (FindsAnyConcurrencyKey, "a worker and a key of one name are apart"),
    (LeasesInARowToAnybody, "jobs leased in a row go to one node"),
    (IgnoresTheDepth, "jobs leased in a row go to one node"),
    (LeasesLastAttemptsAhead, "a last attempt is not leased behind another"),
    (JoinsRows, "jobs with room for more do not join a row"),
    (ClaimsWhatIsPaused, "nothing that is paused is claimed"),
    (ClaimsWhatIsPaused, "paused queues take no share"),
    (pausing_with(TakesTheNewReason), "a pause stays as it was first"),
    (pausing_with(LiftsOnlyItself), "lifting is of one pause or of all"),
    (pausing_with(CountsFromOneAgain), "whoever has not heard of a pause is named"),
    (pausing_with(HearsOnlyTheLast), "whoever has not heard of a pause is named"),
    (NamesWhoseLeaseHasPassed, "whoever has not heard of a pause is named"),
    (HidesPauses, "pauses are told with what is asked of a node"),
    (ShowsWhatIsStaged, "staged jobs are seen by nobody"),
    (StoresWhateverIsStaged, "a batch of which staged jobs are missing is refused"),
    (StoresWhatIsStagedAgain, "staged jobs are stored once"),
    (StoresWhatIsStagedLast, "staged jobs become jobs of the batch in their order"),
    (LosesWhatIsStagedWhenItIsRefused, "a refused batch leaves its staged jobs staged"),
    (DiscardsEverything, "what is discarded is gone in slices"),
    (MixesUpBlocks, "two blocks append to one batch"),
    (SweepsWhatIsThere, "what a node that is gone has staged is left behind"),
    (FiresWhateverTheVersion, "a schedule fires only at the version that was seen"),
    (FiresByHalves, "a schedule fires together with its jobs"),
    (FiresAndStaysWhereItWas, "a schedule fires together with its jobs"),
    (RefusesAnInstantThatHasItsJob, "an instant has one job whatever happens"),
    (StoresAnInstantTwice, "an instant has one job whatever happens"),
    (EditsWhileItFires, "a firing leaves what was asked for"),
    (
        on_shelf(OverwritesSchedules),
        "a schedule is put only at the version that was seen",
    ),
    (on_shelf(GivesSchedulesInTheOrderTheyCame), "schedules come by name in pages"),
    (
        on_shelf(TellsTheFirstInstantOfAll),
        "due schedules come by their next instant in slices",
    ),
    (on_shelf(CountsJobsStartedByHand), "jobs started by hand do not count"),
    (on_shelf(ForgetsJobsThatRunAgain), "unfinished jobs are those that live"),
    (on_shelf(ForgetsWhoIsHeld), "held jobs name whom they wait for"),
    (on_shelf(HandsOutItsOwnSchedules), "schedules handed out do not change"),
    (StoresTheBatchAloneFirst, "a batch is stored as a whole or not at all"),
    (NumbersWhatItRefuses, "a refused batch has no place among the others"),
    (AppendsToAnyBatch, "a batch is opened once and appended to while it lives"),
    (ForgetsThatBatchesAreAwaited, "a batch is awaited as all of its jobs"),
    (KeepsEmptyBatches, "jobs of an awaited batch are not pruned"),
    (DeletesWhoIsAwaited, "awaited jobs are not pruned"),
    (ForgetsWhoIsAwaited, "replies name jobs that ended and are awaited"),
    (ForgetsWhoIsAwaitedAmongSuccesses, "replies name jobs that ended and are awaited"),
    (WaitsForAnybody, "a parent that is not stored is refused"),
    (WaitsForEver, "nobody is awaited when nobody waits any more"),
    (SeesWaitsOverTooEarly, "a wait may be over when no parent lives"),
    (ForgetsTheCondition, "a waiting job is kept with its parents and condition"),
    (ShowsEveryWaitAtOnce, "waits are asked for by parent and in pages"),
    (ForgetsTheToken, "a stale token changes nothing"),
    (ForgetsToRaiseTheVersion, "a success is its own record"),
    (ForgetsTheTokensOfSuccesses, "a success of a stale claim is refused alone"),
    (ForgetsTheTokensOfSuccesses, "a success with another token is refused alone"),
    (ForgetsToRaiseTheVersionsOfSuccesses, "successes together do what they do one by one"),
    (LosesTheHistoryOfSuccesses, "successes together do what they do one by one"),
    (SpendsAnotherAttempt, "successes together do what they do one by one"),
    (RefusesAllBecauseOfOne, "a success of a stale claim is refused alone"),
    (StopsAtTheFirstRefused, "a success of a stale claim is refused alone"),
    (CountsTheRefused, "a success with another token is refused alone"),
    (HidesWhatItRefused, "a success of a stale claim is refused alone"),
    (SettlesWhatIsGone, "a success of a job that is gone is refused alone"),
    (CountsASuccessTwice, "a success told twice in one message counts once"),
    (LosesOneResult, "every success keeps its own result"),
    (GivesEveryOneAResult, "every success keeps its own result"),
    (GivesEveryOneAResult, "successes without results keep none"),
    (LosesWhyAResultIsMissing, "every success keeps its own result"),
    (RefusesNothing, "a message without successes does nothing"),
    (PerformsSuccessesFirst, "successes stand in a group in order"),
    (PerformsSuccessesLast, "successes stand in a group in order"),
    (TakesTheRequestToCancelForAnError, "successes together beat requests to cancel"),
    (LetsRequestsToCancelBeatSuccesses, "successes together beat requests to cancel"),
    (RefusesPassedLeases, "a late success counts while nobody else has settled it"),
    (TakesAllForItsOwn, "nodes may tell their successes together"),
    (KeepsTheLeasesOfSuccesses, "jobs completed together have ended"),
    (NeverPrunesSuccesses, "jobs completed together have ended"),
    (ForgetsWhatIsBehindTheFirstPiece, "hundreds of successes go in one message"),
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
]


CHECKS = {sentence(check): check for check in STORAGE_CHECKS}


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        *BROKEN,
        *broken_children.PROMISES,
        *broken_dossiers.PROMISES,
        *broken_rates.PROMISES,
        *broken_reports.PROMISES,
        *broken_runs.PROMISES,
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_the_check_of_a_broken_promise_fails(
    broken: type[MemoryStorage], promise: str
) -> None:
    with pytest.raises(AssertionError, match=f"^{promise}: "):
        await run_check(CHECKS[promise], broken)


def test_each_promise_about_children_callbacks_and_rates_is_broken_by_somebody() -> None:
    broken = {promise for _, promise in (*broken_children.PROMISES, *broken_rates.PROMISES)}
    assert broken == set(map(sentence, (*CHILDREN_CHECKS, *CALLBACK_CHECKS, *RATING_CHECKS)))


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


async def test_forgetting_who_waits_for_a_callback_between_openings_is_caught() -> None:
    def reopened(detached: Storage) -> Storage:
        assert isinstance(detached, MemoryStorage)
        detached._awaited.by.clear()
        return detached

    with pytest.raises(AssertionError, match="whose wait for a callback may be over after"):
        await check_reopening(MemoryStorage, reopened)


async def test_refusing_successes_claimed_before_reopening_is_caught() -> None:
    with pytest.raises(AssertionError, match="before reopening"):
        await check_reopening(RefusesNodesThatLeft, lambda detached: detached)
