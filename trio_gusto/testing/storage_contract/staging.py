"""Promises about jobs that are staged for a batch: seen by nobody before the batch is stored."""

from __future__ import annotations

from typing import Any

from ...model.batch import STAGE_LIFE, BatchRequest
from ...model.errors import BatchError, DuplicateJob
from ...model.ids import JobId, uuid7
from ...model.job import Details, JobRequest, StoredJob
from ...model.lifecycle import admit
from ...model.states import Condition, JobState, Waiting
from ...storage.batch_messages import Discard, Discarded, InsertBatch, Stage, Staged
from ...storage.finding_messages import Get, Tally
from ...storage.lease_messages import Stranded
from ...storage.messages import Insert, Inserted
from .batching import counts, find, members, new_batch, refused, storing
from .subject import EVERYTHING, NOW, SECOND, Subject, ids, same

STAGE = uuid7(NOW * 1000, 9000)
OTHER_STAGE = uuid7(NOW * 1000, 9001)


async def stage(
    subject: Subject, batch: BatchRequest, position: int, *jobs: JobRequest, **changes: Any
) -> None:
    await subject.expect(Staged, staging(subject, batch, position, *jobs, **changes))


def staging(
    subject: Subject, batch: BatchRequest, position: int, *jobs: JobRequest, **changes: Any
) -> Stage:
    fields: dict[str, Any] = {"stage": STAGE, "node": subject.node, "now": NOW, **changes}
    insert = Insert(jobs, [admit(job) for job in jobs])
    return Stage(batch=batch.id, position=position, jobs=insert, **fields)


async def stored(subject: Subject) -> list[StoredJob]:
    """All jobs, oldest first."""
    return (await subject.everything())[::-1]


async def left_behind(subject: Subject, now: int) -> list[JobId]:
    return list((await subject.storage.read(Stranded(subject.node, now, EVERYTHING))).stages)


async def staged_jobs_are_seen_by_nobody(subject: Subject) -> None:
    batch = new_batch()
    ref = Details(ref_id="r", batch=batch.id)
    jobs = [*members(subject, batch, 2), subject.request(details=ref, expire_on=NOW + 1)]
    await stage(subject, batch, 0, *jobs)
    same(await subject.everything(), [], "the jobs")
    same(await find(subject), [], "the batches")
    same(dict((await subject.storage.read(Tally())).counts), {}, "the counts")
    found = await subject.storage.read(Get([job.id for job in jobs], "r"))
    same(list(found.jobs), [], "the jobs by id")
    claim = await subject.claim()
    same((len(claim.jobs), claim.more, claim.next_due), (0, False, None), "a claim")
    stranded = await subject.storage.read(Stranded(subject.node, NOW + SECOND, EVERYTHING))
    same(list(stranded.overdue), [], "the jobs past their expire_on")


async def staged_jobs_become_jobs_of_the_batch_in_their_order(subject: Subject) -> None:
    batch = new_batch(tenant="acme")
    details = Details(batch=batch.id, tags=("a",), ref_id="r", metadata={"key": [1]})
    rich = subject.request(
        details=details,
        execute_after=NOW + SECOND,
        expire_on=NOW + 9 * SECOND,
        priority=3,
        tenant="acme",
        queue="mail",
        timeout=SECOND,
    )
    first, second = members(subject, batch, 200), [*members(subject, batch, 1), rich]
    last, follower = (
        members(subject, batch, 1),
        subject.request(details=Details(parents=(batch.id,))),
    )
    await stage(subject, batch, 0, *first)
    await stage(subject, batch, len(first), *second)
    states = [admit(last[0]), Waiting((batch.id,), Condition.FINISH)]
    write = InsertBatch(
        batch, Insert([*last, follower], states), stage=STAGE, staged=len(first) + len(second)
    )
    await subject.expect(Inserted, write)
    kept = await stored(subject)
    same([job.request for job in kept], [*first, *second, *last, follower], "the jobs")
    same(
        [job.state for job in kept],
        [admit(job) for job in (*first, *second, *last)] + states[1:],
        "their states",
    )
    wanted = {JobState.READY: 202, JobState.SCHEDULED: 1}
    same(await counts(subject, batch), wanted, "the jobs of the batch")
    same(
        [job.request for job in (await subject.claim()).jobs], [*first, second[0], *last], "a claim"
    )
    same((await subject.storage.read(Get(ref_id="r"))).jobs[0].request, rich, "the job by ref_id")


async def staged_jobs_are_stored_once(subject: Subject) -> None:
    batch = new_batch()
    await stage(subject, batch, 0, *members(subject, batch, 2))
    await subject.expect(Inserted, storing(batch, stage=STAGE, staged=2))
    again = storing(batch, is_new=False, reopen=True, stage=STAGE, staged=2)
    await refused(subject, again, BatchError)
    reply = await subject.expect(Discarded, Discard(STAGE, EVERYTHING))
    same(reply.count, 0, "the number of staged jobs that were left")
    same(await counts(subject, batch), {JobState.READY: 2}, "the jobs of the batch")


async def a_batch_of_which_staged_jobs_are_missing_is_refused(subject: Subject) -> None:
    batch = new_batch()
    more = members(subject, batch, 1)
    for position in (1, 7):
        await refused_stage(subject, staging(subject, batch, position, *more))
    await stage(subject, batch, 0, *members(subject, batch, 3))
    for position in (0, 2, 4):
        await refused_stage(subject, staging(subject, batch, position, *more))
    for staged in (0, 2, 4):
        await refused(subject, storing(batch, stage=STAGE, staged=staged), BatchError)
    await refused(subject, storing(batch, stage=OTHER_STAGE, staged=3), BatchError)
    await subject.expect(Inserted, storing(batch, *more, stage=STAGE, staged=3))


async def refused_stage(subject: Subject, write: Stage) -> None:
    reply = await subject.tell(write)
    if not isinstance(reply, BatchError):
        raise AssertionError(f"a slice out of place should be refused, but the reply is {reply!r}")


async def a_refused_batch_leaves_its_staged_jobs_staged(subject: Subject) -> None:
    batch, old = new_batch(), await subject.enqueue(details=Details(ref_id="r"))
    twin = subject.request(details=Details(ref_id="r", batch=batch.id))
    jobs = members(subject, batch, 2)
    await stage(subject, batch, 0, jobs[0], twin)
    reply = await refused(subject, storing(batch, stage=STAGE, staged=2), DuplicateJob)
    same(getattr(reply, "key", ""), "ref_id", "what there was already")
    await stage(subject, batch, 0, jobs[0], old, stage=OTHER_STAGE)
    await refused(subject, storing(batch, stage=OTHER_STAGE, staged=2), DuplicateJob)
    await subject.expect(Discarded, Discard(OTHER_STAGE, EVERYTHING))
    await stage(subject, batch, 0, jobs[0], stage=OTHER_STAGE)
    own = storing(batch, jobs[0], stage=OTHER_STAGE, staged=1)
    await refused(subject, own, DuplicateJob)
    append = storing(batch, is_new=False, stage=OTHER_STAGE, staged=1)
    await refused(subject, append, BatchError)
    await subject.expect(Inserted, storing(batch, jobs[1], stage=OTHER_STAGE, staged=1))
    of_batch = [job.id for job in jobs]
    same(ids(await stored(subject))[1:], of_batch, "the jobs of the batch")


async def what_is_discarded_is_gone_in_slices(subject: Subject) -> None:
    batch = new_batch()
    jobs = members(subject, batch, 3)
    await stage(subject, batch, 0, *jobs)
    await stage(subject, batch, 0, jobs[0], stage=OTHER_STAGE)
    gone = [(await subject.expect(Discarded, Discard(STAGE, 2))).count]
    for staged in (1, 3):
        await refused(subject, storing(batch, stage=STAGE, staged=staged), BatchError)
        await refused_stage(subject, staging(subject, batch, staged, jobs[0]))
    gone += [(await subject.expect(Discarded, Discard(STAGE, 2))).count for _ in range(2)]
    same(gone, [2, 1, 0], "the numbers of jobs discarded")
    await refused(subject, storing(batch, stage=STAGE, staged=3), BatchError)
    await subject.expect(Inserted, storing(batch, stage=OTHER_STAGE, staged=1))


async def two_blocks_append_to_one_batch(subject: Subject) -> None:
    batch = new_batch()
    jobs = members(subject, batch, 3)
    await subject.expect(Inserted, storing(batch, jobs[0]))
    await stage(subject, batch, 0, jobs[1])
    await stage(subject, batch, 0, jobs[2], stage=OTHER_STAGE)
    for name in (OTHER_STAGE, STAGE):
        await subject.expect(Inserted, storing(batch, is_new=False, stage=name, staged=1))
    order = [jobs[0].id, jobs[2].id, jobs[1].id]
    same(ids(await stored(subject)), order, "the jobs")


async def what_a_node_that_is_gone_has_staged_is_left_behind(subject: Subject) -> None:
    batch = new_batch()
    await subject.storage.attach("passer-by")
    await stage(subject, batch, 0, *members(subject, batch, 1), node="passer-by")
    await stage(subject, batch, 0, *members(subject, batch, 1), stage=OTHER_STAGE)
    same(await left_behind(subject, NOW), [], "what is left behind while all nodes are there")
    await subject.storage.detach("passer-by")
    if subject.storage.remembers_presence:
        found = await left_behind(subject, NOW + 2 * STAGE_LIFE)
        same(found, [STAGE], "what is left behind when one of them has gone")
    else:
        later = NOW + STAGE_LIFE
        same(await left_behind(subject, later - 1), [], "what is left behind when it is not old")
        await stage(subject, batch, 1, *members(subject, batch, 1), stage=OTHER_STAGE, now=NOW + 1)
        same(await left_behind(subject, later), [STAGE], "what is left behind when it is old")


STAGING_CHECKS = (
    staged_jobs_are_seen_by_nobody,
    staged_jobs_become_jobs_of_the_batch_in_their_order,
    staged_jobs_are_stored_once,
    a_batch_of_which_staged_jobs_are_missing_is_refused,
    a_refused_batch_leaves_its_staged_jobs_staged,
    what_is_discarded_is_gone_in_slices,
    two_blocks_append_to_one_batch,
    what_a_node_that_is_gone_has_staged_is_left_behind,
)
