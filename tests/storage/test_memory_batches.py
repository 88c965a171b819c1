"""What `MemoryStorage` keeps of batches, and of jobs that wait for them, while jobs end and are deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from trio_gusto.model.batch import BatchRequest
from trio_gusto.model.errors import BatchError, DuplicateJob
from trio_gusto.model.ids import JobId, to_uuid, uuid7
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.lifecycle import admit
from trio_gusto.model.retention import Selection
from trio_gusto.model.states import Failed, JobState, Ready, Waiting
from trio_gusto.storage.batch_messages import Batches, Discard, Discarded, InsertBatch
from trio_gusto.storage.dependency_messages import Dependents
from trio_gusto.storage.lease_messages import Stranded
from trio_gusto.storage.memory import MemoryStorage, agenda
from trio_gusto.storage.messages import Commit, Completions, Insert, Inserted
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.callbacks import calling_back
from trio_gusto.testing.storage_contract.staging import STAGE, stage, staging
from trio_gusto.testing.storage_contract.subject import NOW, ids, successes

COMPLETED, FAILED, READY = JobState.COMPLETED, JobState.FAILED, JobState.READY
BATCH = BatchRequest(uuid7(NOW * 1000, 5_000), NOW)
OF_BATCH = Details(batch=BATCH.id)


@pytest.fixture
async def subject() -> Subject:
    storage = MemoryStorage()
    await storage.attach("node")
    return Subject(storage, "node")


async def store(subject: Subject, *jobs: JobRequest, **how: Any) -> None:
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


async def wait_for(subject: Subject, *parents: JobId) -> JobRequest:
    """A job that waits for the success of these."""
    child = subject.request(details=Details(parents=parents))
    await subject.insert(child, states=[Waiting(parents)])
    return child


async def decidable(subject: Subject, parents: Sequence[JobId] | None = None) -> list[JobId]:
    found = await subject.storage.read(Dependents(9, parents=parents))
    return ids([each.job for each in found.jobs])


async def test_a_failed_job_that_was_deleted_does_not_fail_what_waits_for_its_batch(
    subject: Subject,
) -> None:
    first, second, more = (subject.request(details=OF_BATCH) for _ in range(3))
    await store(subject, first, second)
    await fail(subject, first)
    await fail(subject, second, NOW + 5)
    assert await prune(subject, NOW + 1) == 1
    await subject.apply([Commit(second.id, 1, Ready(NOW), 0)])
    await wait_for(subject, BATCH.id)
    assert await decidable(subject) == []
    await subject.complete(await subject.claim_one())
    await store(subject, more, is_new=False, reopen=True)
    assert await decidable(subject) == []
    await subject.complete(await subject.claim_one())
    (dependent,) = (await subject.storage.read(Dependents(9))).jobs
    assert dependent.parents == {COMPLETED: 2}


async def test_a_batch_that_has_failed_stays_failed_while_others_of_it_complete(
    subject: Subject,
) -> None:
    jobs = [subject.request(details=OF_BATCH) for _ in range(3)]
    await store(subject, *jobs)
    child = await wait_for(subject, BATCH.id)
    await fail(subject, jobs[0])
    assert await decidable(subject) == [child.id]
    await subject.complete((await subject.claim(limit=1)).jobs[0])
    assert await decidable(subject) == [child.id]


async def test_a_batch_has_failed_while_one_failed_job_of_it_is_left(subject: Subject) -> None:
    first, second, more = (subject.request(details=OF_BATCH) for _ in range(3))
    await store(subject, first, second)
    await fail(subject, first)
    await fail(subject, second, NOW + 5)
    assert await prune(subject, NOW + 1) == 1
    await store(subject, more, is_new=False, reopen=True)
    child = await wait_for(subject, BATCH.id)
    assert await decidable(subject) == [child.id]


async def test_who_waits_for_one_job_twice_waits_once(subject: Subject) -> None:
    parent = await subject.enqueue()
    twice = await wait_for(subject, parent.id, parent.id)
    other = await wait_for(subject, parent.id)
    await subject.complete(await subject.claim_one())
    assert await decidable(subject) == [twice.id, other.id]
    await subject.apply([Commit(twice.id, 0, Ready(NOW), 0)])
    assert await decidable(subject) == [other.id]
    await subject.apply([Commit(other.id, 0, Ready(NOW), 0)])
    assert await decidable(subject) == []


async def test_nothing_is_refused_of_successes_that_somebody_waits_for(subject: Subject) -> None:
    parent, other = await subject.enqueue(), await subject.enqueue()
    await wait_for(subject, parent.id)
    jobs = (await subject.claim()).jobs
    assert ids(jobs) == ids([parent, other])
    reply = await subject.expect(Completions, successes(*jobs))
    assert (dict(reply.refused), list(reply.awaited)) == ({}, [parent.id])


async def test_nobody_is_decidable_for_a_parent_that_nobody_waits_for(subject: Subject) -> None:
    lone = await subject.enqueue()
    await subject.complete(await subject.claim_one())
    parent = await subject.enqueue()
    await subject.complete(await subject.claim_one())
    child = await wait_for(subject, parent.id)
    assert await decidable(subject, [lone.id]) == []
    assert await decidable(subject, [lone.id, parent.id]) == [child.id]


async def test_who_waits_for_a_callback_is_told_of_without_its_history(subject: Subject) -> None:
    job, callback = await calling_back(subject)
    await subject.complete(await subject.claim_one())
    (found,) = (await subject.storage.read(Dependents(9, parents=[callback.id]))).jobs
    assert (found.job.request.id, found.job.history) == (job.request.id, ())
    assert len((await subject.get(job.request.id)).history) == 1


@pytest.mark.parametrize(
    ("thrown_away", "staged", "found"), [(0, 3, 2), (1, 2, 0), (2, 2, 0), (0, 1, 2)]
)
async def test_a_batch_of_which_not_all_is_staged_says_how_much_there_is(
    subject: Subject, thrown_away: int, staged: int, found: int
) -> None:
    jobs = [subject.request(details=OF_BATCH) for _ in range(2)]
    await stage(subject, BATCH, 0, *jobs)
    if thrown_away:
        await subject.expect(Discarded, Discard(STAGE, thrown_away))
    write = InsertBatch(BATCH, Insert((), ()), stage=STAGE, staged=staged)
    reply = await subject.tell(write)
    assert str(reply) == str(BatchError.unstaged(to_uuid(BATCH.id), staged, found))
    assert isinstance(reply, BatchError)
    assert reply.batch_id == to_uuid(BATCH.id)


async def test_a_stage_that_was_thrown_away_in_part_takes_no_more(subject: Subject) -> None:
    await stage(subject, BATCH, 0, *[subject.request(details=OF_BATCH) for _ in range(2)])
    await subject.expect(Discarded, Discard(STAGE, 1))
    for position in (0, 1, 2):
        reply = await subject.tell(staging(subject, BATCH, position, subject.request()))
        assert str(reply) == str(BatchError.unstaged(to_uuid(BATCH.id), position, 0))


async def test_a_refused_batch_is_named(subject: Subject) -> None:
    named = to_uuid(BATCH.id)
    more = InsertBatch(BATCH, Insert((), ()), is_new=False)
    assert str(await subject.tell(more)) == str(BatchError.unknown(named))
    await store(subject)
    assert str(await subject.tell(more)) == str(BatchError.finished(named))
    assert str(await subject.tell(attrs.evolve(more, is_new=True))) == str(BatchError.exists(named))


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
    await wait_for(subject, BATCH.id)
    assert await decidable(subject) == []


async def test_a_job_may_name_a_batch_that_there_is_not(subject: Subject) -> None:
    stranger = await subject.enqueue(details=OF_BATCH)
    await fail(subject, stranger)
    assert await prune(subject, NOW + 1) == 1


async def test_a_deleted_job_of_a_batch_that_is_awaited_later_does_not_come_back(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did as a job that runs, of which the lease was lost."""
    monkeypatch.setattr(agenda, "FEW", 3)
    tagged = attrs.evolve(OF_BATCH, tags=("old",))
    jobs = [subject.request(details=tagged) for _ in range(20)]
    await store(subject, *jobs, subject.request(details=OF_BATCH))
    for job in await subject.everything():
        await fail(subject, job.request)
    selected = Prune(NOW + 1, 99, only=Selection(tags=frozenset({"old"})))
    assert (await subject.expect(Pruned, selected)).count == 20
    await wait_for(subject, BATCH.id)
    await fail(subject, await subject.enqueue())
    assert await prune(subject, NOW + 1) == 1
    stranded = await subject.storage.read(Stranded("node", NOW, 99))
    assert (list(stranded.lost), stranded.foreign) == ([], False)


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
        await wait_for(subject, BATCH.id)
    await prune(subject, before)
    assert len(await counts(subject)) == is_kept


async def test_a_waiting_job_that_is_there_already_is_refused(subject: Subject) -> None:
    parent = await subject.enqueue()
    child = await wait_for(subject, parent.id)
    reply = await subject.tell(Insert([child], [Waiting((parent.id,))]))
    assert isinstance(reply, DuplicateJob)
    assert (reply.key, reply.value) == ("id", to_uuid(child.id))
    assert len(await subject.everything()) == 2


@pytest.mark.parametrize("count", [1, 3])
async def test_jobs_and_states_that_do_not_go_together_are_a_mistake(
    subject: Subject, count: int
) -> None:
    requests = [subject.request(), subject.request()]
    with pytest.raises(ValueError, match="zip"):
        await subject.tell(Insert(requests, [Ready(NOW)] * count))
