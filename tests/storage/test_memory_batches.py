"""What `MemoryStorage` keeps of batches, and of jobs that wait for them, while jobs end and are deleted."""

from __future__ import annotations

import pytest

from trio_gusto.model.batch import BatchRequest
from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.lifecycle import admit
from trio_gusto.model.states import Failed, JobState, Ready, Waiting
from trio_gusto.storage.batch_messages import Batches, InsertBatch
from trio_gusto.storage.dependency_messages import Dependents
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Commit, Insert, Inserted
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW, ids

COMPLETED, FAILED, READY = JobState.COMPLETED, JobState.FAILED, JobState.READY
BATCH = BatchRequest(uuid7(NOW * 1000, 5_000), NOW)
OF_BATCH = Details(batch=BATCH.id)
AFTER_BATCH = Details(parents=(BATCH.id,))


@pytest.fixture
async def subject() -> Subject:
    storage = MemoryStorage()
    await storage.attach("node")
    return Subject(storage, "node")


async def store(subject: Subject, *jobs: JobRequest, **how: bool) -> None:
    write = InsertBatch(BATCH, Insert(jobs, [admit(job) for job in jobs]), **how)
    await subject.expect(Inserted, write)


async def fail(subject: Subject, job: JobRequest, now: int = NOW) -> None:
    version = (await subject.get(job.id)).version
    await subject.apply([Commit(job.id, version, Failed(now, "broken"), 0)])


async def prune(subject: Subject, before: int, limit: int = 9) -> int:
    return (await subject.expect(Pruned, Prune(before, limit))).count


async def counts(subject: Subject) -> list[dict[JobState, int]]:
    found = await subject.storage.read(Batches(9))
    return [dict(batch.counts) for batch in found.batches]


async def test_a_failed_job_that_was_deleted_does_not_fail_what_waits_for_its_batch(
    subject: Subject,
) -> None:
    first, second, more = (subject.request(details=OF_BATCH) for _ in range(3))
    await store(subject, first, second)
    await fail(subject, first)
    await fail(subject, second, NOW + 5)
    assert await prune(subject, NOW + 1) == 1
    await subject.apply([Commit(second.id, 1, Ready(NOW), 0)])
    child = subject.request(details=AFTER_BATCH)
    await subject.insert(child, states=[Waiting((BATCH.id,))])
    assert list((await subject.storage.read(Dependents(9))).jobs) == []
    await subject.complete(await subject.claim_one())
    await store(subject, more, is_new=False, reopen=True)
    assert list((await subject.storage.read(Dependents(9))).jobs) == []
    await subject.complete(await subject.claim_one())
    (dependent,) = (await subject.storage.read(Dependents(9))).jobs
    assert dependent.parents == {COMPLETED: 2}


async def test_a_job_that_only_names_a_batch_is_none_of_it(subject: Subject) -> None:
    """As one that was stored otherwise; whatever becomes of it, the batch counts its own."""
    own, stranger = (subject.request(details=OF_BATCH) for _ in range(2))
    await store(subject, own)
    await subject.insert(stranger)
    assert await counts(subject) == [{READY: 1}]
    await fail(subject, stranger)
    assert await prune(subject, NOW + 1) == 1
    assert ids(await subject.everything()) == [own.id]
    assert await counts(subject) == [{READY: 1}]
    child = subject.request(details=AFTER_BATCH)
    await subject.insert(child, states=[Waiting((BATCH.id,))])
    assert list((await subject.storage.read(Dependents(9))).jobs) == []


async def test_a_job_may_name_a_batch_that_there_is_not(subject: Subject) -> None:
    stranger = await subject.enqueue(details=OF_BATCH)
    await fail(subject, stranger)
    assert await prune(subject, NOW + 1) == 1


async def test_jobs_of_a_batch_stay_until_all_have_ended(subject: Subject) -> None:
    first, second = (subject.request(details=OF_BATCH) for _ in range(2))
    await store(subject, first, second)
    await fail(subject, first)
    assert await prune(subject, NOW + 1) == 0
    await fail(subject, second)
    assert await prune(subject, NOW + 1) == 2


@pytest.mark.parametrize(
    ("before", "is_empty", "is_awaited", "is_kept"),
    [
        (NOW + 1, True, False, False),
        (NOW, True, False, True),
        (NOW + 1, False, False, True),
        (NOW + 1, True, True, True),
    ],
    ids=["old, empty and not awaited", "young", "not empty", "awaited"],
)
async def test_a_batch_goes_when_it_is_old_and_empty_and_nobody_waits_for_it(
    subject: Subject, before: int, is_empty: bool, is_awaited: bool, is_kept: bool
) -> None:
    await store(subject, *([] if is_empty else [subject.request(details=OF_BATCH)]))
    if is_awaited:
        child = subject.request(details=AFTER_BATCH)
        await subject.insert(child, states=[Waiting((BATCH.id,))])
    await prune(subject, before)
    assert len(await counts(subject)) == is_kept
