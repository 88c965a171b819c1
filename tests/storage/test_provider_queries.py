"""What can be asked of a provider: what this process knows, and what `SupportsQueries` adds."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.storage.own_providers import (
    NODE,
    SECOND,
    START,
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
from trio_gusto.model.errors import NotSupported, StorageError
from trio_gusto.model.job import Details, StoredJob
from trio_gusto.model.states import Completed, Expired, JobState, Ready, State
from trio_gusto.provider import JobFindParams, ProviderStorage
from trio_gusto.storage.dependency_messages import DependentJobs, Dependents
from trio_gusto.storage.finding_messages import Find, Get, Tally
from trio_gusto.storage.lease_messages import Stranded
from trio_gusto.storage.messages import Commit, Committed
from trio_gusto.storage.provider import queries
from trio_gusto.storage.provider.ledger import Ledger
from trio_gusto.storage.provider.record import request_of
from trio_gusto.storage.report_messages import DossiersFound, ReadDossiers
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.run_messages import PastRuns, RunsFound


@pytest.mark.parametrize("query", [Get([job_id(9)]), Get(ref_id="x"), Find(10), Tally()])
async def test_what_nobody_knows_is_not_supported_and_names_the_protocol(query: Get) -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    with pytest.raises(NotSupported, match="SupportsQueries") as refused:
        await storage.read(query)
    assert refused.value.protocol == "SupportsQueries"


async def test_jobs_enqueued_or_run_here_are_known_without_help() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    await insert(storage, request(1, details=Details(ref_id="order-7")))
    (job,) = (await storage.read(Get(ref_id="order-7"))).jobs
    assert (job.request.id, job.state) == (job_id(1), Ready(START))
    await end(storage, await claim_one(storage))
    (job,) = (await storage.read(Get([job_id(1)]))).jobs
    assert isinstance(job.state, Completed)
    assert job.attempt == 1


async def test_a_provider_with_queries_tells_of_the_jobs_of_others() -> None:
    shelf = FullShelf()
    storage = ProviderStorage(shelf, MyRecord)
    shelf.records[tracking_id(1)] = record(1)
    done = record(2)
    done.is_complete = True
    shelf.records[tracking_id(2)] = done
    jobs = (await storage.read(Get([job_id(2), job_id(1), job_id(3)]))).jobs
    states: list[State] = [Completed(START, START, START, ""), Ready(START)]
    assert list(jobs) == [
        StoredJob(request_of(record(number)), tracking_id(number).int, state)
        for number, state in zip((2, 1), states, strict=True)
    ]


async def test_a_provider_with_queries_is_asked_for_a_ref_id() -> None:
    @attrs.define
    class Referred(MyRecord):
        ref_id: str | None = None

    shelf = FullShelf()
    shelf.records[tracking_id(1)] = record(1)  # which has no such field
    for number, ref_id in ((2, "order-7"), (3, "order-7"), (4, "order-8")):
        others = attrs.asdict(record(number), recurse=False)
        shelf.records[tracking_id(number)] = Referred(**others, ref_id=ref_id)
    storage = ProviderStorage(shelf, MyRecord)
    (job,) = (await storage.read(Get(ref_id="order-7"))).jobs
    assert (job.request.id, job.state) == (job_id(3), Ready(START))
    assert list((await storage.read(Get(ref_id="order-9"))).jobs) == []


async def test_searches_are_newest_first_and_go_on_where_they_ended() -> None:
    shelf = FullShelf()
    storage = ProviderStorage(shelf, MyRecord)
    for number in (1, 2, 3, 4):
        await insert(storage, request(number, tenant="acme" if number != 3 else "other"))
    query = Find(2, tenants=frozenset({"acme"}), states=frozenset({JobState.READY}))
    first = (await storage.read(query)).jobs
    assert [job.request.id for job in first] == [job_id(4), job_id(2)]
    query.before = first[-1].sequence
    assert [job.request.id for job in (await storage.read(query)).jobs] == [job_id(1)]


METADATA = {"size": 3, "box": {"height": 1, "width": 2}}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Find(9), True),
        (Find(9, names=frozenset({"other"})), False),
        (Find(9, queues=frozenset({"default"})), True),
        (Find(9, tags_any=frozenset({"a", "z"})), True),
        (Find(9, tags_all=frozenset({"a", "z"})), False),
        (Find(9, created_by="ann"), True),
        (Find(9, user_id="u2"), False),
        (Find(9, metadata={"size": 3}), True),
        (Find(9, metadata={"colour": None}), False),
        (Find(9, metadata={"box": {"width": 2, "height": 1}}), True),
        (Find(9, created_after=START), True),
        (Find(9, created_before=START), False),
    ],
)
async def test_every_criterion_counts(query: Find, found: bool) -> None:
    storage = ProviderStorage(FullShelf(), MyRecord)
    details = Details(tags=("a",), created_by="ann", user_id="u1", metadata=METADATA)
    await insert(storage, request(details=details))
    assert bool((await storage.read(query)).jobs) is found


async def test_jobs_are_counted_by_state_queue_and_tenant() -> None:
    storage = ProviderStorage(FullShelf(), MyRecord)
    await insert(storage, request(1, tenant="acme"))
    await insert(storage, request(2, execute_after=START + SECOND))
    tallied = await storage.read(Tally())
    assert tallied.counts == {
        (JobState.READY, "default", "acme"): 1,
        (JobState.SCHEDULED, "default", ""): 1,
    }
    assert tallied.oldest_ready == START


async def test_jobs_are_counted_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Paged(FullShelf):
        async def find_jobs(self, params: JobFindParams[MyRecord]) -> Sequence[MyRecord]:
            asked.append(params.limit)
            return await super().find_jobs(params)

    monkeypatch.setattr(queries, "PAGE", 3)
    storage = ProviderStorage(Paged(), MyRecord)
    empty = await storage.read(Tally())
    assert (dict(empty.counts), empty.oldest_ready) == ({}, None)
    for number in range(1, 8):
        await insert(storage, request(number))
    assert (await storage.read(Tally())).counts == {(JobState.READY, "default", ""): 7}
    assert asked == [3, 3, 3, 3, 3]


async def test_an_error_in_a_query_is_a_storage_error() -> None:
    class Broken(FullShelf):
        async def get_jobs(self, tracking_ids: object) -> list[MyRecord]:
            raise ConnectionError("gone")

    with pytest.raises(StorageError) as failed:
        await ProviderStorage(Broken(), MyRecord).read(Get([job_id(1)]))
    assert isinstance(failed.value.__cause__, ConnectionError)


async def test_a_pending_job_known_here_is_seen_to_expire() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    await insert(storage, request(expire_on=START + SECOND))
    before = await storage.read(Stranded(NODE, START, 10))
    assert (list(before.overdue), before.next_at) == ([], START + SECOND)
    (job,) = (await storage.read(Stranded(NODE, START + SECOND, 10))).overdue
    expired = Commit(job.request.id, job.version, Expired(START + SECOND, "late"), 0)
    assert await storage.apply([expired]) == [Committed()]
    assert not (await storage.read(Stranded(NODE, START + SECOND, 10))).overdue


async def test_overdue_jobs_come_in_slices_and_nothing_else_is_stranded() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    for number in (1, 2):
        await insert(storage, request(number, expire_on=START + SECOND))
    found = await storage.read(Stranded(NODE, START + SECOND, 1))
    assert [job.request.id for job in found.overdue] == [job_id(1)]
    assert (found.lost, found.next_at, found.foreign) == ((), None, False)


async def test_what_needs_more_than_records_is_not_there() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    assert await storage.read(Dependents(9)) == DependentJobs(())
    assert await storage.read(PastRuns("send", None, 9, 9)) == RunsFound(())
    assert await storage.read(ReadDossiers(job_id(1))) == DossiersFound({})


async def test_retention_is_left_to_the_provider() -> None:
    assert await ProviderStorage(Shelf(), MyRecord).apply([Prune(START, 10)]) == [Pruned(0)]


async def test_the_next_due_instant_is_the_earliest_known_here() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    assert (await claim(storage)).next_due is None
    await insert(storage, request(1, execute_after=START + 9 * SECOND))
    await insert(storage, request(2, execute_after=START + 3 * SECOND))
    assert (await claim(storage)).next_due == START + 3 * SECOND


async def test_a_provider_that_can_wake_is_waited_for() -> None:
    shelf = FullShelf()
    await ProviderStorage(shelf, MyRecord).wait_changed("node")
    assert shelf.news == 1


async def test_a_provider_that_cannot_wake_never_does(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    nursery.start_soon(ProviderStorage(Shelf(), MyRecord).wait_changed, "node")
    await wait_all_tasks_blocked()
    assert len(nursery.child_tasks) == 1
    assert not caplog.records
    nursery.cancel_scope.cancel()


async def test_a_decision_of_the_provider_is_a_change(nursery: trio.Nursery) -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    await insert(storage, request())
    await fail(storage, await claim_one(storage))
    with trio.fail_after(1):
        await storage.wait_changed("node")
    nursery.start_soon(storage.wait_changed, "node")
    await wait_all_tasks_blocked()
    assert len(nursery.child_tasks) == 1, "once for each decision"
    nursery.cancel_scope.cancel()


async def test_a_wake_that_fails_is_logged_and_tried_again_after_a_pause(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Deaf(FullShelf):
        async def wait_for_jobs(self) -> None:
            raise ConnectionError("gone")

    before = trio.current_time()
    await ProviderStorage(Deaf(), MyRecord).wait_changed("node")
    assert trio.current_time() - before >= 1
    assert "wait_for_jobs failed" in caplog.text


def test_what_is_remembered_has_an_end() -> None:
    ledger = Ledger[MyRecord](remembered=2)
    for number in (1, 2, 3):
        asked = request(number, expire_on=START + SECOND, details=Details(ref_id=f"{number}"))
        ledger.remember(asked, Ready(START))
    assert ledger.find(job_id(1)) is None
    assert ledger.find_by_ref("1") is None
    assert ledger.find(job_id(3)) is not None
    assert len(ledger.due_by(START)) == 2
    assert len(ledger.overdue(START + SECOND, 10)) == 2
