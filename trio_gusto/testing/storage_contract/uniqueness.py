"""Promises about unique keys: never two live jobs with one, and no insert that is lost."""

from __future__ import annotations

from ...model.batch import BatchRequest
from ...model.errors import DuplicateJob
from ...model.happenings import CalledOff, RetriedByHand
from ...model.ids import to_uuid
from ...model.job import Details, JobRequest
from ...model.lifecycle import advance
from ...model.states import Cancelled, Completed, Failed, JobState, Ready, State, Waiting
from ...model.uniqueness import OnConflict
from ...storage.batch_messages import InsertBatch, Stage, Staged
from ...storage.messages import Commit, Committed, Complete, Completions, Inserted
from .inserting import duplicate_of, insertion
from .subject import NOW, Subject, ids, same


def keyed(
    subject: Subject, key: str = "k", on_conflict: OnConflict = OnConflict.RAISE
) -> JobRequest:
    return subject.request(details=Details(unique_key=key, on_conflict=on_conflict.value))


async def a_live_job_holds_its_unique_key(subject: Subject) -> None:
    old, other = keyed(subject), keyed(subject, "other")
    await subject.insert(old, other)
    duplicate_of(
        await subject.tell(insertion(subject.request(), keyed(subject))), "unique_key", "k", old.id
    )
    (first, _) = (await subject.claim()).jobs
    same(first.request, old, "the request claimed")
    duplicate_of(await subject.tell(insertion(keyed(subject))), "unique_key", "k", old.id)
    same(ids(await subject.everything()), ids([other, old]), "the jobs stored")


async def an_ended_job_has_given_its_unique_key_back(subject: Subject) -> None:
    for end in ("completed", "failed", "cancelled", "among successes"):
        request = keyed(subject)
        await subject.insert(request)
        job = await subject.get(request.id)
        if end == "cancelled":
            state: State = Cancelled(NOW, "not wanted")
            await subject.expect(Committed, Commit(request.id, job.version, state, 0))
            continue
        (claimed,) = (await subject.claim()).jobs
        done = Completed(NOW, NOW, claimed.claimed_at, claimed.node)
        if end == "among successes":
            await subject.expect(Completions, Complete([claimed], [done]))
            continue
        state = done if end == "completed" else Failed(NOW, "all attempts failed")
        await subject.expect(Committed, Commit(request.id, claimed.token, state, 1))
    await subject.insert(keyed(subject))


async def a_new_job_may_give_way_to_the_one_that_has_its_key(subject: Subject) -> None:
    old = keyed(subject)
    await subject.insert(old)
    plain = subject.request()
    yielding = keyed(subject, on_conflict=OnConflict.RETURN_EXISTING)
    again = keyed(subject, "new", OnConflict.RETURN_EXISTING)
    twice = keyed(subject, "new", OnConflict.RETURN_EXISTING)
    reply = await subject.tell(insertion(plain, yielding, again, twice))
    same(reply, Inserted({1: old.id, 3: again.id}), "the reply")
    same(ids(await subject.everything()), ids([again, plain, old]), "the jobs stored")


async def a_new_job_may_replace_one_that_has_not_begun(subject: Subject) -> None:
    old = keyed(subject)
    follower = subject.request(details=Details(parents=(old.id,)))
    await subject.insert(old)
    await subject.insert(follower, states=[Waiting((old.id,))])
    new = keyed(subject, on_conflict=OnConflict.REPLACE)
    newest = keyed(subject, on_conflict=OnConflict.REPLACE)
    reply = await subject.tell(insertion(new, newest))
    same(reply, Inserted(replaced=(old.id, new.id), awaited=(old.id,)), "the reply")
    words = [(await subject.get(request.id)).state.word for request in (old, new, newest)]
    same(words, [JobState.CANCELLED, JobState.CANCELLED, JobState.READY], "their states")
    job = await subject.get(old.id)
    same(job.state, Cancelled(new.created_at, f"replaced by {to_uuid(new.id)}"), "its end")
    same(job.version, 1, "the version of a job that was replaced")
    same(ids((await subject.claim()).jobs), [newest.id], "what is claimed")


async def a_running_job_is_not_replaced(subject: Subject) -> None:
    old = keyed(subject)
    await subject.insert(old)
    await subject.claim()
    new = keyed(subject, on_conflict=OnConflict.REPLACE)
    duplicate_of(await subject.tell(insertion(new)), "unique_key", "k", old.id)
    same((await subject.get(old.id)).state.word, JobState.PROCESSING, "its state")


async def what_is_refused_replaces_nothing(subject: Subject) -> None:
    old, taken = keyed(subject), subject.request()
    await subject.insert(old, taken)
    new = keyed(subject, on_conflict=OnConflict.REPLACE)
    duplicate_of(await subject.tell(insertion(new, taken)), "id", to_uuid(taken.id), taken.id)
    same((await subject.get(old.id)).state, Ready(NOW), "its state")


async def a_job_cannot_be_live_again_while_another_has_its_key(subject: Subject) -> None:
    old = keyed(subject)
    await subject.insert(old)
    ended = advance(await subject.get(old.id), CalledOff(NOW, ""))
    await subject.expect(Committed, Commit(old.id, 0, ended.state, 0))
    new = keyed(subject)
    await subject.insert(new)
    job = await subject.get(old.id)
    again = advance(job, RetriedByHand(NOW))
    reply = await subject.tell(Commit(old.id, job.version, again.state, 0))
    duplicate_of(reply, "unique_key", "k", new.id)
    same(await subject.get(old.id), job, "the job that was refused")
    await subject.expect(Committed, Commit(new.id, 0, ended.state, 0))
    await subject.expect(Committed, Commit(old.id, job.version, again.state, 0))
    reply = await subject.tell(insertion(keyed(subject)))
    if not isinstance(reply, DuplicateJob):
        raise AssertionError(f"a job that is live again should hold its key, but: {reply!r}")


async def jobs_of_a_batch_give_way_to_nobody(subject: Subject) -> None:
    old = keyed(subject)
    await subject.insert(old)
    batch = BatchRequest(subject.request().id, NOW)
    for on_conflict in OnConflict:
        member = keyed(subject, on_conflict=on_conflict)
        stage = subject.request().id
        await subject.expect(
            Staged, Stage(stage, batch.id, subject.node, NOW, 0, insertion(member))
        )
        for write in (
            InsertBatch(batch, insertion(member)),
            InsertBatch(batch, insertion(), stage=stage, staged=1),
        ):
            duplicate_of(await subject.tell(write), "unique_key", "k", old.id)
    same(ids(await subject.everything()), [old.id], "the jobs stored")
    staged, held = keyed(subject, "new"), keyed(subject, "new", OnConflict.RETURN_EXISTING)
    stage = subject.request().id
    await subject.expect(Staged, Stage(stage, batch.id, subject.node, NOW, 0, insertion(staged)))
    write = InsertBatch(batch, insertion(held), stage=stage, staged=1)
    duplicate_of(await subject.tell(write), "unique_key", "new", staged.id)


UNIQUENESS_CHECKS = (
    jobs_of_a_batch_give_way_to_nobody,
    a_live_job_holds_its_unique_key,
    an_ended_job_has_given_its_unique_key_back,
    a_new_job_may_give_way_to_the_one_that_has_its_key,
    a_new_job_may_replace_one_that_has_not_begun,
    a_running_job_is_not_replaced,
    what_is_refused_replaces_nothing,
    a_job_cannot_be_live_again_while_another_has_its_key,
)
