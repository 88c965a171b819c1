"""Promises about what holds claims back: named workers, and pauses."""

from __future__ import annotations

import attrs

from ...model.job import Details, JobRequest
from ...model.outcomes import AttemptOutcome
from ...model.pauses import StoredPause
from ...model.states import Failed, Ready
from ...storage.batch_messages import InsertBatch
from ...storage.lease_messages import CancelRequests
from ...storage.messages import ClaimDue, ClaimReply, Committed, Insert, Inserted, Write
from ...storage.pause_messages import HeardPauses, LiftPauses, Pauses, PausesFound, PutPause
from .batching import new_batch
from .staging import STAGE, stage
from .subject import LEASE, NOW, SECOND, Subject, ids, put_back, reply_of, same, success


async def of_worker(subject: Subject, worker: str = "smtp", **parts: object) -> JobRequest:
    """Enqueue a job of a named worker."""
    return await subject.enqueue(details=Details(worker=worker), **parts)


async def pauses_found(subject: Subject, now: int = NOW) -> PausesFound:
    """What is told of pauses."""
    return await subject.storage.read(Pauses(now))


async def a_named_worker_has_one_job_at_a_time(subject: Subject) -> None:
    first, second, third = [await of_worker(subject) for _ in range(3)]
    reply = await subject.claim()
    same(ids(reply.jobs), [first.id], "what is claimed of three jobs of a named worker")
    same(reply.held, True, "`held`, when two of them have to wait")
    same(ids((await subject.claim()).jobs), [], "what is claimed while the worker is at work")
    await subject.expect(Committed, success(reply.jobs[0]))
    reply = await subject.claim()
    same(ids(reply.jobs), [second.id], "what is claimed when its first job has ended")
    again = put_back(reply.jobs[0], Ready(NOW), AttemptOutcome.RELEASED)
    await subject.expect(Committed, again)
    reply = await subject.claim()
    same(ids(reply.jobs), [second.id], "what is claimed when its job was given back")
    lost = put_back(reply.jobs[0], Failed(NOW, "lost"), AttemptOutcome.LOST)
    await subject.expect(Committed, lost)
    reply = await subject.claim()
    same(ids(reply.jobs), [third.id], "what is claimed when its job was lost")
    same(reply.held, False, "`held`, when no job of a named worker is left")


async def a_named_worker_is_at_work_until_its_job_is_settled(subject: Subject) -> None:
    await of_worker(subject)
    await of_worker(subject)
    await subject.claim()
    late = await subject.claim(NOW + 2 * LEASE)
    same(ids(late.jobs), [], "what is claimed after the lease passed, before it was settled")
    same(late.held, True, "`held`, when a job of a named worker has to wait")


async def jobs_of_a_named_worker_come_in_order(subject: Subject) -> None:
    last = await of_worker(subject, queue="a", priority=-1)
    late = await of_worker(subject, queue="a")
    early = await of_worker(subject, queue="b", created_at=NOW - 1)
    high = await of_worker(subject, queue="b", priority=7)
    for wanted in (high, early, late, last):
        (claimed,) = (await subject.claim()).jobs
        same(claimed.request.id, wanted.id, "the next job of a named worker")
        await subject.expect(Committed, success(claimed))


async def named_workers_are_in_nobodys_way(subject: Subject) -> None:
    mail = [await of_worker(subject, priority=5) for _ in range(3)]
    paper = await of_worker(subject, "printer", priority=4, queue="b")
    plain = [await subject.enqueue(queue=queue) for queue in ("a", "b", "b")]
    reply = await subject.claim(limit=2)
    same(ids(reply.jobs), ids([mail[0], paper]), "the first two jobs claimed")
    reply = await subject.claim(limit=2)
    same(ids(reply.jobs), ids(plain[:2]), "what is claimed beside jobs that have to wait")
    same(reply.more, True, "`more`, when the limit was hit")
    same(ids((await subject.claim()).jobs), [plain[2].id], "the rest")


async def named_workers_stand_in_several_queues(subject: Subject) -> None:
    here = [await of_worker(subject, queue="a") for _ in range(2)]
    there = await of_worker(subject, "other", queue="b")
    plain = [await subject.enqueue(queue=queue) for queue in ("a", "b", "b", "a")]
    await of_worker(subject, queue="b", priority=9)
    reply = await subject.claim(limit=4, queues=[("a", 2), ("b", 1)])
    wanted = ids([here[0], plain[0], there, plain[3]])
    same(ids(reply.jobs), wanted, "share of a, share of b, then the rest from a")
    reply = await subject.claim(limit=9, queues=[("b", 1), ("a", 9)])
    same(ids(reply.jobs), ids(plain[1:3]), "what is left, without jobs of a worker at work")


async def several_claims_of_a_group_share_a_named_worker(subject: Subject) -> None:
    first = await of_worker(subject)
    await of_worker(subject)
    claims: list[Write] = [ClaimDue(node, NOW, NOW + LEASE, 3, 9) for node in ("checker", "other")]
    replies = await subject.apply(claims)
    one, other = (reply_of(ClaimReply, reply) for reply in replies)
    same(ids(one.jobs), [first.id], "the jobs of the first claim")
    same(ids(other.jobs), [], "the jobs of the second claim")


async def staged_jobs_keep_their_named_worker(subject: Subject) -> None:
    batch = new_batch()
    details = Details(worker="smtp", batch=batch.id)
    jobs = [subject.request(details=details) for _ in range(2)]
    await stage(subject, batch, 0, *jobs)
    await subject.expect(Inserted, InsertBatch(batch, Insert((), ()), stage=STAGE, staged=2))
    reply = await subject.claim()
    same(ids(reply.jobs), [jobs[0].id], "what is claimed of two staged jobs of a named worker")


async def an_expired_job_does_not_hold_its_named_worker_up(subject: Subject) -> None:
    await of_worker(subject, expire_on=NOW, created_at=NOW - 1)
    next_one = await of_worker(subject)
    reply = await subject.claim()
    same(ids(reply.jobs), [next_one.id], "what is claimed behind an expired job")
    same(reply.held, False, "`held`, when only an expired job is left")


async def nothing_that_is_paused_is_claimed(subject: Subject) -> None:
    jobs = {
        (queue, tenant): await subject.enqueue(queue=queue, tenant=tenant)
        for queue in ("a", "b")
        for tenant in ("x", "y")
    }
    lane = await of_worker(subject, queue="a", tenant="y")
    for queue, tenant in ((None, None), ("a", None), (None, "x"), ("b", "y")):
        await subject.expect(Committed, PutPause(queue, tenant, "", NOW))
        kept = (await pauses_found(subject)).pauses
        same([(each.queue, each.tenant) for each in kept], [(queue, tenant)], "the pauses kept")
        wanted = [
            request.id
            for request in [*jobs.values(), lane]
            if queue not in (None, request.queue) or tenant not in (None, request.tenant)
        ]
        reply = await subject.claim()
        same(ids(reply.jobs), wanted, f"what is claimed while {queue}, {tenant} is paused")
        for job in reply.jobs:
            again = put_back(job, Ready(NOW), AttemptOutcome.RELEASED)
            await subject.expect(Committed, again)
        await subject.expect(Committed, LiftPauses(queue, tenant))
    same(len((await subject.claim()).jobs), 5, "how many jobs are claimed when all is lifted")


async def paused_queues_take_no_share(subject: Subject) -> None:
    paused = await subject.enqueue(queue="a", priority=9)
    jobs = [await subject.enqueue(queue="b") for _ in range(3)]
    await subject.expect(Committed, PutPause("a", None, "", NOW))
    reply = await subject.claim(limit=2, queues=[("a", 2), ("b", 1)])
    same(ids(reply.jobs), ids(jobs[:2]), "what is claimed when the first queue is paused")
    same(ids((await subject.claim()).jobs), [jobs[2].id], "what is claimed from all queues")
    await subject.expect(Committed, LiftPauses())
    same(ids((await subject.claim()).jobs), [paused.id], "what is claimed when that is lifted")


async def a_pause_stays_as_it_was_first(subject: Subject) -> None:
    for reason, since in (("first", NOW), ("second", NOW + SECOND)):
        await subject.expect(Committed, PutPause("mail", None, reason, since))
    (kept,) = (await pauses_found(subject)).pauses
    same((kept.reason, kept.since), ("first", NOW), "the reason and instant of a repeated pause")


async def lifting_is_of_one_pause_or_of_all(subject: Subject) -> None:
    scopes = [("a", None), (None, "x"), ("a", "x"), (None, None)]
    for queue, tenant in scopes:
        await subject.expect(Committed, PutPause(queue, tenant, "", NOW))
    for lifted in (LiftPauses("a"), LiftPauses("nothing here")):
        await subject.expect(Committed, lifted)
        kept = (await pauses_found(subject)).pauses
        same([(one.queue, one.tenant) for one in kept], scopes[1:], "the pauses left")
    await subject.expect(Committed, LiftPauses())
    same(list((await pauses_found(subject)).pauses), [], "the pauses left when all are lifted")


async def whoever_has_not_heard_of_a_pause_is_named(subject: Subject) -> None:
    node = subject.node
    await subject.enqueue(queue="mail")
    await subject.claim_one()
    same((await pauses_found(subject)).unheard, (), "who has not heard, when nothing is paused")
    await subject.expect(Committed, PutPause("other", None, "", NOW))
    same((await pauses_found(subject)).unheard, (), "who holds nothing that is paused")
    await subject.expect(Committed, PutPause(None, None, "", NOW))
    found = await pauses_found(subject)
    same(list(found.unheard), [node], "who holds what is paused")
    passed = await pauses_found(subject, NOW + LEASE)
    same(list(passed.unheard), [], "who holds it when the lease has passed")
    first, second = [pause.number for pause in found.pauses]
    await subject.expect(Committed, HeardPauses(node, first))
    same(list((await pauses_found(subject)).unheard), [node], "who has heard of the first only")
    await subject.expect(Committed, HeardPauses(node, second))
    await subject.expect(Committed, HeardPauses(node, first))
    same(list((await pauses_found(subject)).unheard), [], "who has not heard, after saying so")
    await subject.expect(Committed, LiftPauses())
    await subject.expect(Committed, PutPause(None, None, "", NOW))
    found = await pauses_found(subject)
    same(list(found.unheard), [node], "who has heard of a pause that was made anew")


async def pauses_are_told_with_what_is_asked_of_a_node(subject: Subject) -> None:
    asked = await subject.storage.read(CancelRequests(subject.node))
    same(list(asked.pauses), [], "the pauses told, when there are none")
    await subject.expect(Committed, PutPause("mail", "x", "repairs", NOW))
    asked = await subject.storage.read(CancelRequests(subject.node))
    told = [attrs.evolve(pause, number=0) for pause in asked.pauses]
    same(told, [StoredPause("mail", "x", "repairs", NOW)], "the pauses told")


PAUSING_CHECKS = (
    a_named_worker_has_one_job_at_a_time,
    a_named_worker_is_at_work_until_its_job_is_settled,
    jobs_of_a_named_worker_come_in_order,
    named_workers_are_in_nobodys_way,
    named_workers_stand_in_several_queues,
    several_claims_of_a_group_share_a_named_worker,
    staged_jobs_keep_their_named_worker,
    an_expired_job_does_not_hold_its_named_worker_up,
    nothing_that_is_paused_is_claimed,
    paused_queues_take_no_share,
    a_pause_stays_as_it_was_first,
    lifting_is_of_one_pause_or_of_all,
    whoever_has_not_heard_of_a_pause_is_named,
    pauses_are_told_with_what_is_asked_of_a_node,
)
