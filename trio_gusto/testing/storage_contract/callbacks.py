"""Promises about jobs whose handler has returned and that wait for their callback to end."""

from __future__ import annotations

import attrs

from ...model.dependencies import resolve
from ...model.happenings import CalledOff, Ending, RetriedByHand
from ...model.ids import JobId, to_uuid
from ...model.job import ClaimedJob, Details, JobRequest, StoredJob
from ...model.lifecycle import advance, settle
from ...model.outcomes import Succeeded
from ...model.states import AwaitingCallback, Failed, JobState, Ready, State, Waiting
from ...model.uniqueness import OnConflict
from ...storage.batch_messages import InsertBatch
from ...storage.finding_messages import Tally
from ...storage.lease_messages import RequestCancel, Stranded
from ...storage.messages import Commit, Committed, Insert, Inserted
from ...storage.retention_messages import Prune, Pruned
from .batching import new_batch
from .depending import ask, follow, of
from .inserting import duplicate_of, insertion
from .scheduling import MINUTE, find, firing, put, schedule
from .subject import EVERYTHING, NOW, Subject, ids, refused, same
from .uniqueness import keyed


def awaiting(job: ClaimedJob, callback: JobRequest, now: int = NOW + 1) -> Commit:
    """The commit of an attempt that succeeded, of a job with a callback; and the callback."""
    ending = Ending(Succeeded('"done"'), now, job.claimed_at, callback=callback.id)
    settled = settle(job, ending)
    return Commit(
        job.request.id,
        job.token,
        settled.state,
        settled.attempt,
        settled.record,
        settled.forget_expiry,
        children=insertion(callback),
    )


async def calling_back(
    subject: Subject, details: Details | None = None, **changes: object
) -> tuple[ClaimedJob, JobRequest]:
    """A job that waits for its callback, and this, ready; there must be nothing else to claim."""
    await subject.enqueue(details=details, **changes)
    job, callback = await subject.claim_one(), subject.request()
    await subject.expect(Committed, awaiting(job, callback))
    return job, callback


async def resolved(subject: Subject, job_id: JobId) -> StoredJob:
    """The job after the verdict on it, which must be due, is recorded."""
    (dependent,) = [each for each in await ask(subject) if each.job.request.id == job_id]
    settlement = resolve(dependent, NOW + 5)
    if settlement is None:
        raise AssertionError("a job whose callback has ended should have a verdict, but has none")
    version = dependent.job.version
    await subject.expect(Committed, Commit(job_id, version, settlement.state, settlement.attempt))
    return await subject.get(job_id)


async def a_job_that_waits_for_its_callback_is_kept_with_its_result(subject: Subject) -> None:
    job, callback = await calling_back(subject, expire_on=NOW + MINUTE)
    kept = await subject.get(job.request.id)
    state = AwaitingCallback(callback.id, NOW, NOW, subject.node, '"done"')
    same(kept.state, state, "its state")
    same((kept.attempt, kept.version), (1, job.token + 1), "its attempts and version")
    same(kept.request, attrs.evolve(job.request, expire_on=None), "its request")
    same([each.outcome.value for each in kept.history], ["succeeded"], "its attempts' outcomes")
    same(ids(await subject.everything()), ids([callback, job]), "the jobs stored")


async def a_refused_callback_leaves_its_job_running(subject: Subject) -> None:
    taken = await subject.enqueue(execute_after=NOW + 9)
    await subject.enqueue()
    job = await subject.claim_one()
    before = await subject.everything()
    duplicate_of(await subject.tell(awaiting(job, taken)), "id", to_uuid(taken.id), taken.id)
    same(await subject.everything(), before, "the storage after a refused callback")
    same(await ask(subject), [], "the jobs whose wait may be over")
    await subject.expect(Committed, RequestCancel(job.request.id, job.token, "no more"))
    conflict = await refused(subject, awaiting(job, subject.request()))
    same(conflict.cancel_reason, "no more", "the reason given to whoever would wait")


async def a_job_that_waits_for_its_callback_holds_nobody_up(subject: Subject) -> None:
    _, callback = await calling_back(subject, Details(worker="smtp"), expire_on=NOW + MINUTE)
    other = await subject.enqueue(details=Details(worker="smtp"))
    found = ids((await subject.claim(NOW + 2 * MINUTE)).jobs)
    same(found, ids([callback, other]), "what can be claimed, of the same named worker too")
    stranded = await subject.storage.read(Stranded(subject.node, NOW + 2 * MINUTE, EVERYTHING))
    same(ids([*stranded.lost, *stranded.overdue]), [], "the jobs nobody moves on")
    counts = (await subject.storage.read(Tally())).counts
    same(counts.get((JobState.WAITING, "default", "")), 1, "the number of jobs that wait")


async def a_wait_for_a_callback_may_be_over_when_that_has_ended(subject: Subject) -> None:
    first, callback = await calling_back(subject)
    same(await ask(subject), [], "the jobs whose wait may be over, while the callback is due")
    called = await subject.claim_one()
    same(await ask(subject), [], "the jobs whose wait may be over, while the callback runs")
    reply = await subject.complete(called)
    same(reply.awaited, (callback.id,), "the awaited callback that has ended")
    (found,) = await ask(subject)
    same(found.job.state, (await subject.get(first.request.id)).state, "its state")
    same(dict(found.parents), {JobState.COMPLETED: 1}, "its callback by state")
    same(of(await ask(subject, [callback.id])), [first.request.id], "who waits for this callback")


async def a_job_whose_callback_completed_completes_with_its_result(subject: Subject) -> None:
    job, _ = await calling_back(subject)
    child = await follow(subject, job.request)
    await subject.complete(await subject.claim_one())
    same(of(await ask(subject)), [job.request.id], "the jobs whose wait may be over")
    kept = await resolved(subject, job.request.id)
    state = kept.state
    found = (state.word, getattr(state, "result", None), getattr(state, "node", None))
    same(found, (JobState.COMPLETED, '"done"', subject.node), "its end")
    same(len(kept.history), 1, "the number of its records")
    same(of(await ask(subject)), [child.id], "whose wait may be over then")


async def a_job_whose_callback_did_not_complete_fails(subject: Subject) -> None:
    for end in ("failed", "cancelled"):
        job, callback = await calling_back(subject)
        stored = await subject.get(callback.id)
        if end == "failed":
            called = await subject.claim_one()
            state: State = Failed(NOW, "all attempts failed")
            await subject.expect(Committed, Commit(callback.id, called.token, state, 1))
        else:
            state = advance(stored, CalledOff(NOW, "")).state
            await subject.expect(Committed, Commit(callback.id, stored.version, state, 0))
        (found,) = await ask(subject)
        same(dict(found.parents), {JobState(end): 1}, "its callback by state")
        kept = await resolved(subject, job.request.id)
        same(kept.state.word, JobState.FAILED, f"its state when its callback has {end}")
        same(await ask(subject), [], "the jobs whose wait may be over")


async def an_awaited_callback_is_not_pruned(subject: Subject) -> None:
    job, _ = await calling_back(subject)
    await subject.complete(await subject.claim_one())
    await subject.enqueue(execute_after=NOW + 9)  # the newest job may stay for its number's sake
    pruned = await subject.expect(Pruned, Prune(NOW + MINUTE, EVERYTHING))
    same(pruned.count, 0, "the number of jobs deleted while the callback is awaited")
    await resolved(subject, job.request.id)
    await subject.enqueue()  # an archive leaves the newest job of all where it is
    pruned = await subject.expect(Pruned, Prune(NOW + MINUTE, EVERYTHING))
    same(pruned.count, 2, "the number of jobs deleted at last")


async def a_job_that_was_called_off_waits_for_its_callback_no_more(subject: Subject) -> None:
    job, _ = await calling_back(subject)
    kept = await subject.get(job.request.id)
    off = advance(kept, CalledOff(NOW + 2, "no more"))
    await subject.expect(Committed, Commit(kept.request.id, kept.version, off.state, off.attempt))
    called = await subject.claim_one()
    same((await subject.complete(called)).awaited, (), "the awaited, when nobody waits")
    same(await ask(subject), [], "the jobs whose wait may be over")
    again = await subject.get(job.request.id)
    retried = advance(again, RetriedByHand(NOW + 3))
    await subject.expect(Committed, Commit(again.request.id, again.version, retried.state, 0))
    second, callback = await subject.claim_one(NOW + 3), subject.request()
    await subject.expect(Committed, awaiting(second, callback, NOW + 4))
    outcomes = [each.token for each in (await subject.get(job.request.id)).history]
    same(outcomes, [job.token, second.token], "the tokens of its attempts")


async def a_job_that_waits_for_its_callback_holds_its_key(subject: Subject) -> None:
    """Also against those who would replace a job that has not begun; this one has."""
    job, _ = await calling_back(subject, Details(unique_key="k"))
    for on_conflict in (OnConflict.RAISE, OnConflict.REPLACE):
        reply = await subject.tell(insertion(keyed(subject, "k", on_conflict)))
        duplicate_of(reply, "unique_key", "k", job.request.id)
    yields = insertion(keyed(subject, "k", OnConflict.RETURN_EXISTING))
    same(await subject.tell(yields), Inserted({0: job.request.id}), "the reply to one that yields")
    await subject.complete(await subject.claim_one())
    await resolved(subject, job.request.id)
    await subject.insert(keyed(subject))


async def children_meet_the_key_of_a_job_that_waits(subject: Subject) -> None:
    await subject.enqueue(details=Details(unique_key="k"))
    job, callback = await subject.claim_one(), subject.request()
    for on_conflict in (OnConflict.RAISE, OnConflict.REPLACE):
        commit = awaiting(job, callback)
        commit.children = insertion(keyed(subject, "k", on_conflict), callback)
        duplicate_of(await subject.tell(commit), "unique_key", "k", job.request.id)
    commit = awaiting(job, callback)
    commit.children = insertion(keyed(subject, "k", OnConflict.RETURN_EXISTING), callback)
    same(await subject.tell(commit), Committed(inserted=Inserted({0: job.request.id})), "the reply")


async def a_batch_lives_while_one_of_its_jobs_waits_for_its_callback(subject: Subject) -> None:
    batch = new_batch()
    member = subject.request(details=Details(batch=batch.id))
    follower = subject.request(details=Details(parents=(batch.id,)))
    jobs = Insert([member, follower], [Ready(NOW), Waiting((batch.id,))])
    await subject.expect(Inserted, InsertBatch(batch, jobs))
    job, callback = await subject.claim_one(), subject.request()
    reply = await subject.expect(Committed, awaiting(job, callback))
    same(reply.awaited, (), "the awaited, while the job waits for its callback")
    await subject.complete(await subject.claim_one())
    same(of(await ask(subject)), [member.id], "the jobs whose wait may be over")
    await resolved(subject, member.id)
    same(of(await ask(subject)), [follower.id], "the jobs whose wait may be over then")


async def a_job_of_a_schedule_that_waits_for_its_callback_is_not_held(subject: Subject) -> None:
    """It is unfinished all the same, so that the next instants mind it."""
    first = schedule()
    await put(subject, first)
    instants = (NOW + MINUTE, NOW + 2 * MINUTE)
    fire = firing(first, *instants, states={instants[1]: Waiting()})
    await subject.expect(Committed, fire)
    one, two = ids(fire.requests)
    callback = subject.request()
    await subject.expect(Committed, awaiting(await subject.claim_one(instants[0]), callback))
    found = await find(subject)
    same([(each.job_id, each.behind) for each in found.held], [(two, (one,))], "the jobs held")
    same(list(found.found[0].unfinished), [one, two], "the jobs that have not ended")


CALLBACK_CHECKS = (
    a_job_that_waits_for_its_callback_is_kept_with_its_result,
    a_refused_callback_leaves_its_job_running,
    a_job_that_waits_for_its_callback_holds_nobody_up,
    a_wait_for_a_callback_may_be_over_when_that_has_ended,
    a_job_whose_callback_completed_completes_with_its_result,
    a_job_whose_callback_did_not_complete_fails,
    an_awaited_callback_is_not_pruned,
    a_job_that_was_called_off_waits_for_its_callback_no_more,
    a_job_that_waits_for_its_callback_holds_its_key,
    children_meet_the_key_of_a_job_that_waits,
    a_batch_lives_while_one_of_its_jobs_waits_for_its_callback,
    a_job_of_a_schedule_that_waits_for_its_callback_is_not_held,
)
