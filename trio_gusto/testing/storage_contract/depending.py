"""Promises about jobs that wait for others: remembered, named when it matters, kept from deletion."""

from __future__ import annotations

from ...model.dependencies import Dependent
from ...model.errors import UnknownJob
from ...model.ids import JobId, to_uuid, uuid7
from ...model.job import Details, JobRequest
from ...model.states import Cancelled, Condition, Failed, JobState, Ready, State, Waiting
from ...storage.dependency_messages import DependentJobs, Dependents
from ...storage.finding_messages import Find
from ...storage.messages import Commit, Committed, Completions, Insert, Inserted
from ...storage.retention_messages import Prune, Pruned
from .subject import EVERYTHING, NOW, Subject, ids, reply_of, same, success, successes

COMPLETED, FAILED, PROCESSING = JobState.COMPLETED, JobState.FAILED, JobState.PROCESSING


async def follow(
    subject: Subject, *parents: JobRequest, on: Condition = Condition.SUCCESS
) -> JobRequest:
    """Insert a job that waits for others."""
    request = subject.request(details=Details(parents=tuple(ids(parents))))
    await subject.insert(request, states=[Waiting(tuple(ids(parents)), on)])
    return request


async def ask(
    subject: Subject, parents: list[JobId] | None = None, limit: int = EVERYTHING, after: int = 0
) -> list[Dependent]:
    reply = await subject.storage.read(Dependents(limit, after, parents))
    if not isinstance(reply, DependentJobs):
        raise AssertionError(f"Dependents should be answered with DependentJobs, not {reply!r}")
    return list(reply.jobs)


def of(dependents: list[Dependent]) -> list[JobId]:
    return ids([each.job for each in dependents])


async def move_on(subject: Subject, request: JobRequest, state: Ready | Cancelled | Failed) -> None:
    version = (await subject.get(request.id)).version
    reply_of(Committed, await subject.tell(Commit(request.id, version, state, 0)))


async def a_waiting_job_is_kept_with_its_parents_and_condition(subject: Subject) -> None:
    first, second = await subject.enqueue(), await subject.enqueue()
    for on in Condition:
        child = await follow(subject, first, second, on=on)
        kept = await subject.get(child.id)
        same(kept.state, Waiting((first.id, second.id), on), "the state of a waiting job")
        same(kept.request, child, "its request, which names its parents for good")
    same(ids((await subject.claim()).jobs), [first.id, second.id], "what can be claimed")


async def a_parent_that_is_not_stored_is_refused(subject: Subject) -> None:
    known, unknown = await subject.enqueue(), uuid7(NOW * 1000, 999)
    before = await subject.everything()
    new = subject.request()
    for parents in ((unknown,), (known.id, unknown), (new.id,)):
        reply = await subject.tell(Insert([subject.request(), new], [Ready(NOW), Waiting(parents)]))
        if not isinstance(reply, UnknownJob):
            raise AssertionError(
                f"an unknown parent should be answered with UnknownJob, not {reply!r}"
            )
        same(reply.job_id, to_uuid(parents[-1]), "the job named by UnknownJob")
    same(await subject.everything(), before, "the storage after refused inserts")


async def jobs_stored_together_may_wait_for_those_before_them(subject: Subject) -> None:
    first, second, third = (subject.request() for _ in range(3))
    circle: list[State] = [Waiting((second.id,)), Waiting((first.id,)), Ready(NOW)]
    reply = await subject.tell(Insert([first, second, third], circle))
    same(type(reply).__name__, "UnknownJob", "the reply to a circle")
    line: list[State] = [Ready(NOW), Waiting((first.id,)), Waiting((first.id, second.id))]
    await subject.insert(first, second, third, states=line)
    job = await subject.claim_one()
    same((await subject.complete(job)).awaited, (first.id,), "the awaited job that has ended")
    same(of(await ask(subject)), [second.id], "the jobs whose wait may be over")


async def replies_name_jobs_that_ended_and_are_awaited(subject: Subject) -> None:
    awaited, also, alone = [await subject.enqueue() for _ in range(3)]
    scheduled = await subject.enqueue(execute_after=NOW + 9)
    await follow(subject, awaited, also, scheduled)
    jobs = (await subject.claim()).jobs
    reply = await subject.expect(Completions, successes(*jobs[1:]))
    same(set(reply.awaited), {also.id}, "the awaited among successes told together")
    same((await subject.complete(jobs[0])).awaited, (awaited.id,), "the awaited success")
    version = (await subject.get(scheduled.id)).version
    cancel = Commit(scheduled.id, version, Cancelled(NOW, "no"), 0)
    same((await subject.expect(Committed, cancel)).awaited, (scheduled.id,), "the awaited job")
    same(alone.id in reply.awaited, False, "whether a job is named for which nobody waits")


async def a_job_that_runs_on_is_not_named(subject: Subject) -> None:
    parent = await subject.enqueue()
    await follow(subject, parent)
    job = await subject.claim_one()
    back = Commit(parent.id, job.token, Ready(NOW), 0)
    same((await subject.expect(Committed, back)).awaited, (), "what is named when a job goes on")


async def nobody_is_awaited_when_nobody_waits_any_more(subject: Subject) -> None:
    parent = await subject.enqueue()
    first, second = await follow(subject, parent), await follow(subject, parent)
    await move_on(subject, first, Cancelled(NOW, "not wanted"))
    await move_on(subject, second, Ready(NOW))
    jobs = (await subject.claim()).jobs
    same((await subject.complete(jobs[0])).awaited, (), "the awaited, when none waits")
    same(await ask(subject), [], "the jobs whose wait may be over")


async def a_wait_may_be_over_when_no_parent_lives(subject: Subject) -> None:
    first, second = await subject.enqueue(), await subject.enqueue()
    children = [await follow(subject, first, second, on=on) for on in Condition]
    jobs = (await subject.claim()).jobs
    await subject.complete(jobs[0])
    same(await ask(subject), [], "the jobs whose wait may be over while a parent runs")
    await subject.complete(jobs[1])
    found = await ask(subject)
    same(of(found), ids(children), "the jobs whose wait may be over, oldest first")
    for each in found:
        same(dict(each.parents), {COMPLETED: 2}, "their parents by state")
        same(each.job.state, (await subject.get(each.job.request.id)).state, "their state")


async def success_may_be_given_up_when_one_parent_ends_otherwise(subject: Subject) -> None:
    first, second = await subject.enqueue(), await subject.enqueue()
    picky, *others = [await follow(subject, first, second, on=on) for on in Condition]
    await move_on(subject, first, Failed(NOW, "of no use"))
    found = await ask(subject)
    same(of(found), [picky.id], "the jobs whose wait may be over")
    same(dict(found[0].parents), {FAILED: 1, JobState.READY: 1}, "its parents by state")
    await move_on(subject, second, Failed(NOW, "of no use"))
    same(of(await ask(subject)), ids([picky, *others]), "the jobs whose wait may be over at last")


async def waits_are_asked_for_by_parent_and_in_pages(subject: Subject) -> None:
    first, second = await subject.enqueue(), await subject.enqueue()
    of_first = [await follow(subject, first) for _ in range(3)]
    of_second = [await follow(subject, second)]
    for job in (await subject.claim()).jobs:
        await subject.complete(job)
    same(of(await ask(subject, [first.id])), ids(of_first), "those that wait for the first")
    same(of(await ask(subject, [second.id])), ids(of_second), "those that wait for the second")
    both = await ask(subject, [second.id, first.id, uuid7(0, 1)])
    same(of(both), ids([*of_first, *of_second]), "those that wait for either")
    same(await ask(subject, []), [], "those that wait for none")
    page = await ask(subject, limit=2)
    same(of(page), ids(of_first[:2]), "the first page")
    rest = await ask(subject, limit=9, after=page[-1].job.sequence)
    same(of(rest), ids([*of_first[2:], *of_second]), "what comes after it")


async def a_job_that_waits_for_one_twice_waits_once(subject: Subject) -> None:
    parent = await subject.enqueue()
    child = await follow(subject, parent, parent)
    await subject.complete(await subject.claim_one())
    (found,) = await ask(subject)
    same((found.job.request.id, dict(found.parents)), (child.id, {COMPLETED: 1}), "what waits")


async def awaited_jobs_are_not_pruned(subject: Subject) -> None:
    first, second = await subject.enqueue(), await subject.enqueue()
    child = await follow(subject, first, second, on=Condition.FINISH)
    jobs = (await subject.claim()).jobs
    await subject.complete(jobs[0])
    for _ in range(2):
        pruned = await subject.expect(Pruned, Prune(NOW + 9, EVERYTHING))
        same(pruned.count, 0, "the number of jobs deleted while they are awaited")
    await subject.expect(Committed, success(jobs[1]))
    await move_on(subject, child, Ready(NOW))
    pruned = await subject.expect(Pruned, Prune(NOW + 9, EVERYTHING))
    same(pruned.count, 2, "the number of jobs deleted when they are not awaited any more")


async def continuations_are_found_by_parent_also_after_their_release(subject: Subject) -> None:
    parent, other = await subject.enqueue(), await subject.enqueue()
    child = await follow(subject, parent)
    await follow(subject, other)
    for _ in range(2):
        found = await subject.storage.read(Find(EVERYTHING, parent=parent.id))
        same(ids(found.jobs), [child.id], "the jobs found by their parent")
        await move_on(subject, child, Ready(NOW))
    (claimed,) = [job for job in (await subject.claim()).jobs if job.request.id == child.id]
    same(claimed.request, child, "the claimed request, with its parents")


async def a_wait_is_over_by_what_the_same_group_did(subject: Subject) -> None:
    parent = await subject.enqueue()
    job = await subject.claim_one()
    child = subject.request()
    insert = Insert([child], [Waiting((parent.id,))])
    inserted, committed = await subject.apply([insert, success(job)])
    reply_of(Inserted, inserted)
    same(reply_of(Committed, committed).awaited, (parent.id,), "the awaited of the same group")


DEPENDING_CHECKS = (
    a_waiting_job_is_kept_with_its_parents_and_condition,
    a_parent_that_is_not_stored_is_refused,
    jobs_stored_together_may_wait_for_those_before_them,
    replies_name_jobs_that_ended_and_are_awaited,
    a_job_that_runs_on_is_not_named,
    nobody_is_awaited_when_nobody_waits_any_more,
    a_wait_may_be_over_when_no_parent_lives,
    success_may_be_given_up_when_one_parent_ends_otherwise,
    waits_are_asked_for_by_parent_and_in_pages,
    a_job_that_waits_for_one_twice_waits_once,
    awaited_jobs_are_not_pruned,
    continuations_are_found_by_parent_also_after_their_release,
    a_wait_is_over_by_what_the_same_group_did,
)
