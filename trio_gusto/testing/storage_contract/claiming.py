"""Promises about claiming: the right jobs, in the right order, at the right instant."""

from __future__ import annotations

from ...model.states import Processing, Ready
from ...storage.messages import ClaimDue, ClaimReply, Insert, Write
from .subject import LEASE, NOW, SECOND, Subject, ids, reply_of, same


async def jobs_are_claimed_by_priority_then_due_then_sequence(subject: Subject) -> None:
    late = await subject.enqueue(created_at=NOW - 1)
    early = await subject.enqueue(created_at=NOW - 2)
    early_too = await subject.enqueue(created_at=NOW - 2)
    low = await subject.enqueue(created_at=NOW - 9, priority=-1)
    high = await subject.enqueue(priority=10)
    other_queue = await subject.enqueue(created_at=NOW - 2, queue="other")
    wanted = ids([high, early, early_too, other_queue, late, low])
    reply = await subject.claim(limit=3)
    same(ids(reply.jobs), wanted[:3], "the first three jobs claimed")
    reply = await subject.claim()
    same(ids(reply.jobs), wanted[3:], "the rest of the jobs claimed")


async def shares_of_queues_are_taken_first_then_what_is_left(subject: Subject) -> None:
    jobs = {
        queue: [await subject.enqueue(queue=queue, priority=priority) for _ in range(4)]
        for queue, priority in (("a", 0), ("b", 9), ("c", 5))
    }
    reply = await subject.claim(limit=5, queues=[("a", 1), ("b", 2)])
    wanted = ids([jobs["a"][0], *jobs["b"][:2], *jobs["a"][1:3]])
    same(ids(reply.jobs), wanted, "share of a, share of b, then the rest from a")
    reply = await subject.claim(limit=9, queues=[("b", 1), ("a", 9)])
    wanted = ids([jobs["b"][2], jobs["a"][3], jobs["b"][3]])
    same(ids(reply.jobs), wanted, "what is left of a and b, and nothing of c")
    same(reply.more, False, "`more`, when all of these queues is claimed")


async def shares_never_exceed_the_limit(subject: Subject) -> None:
    first = [await subject.enqueue(queue="first") for _ in range(3)]
    second = [await subject.enqueue(queue="second", priority=5) for _ in range(2)]
    reply = await subject.claim(limit=2, queues=[("first", 2), ("second", 2)])
    same(ids(reply.jobs), ids(first[:2]), "strictly, from the first queue that has jobs")
    reply = await subject.claim(limit=2, queues=[("first", 2), ("second", 2)])
    same(ids(reply.jobs), ids([first[2], second[0]]), "and then from the next")


async def a_claim_leases_the_job_and_spends_an_attempt(subject: Subject) -> None:
    request = await subject.enqueue(created_at=NOW - 5)
    before = await subject.get(request.id)
    job = await subject.claim_one()
    same(job.request, request, "the request of the claimed job")
    same((job.attempt, job.due), (1, NOW - 5), "its attempt and due instant")
    same((job.node, job.claimed_at), (subject.node, NOW), "who claimed it, and when")
    after = await subject.get(request.id)
    same(after.state, Processing(subject.node, NOW, NOW + LEASE), "the state of a claimed job")
    same(after.attempt, 1, "the attempts spent of a claimed job")
    same(after.version, job.token, "the version of a claimed job, compared with its token")
    if job.token <= before.version:
        raise AssertionError(f"the token {job.token} is not above {before.version}, used before")


async def a_claimed_job_is_not_claimed_again(subject: Subject) -> None:
    await subject.enqueue()
    await subject.claim_one()
    same(list((await subject.claim()).jobs), [], "what is claimed while the lease holds")
    late = await subject.claim(NOW + 2 * LEASE)
    same(list(late.jobs), [], "what is claimed after the lease passed, before it was settled")


async def two_claims_in_one_group_share_the_jobs(subject: Subject) -> None:
    requests = [subject.request() for _ in range(5)]
    writes: list[Write] = [
        Insert(requests, [Ready(NOW)] * 5),
        ClaimDue("checker", NOW, NOW + LEASE, 3, 9),
        ClaimDue("other", NOW, NOW + LEASE, 3, 9),
    ]
    replies = await subject.apply(writes)
    first, second = (reply_of(ClaimReply, reply) for reply in replies[1:])
    same(ids(first.jobs), ids(requests[:3]), "the jobs of the first claim")
    same(ids(second.jobs), ids(requests[3:]), "the jobs of the second claim")


async def a_scheduled_job_is_claimed_when_it_is_due_and_not_before(subject: Subject) -> None:
    due = NOW + SECOND
    later = await subject.enqueue(execute_after=due + 1)
    request = await subject.enqueue(execute_after=due)
    reply = await subject.claim(due - 1)
    same(list(reply.jobs), [], "what is claimed one microsecond early")
    same((reply.more, reply.next_due), (False, due), "`more` and `next_due` of the reply")
    reply = await subject.claim(due)
    same(ids(reply.jobs), [request.id], "what is claimed at the due instant")
    same(reply.jobs[0].due, due, "its due instant")
    same(reply.next_due, due + 1, "`next_due`, when another is due later")
    reply = await subject.claim(due + 1)
    same(ids(reply.jobs), [later.id], "what is claimed at the next due instant")
    same(reply.next_due, None, "`next_due`, when nothing is scheduled")


async def due_jobs_become_ready_even_when_none_is_taken(subject: Subject) -> None:
    request = await subject.enqueue(execute_after=NOW + 1)
    reply = await subject.claim(NOW + 1, limit=0)
    same(list(reply.jobs), [], "what a claim of no jobs takes")
    same((await subject.get(request.id)).state, Ready(NOW + 1), "the state of a job that fell due")


async def a_ready_job_is_not_claimed_before_its_due_instant(subject: Subject) -> None:
    """As when the clock stepped back after it had become ready."""
    early = subject.request(priority=5)
    due = subject.request()
    await subject.insert(early, due, states=[Ready(NOW + 1), Ready(NOW)])
    same(ids((await subject.claim()).jobs), [due.id], "what is claimed before one is due")
    same(ids((await subject.claim(NOW + 1)).jobs), [early.id], "what is claimed when it is")


async def an_expired_job_is_not_claimed(subject: Subject) -> None:
    last_chance = await subject.enqueue(expire_on=NOW + 1)
    expired = await subject.enqueue(expire_on=NOW, created_at=NOW - 1)
    scheduled = await subject.enqueue(
        execute_after=NOW - 1, expire_on=NOW, created_at=NOW - 2, priority=3
    )
    same(ids((await subject.claim()).jobs), [last_chance.id], "what is claimed of jobs that expire")
    for request in (expired, scheduled):
        same((await subject.get(request.id)).attempt, 0, "attempts spent of an expired job")
    stepped_back = await subject.claim(NOW - 1)
    same(ids(stepped_back.jobs), ids([scheduled, expired]), "what is claimed at an earlier instant")


async def a_last_attempt_is_claimed_for_a_free_executor_only(subject: Subject) -> None:
    several = [await subject.enqueue(priority=9) for _ in range(2)]
    once = [await subject.enqueue(max_attempts=1, priority=5) for _ in range(2)]
    behind = await subject.enqueue()
    reply = await subject.claim(limit=5, free=3)
    same(ids(reply.jobs), ids([*several, once[0]]), "what is claimed for three free executors")
    same(reply.more, True, "`more`, when jobs were left for want of executors")
    reply = await subject.claim(limit=5, free=0)
    same(ids(reply.jobs), [], "what is claimed when a last attempt stands first and none is free")
    reply = await subject.claim(limit=5, free=1)
    same(ids(reply.jobs), ids([once[1], behind]), "what is claimed for one free executor")


async def more_says_whether_the_limit_was_hit(subject: Subject) -> None:
    for _ in range(3):
        await subject.enqueue()
    same((await subject.claim(limit=2)).more, True, "`more`, when the limit was hit")
    same((await subject.claim(limit=2)).more, False, "`more`, when it was not")


async def unknown_names_are_passed_over(subject: Subject) -> None:
    unknown = [await subject.enqueue(name="not_here", priority=9, queue=q) for q in ("a", "b")]
    known = [await subject.enqueue(queue=queue) for queue in ("a", "b")]
    queues = [("a", 1), ("b", 1)]
    reply = await subject.claim(limit=2, queues=queues, skip_names=("not_here", "nor_there"))
    same(ids(reply.jobs), ids(known), "what is claimed beside the names to skip")
    same(ids((await subject.claim()).jobs), ids(unknown), "what a node claims that skips none")


CLAIMING_CHECKS = (
    jobs_are_claimed_by_priority_then_due_then_sequence,
    shares_of_queues_are_taken_first_then_what_is_left,
    shares_never_exceed_the_limit,
    a_claim_leases_the_job_and_spends_an_attempt,
    a_claimed_job_is_not_claimed_again,
    two_claims_in_one_group_share_the_jobs,
    a_scheduled_job_is_claimed_when_it_is_due_and_not_before,
    due_jobs_become_ready_even_when_none_is_taken,
    a_ready_job_is_not_claimed_before_its_due_instant,
    an_expired_job_is_not_claimed,
    a_last_attempt_is_claimed_for_a_free_executor_only,
    more_says_whether_the_limit_was_hit,
    unknown_names_are_passed_over,
)
