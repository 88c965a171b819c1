"""`MemoryStorage`: the readable reference of the message contract.

Every message is performed without a checkpoint, so a group is one transaction by construction.
A job is one `StoredJob` whose fields are replaced. States, requests and records are never changed,
so they are shared with whoever asks; only the `StoredJob` itself is copied.

It knows no lifecycle: which state may follow which is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, overload

import attrs
import trio

from ...model.errors import BatchError, DuplicateJob, GustoError, UnknownJob
from ...model.ids import JobId
from ...model.job import ClaimedJob, StoredJob
from ...model.lifecycle import within_reach
from ...model.states import AWAITING, AwaitingCallback, Processing, Ready, Waiting
from ...model.uniqueness import Replacement, stored_requests
from ..batch_messages import Batches, BatchesFound, Discard, InsertBatch, Stage
from ..dependency_messages import DependentJobs, Dependents
from ..finding_messages import Find, Found, Get, Tallied, Tally
from ..lease_messages import (
    CancelRequests,
    CancelsAsked,
    Renew,
    Renewed,
    RequestCancel,
    Stranded,
    StrandedJobs,
)
from ..messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
    Insert,
    Inserted,
    Query,
    QueryReply,
    Write,
    WriteReply,
)
from ..pause_messages import HeardPauses, LiftPauses, Pauses, PausesFound, PutPause
from ..report_messages import LogFound, ReadLog, Report
from ..retention_messages import Prune, Pruned
from ..run_messages import PastRuns, RunsFound
from ..schedule_messages import FindSchedules, Fire, PutSchedule, Schedules
from ..storage import NEWS, ImmediateStorage
from .batches import Shelf
from .claiming import claimable
from .dependencies import Awaited
from .figures import newest, tally
from .index import ENDED, Index
from .leases import cancel_requests, note_cancel, renew_held, stranded
from .pauses import PauseShelf
from .reports import ReportShelf
from .retention import old_jobs
from .runs import past_runs
from .schedules import ScheduleShelf
from .staging import Staging
from .uniqueness import UNCONTESTED, Keys, duplicate

_INSERTED, _COMMITTED, _COMPLETED, _CONFLICT = Inserted(), Committed(), Completions(), Conflict()

_GONE = Processing("", 0, 0)
"""What an agenda finds that still names a deleted job: a state that stands in none."""


class MemoryStorage(ImmediateStorage):
    """Keeps jobs as long as this object lives, and no longer.

    Several `Gusto` objects may share one, as nodes of a cluster inside one process; all of them
    must run in one Trio run.
    """

    remembers_presence = True

    def __init__(self) -> None:
        self._jobs: dict[JobId, StoredJob] = {}  # by sequence, as they were inserted
        self._by_ref: dict[str, StoredJob] = {}
        self._keys = Keys()
        self._index = Index()
        self._shelf, self._staging = Shelf(), Staging()
        self._awaited = Awaited(self._jobs, self._shelf)
        self._sequence = 0
        self._schedules = ScheduleShelf(self._jobs)
        self._pauses = PauseShelf()
        self._reports = ReportShelf(self._index.processing)
        self._nodes: dict[str, trio.Event] = {}
        """Each node's news: set when somebody wrote since it last looked."""
        self._verbs: Mapping[type, Callable[[Any], WriteReply | GustoError]] = {
            Insert: self._insert,
            InsertBatch: self._insert_batch,
            Stage: self._staging.put,
            Discard: self._staging.discard,
            ClaimDue: self._claim_due,
            Commit: self._commit_or_refuse,
            Complete: self._complete,
            Renew: self._renew,
            RequestCancel: self._request_cancel,
            Prune: self._prune,
            PutSchedule: self._schedules.put,
            Fire: self._fire,
            PutPause: self._pauses.put,
            LiftPauses: self._pauses.lift,
            HeardPauses: self._pauses.hear,
            Report: self._reports.put,
        }

    async def attach(self, node: str) -> None:
        self._nodes[node] = trio.Event()

    async def detach(self, node: str) -> None:
        self._nodes.pop(node, None)
        self._wake()

    def perform(self, write: Write) -> WriteReply | GustoError:
        kind = type(write)
        if len(self._nodes) > 1 and kind in NEWS:
            self._wake()
        return self._verbs[kind](write)

    @overload
    async def read(self, query: Get | Find) -> Found: ...
    @overload
    async def read(self, query: Tally) -> Tallied: ...
    @overload
    async def read(self, query: Stranded) -> StrandedJobs: ...
    @overload
    async def read(self, query: CancelRequests) -> CancelsAsked: ...
    @overload
    async def read(self, query: FindSchedules) -> Schedules: ...
    @overload
    async def read(self, query: Dependents) -> DependentJobs: ...
    @overload
    async def read(self, query: Batches) -> BatchesFound: ...
    @overload
    async def read(self, query: ReadLog) -> LogFound: ...
    @overload
    async def read(self, query: PastRuns) -> RunsFound: ...
    @overload
    async def read(self, query: Pauses) -> PausesFound: ...
    async def read(self, query: Query) -> QueryReply:
        await trio.lowlevel.checkpoint()
        match query:
            case Get():
                return self._get(query)
            case Find():
                return self._find(query)
            case Tally():
                return tally(self._jobs.values())
            case Stranded():
                return self._stranded(query)
            case CancelRequests():
                return cancel_requests(self._index, query, self._pauses.kept())
            case FindSchedules():
                return self._schedules.find(query)
            case Dependents():
                return DependentJobs(self._awaited.decidable(query))
            case Batches():
                return BatchesFound(self._shelf.find(query))
            case Pauses():
                return self._pauses.find(query, self._index.processing.values())
            case ReadLog():
                return self._reports.log_of(query)
            case PastRuns():
                return past_runs(self._jobs.values(), query)

    async def wait_changed(self, node: str) -> None:
        news = self._nodes.get(node)
        if news is None:
            await trio.sleep_forever()  # it is detached, and told nothing any more
        else:
            await news.wait()
        if self._nodes.get(node) is news:  # if not, it was detached meanwhile and must not be back
            self._nodes[node] = trio.Event()

    def _wake(self) -> None:
        for news in self._nodes.values():
            news.set()

    # --- writes -----------------------------------------------------------------------------------

    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        requests, jobs = insert.requests, self._jobs
        if len(requests) == 1:  # nearly always, and mostly with nothing to be looked up
            request, state = requests[0], insert.states[0]
            if request.details is None and request.id not in jobs and type(state) is not Waiting:
                self._sequence += 1
                job = jobs[request.id] = StoredJob(request, self._sequence, state)
                self._index.enter(job)
                return _INSERTED
        unique = self._keys.admission(insert)
        if isinstance(unique, DuplicateJob):
            return unique
        if unique.existing:
            insert = Insert(*stored_requests(requests, insert.states, unique))
            requests = insert.requests
        refusal: DuplicateJob | UnknownJob | None = duplicate(requests, jobs, self._by_ref)
        has_waiting = any(type(state) is Waiting for state in insert.states)
        if refusal is None and has_waiting:
            refusal = self._awaited.unknown_parent(insert)
        if refusal is not None:
            return refusal
        inserted = _INSERTED if unique is UNCONTESTED else Inserted(unique.existing)
        for request, state in zip(requests, insert.states, strict=True):
            if unique.replacements and unique.replacements[0].by == request.id:
                self._make_room(unique.replacements.pop(0), inserted)
            self._sequence += 1
            job = jobs[request.id] = StoredJob(request, self._sequence, state)
            self._keys.follow(job)
            if (details := request.details) is not None:
                if details.ref_id is not None:
                    self._by_ref[details.ref_id] = job
                self._schedules.add(job)
            self._index.enter(job)
            if has_waiting:
                self._awaited.enter(job)
        return inserted

    def _make_room(self, replacement: Replacement, inserted: Inserted) -> None:
        job = self._jobs[replacement.job]
        state = replacement.settlement.state
        reply = self._commit(Commit(job.request.id, job.version, state, job.attempt))
        assert isinstance(reply, Committed)
        inserted.replaced += (job.request.id,)
        inserted.awaited += reply.awaited

    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        if not self._schedules.is_at(fire.schedule.request.name, fire.version):
            return _CONFLICT
        new = [
            (request, state)
            for request, state in zip(fire.requests, fire.states, strict=True)
            if request.id not in self._jobs
        ]
        inserted = self._insert(Insert([one for one, _ in new], [state for _, state in new]))
        if isinstance(inserted, GustoError):
            return inserted
        self._schedules.advance(fire.schedule)
        return _COMMITTED

    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        jobs = self._staging.jobs_of(write)
        if isinstance(jobs, BatchError):
            return jobs
        if (refusal := self._shelf.open(write)) is not None:
            return refusal
        reply = self._keys.taken(jobs) or self._insert(jobs)
        if isinstance(reply, GustoError):
            self._shelf.undo(write)
            return reply
        self._staging.drop(write.stage)
        for request in jobs.requests:
            self._shelf.enter(self._jobs[request.id])
        return reply

    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        index = self._index
        index.look_at(claim.now)
        found = self._claimable(claim)
        spent = ((job.attempt, job.request.max_attempts) for job in found)
        reach = len(found) if len(found) <= claim.free else within_reach(spent, claim.free)
        for job in found[reach:]:
            index.put_back(job)
        if claim.tenant_weights is not None:
            index.turns.remember(claim, found[:reach])
        more = reach < len(found) or reach >= claim.limit
        # Never changed, so one for all.
        lease = Processing(claim.node, claim.now, claim.lease_until)
        node, now, processing = claim.node, claim.now, index.processing
        jobs: list[ClaimedJob] = []
        for job in found[:reach]:
            request, state = job.request, job.state
            assert type(state) is Ready
            job.state = lease
            job.attempt += 1
            job.version += 1
            processing[request.id] = job
            if request.expire_on is not None:
                index.expiring.lose(job)
            jobs.append(ClaimedJob(request, job.attempt, job.version, state.due, node, now))
        first = index.scheduled.first()
        of_lanes = index.note_leases(found[:reach], node, now)
        return ClaimReply(jobs, more, None if first is None else first[0], *of_lanes)

    def _claimable(self, claim: ClaimDue) -> list[StoredJob]:
        return claimable(self._index, self._pauses, claim)

    def _commit_or_refuse(self, commit: Commit) -> Committed | Conflict | GustoError:
        job = self._jobs.get(commit.job_id)
        if job is not None and job.version == commit.version:
            refusal = self._keys.refusal(job, commit.state)
            if refusal is not None:
                return refusal
            if commit.children is not None:
                return self._commit_with_children(commit, job, commit.children)
        return self._commit(commit)

    def _commit_with_children(
        self, commit: Commit, job: StoredJob, children: Insert
    ) -> Committed | Conflict | GustoError:
        if (conflict := _conflict(job, commit)) is not None:
            return conflict
        awaited: tuple[JobId, ...] = ()
        if commit.state.word.is_ended:
            awaited = self._awaited.of(job)  # children may wait for it, too, but were not there
            self._keys.set_aside(job)
        inserted = self._insert(children)
        if isinstance(inserted, GustoError):
            self._keys.follow(job)
            return inserted
        self._commit(commit)
        return Committed((*awaited, *inserted.awaited), inserted)

    def _commit(self, commit: Commit) -> Committed | Conflict:
        job = self._jobs.get(commit.job_id)
        if job is None or job.version != commit.version:
            return _CONFLICT
        if (conflict := _conflict(job, commit)) is not None:
            return conflict
        self._index.leave(job)
        if type(job.state) in AWAITING:
            self._awaited.leave(job)
        if commit.forget_expiry:
            job.request = attrs.evolve(job.request, expire_on=None)
        if commit.record is not None:
            job.history = (*job.history, commit.record)
        if job.request.details is not None:
            self._shelf.change(job, commit.state)
        job.state = commit.state
        job.attempt = commit.attempt
        job.version += 1
        self._index.enter(job)
        if job.request.details is not None:
            self._keys.follow(job)
            self._schedules.add(job)
        if type(job.state) is AwaitingCallback:
            self._awaited.enter(job)
        if self._awaited.by and isinstance(job.state, ENDED):
            return Committed(self._awaited.of(job))
        return _COMMITTED

    def _complete(self, complete: Complete) -> Completions:
        refused: dict[int, Conflict | GustoError] = {}
        processing, ended = self._index.processing, self._index.ended
        for position, claimed in enumerate(complete.claims):
            job = processing.get(claimed.request.id)
            if job is None or job.version != claimed.token:
                refused[position] = _CONFLICT
                continue
            del processing[claimed.request.id]
            state = complete.states[position]
            if job.request.details is not None:
                self._index.free(job)
                self._shelf.change(job, state)
            job.state = state
            if job.request.details is not None:
                self._keys.follow(job)
            job.version += 1
            ended.add(job, state.ended_at)
        if not self._awaited.by:
            return Completions(refused) if refused else _COMPLETED
        awaited = {
            job_id: None
            for position, claimed in enumerate(complete.claims)
            if position not in refused
            for job_id in self._awaited.of(self._jobs[claimed.request.id])
        }
        return Completions(refused, tuple(awaited))

    def _renew(self, renew: Renew) -> Renewed:
        return renew_held(self._index, renew)

    def _request_cancel(self, request: RequestCancel) -> Committed | Conflict:
        return note_cancel(self._index, request)

    def _prune(self, prune: Prune) -> Pruned:
        old, pruned = old_jobs(prune, self._jobs, self._index, self._is_needed)
        for job in old:
            self._delete(job)
        self._awaited.forget_empty_batches(prune.ended_before)
        return pruned

    def _is_needed(self, job: StoredJob) -> bool:
        if self._awaited.by and self._awaited.of(job):
            return True
        return self._shelf.is_live(job) or self._schedules.is_newest(job)

    def _delete(self, job: StoredJob) -> None:
        del self._jobs[job.request.id]
        self._shelf.leave(job)
        details = job.request.details
        if details is not None and details.ref_id is not None:
            del self._by_ref[details.ref_id]
        self._schedules.remove(job)
        self._reports.remove(job)
        job.state = _GONE

    # --- queries ----------------------------------------------------------------------------------

    def _get(self, get: Get) -> Found:
        jobs = [self._jobs[job_id] for job_id in get.job_ids if job_id in self._jobs]
        if get.ref_id is not None and get.ref_id in self._by_ref:
            jobs.append(self._by_ref[get.ref_id])
        return Found([attrs.evolve(job) for job in jobs])

    def _find(self, find: Find) -> Found:
        return Found(newest(self._jobs, find))

    def _stranded(self, query: Stranded) -> StrandedJobs:
        return stranded(self._index, self._staging, query, {*self._nodes, query.node})


def _conflict(job: StoredJob, commit: Commit) -> Conflict | None:
    """A processing job whose cancellation has been asked for takes only an ended state."""
    lease = job.state
    if not isinstance(lease, Processing) or lease.cancel_reason is None:
        return None
    return None if isinstance(commit.state, ENDED) else Conflict(lease.cancel_reason)
