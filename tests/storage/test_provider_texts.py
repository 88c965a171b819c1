"""What is said of a provider's mistakes, in full: in errors to the caller, and in the log."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from trio.testing import MockClock

from tests.storage.own_providers import (
    NODE,
    START,
    FaultyShelf,
    FullShelf,
    MyRecord,
    Shelf,
    UnwillingShelf,
    claim_one,
    end,
    fail,
    insert,
    job_id,
    request,
    tracking_id,
)
from trio_gusto.model.batch import BatchRequest
from trio_gusto.model.errors import NotSupported, StorageError
from trio_gusto.model.job import Details
from trio_gusto.model.outcomes import AttemptCancelled, Released
from trio_gusto.model.rates import RateLimit
from trio_gusto.model.states import Cancelled, Ready, State, Waiting
from trio_gusto.provider import ProviderStorage
from trio_gusto.storage.batch_messages import Batches, Discard, InsertBatch, Stage
from trio_gusto.storage.finding_messages import Find, Get, Tally
from trio_gusto.storage.lease_messages import Renew
from trio_gusto.storage.messages import ClaimDue, Commit, Insert, Write
from trio_gusto.storage.pause_messages import HeardPauses, LiftPauses, Pauses, PutPause
from trio_gusto.storage.rate_messages import Buckets
from trio_gusto.storage.report_messages import ReadLog, Report
from trio_gusto.storage.schedule_messages import FindSchedules, PutSchedule
from trio_gusto.testing.storage_contract.scheduling import firing, schedule

FIRST = str(tracking_id(1))
Mine = ProviderStorage[MyRecord]


def left(what: str, of: str = FIRST) -> str:
    return (
        f"the provider could not {what}; record {of} is as the provider left it; see the cause, and "
        "make the provider's store available"
    )


def unsupported(what: str, then: str) -> str:
    return f"this storage does not support {what}; {then}"


def implement(protocol: str) -> str:
    return f"implement {protocol} in its provider, or use another storage"


# --- what a provider raises ---------------------------------------------------------------------------


class Gone(FullShelf):
    """A provider whose optional methods have lost their connection."""

    async def renew_leases(self, tracking_ids: object, lease_until: object) -> list[UUID]:
        raise ConnectionError("gone")

    async def release_lease(self, tracking_id: UUID) -> None:
        raise ConnectionError("gone")

    async def get_jobs(self, tracking_ids: object) -> list[MyRecord]:
        raise ConnectionError("gone")


async def _store(storage: Mine) -> object:
    return await insert(storage, request())


async def _search(storage: Mine) -> object:
    await insert(storage, request())
    (reply,) = await storage.apply([ClaimDue(NODE, START, START, 1, 1)])
    return reply


async def _complete(storage: Mine) -> object:
    await insert(storage, request())
    return await end(storage, await claim_one(storage))


async def _fail(storage: Mine) -> object:
    await insert(storage, request())
    return await fail(storage, await claim_one(storage))


async def _cancel_ready(storage: Mine) -> object:
    await insert(storage, request())
    (job,) = (await storage.read(Get([job_id(1)]))).jobs
    (reply,) = await storage.apply([Commit(job_id(1), job.version, Cancelled(START, "no"), 0)])
    return reply


async def _cancel_itself(storage: Mine) -> object:
    await insert(storage, request())
    return await end(storage, await claim_one(storage), AttemptCancelled("no"))


async def _renew(storage: Mine) -> object:
    await insert(storage, request())
    job = await claim_one(storage)
    (reply,) = await storage.apply([Renew(NODE, START, START, [(job_id(1), job.token)])])
    return reply


Do = Callable[[Mine], Awaitable[object]]


@pytest.mark.parametrize(
    ("make", "do", "error", "logged"),
    [
        (
            partial(FaultyShelf, store_job=1),
            _store,
            left("store a job: ConnectionError: store_job has no connection"),
            f"record {FIRST} could not be stored",
        ),
        (
            partial(FaultyShelf, get_batch=1),
            _search,
            left("answer get_batch: ConnectionError: get_batch has no connection", "(none yet)"),
            "get_batch failed",
        ),
        (
            partial(UnwillingShelf, tracking_id(1)),
            _complete,
            left(f"perform mark_job_as_complete: ConnectionError: no connection for {FIRST}"),
            f"mark_job_as_complete failed for record {FIRST}",
        ),
        (
            partial(FaultyShelf, cancel_job=3),
            _cancel_itself,
            left("perform cancel_job: ConnectionError: cancel_job has no connection"),
            f"cancel_job failed for record {FIRST}",
        ),
        (
            partial(FaultyShelf, cancel_job=1),
            _cancel_ready,
            left("cancel a job: ConnectionError: cancel_job has no connection"),
            f"cancel_job failed for record {FIRST}",
        ),
        (
            partial(FaultyShelf, on_handler_execution_failure=1),
            _fail,
            left(
                "handle a failed attempt: ConnectionError: on_handler_execution_failure has no "
                "connection"
            ),
            f"on_handler_execution_failure failed for record {FIRST}",
        ),
        (Gone, _renew, left("renew leases: ConnectionError: gone"), "renew_leases failed"),
    ],
    ids=lambda each: getattr(each, "__name__", "").strip("_"),
)
async def test_an_error_of_the_provider_is_told_and_logged(
    make: Callable[[], Shelf],
    do: Do,
    error: str,
    logged: str,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    reply = await do(ProviderStorage(make(), MyRecord))
    assert isinstance(reply, StorageError)
    assert str(reply) == error
    assert isinstance(reply.__cause__, ConnectionError)
    said = {(each.name, each.levelno, each.getMessage()) for each in caplog.records}
    assert said == {("trio_gusto.storage.provider", logging.ERROR, logged)}
    assert all(each.exc_info for each in caplog.records)


async def test_several_jobs_that_cannot_be_stored_are_named_the_first_of_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Full(FullShelf):
        async def store_jobs(self, records: object) -> None:
            raise ConnectionError("gone")

    storage = ProviderStorage(Full(), MyRecord)
    reply = await insert(storage, *[request(number) for number in range(1, 6)])
    named = ", ".join(str(tracking_id(number)) for number in (1, 2, 3))
    assert str(reply) == left("store a job: ConnectionError: gone", named)
    assert caplog.messages == [f"record {named} could not be stored"]


async def test_a_query_that_fails_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    query = Get([job_id(1)])
    with pytest.raises(StorageError) as failed:
        await ProviderStorage(Gone(), MyRecord).read(query)
    assert str(failed.value) == left("answer a query: ConnectionError: gone", "(none)")
    assert caplog.messages == [f"a query failed: {query}"]


async def test_a_lease_that_cannot_be_released_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    storage = ProviderStorage(Gone(), MyRecord)
    await insert(storage, request())
    await end(storage, await claim_one(storage), Released(entered=False))
    assert caplog.messages == [f"the lease on record {FIRST} could not be released"]


async def test_a_wait_that_fails_is_logged(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    class Deaf(FullShelf):
        async def wait_for_jobs(self) -> None:
            raise ConnectionError("gone")

    await ProviderStorage(Deaf(), MyRecord).wait_changed(NODE)
    assert caplog.messages == ["wait_for_jobs failed"]


# --- what a provider has no word for ------------------------------------------------------------------

BATCH = BatchRequest(job_id(7), START)
NOTHING = Insert((), ())
SCHEDULES = unsupported(
    "schedules",
    "give the app a SqliteStorage or a MemoryStorage, or enqueue the jobs from a timer of your own",
)
PAUSES = unsupported(
    "pauses", "give the app a SqliteStorage or a MemoryStorage, or let get_batch leave jobs out"
)
RATES = unsupported("rate limits", "leave them out, or use another storage for these jobs")
BATCHES = unsupported("batches", implement("SupportsBatches"))


PROTOCOLS = {SCHEDULES: "SupportsSchedules", PAUSES: "SupportsPauses"}


def protocol_of(text: str) -> str:
    """The one that a refusal names, also where its text says to do something else."""
    named = re.search(r"implement (\w+) in", text)
    return PROTOCOLS.get(text, "" if named is None else named[1])


def inserting(details: Details | None = None, state: State | None = None) -> Insert:
    return Insert([request(details=details)], [Ready(START) if state is None else state])


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (InsertBatch(BATCH, NOTHING), BATCHES),
        (Stage(job_id(8), BATCH.id, NODE, START, 0, NOTHING), BATCHES),
        (Discard(job_id(8), 9), BATCHES),
        (Report([], 9, 9), unsupported("progress and logs", implement("SupportsReports"))),
        (PutSchedule("ledger", None, None), SCHEDULES),
        (firing(schedule(), START), SCHEDULES),
        (PutPause(None, None, "", START), PAUSES),
        (LiftPauses(), PAUSES),
        (HeardPauses(NODE, 1), PAUSES),
        (ClaimDue(NODE, START, START, 1, 1, queue_rates={}), RATES),
        (
            inserting(Details(unique_key="k")),
            unsupported("unique keys", "use another storage for them"),
        ),
        (
            inserting(Details(callback="done")),
            unsupported("callbacks", implement("SupportsContinuations")),
        ),
        (inserting(Details(rate_key="api", rate_limit=RateLimit(1, per=1))), RATES),
        (
            inserting(Details(worker="smtp")),
            unsupported("named workers and concurrency keys", implement("SupportsWorkers")),
        ),
        (
            inserting(Details(concurrency_key="acme")),
            unsupported("named workers and concurrency keys", implement("SupportsWorkers")),
        ),
        (
            inserting(state=Waiting((job_id(9),))),
            unsupported("continuations", implement("SupportsContinuations")),
        ),
        (
            inserting(state=Cancelled(START, "no")),
            unsupported("jobs that begin as cancelled", "use another storage for them"),
        ),
    ],
    ids=lambda each: type(each).__name__ if not isinstance(each, str) else "",
)
async def test_a_write_that_a_provider_cannot_keep_is_refused(write: Write, text: str) -> None:
    shelf = Shelf()
    (reply,) = await ProviderStorage(shelf, MyRecord).apply([write])
    assert isinstance(reply, NotSupported)
    assert (str(reply), reply.protocol) == (text, protocol_of(text))
    assert not shelf.records


async def test_several_jobs_at_once_are_refused_where_they_cannot_be_stored() -> None:
    reply = await insert(ProviderStorage(Shelf(), MyRecord), request(1), request(2))
    text = unsupported("storing several jobs at once", implement("SupportsStoreMany"))
    assert str(reply) == text


async def test_an_ended_job_is_not_run_again() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    await _complete(storage)
    (job,) = (await storage.read(Get([job_id(1)]))).jobs
    (reply,) = await storage.apply([Commit(job_id(1), job.version, Ready(START), 0)])
    assert isinstance(reply, NotSupported)
    then = "reset its record in the provider's own store"
    assert str(reply) == unsupported("running an ended job again", then)
    assert reply.protocol == ""


QUERIES = "SupportsQueries"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (FindSchedules(9), SCHEDULES),
        (Batches(9), BATCHES),
        (Pauses(START), PAUSES),
        (Buckets(["x"], START), RATES),
        (ReadLog(job_id(1)), unsupported("logs", implement("SupportsReports"))),
        (
            Get([job_id(1)]),
            unsupported("looking at jobs that this process does not know", implement(QUERIES)),
        ),
        (
            Get(ref_id="x"),
            unsupported("looking for a ref_id that this process does not know", implement(QUERIES)),
        ),
        (Find(9), unsupported("searching for jobs", implement(QUERIES))),
        (Tally(), unsupported("counting jobs", implement(QUERIES))),
    ],
    ids=lambda each: type(each).__name__ if not isinstance(each, str) else "",
)
async def test_a_query_that_a_provider_cannot_answer_is_refused(query: Any, text: str) -> None:
    with pytest.raises(NotSupported) as refused:
        await ProviderStorage(Shelf(), MyRecord).read(query)
    assert (str(refused.value), refused.value.protocol) == (text, protocol_of(text))
