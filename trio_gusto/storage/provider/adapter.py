"""`ProviderStorage`: any object with five methods, spoken to as a storage.

Rules. A provider stores and selects records, and decides about retries; states, versions and
attempts are this process's own (`Ledger`). What a provider raises is logged with the record's id
and answers that message alone: a group of messages is performed one after another, and several
jobs are stored at once only where the provider makes them so.

Deliberately absent: continuations, batches, schedules and retention; they need more than records.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Generic, cast, overload

import attrs
import trio

from ...model.errors import GustoError, NotSupported
from ...model.ids import JobId, to_uuid
from ...model.instants import to_datetime
from ...model.job import ClaimedJob
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
from ..rate_messages import Buckets, BucketsFound
from ..report_messages import DossiersFound, LogFound, ReadDossiers, ReadLog, Report
from ..retention_messages import Prune, Pruned
from ..run_messages import PastRuns, RunsFound
from ..schedule_messages import FindSchedules, Fire, PutSchedule, Schedules
from ..storage import Storage
from .answers import startable
from .contract import (
    JobSearchParams,
    JobStorageProvider,
    SupportsLeases,
    SupportsQueries,
    SupportsStoreMany,
    SupportsWake,
)
from .ledger import Flight, Ledger
from .limits import no_pauses, no_rates, no_schedules, refuse_what_needs_more
from .outcomes import Outcomes, storage_error
from .queries import Queries
from .record import UNLIMITED_ATTEMPTS, Fill, R, check_record_type, record_of

logger = logging.getLogger("trio_gusto.storage.provider")

SKIPPED = 30_000_000
"""Microseconds that a job is left alone whose handler this process does not have."""

WAKE_PAUSE = 1.0
"""Seconds to wait after a provider's ``wait_for_jobs`` failed."""


class ProviderStorage(Storage, Generic[R]):
    """Keeps jobs in a user's own provider, as records of a user's own class.

    Args:
        provider: the five methods, and any of the optional protocols: `SupportsStoreMany`,
            `SupportsQueries`, `SupportsLeases`, `SupportsWake`.
        record_type: your subclass of `JobStorageRecord`. A field of it named ``queue``,
            ``priority``, ``tenant``, ``timeout``, ``ref_id``, ``tags``, ``created_by``,
            ``user_id``, ``metadata`` or ``carrier`` (trace context) is filled from the job and read
            back when the job is claimed; without such a field it is known in this process only.
        fill: gives values for your other fields, by name, for each job that is stored.

    Raises:
        OptionsError: ``record_type`` cannot be filled.

    Jobs that this process enqueued or ran are remembered, the last 10 000 of them. To look at others,
    to search and to count, the provider must be a `SupportsQueries`.
    """

    decides_retries = True
    keeps_reports = False
    keeps_children = False
    keeps_rates = False

    def __init__(
        self,
        provider: JobStorageProvider[R],
        record_type: type[R],
        *,
        fill: Fill | None = None,
    ) -> None:
        check_record_type(record_type, fill)
        self._provider = provider
        self._record_type = record_type
        self._fill = fill
        self._ledger = Ledger[R]()
        self._store_many = (
            cast("SupportsStoreMany[R]", provider)
            if isinstance(provider, SupportsStoreMany)
            else None
        )
        self._leases = provider if isinstance(provider, SupportsLeases) else None
        self._wake = provider if isinstance(provider, SupportsWake) else None
        queries = (
            cast("SupportsQueries[R]", provider) if isinstance(provider, SupportsQueries) else None
        )
        self._queries = Queries(self._ledger, queries)
        self._outcomes = Outcomes(provider, self._leases, self._ledger)
        self._decided = trio.Event()
        # One call at a time, also when several apps share this object.
        self._turn = trio.Lock()

    async def attach(self, node: str) -> None:  # noqa: ARG002 - the interface names it
        """Nothing to open: a provider opens itself before it is given to an app."""
        await trio.lowlevel.checkpoint()

    async def detach(self, node: str) -> None:
        """What ``node`` had in flight is its provider's to give again."""
        for flight in tuple(self._ledger.in_flight.values()):
            if flight.lease.node == node:
                self._ledger.give_up(flight)

    # --- writes ---

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        """Perform writes one after another. An error of the provider is the reply to its write."""
        replies: list[WriteReply | GustoError] = []
        async with self._turn:
            for write in writes:
                try:
                    replies.append(await self._perform(write))
                except GustoError as refusal:
                    replies.append(refusal)
        return replies

    async def _perform(self, write: Write) -> WriteReply:
        match write:
            case InsertBatch() | Stage() | Discard():
                raise NotSupported("batches", "SupportsBatches")
            case Insert():
                return await self._insert(write)
            case ClaimDue():
                return await self._claim(write)
            case Commit():
                return await self._commit(write)
            case Complete():
                return Completions.of([await self._alone(each) for each in write.commits()])
            case Renew():
                return await self._renew(write)
            case RequestCancel():
                return await self._outcomes.request_cancel(write)
            case Prune():
                return Pruned(0)
            case Report():
                raise NotSupported("progress and logs", "SupportsReports")
            case PutSchedule() | Fire():
                raise no_schedules()
            case PutPause() | LiftPauses() | HeardPauses():
                raise no_pauses()

    async def _insert(self, insert: Insert) -> Inserted:
        refuse_what_needs_more(insert)
        self._ledger.refuse_known(insert.requests)
        requests = [
            attrs.evolve(request, max_attempts=UNLIMITED_ATTEMPTS) for request in insert.requests
        ]
        ids = ", ".join(str(to_uuid(request.id)) for request in requests[:3])
        try:
            records = [record_of(request, self._record_type, self._fill) for request in requests]
            await self._store(records)
        except GustoError:
            raise
        except Exception as error:
            logger.exception("record %s could not be stored", ids)
            raise storage_error("store a job", ids, error) from error
        for request, state in zip(requests, insert.states, strict=True):
            self._ledger.remember(request, state)
        return Inserted()

    async def _store(self, records: Sequence[R]) -> None:
        if len(records) == 1:
            await self._provider.store_job(records[0])
        elif self._store_many is not None:
            await self._store_many.store_jobs(records)
        elif records:
            raise NotSupported("storing several jobs at once", "SupportsStoreMany")

    async def _claim(self, claim: ClaimDue) -> ClaimReply:
        if claim.queue_rates is not None:
            raise no_rates()
        ledger = self._ledger
        ledger.let_go_of_held(claim.now)
        if claim.limit <= 0:  # providers are never asked for nothing, which may mean much to them
            return ClaimReply([], more=True, next_due=ledger.next_due())
        expected = ledger.due_by(claim.now)
        params = self._search(claim)
        try:
            records = list(await self._provider.get_batch(params))
        except Exception as error:
            logger.exception("get_batch failed")
            raise storage_error("answer get_batch", "(none yet)", error) from error
        ledger.looked_for(expected)
        jobs: list[ClaimedJob] = []
        for record, request in startable(records, params, ledger):
            if request.name in claim.skip_names:
                ledger.hold(request.id, claim.now + SKIPPED)
            elif len(jobs) < claim.limit:
                jobs.append(ledger.take(request, record, claim))
                continue
            await self._outcomes.release(record.tracking_id)
        # A provider may return fewer than it has: only an empty answer says that there is no more.
        return ClaimReply(jobs, bool(jobs), ledger.next_due())

    def _search(self, claim: ClaimDue) -> JobSearchParams[R]:
        """Ask for so many that a provider may return what is to be left alone first.

        A provider with leases does not return what is in flight, and leases what it returns.
        """
        passed_over = len(self._ledger.held)
        if self._leases is None:
            passed_over += len(self._ledger.in_flight)
        return JobSearchParams[R].due(
            to_datetime(claim.now),
            claim.limit + passed_over,
            to_datetime(claim.lease_until),
            None if claim.queues is None else [name for name, _ in claim.queues],
        )

    async def _commit(self, commit: Commit) -> Committed | Conflict:
        """What a provider makes of a failure only it knows: waiters and poller look for themselves."""
        reply = await self._outcomes.commit(commit)
        if isinstance(reply, Committed) and not commit.state.word.is_ended:
            self._decided.set()
        return reply

    async def _alone(self, commit: Commit) -> Committed | Conflict | GustoError:
        try:
            return await self._commit(commit)
        except GustoError as refusal:
            return refusal

    async def _renew(self, renew: Renew) -> Renewed:
        ledger = self._ledger
        flights = [
            flight
            for job_id, token in renew.leases
            if (flight := ledger.in_flight.get(job_id)) is not None and flight.job.version == token
        ]
        # One call of the provider, unless some leases are longer already and stay as they are.
        by_end: dict[int, list[Flight[R]]] = {}
        for flight in flights:
            end = max(flight.lease.lease_until, renew.lease_until)
            by_end.setdefault(end, []).append(flight)
        kept: set[JobId] = set()
        for end, alike in by_end.items():
            stolen = await self._outcomes.renew(alike, end)
            for flight in alike:
                if flight.job.request.id in stolen:
                    ledger.give_up(flight)
                else:
                    ledger.renew(flight, end)
                    kept.add(flight.job.request.id)
        return Renewed(
            [job_id for job_id, _ in renew.leases if job_id not in kept],
            [cancel for cancel in self._cancels(renew.node) if cancel[0] in kept],
        )

    # --- queries ---

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
        """Answer from what this process knows; the rest is asked of a `SupportsQueries`.

        Raises:
            NotSupported: the provider is no `SupportsQueries`, and this process does not know.
            StorageError: the provider raised something.
        """
        try:
            return await self._answer(query)
        except GustoError:
            raise
        except Exception as error:
            logger.exception("a query failed: %s", query)
            raise storage_error("answer a query", "(none)", error) from error

    async def _answer(self, query: Query) -> QueryReply:
        match query:
            case Get():
                return await self._queries.get(query)
            case Find():
                return await self._queries.find(query)
            case Tally():
                return await self._queries.tally()
            case Stranded():
                overdue = self._ledger.overdue(query.now, query.limit)
                return StrandedJobs((), overdue, self._ledger.next_expiry(query.now), foreign=False)
            case CancelRequests():
                return CancelsAsked(self._cancels(query.node))
            case FindSchedules():
                raise no_schedules()
            case Dependents():
                return DependentJobs(())
            case PastRuns():
                return RunsFound(())  # how long jobs took is the provider's own
            case ReadLog():
                raise NotSupported("logs", "SupportsReports")
            case ReadDossiers():
                return DossiersFound({})  # they go to the program's log instead
            case Batches():
                raise NotSupported("batches", "SupportsBatches")
            case Pauses():
                raise no_pauses()
            case Buckets():
                raise no_rates()

    def _cancels(self, node: str) -> Sequence[tuple[JobId, str]]:
        return [
            (job_id, flight.lease.cancel_reason)
            for job_id, flight in self._ledger.in_flight.items()
            if flight.lease.node == node and flight.lease.cancel_reason is not None
        ]

    async def wait_changed(self, node: str) -> None:  # noqa: ARG002 - there is one node only
        """Return when a provider has decided about a failed attempt, or a `SupportsWake` says so."""
        async with trio.open_nursery() as nursery:
            if self._wake is not None:
                nursery.start_soon(self._wait_for_others, self._wake, nursery.cancel_scope)
            await self._decided.wait()
            nursery.cancel_scope.cancel()
        if self._decided.is_set():
            self._decided = trio.Event()

    async def _wait_for_others(self, wake: SupportsWake, scope: trio.CancelScope) -> None:
        try:
            await wake.wait_for_jobs()
        except Exception:
            logger.exception("wait_for_jobs failed")
            await trio.sleep(WAKE_PAUSE)
        scope.cancel()
