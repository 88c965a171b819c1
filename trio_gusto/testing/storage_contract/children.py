"""Promises about jobs that are stored with the new state of another: both, or neither."""

from __future__ import annotations

from ...model.errors import DuplicateJob, UnknownJob
from ...model.ids import to_uuid, uuid7
from ...model.job import ClaimedJob, Details, JobRequest
from ...model.lifecycle import admit
from ...model.outcomes import AttemptOutcome
from ...model.states import Cancelled, JobState, Ready, Scheduled, State, Waiting
from ...model.uniqueness import OnConflict
from ...storage.batch_messages import InsertBatch
from ...storage.lease_messages import RequestCancel
from ...storage.messages import Commit, Committed, Insert, Inserted, Write
from .batching import new_batch
from .depending import ask, follow, of
from .inserting import duplicate_of, insertion
from .subject import NOW, Subject, completed, ids, put_back, refused, reply_of, same, success
from .uniqueness import keyed


def with_children(
    job: ClaimedJob, *children: JobRequest, states: list[State] | None = None
) -> Commit:
    """The commit of an attempt that succeeded and brings jobs."""
    first_states = [admit(child) for child in children] if states is None else states
    commit = success(job)
    commit.children = Insert(children, first_states)
    return commit


async def running(subject: Subject, details: Details | None = None) -> ClaimedJob:
    """A job that runs, and nothing else that could."""
    await subject.enqueue(details=details)
    return await subject.claim_one()


async def children_are_stored_with_the_state(subject: Subject) -> None:
    job = await running(subject)
    first, third = subject.request(priority=3), subject.request()
    second = subject.request(execute_after=NOW + 9, details=Details(ref_id="own", tags=("x",)))
    waits = Waiting((first.id, second.id))
    states: list[State] = [Ready(NOW), Scheduled(NOW + 9), waits]
    reply = await subject.tell(with_children(job, first, second, third, states=states))
    same(reply, Committed(inserted=Inserted()), "the reply")
    kept = await subject.everything()
    same(ids(kept), ids([third, second, first, job]), "the jobs stored, newest first")
    same([each.state for each in kept], [*states[::-1], completed(job)], "their states")
    same([each.request for each in kept[:3]], [third, second, first], "what was asked for")
    same([each.version for each in kept[:3]], [0, 0, 0], "the versions of new jobs")
    same(ids((await subject.claim()).jobs), [first.id], "what can be claimed then")


async def children_of_a_stale_token_are_not_stored(subject: Subject) -> None:
    job = await running(subject)
    await subject.expect(Committed, put_back(job, Ready(NOW), AttemptOutcome.LOST))
    child = subject.request()
    await refused(subject, with_children(job, child))
    again = await subject.claim_one()
    await refused(subject, with_children(job, child))
    await subject.expect(Committed, with_children(again, child))
    await refused(subject, with_children(again, subject.request()))
    gone = ClaimedJob(subject.request(), 1, 1, NOW, subject.node, NOW)
    await refused(subject, with_children(gone, subject.request()))


async def children_go_by_the_state_that_a_request_to_cancel_allows(subject: Subject) -> None:
    job = await running(subject)
    await subject.expect(Committed, RequestCancel(job.request.id, job.token, "no more"))
    child = subject.request()
    goes_on = put_back(job, Ready(NOW), AttemptOutcome.SNOOZED)
    goes_on.children = insertion(child)
    conflict = await refused(subject, goes_on)
    same(conflict.cancel_reason, "no more", "the reason given to whoever goes on")
    await subject.expect(Committed, with_children(job, child))
    same(ids((await subject.claim()).jobs), [child.id], "what can be claimed after its end")


async def a_refused_child_leaves_everything_as_it_was(subject: Subject) -> None:
    taken = subject.request(details=Details(ref_id="taken"))
    held = keyed(subject)
    await subject.insert(taken, held, states=[Scheduled(NOW + 9), Scheduled(NOW + 9)])
    job = await running(subject)
    unknown = uuid7(NOW * 1000, 999)
    fine, stranger = subject.request(), subject.request(details=Details(parents=(unknown,)))
    same_ref = subject.request(details=Details(ref_id="taken"))
    duplicates = [
        (taken, "id", to_uuid(taken.id), taken),
        (fine, "id", to_uuid(fine.id), fine),
        (same_ref, "ref_id", "taken", taken),
        (keyed(subject), "unique_key", "k", held),
    ]
    before = await subject.everything()
    for child, key, value, existing in duplicates:
        commit = with_children(job, fine, child)
        duplicate_of(await subject.tell(commit), key, value, existing.id)
        same(await subject.everything(), before, f"the storage after a refused {key}")
    states: list[State] = [Ready(NOW), Waiting((unknown,))]
    reply = await subject.tell(with_children(job, fine, stranger, states=states))
    same(reply_of(UnknownJob, reply).job_id, to_uuid(unknown), "the job named by UnknownJob")
    same(await subject.everything(), before, "the storage after an unknown parent")
    await subject.expect(Committed, with_children(job, fine))
    same((await subject.get(job.request.id)).state, completed(job), "its state at last")


async def a_refused_child_is_refused_alone(subject: Subject) -> None:
    await subject.enqueue()
    await subject.enqueue()
    first, second = (await subject.claim()).jobs
    child, before, after = (subject.request() for _ in range(3))
    group: list[Write] = [
        insertion(before),
        with_children(first, subject.request(), before),
        with_children(second, child),
        insertion(after),
    ]
    replies = await subject.apply(group)
    kinds = [type(reply) for reply in replies]
    same(kinds, [Inserted, DuplicateJob, Committed, Inserted], "the replies to a group")
    same(ids((await subject.claim()).jobs), ids([before, child, after]), "the jobs of the others")
    word = (await subject.get(first.request.id)).state.word
    same(word, JobState.PROCESSING, "the state of the job whose child was refused")


async def a_child_may_wait_for_the_job_it_comes_with(subject: Subject) -> None:
    job = await running(subject)
    earlier = await follow(subject, job.request)
    child = subject.request(details=Details(parents=(job.request.id,)))
    waits: list[State] = [Waiting((job.request.id,))]
    reply = await subject.expect(Committed, with_children(job, child, states=waits))
    same(reply.awaited, (job.request.id,), "the awaited, when somebody waited before")
    same(of(await ask(subject)), ids([earlier, child]), "the jobs whose wait may be over")


async def a_child_may_have_the_key_that_its_job_lets_go_of(subject: Subject) -> None:
    job = await running(subject, Details(unique_key="k"))
    child = keyed(subject)
    reply = await subject.tell(with_children(job, child))
    same(reply, Committed(inserted=Inserted()), "the reply")
    duplicate_of(await subject.tell(insertion(keyed(subject))), "unique_key", "k", child.id)


async def a_refused_child_leaves_its_job_the_key(subject: Subject) -> None:
    taken = await subject.enqueue(execute_after=NOW + 9)
    job = await running(subject, Details(unique_key="k"))
    reply = await subject.tell(with_children(job, keyed(subject), taken))
    duplicate_of(reply, "id", to_uuid(taken.id), taken.id)
    duplicate_of(await subject.tell(insertion(keyed(subject))), "unique_key", "k", job.request.id)


async def a_child_may_give_way_and_replace(subject: Subject) -> None:
    old, stays = keyed(subject), keyed(subject, "other")
    await subject.insert(old, stays, states=[Scheduled(NOW + 9), Scheduled(NOW + 9)])
    waiting = await follow(subject, old)
    job = await running(subject)
    yields = keyed(subject, "other", OnConflict.RETURN_EXISTING)
    new = keyed(subject, "k", OnConflict.REPLACE)
    plain = subject.request()
    reply = await subject.tell(with_children(job, yields, new, plain))
    inserted = Inserted({0: stays.id}, (old.id,), (old.id,))
    same(reply, Committed((old.id,), inserted), "the reply")
    same(of(await ask(subject)), [waiting.id], "the jobs whose wait may be over")
    same(ids((await subject.claim()).jobs), ids([new, plain]), "what can be claimed")
    state = (await subject.get(old.id)).state
    same(state, Cancelled(new.created_at, f"replaced by {to_uuid(new.id)}"), "the one replaced")


async def children_belong_to_no_batch_of_their_own_accord(subject: Subject) -> None:
    batch = new_batch()
    member = subject.request(details=Details(batch=batch.id))
    follower = subject.request(details=Details(parents=(batch.id,)))
    jobs = Insert([member, follower], [Ready(NOW), Waiting((batch.id,))])
    await subject.expect(Inserted, InsertBatch(batch, jobs))
    child = subject.request()
    commit = with_children(await subject.claim_one(), child)
    same((await subject.expect(Committed, commit)).awaited, (batch.id,), "the awaited batch")
    same(of(await ask(subject)), [follower.id], "whose wait may be over, though a child lives")


async def hundreds_of_children_go_with_one_state(subject: Subject) -> None:
    job = await running(subject)
    children = [subject.request() for _ in range(300)]
    await subject.expect(Committed, with_children(job, *children))
    same(ids((await subject.claim()).jobs), ids(children), "what can be claimed, in their order")


CHILDREN_CHECKS = (
    children_are_stored_with_the_state,
    children_of_a_stale_token_are_not_stored,
    children_go_by_the_state_that_a_request_to_cancel_allows,
    a_refused_child_leaves_everything_as_it_was,
    a_refused_child_is_refused_alone,
    a_child_may_wait_for_the_job_it_comes_with,
    a_child_may_have_the_key_that_its_job_lets_go_of,
    a_refused_child_leaves_its_job_the_key,
    a_child_may_give_way_and_replace,
    children_belong_to_no_batch_of_their_own_accord,
    hundreds_of_children_go_with_one_state,
)
