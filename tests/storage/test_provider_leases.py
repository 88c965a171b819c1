"""Jobs of a provider while they run: what is asked of their nodes, and what is known of them afterwards."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.storage.own_providers import (
    NODE,
    SECOND,
    START,
    CopyingShelf,
    FullShelf,
    MyRecord,
    Shelf,
    claim,
    claim_one,
    end,
    fail,
    insert,
    job_id,
    record,
    request,
    tracking_id,
)
from trio_gusto.model.errors import StorageError
from trio_gusto.model.failure import JobError
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.job import AttemptRecord
from trio_gusto.model.outcomes import AttemptOutcome, Snoozed
from trio_gusto.model.states import Cancelled, Failed, Ready, Scheduled, State
from trio_gusto.provider import ProviderStorage
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.lease_messages import CancelRequests, Renew, Renewed, RequestCancel
from trio_gusto.storage.messages import Commit, Committed, Conflict

Mine = ProviderStorage[MyRecord]


@pytest.fixture
def shelf() -> FullShelf:
    return FullShelf()


@pytest.fixture
def storage(shelf: FullShelf) -> Mine:
    return ProviderStorage(shelf, MyRecord)


async def state_of(storage: Mine, number: int = 1) -> State:
    (job,) = (await storage.read(Get([job_id(number)]))).jobs
    return job.state


async def test_a_job_that_does_not_run_here_cannot_be_asked_to_end(storage: Mine) -> None:
    await insert(storage, request())
    assert await storage.apply([RequestCancel(job_id(1), 0, "no")]) == [Conflict()]
    job = await claim_one(storage)
    stale = RequestCancel(job_id(1), job.token + 1, "no")
    assert await storage.apply([stale]) == [Conflict()]


async def test_only_a_node_that_runs_a_job_hears_that_it_is_to_end(storage: Mine) -> None:
    for number in (1, 2):
        await insert(storage, request(number))
    first, second = (await claim(storage)).jobs
    assert list((await storage.read(CancelRequests(NODE))).cancels) == []
    await storage.apply([RequestCancel(second.request.id, second.token, "why")])
    asked = await storage.read(CancelRequests(NODE))
    assert list(asked.cancels) == [(second.request.id, "why")]
    assert list((await storage.read(CancelRequests("other"))).cancels) == []
    renew = Renew(NODE, START, START + 99 * SECOND, [(first.request.id, first.token)])
    assert await storage.apply([renew]) == [Renewed([], [])], "it was not about the other"


async def test_a_cancelled_job_is_known_to_be(storage: Mine) -> None:
    await insert(storage, request())
    (job,) = (await storage.read(Get([job_id(1)]))).jobs
    await storage.apply([Commit(job_id(1), job.version, Cancelled(START, "no"), 0)])
    assert await state_of(storage) == Cancelled(START, "no")


async def test_a_snoozed_job_is_known_to_be_due_later(storage: Mine) -> None:
    await insert(storage, request())
    await end(storage, await claim_one(storage), Snoozed(10 * SECOND))
    assert await state_of(storage) == Scheduled(START + 11 * SECOND)


async def test_a_lease_that_was_stolen_is_lost_and_its_job_waits(
    storage: Mine, shelf: FullShelf
) -> None:
    for number in (1, 2):
        await insert(storage, request(number))
    jobs = (await claim(storage)).jobs
    shelf.stolen = {tracking_id(2)}
    leases = [(job.request.id, job.token) for job in jobs]
    until = START + 99 * SECOND
    (reply,) = await storage.apply([Renew(NODE, START, until, [*leases, (job_id(9), 1)])])
    assert reply == Renewed([job_id(2), job_id(9)], [])
    assert getattr(await state_of(storage, 1), "lease_until", None) == until
    assert await state_of(storage, 2) == Ready(START)


async def test_stale_leases_are_not_renewed(storage: Mine, shelf: FullShelf) -> None:
    await insert(storage, request())
    job = await claim_one(storage)
    before = dict(shelf.leased)
    stale = Renew(NODE, START, START + 99 * SECOND, [(job_id(1), job.token + 1)])
    assert await storage.apply([stale]) == [Renewed([job_id(1)], [])]
    assert shelf.leased == before


async def test_only_the_jobs_of_the_node_that_leaves_are_given_up(storage: Mine) -> None:
    await insert(storage, request())
    job = await claim_one(storage)
    await storage.attach("other")
    await storage.detach("other")
    assert await end(storage, job) == Committed()


async def test_what_is_claimed_is_leased_until_then() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    shelf.records[tracking_id(1)] = record()
    await claim(storage, limit=3)
    (search,) = shelf.searches
    assert (search.limit, (search.lease_until - search.now).total_seconds()) == (3, 60)


async def test_a_search_leaves_room_for_what_is_left_alone() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    for number in (1, 2, 3):
        await insert(storage, request(number))
    await claim(storage, limit=2)
    await end(storage, (await claim(storage, limit=1)).jobs[0], Snoozed(SECOND))
    await claim(storage, limit=5)
    assert [search.limit for search in shelf.searches] == [2, 3, 8]


async def test_a_search_of_a_provider_with_leases_leaves_out_what_runs(
    storage: Mine, shelf: FullShelf
) -> None:
    for number in (1, 2, 3):
        await insert(storage, request(number))
    await claim(storage, limit=2)
    await end(storage, (await claim(storage, limit=1)).jobs[0], Snoozed(SECOND))
    await claim(storage, limit=5)
    assert [search.limit for search in shelf.searches] == [2, 1, 6]


FAILED_AT = START + SECOND


@pytest.mark.parametrize(
    ("is_complete", "execute_after", "state"),
    [
        (True, None, Failed(FAILED_AT, "its provider allows no more attempts")),
        (False, None, Ready(FAILED_AT)),
        (False, to_datetime(FAILED_AT - 1), Ready(FAILED_AT)),
        (False, to_datetime(FAILED_AT), Ready(FAILED_AT)),
        (False, to_datetime(FAILED_AT + 1), Scheduled(FAILED_AT + 1)),
        (False, to_datetime(FAILED_AT + 1).replace(tzinfo=None), Ready(FAILED_AT)),
    ],
    ids=["given up", "at once", "earlier", "now", "later", "without a time zone"],
)
async def test_what_a_provider_makes_of_a_failure_is_known(
    is_complete: bool, execute_after: datetime | None, state: State
) -> None:
    class Deciding(Shelf):
        async def on_handler_execution_failure(
            self, record: MyRecord, error: BaseException
        ) -> None:
            record.is_complete = is_complete
            record.execute_after = execute_after

    storage = ProviderStorage(Deciding(), MyRecord)
    await insert(storage, request())
    assert await fail(storage, await claim_one(storage)) == Committed()
    assert await state_of(storage) == state


@pytest.mark.parametrize(
    ("outcome", "error", "kind", "text"),
    [
        (AttemptOutcome.LOST, None, RuntimeError, "the attempt failed"),
        (AttemptOutcome.FAILED, "no such address", RuntimeError, "no such address"),
        (AttemptOutcome.TIMED_OUT, "took too long", TimeoutError, "took too long"),
        (AttemptOutcome.TIMED_OUT, None, TimeoutError, "the attempt failed"),
    ],
)
async def test_a_failure_without_an_exception_has_one_that_stands_for_it(
    outcome: AttemptOutcome, error: str | None, kind: type[Exception], text: str
) -> None:
    """As that of a job that was lost with its process."""
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    job = await claim_one(storage)
    told = None if error is None else JobError("Error", error, "")
    attempt = AttemptRecord(1, job.token, NODE, START, START, FAILED_AT, outcome, told)
    commit = Commit(job_id(1), job.token, Ready(FAILED_AT), 1, attempt)
    assert await storage.apply([commit]) == [Committed()]
    ((_, raised),) = shelf.failures
    assert (type(raised), str(raised), raised.__cause__) == (kind, text, None)


async def test_a_record_that_is_marked_says_that_it_is_complete() -> None:
    class Watching(CopyingShelf):
        marked: MyRecord

        async def mark_job_as_complete(self, record: MyRecord) -> None:
            self.marked = record

    shelf = Watching()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    await end(storage, await claim_one(storage))
    assert shelf.marked.is_complete is True


async def test_the_lease_of_a_job_whose_failure_cannot_be_told_is_released() -> None:
    class Deaf(FullShelf):
        async def on_handler_execution_failure(
            self, record: MyRecord, error: BaseException
        ) -> None:
            raise ConnectionError("gone")

    shelf = Deaf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    assert isinstance(await fail(storage, await claim_one(storage)), StorageError)
    assert not shelf.leased
