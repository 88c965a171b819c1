"""Promises about batches: stored as a whole, counted without a miss, awaited as one."""

from __future__ import annotations

from typing import Any

from ...model.batch import BatchRequest, StoredBatch
from ...model.errors import BatchError, DuplicateJob, UnknownJob
from ...model.ids import to_uuid, uuid7
from ...model.job import Details, JobRequest
from ...model.lifecycle import admit
from ...model.states import Cancelled, Condition, Failed, JobState, Waiting
from ...storage.batch_messages import Batches, BatchesFound, InsertBatch
from ...storage.finding_messages import Find
from ...storage.messages import Commit, Committed, Completions, Insert, Inserted
from ...storage.retention_messages import Prune, Pruned
from .depending import ask, of
from .subject import EVERYTHING, NOW, SECOND, Subject, ids, same, success, successes

COMPLETED, READY = JobState.COMPLETED, JobState.READY


def new_batch(number: int = 1, **changes: Any) -> BatchRequest:
    return BatchRequest(uuid7(NOW * 1000, 5000 + number), NOW, **changes)


def members(subject: Subject, batch: BatchRequest, count: int, **changes: Any) -> list[JobRequest]:
    details = Details(batch=batch.id)
    return [subject.request(details=details, **changes) for _ in range(count)]


def storing(batch: BatchRequest, *requests: JobRequest, **changes: Any) -> InsertBatch:
    return InsertBatch(batch, Insert(requests, [admit(each) for each in requests]), **changes)


async def follow(
    subject: Subject, batch: BatchRequest, on: Condition = Condition.SUCCESS
) -> JobRequest:
    request = subject.request(details=Details(parents=(batch.id,)))
    await subject.insert(request, states=[Waiting((batch.id,), on)])
    return request


async def find(subject: Subject, **changes: Any) -> list[StoredBatch]:
    query: dict[str, Any] = {"limit": EVERYTHING, **changes}
    reply = await subject.storage.read(Batches(**query))
    if not isinstance(reply, BatchesFound):
        raise AssertionError(f"Batches should be answered with BatchesFound, not {reply!r}")
    return list(reply.batches)


async def counts(subject: Subject, batch: BatchRequest) -> dict[JobState, int]:
    (found,) = await find(subject, batch_id=batch.id)
    return dict(found.counts)


async def refused(subject: Subject, write: InsertBatch, kind: type[Exception]) -> Exception:
    before = (await subject.everything(), await find(subject))
    reply = await subject.tell(write)
    if not isinstance(reply, kind):
        raise AssertionError(f"the reply should be of kind {kind.__name__}, but is {reply!r}")
    same((await subject.everything(), await find(subject)), before, "the storage after a refusal")
    return reply


async def a_batch_is_kept_with_its_jobs(subject: Subject) -> None:
    batch = new_batch(tenant="acme", tags=("b", "a"))
    jobs = members(subject, batch, 3)
    await subject.expect(Inserted, storing(batch, *jobs))
    await subject.enqueue()
    (found,) = await find(subject)
    same((found.request, dict(found.counts)), (batch, {READY: 3}), "the batch found")
    of_batch = await subject.storage.read(Find(EVERYTHING, batch=batch.id))
    same(ids(of_batch.jobs), ids(jobs)[::-1], "the jobs of the batch, newest first")
    claimed = (await subject.claim()).jobs
    same([job.request for job in claimed[:3]], jobs, "the claimed requests of the batch")


async def a_batch_is_stored_as_a_whole_or_not_at_all(subject: Subject) -> None:
    batch, old = new_batch(), await subject.enqueue()
    await refused(subject, storing(batch, *members(subject, batch, 2), old), DuplicateJob)
    lost = subject.request()
    unknown = Insert([*members(subject, batch, 2), lost], [READY_STATE, READY_STATE, LOST])
    await refused(subject, InsertBatch(batch, unknown), UnknownJob)
    await subject.expect(Inserted, storing(batch, *members(subject, batch, 2)))


async def a_batch_is_opened_once_and_appended_to_while_it_lives(subject: Subject) -> None:
    batch = new_batch()
    more = members(subject, batch, 2)
    reply = await refused(subject, storing(batch, more[0], is_new=False), BatchError)
    same(getattr(reply, "batch_id", None), to_uuid(batch.id), "the id in the error")
    await subject.expect(Inserted, storing(batch, *members(subject, batch, 1)))
    await refused(subject, storing(batch, more[0]), BatchError)
    await subject.expect(Inserted, storing(batch, more[0], is_new=False))
    same(await counts(subject, batch), {READY: 2}, "the jobs after one was appended")
    for job in (await subject.claim()).jobs:
        await subject.complete(job)
    await refused(subject, storing(batch, more[1], is_new=False), BatchError)
    await subject.expect(Inserted, storing(batch, more[1], is_new=False, reopen=True))
    same(await counts(subject, batch), {COMPLETED: 2, READY: 1}, "the jobs of the reopened batch")


async def jobs_of_a_batch_are_counted_whatever_becomes_of_them(subject: Subject) -> None:
    batch = new_batch()
    jobs = members(subject, batch, 4)
    late = members(subject, batch, 1, execute_after=NOW + SECOND)
    await subject.expect(Inserted, storing(batch, *jobs, *late))
    claimed = (await subject.claim(limit=3)).jobs
    wanted = {JobState.PROCESSING: 3, READY: 1, JobState.SCHEDULED: 1}
    same(await counts(subject, batch), wanted, "the jobs by state, when some run")
    await subject.expect(Completions, successes(*claimed[:2]))
    failed = Commit(claimed[2].request.id, claimed[2].token, Failed(NOW, ""), 1)
    await subject.expect(Committed, failed)
    await subject.expect(Committed, Commit(jobs[3].id, 0, Cancelled(NOW, ""), 0))
    await subject.complete(await subject.claim_one(NOW + SECOND), NOW + SECOND)
    wanted = {COMPLETED: 3, JobState.FAILED: 1, JobState.CANCELLED: 1}
    same(await counts(subject, batch), wanted, "the jobs by state, when all have ended")
    again = Commit(claimed[2].request.id, claimed[2].token + 1, READY_STATE, 0)
    await subject.expect(Committed, again)
    wanted = {COMPLETED: 3, READY: 1, JobState.CANCELLED: 1}
    same(await counts(subject, batch), wanted, "the jobs by state, when one runs again")


async def a_batch_is_awaited_as_all_of_its_jobs(subject: Subject) -> None:
    batch = new_batch()
    jobs = members(subject, batch, 2)
    await subject.expect(Inserted, storing(batch, *jobs))
    children = [await follow(subject, batch, on) for on in Condition]
    first, second = (await subject.claim()).jobs
    same((await subject.complete(first)).awaited, (batch.id,), "the awaited batch")
    same(await ask(subject), [], "the jobs whose wait may be over while one of the batch runs")
    reply = await subject.expect(Completions, successes(second))
    same(set(reply.awaited), {batch.id}, "the awaited batch, among successes")
    for found in (await ask(subject), await ask(subject, [batch.id])):
        same(of(found), ids(children), "the jobs whose wait may be over")
        same(dict(found[0].parents), {COMPLETED: 2}, "their parents by state")


async def success_of_a_batch_may_be_given_up_early(subject: Subject) -> None:
    batch = new_batch()
    jobs = members(subject, batch, 2)
    await subject.expect(Inserted, storing(batch, *jobs))
    picky, *_ = [await follow(subject, batch, on) for on in Condition]
    await subject.expect(Committed, Commit(jobs[0].id, 0, Cancelled(NOW, ""), 0))
    found = await ask(subject, [batch.id])
    same(of(found), [picky.id], "the jobs whose wait may be over")
    same(dict(found[0].parents), {JobState.CANCELLED: 1, READY: 1}, "its parents by state")


async def an_empty_batch_keeps_nobody_waiting(subject: Subject) -> None:
    batch = new_batch()
    child = subject.request(details=Details(parents=(batch.id,)))
    await subject.expect(
        Inserted, InsertBatch(batch, Insert([child], [Waiting((batch.id,), Condition.FINISH)]))
    )
    same(await counts(subject, batch), {}, "the jobs of an empty batch")
    found = [(each.job.request.id, dict(each.parents)) for each in await ask(subject)]
    same(found, [(child.id, NOTHING)], "what waits for it no more, and its parents by state")


async def batches_are_found_by_tenant_and_in_pages(subject: Subject) -> None:
    batches = [new_batch(number, tenant="ab"[number % 2]) for number in range(5)]
    for batch in batches:
        await subject.expect(Inserted, storing(batch, *members(subject, batch, 1)))
    found = await find(subject, tenant="a", limit=2)
    same([each.request for each in found], [batches[4], batches[2]], "the first page")
    found = await find(subject, tenant="a", limit=2, before=found[-1].sequence)
    same([each.request for each in found], [batches[0]], "the second page")
    same([each.request for each in await find(subject)], batches[::-1], "all of them")


async def a_refused_batch_has_no_place_among_the_others(subject: Subject) -> None:
    first, lost, second = (new_batch(number) for number in range(3))
    await subject.expect(Inserted, storing(first, *members(subject, first, 1)))
    waiting = Insert([subject.request()], [LOST])
    await refused(subject, InsertBatch(lost, waiting), UnknownJob)
    await subject.expect(Inserted, storing(second, *members(subject, second, 1)))
    same([each.sequence for each in await find(subject)], [2, 1], "the sequences")
    found = await find(subject, limit=1, before=2)
    same([each.request for each in found], [first], "the batches before the second")


async def jobs_of_an_awaited_batch_are_not_pruned(subject: Subject) -> None:
    batch = new_batch()
    await subject.expect(Inserted, storing(batch, *members(subject, batch, 2)))
    child = await follow(subject, batch)
    for job in (await subject.claim()).jobs:
        await subject.expect(Committed, success(job))
    pruned = await subject.expect(Pruned, Prune(NOW + 9, EVERYTHING))
    same(pruned.count, 0, "the number of jobs deleted while their batch is awaited")
    await subject.expect(Committed, Commit(child.id, 0, READY_STATE, 0))
    pruned = await subject.expect(Pruned, Prune(NOW + 9, EVERYTHING))
    same(pruned.count, 2, "the number of jobs deleted later")
    same(await find(subject), [], "the batches, when all their jobs are deleted")


async def jobs_of_a_batch_that_lives_are_not_pruned(subject: Subject) -> None:
    batch = new_batch()
    await subject.expect(Inserted, storing(batch, *members(subject, batch, 2)))
    first, second = (await subject.claim()).jobs
    await subject.expect(Committed, success(first))
    pruned = await subject.expect(Pruned, Prune(NOW + 9, EVERYTHING))
    same(pruned.count, 0, "the number of jobs deleted while another of their batch runs")
    await subject.expect(Committed, success(second))
    pruned = await subject.expect(Pruned, Prune(NOW + 9, EVERYTHING))
    same(pruned.count, 2, "the number of jobs deleted when all have ended")


READY_STATE = admit(JobRequest(uuid7(0, 0), "", "", NOW, 1))
LOST = Waiting((uuid7(0, 1),))

NOTHING: dict[JobState, int] = {}

BATCHING_CHECKS = (
    a_batch_is_kept_with_its_jobs,
    a_batch_is_stored_as_a_whole_or_not_at_all,
    a_batch_is_opened_once_and_appended_to_while_it_lives,
    jobs_of_a_batch_are_counted_whatever_becomes_of_them,
    a_batch_is_awaited_as_all_of_its_jobs,
    success_of_a_batch_may_be_given_up_early,
    an_empty_batch_keeps_nobody_waiting,
    batches_are_found_by_tenant_and_in_pages,
    a_refused_batch_has_no_place_among_the_others,
    jobs_of_an_awaited_batch_are_not_pruned,
    jobs_of_a_batch_that_lives_are_not_pruned,
)
