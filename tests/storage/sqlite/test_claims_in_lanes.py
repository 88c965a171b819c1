"""Claims where jobs stand in lanes: what is found behind full ones, and what the claim leaves behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.storage.sqlite.moving import rows
from trio_gusto.model.job import Details
from trio_gusto.model.rates import RateLimit
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.sqlite import SqliteStorage, walking
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW, SECOND, ids

SMTP, PRINTER = Details(worker="smtp"), Details(worker="printer")


@pytest.fixture(params=["memory", "sqlite"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """A storage of either kind."""
    is_memory = request.param == "memory"
    storage = MemoryStorage() if is_memory else SqliteStorage(":memory:", inline=True)
    subject = Subject(storage, "node")
    await subject.open()
    yield subject
    await subject.close()


async def stand_in_front(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have claims step over jobs of a busy worker, soon by where other lanes begin."""
    monkeypatch.setattr(walking, "FIRST", 1)
    await subject.enqueue(details=SMTP)
    await subject.claim_one()
    for _ in range(3):
        await subject.enqueue(details=SMTP, priority=9)


async def test_behind_full_lanes_a_job_that_falls_due_is_found(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stand_in_front(subject, monkeypatch)
    page = await subject.enqueue(details=PRINTER, execute_after=NOW + SECOND)
    assert (await subject.claim()).jobs == []
    assert ids((await subject.claim(NOW + SECOND)).jobs) == [page.id]


async def test_behind_a_job_that_runs_alone_one_with_room_for_some_is_claimed_with_it(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stand_in_front(subject, monkeypatch)
    both = [
        subject.request(details=Details(concurrency_key="customer", concurrency_limit=limit))
        for limit in (1, 3)
    ]
    await subject.insert(*both)
    assert ids((await subject.claim(free=9)).jobs) == ids(both)


@pytest.mark.parametrize(("plain", "taken"), [(3, 3), (1, 2), (0, 2)])
async def test_a_job_at_a_rate_waits_for_a_free_executor(
    plain: int, taken: int, subject: Subject
) -> None:
    limited = Details(rate_key="api", rate_limit=RateLimit(9, per=1))
    jobs = [subject.request() for _ in range(plain)]
    jobs += [subject.request(details=limited) for _ in range(2)]
    await subject.insert(*jobs)
    assert ids((await subject.claim(free=2)).jobs) == ids(jobs[:taken])


async def test_where_lanes_begin_is_forgotten_with_the_last_of_their_jobs(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    subject = Subject(SqliteStorage(path, inline=True), "node")
    await subject.open()
    for _ in range(2):
        await subject.enqueue(details=SMTP)
    left: list[object] = []
    for _ in range(2):
        job = await subject.claim_one()
        left += rows(path, "SELECT count(*) FROM lane_head")
        await subject.complete(job)
    assert left == [(1,), (0,)]
    await subject.close()


@pytest.mark.parametrize("ref_id", [None, "order"])
async def test_details_that_are_alike_are_read_once(ref_id: str | None) -> None:
    """Reading them costs as much as the rest of a claim; with a ref_id of its own each job has its own."""
    subject = Subject(SqliteStorage(":memory:", inline=True), "node")
    await subject.open()
    await subject.enqueue(details=Details(tags=("red",), ref_id=ref_id))
    for _ in range(2):
        await subject.enqueue(details=Details(tags=("red",)))
    first, second, third = (job.request.details for job in (await subject.claim()).jobs)
    assert second is third
    assert second == Details(tags=("red",))
    assert (first is second) == (ref_id is None)
    await subject.close()
