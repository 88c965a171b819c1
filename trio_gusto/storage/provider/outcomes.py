"""How the end of an attempt, and a cancellation, reach a provider.

Rules. A provider is told of a success or a cancellation up to three times, of a failure once. If it
cannot be told, the worker does not hold on to the job: it is left alone for a moment, and runs again
when the provider returns it. Better twice than never.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Generic
from uuid import UUID

import trio

from ...model.errors import NotSupported, StorageError
from ...model.ids import JobId, to_job_id, to_uuid
from ...model.instants import to_datetime, to_instant
from ...model.job import AttemptRecord, StoredJob
from ...model.outcomes import AttemptOutcome
from ...model.states import Cancelled, Completed, Failed, Ready, Scheduled, State
from ..lease_messages import RequestCancel
from ..messages import Commit, Committed, Conflict
from .contract import JobStorageProvider, SupportsLeases
from .ledger import Flight, Ledger
from .record import JobStorageRecord, R

logger = logging.getLogger("trio_gusto.storage.provider")

PAUSES = (0.05, 0.5)
"""Seconds between the three times that a provider is told of an outcome."""

LEFT_ALONE = 1_000_000
"""Microseconds that a job is left alone whose outcome its provider could not be told."""

_FAILURES = (AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT, AttemptOutcome.LOST)


class Outcomes(Generic[R]):
    """Tells a provider what became of its jobs."""

    def __init__(
        self,
        provider: JobStorageProvider[R],
        leases: SupportsLeases | None,
        ledger: Ledger[R],
    ) -> None:
        self._provider = provider
        self._leases = leases
        self._ledger = ledger

    async def commit(self, commit: Commit) -> Committed | Conflict:
        """A job takes a new state."""
        flight = self._ledger.in_flight.get(commit.job_id)
        if flight is not None:
            if flight.job.version != commit.version:
                return Conflict()
            reason = flight.lease.cancel_reason
            if reason is not None and not commit.state.word.is_ended:
                return Conflict(reason)
            await self._settle(flight, commit)
            return Committed()
        job = self._ledger.find(commit.job_id)
        if job is not None and job.version == commit.version:
            await self._change(job, commit.state)
            return Committed()
        if job is None and isinstance(commit.state, Cancelled):
            # Another process stored it: this one can do no more than pass it on.
            await self._cancel(commit.job_id)
            return Committed()
        # The same outcome may come twice, when the first answer was lost.
        return Committed() if self._ledger.was_settled(commit) else Conflict()

    async def request_cancel(self, request: RequestCancel) -> Committed | Conflict:
        """The provider is told at once, so that the job cannot come back after a crash."""
        flight = self._ledger.in_flight.get(request.job_id)
        if flight is None or flight.job.version != request.version:
            return Conflict()
        if flight.lease.cancel_reason is None:
            await self._cancel(request.job_id)
            self._ledger.ask_to_cancel(flight, request.reason)
        return Committed()

    async def renew(self, flights: Sequence[Flight[R]], lease_until: int) -> AbstractSet[JobId]:
        """Renew leases; returns those that were lost. Without leases none can be."""
        if self._leases is None or not flights:
            return frozenset()
        ids = [flight.record.tracking_id for flight in flights]
        try:
            lost = await self._leases.renew_leases(ids, to_datetime(lease_until))
        except Exception as error:
            logger.exception("renew_leases failed")
            raise storage_error("renew leases", str(ids[0]), error) from error
        return {to_job_id(tracking_id) for tracking_id in lost}

    async def release(self, tracking_id: UUID) -> None:
        """A provider with leases may give the job to anybody again."""
        if self._leases is None:
            return
        try:
            await self._leases.release_lease(tracking_id)
        except Exception:
            logger.exception("the lease on record %s could not be released", tracking_id)

    # --- jobs in flight ---

    async def _settle(self, flight: Flight[R], commit: Commit) -> None:
        record = flight.record
        match commit.state:
            case Completed():
                record.is_complete = True
                told = partial(self._provider.mark_job_as_complete, record)
                await self._tell(flight, commit, "mark_job_as_complete", told)
            case Cancelled():
                if flight.lease.cancel_reason is None:
                    told = partial(self._provider.cancel_job, record.tracking_id)
                    await self._tell(flight, commit, "cancel_job", told)
            case _ if commit.record is not None and commit.record.outcome in _FAILURES:
                await self._hand_over(flight, commit, commit.record)
                return
            case Scheduled(due=due):
                await self._snooze(flight, commit, due)
                return
            case _:
                await self.release(record.tracking_id)
        self._ledger.land(flight, commit, commit.state)

    async def _tell(
        self,
        flight: Flight[R],
        commit: Commit,
        method: str,
        call: Callable[[], Awaitable[None]],
    ) -> None:
        for pause in (*PAUSES, None):
            try:
                await call()
            except Exception as error:
                logger.exception("%s failed for record %s", method, flight.record.tracking_id)
                if pause is None:
                    flight.record.is_complete = False
                    await self._give_up(flight, commit)
                    record_id = str(flight.record.tracking_id)
                    raise storage_error(f"perform {method}", record_id, error) from error
                await trio.sleep(pause)
            else:
                return

    async def _hand_over(self, flight: Flight[R], commit: Commit, attempt: AttemptRecord) -> None:
        record = flight.record
        error = _exception(commit, attempt)
        try:
            await self._provider.on_handler_execution_failure(record, error)
        except Exception as fault:
            record_id = str(record.tracking_id)
            logger.exception("on_handler_execution_failure failed for record %s", record_id)
            await self._give_up(flight, commit)
            raise storage_error("handle a failed attempt", record_id, fault) from fault
        self._ledger.land(flight, commit, _after_failure(record, commit.state, attempt.ended_at))

    async def _snooze(self, flight: Flight[R], commit: Commit, due: int) -> None:
        """Providers cannot be told of a snooze: this process leaves the job alone until then.

        Where there are leases the job's own is held until then, so that nobody else takes it.
        """
        try:
            await self.renew([flight], due)
        except StorageError:
            pass  # logged; another process may run the job early
        self._ledger.land(flight, commit, commit.state)
        self._ledger.hold(commit.job_id, due)

    async def _give_up(self, flight: Flight[R], commit: Commit) -> None:
        self._ledger.give_up(flight)
        self._ledger.hold(commit.job_id, _instant_of(commit) + LEFT_ALONE)
        await self.release(flight.record.tracking_id)

    # --- jobs that are not in flight ---

    async def _change(self, job: StoredJob, state: State) -> None:
        if isinstance(state, Cancelled):
            await self._cancel(job.request.id)
        elif not state.word.is_ended:
            raise NotSupported(
                "running an ended job again", "", "reset its record in the provider's own store"
            )
        self._ledger.change(job, state)

    async def _cancel(self, job_id: JobId) -> None:
        tracking_id = to_uuid(job_id)
        try:
            await self._provider.cancel_job(tracking_id)
        except Exception as error:
            logger.exception("cancel_job failed for record %s", tracking_id)
            raise storage_error("cancel a job", str(tracking_id), error) from error


def storage_error(what: str, record_id: str, error: Exception) -> StorageError:
    """What callers get when a provider raised ``error``."""
    return StorageError(
        f"the provider could not {what}: {type(error).__name__}: {error}; record {record_id} is "
        "as the provider left it; see the cause, and make the provider's store available"
    )


def _exception(commit: Commit, attempt: AttemptRecord) -> BaseException:
    """What the handler raised, or what stands for it."""
    text = "the attempt failed" if attempt.error is None else attempt.error.message
    if attempt.outcome is AttemptOutcome.TIMED_OUT:
        timeout = TimeoutError(text)
        timeout.__cause__ = commit.exception
        return timeout
    return commit.exception or RuntimeError(text)


def _after_failure(record: JobStorageRecord, state: State, now: int) -> State:
    """What is known of a job after its provider has decided."""
    if isinstance(state, Failed):
        return state
    if record.is_complete:
        return Failed(now, "its provider allows no more attempts")
    after = record.execute_after
    if after is None or after.tzinfo is None:
        return Ready(now)
    due = to_instant(after)
    return Scheduled(due) if due > now else Ready(now)


def _instant_of(commit: Commit) -> int:
    if commit.record is not None:
        return commit.record.ended_at
    assert isinstance(commit.state, Completed | Cancelled)
    return commit.state.ended_at
