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

from ...model.errors import GustoError
from ...model.job import ClaimedJob, StoredJob
from ...model.lifecycle import within_reach
from ...model.states import Processing, Ready
from ..batch_messages import Batches, BatchesFound, Discard, InsertBatch, Stage
from ..bells import Bells
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
    Conflict,
    Insert,
    Query,
    QueryReply,
    Write,
    WriteReply,
)
from ..news import News, news_of
from ..pause_messages import HeardPauses, LiftPauses, Pauses, PausesFound, PutPause
from ..rate_messages import Buckets, BucketsFound
from ..report_messages import DossiersFound, LogFound, ReadDossiers, ReadLog, Report
from ..retention_messages import Prune
from ..run_messages import PastRuns, RunsFound
from ..schedule_messages import FindSchedules, Fire, PutSchedule, Schedules
from ..storage import ImmediateStorage
from .claiming import claimable
from .figures import newest, tally
from .jobs import Jobs
from .leases import cancel_requests, note_cancel, renew_held, stranded
from .pauses import PauseShelf
from .rates import RateShelf
from .runs import past_runs


class MemoryStorage(Jobs, ImmediateStorage):
    """Keeps jobs as long as this object lives, and no longer.

    Several `Gusto` objects may share one, as nodes of a cluster inside one process; all of them
    must run in one Trio run.
    """

    remembers_presence = True

    def __init__(self) -> None:
        super().__init__()
        self._pauses = PauseShelf()
        self._rates = RateShelf()
        self._bells = Bells()
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
        self._bells.hang(node)

    async def detach(self, node: str) -> None:
        self._bells.take_down(node)
        self._bells.ring()

    def perform(self, write: Write) -> WriteReply | GustoError:
        reply = self._verbs[type(write)](write)
        if len(self._bells) > 1:
            self._bells.ring(news_of([write], [reply]))
        return reply

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
    async def read(self, query: ReadDossiers) -> DossiersFound: ...
    @overload
    async def read(self, query: PastRuns) -> RunsFound: ...
    @overload
    async def read(self, query: Pauses) -> PausesFound: ...
    @overload
    async def read(self, query: Buckets) -> BucketsFound: ...
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
            case Buckets():
                return self._rates.find(query)
            case Pauses():
                return self._pauses.find(query, self._index.processing.values())
            case ReadLog():
                return self._reports.log_of(query)
            case ReadDossiers():
                return self._reports.dossiers_of(query)
            case PastRuns():
                return past_runs(self._jobs.values(), query)

    async def wait_changed(self, node: str) -> News | None:
        return await self._bells.heard(node)

    # --- writes -----------------------------------------------------------------------------------

    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        index = self._index
        index.look_at(claim.now)
        self._rates.begin(claim, may_have_keys=bool(index.lanes))
        found = self._claimable(claim)
        spent = ((job.attempt, job.request.max_attempts) for job in found)
        reach = len(found) if len(found) <= claim.free else within_reach(spent, claim.free)
        if self._rates.now is not None:
            reach = min(reach, self._rates.startable(found, claim.free))
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
        reply = ClaimReply(jobs, more, None if first is None else first[0], *of_lanes)
        if self._rates.now is not None:
            self._rates.spend(reply, now)
        return reply

    def _claimable(self, claim: ClaimDue) -> list[StoredJob]:
        return claimable(self._index, self._pauses, claim, self._rates.now)

    def _renew(self, renew: Renew) -> Renewed:
        return renew_held(self._index, renew)

    def _request_cancel(self, request: RequestCancel) -> Committed | Conflict:
        return note_cancel(self._index, request)

    # --- queries ----------------------------------------------------------------------------------

    def _get(self, get: Get) -> Found:
        jobs = [self._jobs[job_id] for job_id in get.job_ids if job_id in self._jobs]
        if get.ref_id is not None and get.ref_id in self._by_ref:
            jobs.append(self._by_ref[get.ref_id])
        return Found([attrs.evolve(job) for job in jobs])

    def _find(self, find: Find) -> Found:
        return Found(newest(self._jobs, find))

    def _stranded(self, query: Stranded) -> StrandedJobs:
        return stranded(self._index, self._staging, query, {*self._bells, query.node})
