"""Promises about tenants that take turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ...model.job import ClaimedJob, Details
from ...storage.messages import Committed
from ...storage.pause_messages import LiftPauses, PutPause
from .subject import NOW, Subject, ids, same


async def put(subject: Subject, *tenants: str, **parts: Any) -> None:
    """Enqueue a job of each of these tenants, in this order."""
    await subject.insert(*[subject.request(tenant=tenant, **parts) for tenant in tenants])


def whose(jobs: Sequence[ClaimedJob]) -> list[str]:
    """The tenants of jobs, in order."""
    return [job.request.tenant for job in jobs]


async def tenants_take_turns_where_they_are_asked_to(subject: Subject) -> None:
    await put(subject, *"aaaabc")
    reply = await subject.claim(limit=4, tenant_weights={})
    same(whose(reply.jobs), [*"abca"], "whose jobs are claimed in turn")
    sequences = [(await subject.get(job.request.id)).sequence for job in reply.jobs]
    same(sequences[0] < sequences[3], True, "whether the jobs of one tenant keep their order")
    await put(subject, *"aaab", queue="other")
    reply = await subject.claim(queues=[("other", 4)], limit=4)
    same(whose(reply.jobs), [*"aaab"], "whose jobs are claimed where tenants have no turns")


async def tenants_have_turns_by_weight(subject: Subject) -> None:
    await put(subject, *"a" * 20, *"b" * 20, *"c" * 20)
    reply = await subject.claim(limit=18, tenant_weights={"a": 3, "b": 2})
    same(Counter(whose(reply.jobs)), {"a": 9, "b": 6, "c": 3}, "whose jobs are claimed by weight")


async def turns_go_on_with_the_next_claim(subject: Subject) -> None:
    await put(subject, *"aaaabbbb")
    claimed = [
        job
        for _ in range(6)
        for job in (await subject.claim(limit=1, tenant_weights={"b": 2})).jobs
    ]
    same(Counter(whose(claimed)), {"a": 2, "b": 4}, "whose jobs are claimed one by one")


async def being_idle_earns_no_turns(subject: Subject) -> None:
    await put(subject, *"a" * 20)
    await subject.claim(limit=10, tenant_weights={})
    await put(subject, *"b" * 20)
    reply = await subject.claim(limit=8, tenant_weights={})
    same(Counter(whose(reply.jobs)), {"a": 4, "b": 4}, "whose jobs are claimed when one comes late")


async def turns_are_within_a_priority_and_a_queue(subject: Subject) -> None:
    await put(subject, *"ab", queue="one")
    await put(subject, *"aab", queue="one", priority=5)
    await put(subject, *"ab", queue="two")
    reply = await subject.claim(limit=4, queues=[("one", 4)], tenant_weights={})
    same(whose(reply.jobs), [*"abaa"], "whose jobs are claimed of one queue")
    reply = await subject.claim(limit=1, queues=[("two", 1)], tenant_weights={})
    same(whose(reply.jobs), ["a"], "whose job is claimed first of another queue")


async def only_what_is_claimed_counts_as_a_turn(subject: Subject) -> None:
    await put(subject, *"aa")
    await put(subject, "b", max_attempts=1)
    # The second turn is out of reach: it is on its last attempt, and one executor is free.
    reply = await subject.claim(limit=2, free=1, tenant_weights={})
    same(whose(reply.jobs), ["a"], "whose job is claimed when the next is out of reach")
    reply = await subject.claim(limit=1, free=1, tenant_weights={})
    same(whose(reply.jobs), ["b"], "whose turn it is when one has not had his")


async def jobs_in_lanes_have_the_turns_of_their_tenants(subject: Subject) -> None:
    await put(subject, *"aaa", details=Details(worker="smtp"))
    await put(subject, *"ab")
    reply = await subject.claim(limit=3, tenant_weights={})
    same(whose(reply.jobs), [*"aba"], "whose jobs are claimed, the first one in a lane")
    same(reply.in_lanes, True, "`in_lanes`, when one of them is")


async def what_cannot_be_claimed_in_a_lane_stands_in_no_turn(subject: Subject) -> None:
    """A job behind it in the line goes by the turn of its own tenant."""
    await subject.expect(Committed, PutPause("paused", None, "", NOW))
    for (first, second), queue, expire_on in (("ab", "default", NOW), ("cd", "paused", None)):
        await put(subject, first, first, created_at=NOW - 9)
        gone = {"queue": queue, "expire_on": expire_on, "created_at": NOW - 5}
        await put(subject, first, details=Details(worker="smtp"), **gone)
        await put(subject, second, details=Details(worker=queue), created_at=NOW - 4)
        reply = await subject.claim(tenant_weights={})
        wanted = [first, second, first]
        same(whose(reply.jobs), wanted, "whose jobs are claimed, the second one in a lane")


async def paused_tenants_have_no_turns(subject: Subject) -> None:
    await put(subject, *"aabbc")
    await subject.expect(Committed, PutPause(None, "a", "", NOW))
    reply = await subject.claim(limit=2, tenant_weights={})
    same(whose(reply.jobs), [*"bc"], "whose jobs are claimed when one is paused")
    await subject.expect(Committed, LiftPauses(None, "a"))
    reply = await subject.claim(tenant_weights={})
    same(whose(reply.jobs), [*"aab"], "whose jobs are claimed when the pause is over")


async def paused_tenants_are_stepped_over_and_come_back_in_order(subject: Subject) -> None:
    await put(subject, *"ab" * 150)
    everything = ids([await subject.get(job.request.id) for job in await subject.everything()])
    await subject.expect(Committed, PutPause(None, "a", "", NOW))
    reply = await subject.claim(limit=100)
    same(set(whose(reply.jobs)), {"b"}, "whose jobs are claimed while another is paused")
    await put(subject, "a", "b")
    await subject.expect(Committed, LiftPauses(None, "a"))
    reply = await subject.claim()
    same(Counter(whose(reply.jobs)), {"a": 151, "b": 51}, "whose jobs are claimed after that")
    same(ids(reply.jobs[:100]), everything[::-1][:200:2], "the jobs that were held back longest")


SHARING_CHECKS = (
    tenants_take_turns_where_they_are_asked_to,
    tenants_have_turns_by_weight,
    turns_go_on_with_the_next_claim,
    being_idle_earns_no_turns,
    turns_are_within_a_priority_and_a_queue,
    only_what_is_claimed_counts_as_a_turn,
    jobs_in_lanes_have_the_turns_of_their_tenants,
    what_cannot_be_claimed_in_a_lane_stands_in_no_turn,
    paused_tenants_have_no_turns,
    paused_tenants_are_stepped_over_and_come_back_in_order,
)
