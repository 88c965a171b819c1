"""Promises about lanes with more room than a named worker's, and about jobs leased in a row."""

from __future__ import annotations

from ...model.job import ClaimedJob, Details, JobRequest
from ...model.outcomes import AttemptOutcome
from ...model.states import Cancelled, Ready, Scheduled
from ...storage.batch_messages import InsertBatch
from ...storage.finding_messages import Find
from ...storage.messages import ClaimDue, ClaimReply, Commit, Committed, Insert, Inserted
from .batching import new_batch
from .staging import STAGE, stage
from .subject import LEASE, NOW, SECOND, Subject, ids, put_back, same, success


async def with_key(
    subject: Subject, limit: int = 1, key: str = "acme", **parts: object
) -> JobRequest:
    """Enqueue a job with a concurrency key."""
    details = Details(concurrency_key=key, concurrency_limit=limit)
    return await subject.enqueue(details=details, **parts)


async def of_worker(subject: Subject, **parts: object) -> JobRequest:
    """Enqueue a job of a named worker."""
    return await subject.enqueue(details=Details(worker="smtp"), **parts)


async def claim_in_a_row(
    subject: Subject, depth: int, *, node: str | None = None, limit: int = 9
) -> ClaimReply:
    """Claim as a node that may hold several jobs that run alone in one lane."""
    claim = ClaimDue(node or subject.node, NOW, NOW + LEASE, limit, limit, depth=depth)
    return await subject.expect(ClaimReply, claim)


async def a_concurrency_key_has_room_for_its_limit(subject: Subject) -> None:
    jobs = [await with_key(subject, 2) for _ in range(4)]
    reply = await subject.claim()
    same(ids(reply.jobs), ids(jobs[:2]), "what is claimed of four jobs with room for two")
    same(reply.held, True, "`held`, when two of them have to wait")
    same(reply.in_lanes, True, "`in_lanes`, when the jobs claimed have a concurrency key")
    same(ids((await subject.claim()).jobs), [], "what is claimed while two are processing")
    await subject.expect(Committed, success(reply.jobs[1]))
    (third,) = (await subject.claim()).jobs
    same(third.request.id, jobs[2].id, "what is claimed when one has ended")
    later = put_back(reply.jobs[0], Scheduled(NOW + SECOND), AttemptOutcome.FAILED)
    await subject.expect(Committed, later)
    reply = await subject.claim()
    same(ids(reply.jobs), [jobs[3].id], "what is claimed when one is to be tried again later")
    same(reply.held, False, "`held`, when no job with the key is left that is due")


async def a_limit_goes_with_each_job(subject: Subject) -> None:
    wide = [await with_key(subject, 3) for _ in range(2)]
    alone = await with_key(subject, 1)
    behind = await with_key(subject, 3)
    other = await with_key(subject, 1, "other")
    reply = await subject.claim()
    wanted = [*ids(wide), other.id]
    same(ids(reply.jobs), wanted, "what is claimed before a job that has to run alone")
    for claimed in reply.jobs[:2]:
        same(ids((await subject.claim()).jobs), [], "what overtakes a job that has to run alone")
        await subject.expect(Committed, success(claimed))
    reply = await subject.claim()
    wanted = ids([alone, behind])
    same(ids(reply.jobs), wanted, "what is claimed when the lane is empty: each by its own limit")


async def a_job_that_has_left_its_lane_is_in_nobodys_way(subject: Subject) -> None:
    await with_key(subject, 3)
    alone = await with_key(subject, 1)
    behind = await with_key(subject, 3)
    reply = await subject.claim()
    same(len(reply.jobs), 1, "how many are claimed before one that has to run alone")
    same(ids((await subject.claim()).jobs), [], "what overtakes a job that has to run alone")
    await subject.expect(Committed, Commit(alone.id, 0, Cancelled(NOW, "enough"), 0))
    reply = await subject.claim()
    same(ids(reply.jobs), [behind.id], "what is claimed when that was called off")


async def a_worker_and_a_key_of_one_name_are_apart(subject: Subject) -> None:
    first = await of_worker(subject)
    second = await with_key(subject, key="smtp")
    reply = await subject.claim()
    same(ids(reply.jobs), ids([first, second]), "what is claimed of a worker and a key of one name")
    for find, wanted in (
        (Find(9, workers=frozenset({"smtp"})), [first.id]),
        (Find(9, concurrency_keys=frozenset({"smtp", "acme"})), [second.id]),
    ):
        same(ids((await subject.storage.read(find)).jobs), wanted, "found by worker and by key")


async def jobs_leased_in_a_row_go_to_one_node(subject: Subject) -> None:
    jobs = [await of_worker(subject) for _ in range(5)]
    reply = await claim_in_a_row(subject, 3)
    same(ids(reply.jobs), ids(jobs[:3]), "what is claimed of a lane by a node that may hold three")
    same(reply.held, True, "`held`, when two of them have to wait")
    held: list[ClaimedJob] = [*reply.jobs]
    for _ in range(2):
        other = await claim_in_a_row(subject, 3, node="other")
        same(ids(other.jobs), [], "what another node is given while any is leased")
        await subject.expect(Committed, success(held.pop(0)))
    reply = await claim_in_a_row(subject, 2)
    same(ids(reply.jobs), [jobs[3].id], "what the same node is given, with one of two in hand")
    for claimed in (*held, *reply.jobs):
        again = put_back(claimed, Ready(NOW), AttemptOutcome.RELEASED)
        await subject.expect(Committed, again)
    other = await claim_in_a_row(subject, 9, node="other")
    same(ids(other.jobs), ids(jobs[2:]), "what another node is given when all were given back")


async def a_last_attempt_is_not_leased_behind_another(subject: Subject) -> None:
    first = await of_worker(subject)
    last = await of_worker(subject, max_attempts=1)
    await of_worker(subject)
    reply = await claim_in_a_row(subject, 3)
    same(ids(reply.jobs), [first.id], "what is claimed before a job on its last attempt")
    await subject.expect(Committed, success(reply.jobs[0]))
    reply = await claim_in_a_row(subject, 1)
    same(ids(reply.jobs), [last.id], "what is claimed when that is the first")


async def jobs_with_room_for_more_do_not_join_a_row(subject: Subject) -> None:
    row = [await with_key(subject, 1) for _ in range(2)]
    wide = await with_key(subject, 3)
    reply = await claim_in_a_row(subject, 2)
    same(ids(reply.jobs), ids(row), "what is claimed of two that run alone, and one that does not")
    await subject.expect(Committed, success(reply.jobs[0]))
    reply = await claim_in_a_row(subject, 2)
    same(ids(reply.jobs), [wide.id], "what is claimed beside the last of a row")


async def staged_jobs_keep_their_concurrency_key(subject: Subject) -> None:
    batch = new_batch()
    details = Details(concurrency_key="acme", concurrency_limit=2, batch=batch.id)
    jobs = [subject.request(details=details) for _ in range(3)]
    await stage(subject, batch, 0, *jobs)
    await subject.expect(Inserted, InsertBatch(batch, Insert((), ()), stage=STAGE, staged=3))
    reply = await subject.claim()
    same(ids(reply.jobs), ids(jobs[:2]), "what is claimed of three staged jobs with room for two")


LANE_CHECKS = (
    a_concurrency_key_has_room_for_its_limit,
    a_limit_goes_with_each_job,
    a_job_that_has_left_its_lane_is_in_nobodys_way,
    a_worker_and_a_key_of_one_name_are_apart,
    jobs_leased_in_a_row_go_to_one_node,
    a_last_attempt_is_not_leased_behind_another,
    jobs_with_room_for_more_do_not_join_a_row,
    staged_jobs_keep_their_concurrency_key,
)
