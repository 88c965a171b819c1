"""What a claim takes where jobs are in lanes, tenants are paused, or the order is another."""

from __future__ import annotations

import pytest

from trio_gusto.model.job import Details
from trio_gusto.model.rates import RateLimit
from trio_gusto.storage.pause_messages import PutPause
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW, SECOND, ids

SMTP = Details(worker="smtp")
PRINTER = Details(worker="printer")
ACME = Details(concurrency_key="acme", concurrency_limit=3)


async def test_between_jobs_of_a_lane_that_are_alike_those_in_no_lane_have_their_turn(
    subject: Subject,
) -> None:
    jobs = [subject.request(details=details) for details in (ACME, ACME, None, ACME, ACME, None)]
    await subject.insert(*jobs)
    reply = await subject.claim()
    assert ids(reply.jobs) == ids([*jobs[:4], jobs[5]])


async def test_behind_the_rest_of_a_full_lane_the_next_one_is_taken(subject: Subject) -> None:
    jobs = [subject.request(details=details) for details in (SMTP, SMTP, None, SMTP, PRINTER)]
    await subject.insert(*jobs)
    assert ids((await subject.claim()).jobs) == ids([jobs[0], jobs[2], jobs[4]])


async def test_a_job_in_a_lane_is_not_taken_for_the_share_of_another_queue(
    subject: Subject,
) -> None:
    await subject.enqueue(queue="b", details=SMTP)
    plain = await subject.enqueue(queue="a")
    assert ids((await subject.claim(queues=[("a", 9)])).jobs) == [plain.id]


@pytest.mark.parametrize("queues", [None, [("default", 1)]])
async def test_in_one_queue_of_lanes_the_older_comes_before_the_more_urgent(
    subject: Subject, queues: list[tuple[str, int]] | None
) -> None:
    await subject.enqueue(priority=2, created_at=NOW + 9 * SECOND, details=PRINTER)
    old = await subject.enqueue(priority=0, details=SMTP)
    claim = await subject.claim(NOW + 9 * SECOND, limit=1, ageing=SECOND, queues=queues)
    assert ids(claim.jobs) == [old.id]


async def test_beside_a_paused_tenant_what_is_left_of_a_queue_comes_once(subject: Subject) -> None:
    await subject.tell(PutPause(None, "paused", "", NOW))
    await subject.enqueue(queue="a", tenant="paused")
    jobs = [await subject.enqueue(queue="a", tenant=tenant) for tenant in ("x", "y", "x")]
    reply = await subject.claim(limit=9, queues=[("a", 1), ("b", 1)])
    assert ids(reply.jobs) == ids(jobs)


async def test_where_a_queue_has_no_token_left_other_queues_are_gone_on_with(
    subject: Subject,
) -> None:
    acme = Details(concurrency_key="acme", concurrency_limit=5)
    slow = [subject.request(queue="slow", details=acme) for _ in range(3)]
    other = subject.request(queue="other", details=PRINTER)
    await subject.insert(*slow, other)
    rates = {"slow": RateLimit(1, per=60)}
    reply = await subject.claim(depth=3, queue_rates=rates)
    assert ids(reply.jobs) == ids([slow[0], other])
    reply = await subject.claim(depth=3, queue_rates=rates, queues=[("slow", 9)])
    assert reply.jobs == []
