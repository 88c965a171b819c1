"""Queries about jobs in a storage and in memory beside it, and what memory alone is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.storage.beside_pair import Pair
from trio_gusto.model.job import Details
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import Cancelled, Failed, JobState, Ready
from trio_gusto.storage.beside import Beside
from trio_gusto.storage.finding_messages import Find, Get, Tally
from trio_gusto.storage.lease_messages import Stranded
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Commit
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.testing.storage_contract.batching import members, new_batch
from trio_gusto.testing.storage_contract.staging import STAGE, stage
from trio_gusto.testing.storage_contract.subject import LEASE, NOW, SECOND, ids, put_back, success


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    await pair.open()
    yield pair
    await pair.close()


BOTH = pytest.mark.parametrize("durable", [True, False], ids=["in the storage", "in memory"])


# --- queries ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2)], ids=str)
async def test_jobs_are_got_in_the_order_asked_for(pair: Pair, order: tuple[int, ...]) -> None:
    requests = await pair.put(True, False, True, False)
    wanted = [requests[number].id for number in order]
    assert ids((await pair.storage.read(Get(wanted))).jobs) == wanted


@BOTH
async def test_a_job_is_got_by_its_ref_id(pair: Pair, durable: bool) -> None:
    (request,) = await pair.put(durable, details=Details(ref_id="order-7"))
    (other,) = await pair.put(not durable)
    assert ids((await pair.storage.read(Get(ref_id="order-7"))).jobs) == [request.id]
    found = await pair.storage.read(Get([other.id], "order-7"))
    assert ids(found.jobs) == [other.id, request.id]
    assert list((await pair.storage.read(Get(ref_id="order-8"))).jobs) == []


async def test_the_storage_is_asked_for_what_is_not_in_memory_alone(pair: Pair) -> None:
    (request,) = await pair.put(False, details=Details(ref_id="order-7"))
    asked: list[object] = []

    class Asked(MemoryStorage):
        async def read(self, query: Any) -> Any:
            asked.append(query)
            return await super().read(query)

    beside = Beside(Asked(), pair.memory)
    for get in (Get([request.id]), Get(ref_id="order-7")):
        assert ids((await beside.read(get)).jobs) == [request.id]
    assert ids((await beside.read(Find(1))).jobs) == [request.id]
    assert not asked
    unknown = pair.request().id
    await beside.read(Get([request.id, unknown]))
    assert asked == [Get([unknown])]


async def test_jobs_in_memory_are_found_first(pair: Pair) -> None:
    requests = await pair.put(True, False, True, False)
    wanted = [requests[number].id for number in (3, 1, 2, 0)]
    for limit in (1, 2, 3, 4, 9):
        assert ids((await pair.storage.read(Find(limit))).jobs) == wanted[:limit]
    page = (await pair.storage.read(Find(1))).jobs
    rest = await pair.storage.read(Find(9, before=page[-1].sequence))
    assert ids(rest.jobs) == wanted[1:]


async def test_jobs_are_counted_together(pair: Pair) -> None:
    await pair.put(True, False, False)
    await pair.put(True, queue="mail", created_at=NOW - 5)
    await pair.put(False, queue="prints", created_at=NOW - 9)
    tallied = await pair.storage.read(Tally())
    assert dict(tallied.counts) == {
        (JobState.READY, "default", ""): 3,
        (JobState.READY, "mail", ""): 1,
        (JobState.READY, "prints", ""): 1,
    }
    assert tallied.oldest_ready == NOW - 9


@BOTH
async def test_the_oldest_ready_job_may_be_in_either(pair: Pair, durable: bool) -> None:
    await pair.put(durable)
    assert (await pair.storage.read(Tally())).oldest_ready == NOW
    await pair.put(not durable, created_at=NOW - 3)
    assert (await pair.storage.read(Tally())).oldest_ready == NOW - 3
    await pair.claim()
    assert (await pair.storage.read(Tally())).oldest_ready is None


async def test_what_is_stranded_in_either_is_told(pair: Pair) -> None:
    jobs = await pair.running(True, False)
    overdue = await pair.put(True, False, expire_on=NOW + LEASE)
    early = await pair.storage.read(Stranded("node", NOW, 9))
    assert (list(early.lost), list(early.overdue)) == ([], [])
    assert (early.next_at, early.foreign) == (NOW + LEASE, False)
    late = await pair.storage.read(Stranded("node", NOW + LEASE, 9))
    assert (ids(late.lost), ids(late.overdue)) == (ids(jobs), ids(overdue))
    assert late.next_at is None


@BOTH
async def test_the_next_to_be_stranded_may_be_in_either(pair: Pair, durable: bool) -> None:
    await pair.put(durable, expire_on=NOW + 2 * SECOND)
    found = await pair.storage.read(Stranded("node", NOW, 9))
    assert found.next_at == NOW + 2 * SECOND
    await pair.put(not durable, expire_on=NOW + SECOND)
    found = await pair.storage.read(Stranded("node", NOW, 9))
    assert found.next_at == NOW + SECOND


async def test_what_was_staged_by_a_node_that_left_is_told(pair: Pair) -> None:
    await pair.main.attach("other")
    batch = new_batch()
    await stage(pair, batch, 0, *members(pair, batch, 1), node="other")
    assert list((await pair.storage.read(Stranded("node", NOW, 9))).stages) == []
    await pair.main.detach("other")
    assert list((await pair.storage.read(Stranded("node", NOW, 9))).stages) == [STAGE]


async def test_leases_of_others_are_foreign(pair: Pair) -> None:
    await pair.put(True)
    await pair.main.attach("other")
    await pair.claim(node="other")
    assert (await pair.storage.read(Stranded("node", NOW, 9))).foreign


# --- what is in memory --------------------------------------------------------------------------------


async def test_only_what_has_ended_is_forgotten(pair: Pair) -> None:
    job, _ = await pair.running(False, False)
    assert pair.memory.live() == 2
    pair.memory.forget(job.request.id)
    pair.memory.forget(pair.request().id)
    assert len(pair.memory) == 2
    await pair.tell(success(job))
    assert pair.memory.live() == 1
    pair.memory.forget(job.request.id)
    assert (len(pair.memory), pair.memory.has(job.request.id)) == (1, False)
    assert await pair.expect(Pruned, Prune(NOW + 1, 9)) == Pruned(0)


async def test_a_job_in_memory_goes_through_its_life(pair: Pair) -> None:
    (job,) = await pair.running(False)
    await pair.tell(put_back(job, Ready(NOW), AttemptOutcome.RELEASED))
    (again,) = (await pair.claim()).jobs
    await pair.tell(put_back(again, Failed(NOW, "broken"), AttemptOutcome.FAILED))
    kept = await pair.get(job.request.id)
    assert (kept.state.word, len(kept.history)) == (JobState.FAILED, 2)


async def test_a_job_in_memory_that_waits_can_be_called_off(pair: Pair) -> None:
    (request,) = await pair.put(False)
    await pair.tell(Commit(request.id, 0, Cancelled(NOW, "no"), 0))
    assert await pair.state(request) is JobState.CANCELLED
    assert list((await pair.claim()).jobs) == []
