"""`JobQueue.events`: what happens in this process can be watched."""

from __future__ import annotations

import trio
import trio.testing

from trio_gusto import (
    Fact,
    Gusto,
    JobClaimed,
    JobEnqueued,
    JobFinished,
    JobRetriedByHand,
    JobStarted,
    JobState,
)

app = Gusto()


@app.job(name="greet")
async def greet(name: str) -> str:
    return f"hello {name}"


def take_all(channel: trio.MemoryReceiveChannel[Fact]) -> list[Fact]:
    found: list[Fact] = []
    while True:
        try:
            found.append(channel.receive_nowait())
        except trio.WouldBlock:
            return found


async def test_the_facts_of_a_job_come_in_order(autojump_clock: trio.testing.MockClock) -> None:
    async with app.running() as queue, queue.events() as events:
        ref = await queue.enqueue(greet, "Ann")
        await ref.result()
        facts = take_all(events)
    assert [type(fact) for fact in facts] == [JobEnqueued, JobClaimed, JobStarted, JobFinished]
    assert {getattr(fact, "job_id", None) for fact in facts} == {ref.id}


async def test_what_is_changed_by_hand_is_told_too() -> None:
    async with app.connected() as queue, queue.events() as events:
        later = await queue.enqueue(greet, "Bob", execute_after=60)
        assert await later.cancel("no need")
        assert await queue.retry(later)
        async with queue.batch() as batch:
            member = batch.enqueue(greet, "Cid")
        await batch.cancel("none of them")
        facts = take_all(events)
    kinds = [JobEnqueued, JobFinished, JobRetriedByHand, JobEnqueued, JobFinished]
    assert [type(fact) for fact in facts] == kinds
    cancelled, batch_cancelled = (fact for fact in facts if isinstance(fact, JobFinished))
    assert (cancelled.state, cancelled.reason) == (JobState.CANCELLED, "no need")
    assert (batch_cancelled.job_id, batch_cancelled.reason) == (member.id, "none of them")
