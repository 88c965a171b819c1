"""Providers as users write them: a good one, and ways to be bad; and the messages to drive them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from uuid import UUID

import attrs

from trio_gusto.model.happenings import Ending
from trio_gusto.model.ids import JobId, to_uuid, uuid7
from trio_gusto.model.job import ClaimedJob, Details, JobRequest
from trio_gusto.model.lifecycle import admit, complete, settle
from trio_gusto.model.outcomes import AttemptFailed, Outcome, Succeeded
from trio_gusto.provider import (
    JobFindParams,
    JobSearchParams,
    JobStorageProvider,
    JobStorageRecord,
    ProviderStorage,
)
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Commit, Complete, Completions, Insert

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
NODE = "node"


@attrs.define
class MyRecord(JobStorageRecord):
    tenant: str = ""
    failures: int = 0


class Shelf(JobStorageProvider[MyRecord]):
    """A good provider in memory. It keeps an account of what it was told."""

    def __init__(self) -> None:
        self.records: dict[UUID, MyRecord] = {}
        self.searches: list[JobSearchParams[MyRecord]] = []
        self.completed: list[UUID] = []
        self.cancelled: list[UUID] = []
        self.failures: list[tuple[UUID, BaseException]] = []

    async def store_job(self, record: MyRecord) -> None:
        self.records[record.tracking_id] = record

    async def get_batch(self, params: JobSearchParams[MyRecord]) -> Sequence[MyRecord]:
        self.searches.append(params)
        return [record for record in self.records.values() if params.match(record)][: params.limit]

    async def mark_job_as_complete(self, record: MyRecord) -> None:
        self.completed.append(record.tracking_id)
        self.records[record.tracking_id].is_complete = True

    async def cancel_job(self, tracking_id: UUID) -> None:
        self.cancelled.append(tracking_id)
        if tracking_id in self.records:
            self.records[tracking_id].is_complete = True

    async def on_handler_execution_failure(self, record: MyRecord, error: BaseException) -> None:
        self.failures.append((record.tracking_id, error))
        record.failures += 1


class CopyingShelf(Shelf):
    """A provider whose records never are the objects it was given, like one over a database."""

    async def store_job(self, record: MyRecord) -> None:
        await super().store_job(attrs.evolve(record))

    async def get_batch(self, params: JobSearchParams[MyRecord]) -> Sequence[MyRecord]:
        return [attrs.evolve(record) for record in await super().get_batch(params)]


class FaultyShelf(Shelf):
    """A provider whose methods fail as often as ``faults`` says, by name."""

    def __init__(self, **faults: int) -> None:
        super().__init__()
        self.faults = faults

    def _fail(self, method: str) -> None:
        if self.faults.get(method, 0) > 0:
            self.faults[method] -= 1
            raise ConnectionError(f"{method} has no connection")

    async def store_job(self, record: MyRecord) -> None:
        self._fail("store_job")
        await super().store_job(record)

    async def get_batch(self, params: JobSearchParams[MyRecord]) -> Sequence[MyRecord]:
        self._fail("get_batch")
        return await super().get_batch(params)

    async def mark_job_as_complete(self, record: MyRecord) -> None:
        self._fail("mark_job_as_complete")
        await super().mark_job_as_complete(record)

    async def cancel_job(self, tracking_id: UUID) -> None:
        self._fail("cancel_job")
        await super().cancel_job(tracking_id)

    async def on_handler_execution_failure(self, record: MyRecord, error: BaseException) -> None:
        self._fail("on_handler_execution_failure")
        await super().on_handler_execution_failure(record, error)


class UnwillingShelf(Shelf):
    """A provider that never can mark the records as complete that it was told."""

    def __init__(self, *unwilling: UUID) -> None:
        super().__init__()
        self.unwilling = unwilling

    async def mark_job_as_complete(self, record: MyRecord) -> None:
        if record.tracking_id in self.unwilling:
            raise ConnectionError(f"no connection for {record.tracking_id}")
        await super().mark_job_as_complete(record)


class AnsweringShelf(Shelf):
    """A provider whose ``get_batch`` returns what it was told to, whatever it is asked for."""

    def __init__(self, *answer: object) -> None:
        super().__init__()
        self.answer: list[object] = list(answer)

    async def mark_job_as_complete(self, record: MyRecord) -> None:
        self.completed.append(record.tracking_id)

    async def get_batch(self, params: JobSearchParams[MyRecord]) -> Sequence[MyRecord]:
        self.searches.append(params)
        return self.answer  # type: ignore[return-value]  # the mistake under test


class FullShelf(Shelf):
    """A provider with every optional protocol."""

    def __init__(self) -> None:
        super().__init__()
        self.leased: dict[UUID, datetime] = {}
        self.stolen: set[UUID] = set()
        self.news = 0

    async def store_jobs(self, records: Sequence[MyRecord]) -> None:
        self.records.update({record.tracking_id: record for record in records})

    async def get_batch(self, params: JobSearchParams[MyRecord]) -> Sequence[MyRecord]:
        self.searches.append(params)
        free = [
            record
            for record in self.records.values()
            if params.match(record)
            and self.leased.get(record.tracking_id, params.now) <= params.now
        ]
        for record in free[: params.limit]:
            self.leased[record.tracking_id] = params.lease_until
        return free[: params.limit]

    async def renew_leases(
        self, tracking_ids: Sequence[UUID], lease_until: datetime
    ) -> Collection[UUID]:
        for tracking_id in tracking_ids:
            self.leased[tracking_id] = lease_until
        return self.stolen.intersection(tracking_ids)

    async def release_lease(self, tracking_id: UUID) -> None:
        self.leased.pop(tracking_id, None)

    async def get_jobs(self, tracking_ids: Sequence[UUID]) -> Sequence[MyRecord]:
        return [self.records[key] for key in tracking_ids if key in self.records]

    async def find_jobs(self, params: JobFindParams[MyRecord]) -> Sequence[MyRecord]:
        newest_first = sorted(self.records.values(), key=lambda it: it.tracking_id, reverse=True)
        found = [
            record
            for record in newest_first
            if (params.before is None or record.tracking_id < params.before)
            and params.match(record)
        ]
        return found[: params.limit]

    async def wait_for_jobs(self) -> None:
        self.news += 1


# --- what the queue and the actors send -----------------------------------------------------------


def job_id(number: int) -> JobId:
    return uuid7(1_700_000_000 * 10**9, number)


def tracking_id(number: int) -> UUID:
    return to_uuid(job_id(number))


def request(
    number: int = 1,
    *,
    execute_after: int | None = None,
    expire_on: int | None = None,
    tenant: str = "",
    timeout: int | None = None,
    name: str = "shop.mail.send",
    details: Details | None = None,
) -> JobRequest:
    return JobRequest(
        job_id(number),
        name,
        f"[{number}]",
        START,
        max_attempts=10,
        timeout=timeout,
        execute_after=execute_after,
        expire_on=expire_on,
        tenant=tenant,
        details=details,
        job_type="shop.mail",
        method_name="send",
    )


def record(number: int = 1) -> MyRecord:
    return MyRecord(
        tracking_id=tracking_id(number),
        created_on=datetime.fromtimestamp(START // SECOND, UTC),
        job_type="shop.mail",
        method_name="send",
        arguments_json=f"[{number}]",
    )


async def insert(storage: ProviderStorage[MyRecord], *requests: JobRequest) -> object:
    (reply,) = await storage.apply([Insert(requests, [admit(it) for it in requests])])
    return reply


async def claim(
    storage: ProviderStorage[MyRecord],
    *,
    at: int = START,
    limit: int = 10,
    queues: Sequence[tuple[str, int]] | None = None,
    skip_names: Sequence[str] = (),
) -> ClaimReply:
    message = ClaimDue(NODE, at, at + 60 * SECOND, limit, limit, queues, skip_names)
    (reply,) = await storage.apply([message])
    assert isinstance(reply, ClaimReply), reply
    return reply


async def claim_one(storage: ProviderStorage[MyRecord], *, at: int = START) -> ClaimedJob:
    (claimed,) = (await claim(storage, at=at)).jobs
    return claimed


def ending(
    claimed: ClaimedJob,
    outcome: Outcome,
    *,
    at: int = START + SECOND,
    cancel_reason: str | None = None,
) -> Commit:
    """The `Commit` that an executor sends when the attempt ends with ``outcome``."""
    end = Ending(outcome, at, claimed.claimed_at, 5 * SECOND, cancel_reason)
    settlement = settle(claimed, end)
    return Commit(
        claimed.request.id,
        claimed.token,
        settlement.state,
        settlement.attempt,
        settlement.record,
        exception=getattr(outcome, "exception", None),
    )


def returning(*jobs: ClaimedJob, at: int = START + SECOND) -> Complete:
    """The `Complete` that a settler sends for attempts whose handlers returned."""
    states = [complete(job, Succeeded(job.request.args), job.claimed_at, at) for job in jobs]
    return Complete(jobs, states)


async def end(
    storage: ProviderStorage[MyRecord],
    claimed: ClaimedJob,
    outcome: Outcome | None = None,
    *,
    at: int = START + SECOND,
) -> object:
    (reply,) = await storage.apply([ending(claimed, outcome or Succeeded("1"), at=at)])
    return reply


async def end_all(storage: ProviderStorage[MyRecord], message: Complete) -> Completions:
    (reply,) = await storage.apply([message])
    assert isinstance(reply, Completions), reply
    return reply


async def fail(storage: ProviderStorage[MyRecord], claimed: ClaimedJob) -> object:
    return await end(storage, claimed, AttemptFailed(ValueError("no such address")))
