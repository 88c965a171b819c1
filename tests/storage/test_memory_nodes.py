"""Nodes that share a `MemoryStorage`: who is woken, and what is known of those that come and go."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_gusto.model.states import Ready
from trio_gusto.storage.lease_messages import Renew, RequestCancel, Stranded
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import ClaimDue, Insert, Write
from trio_gusto.storage.news import EVERYTHING, News
from trio_gusto.storage.pause_messages import HeardPauses, Pauses, PutPause
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import (
    LEASE,
    NOW,
    success,
    successes,
)


async def two_nodes() -> MemoryStorage:
    storage = MemoryStorage()
    await storage.attach("one")
    await storage.attach("two")
    return storage


def insertion(subject: Subject) -> Insert:
    return Insert([subject.request()], [Ready(NOW)])


async def wakes(storage: MemoryStorage, *writes: Write, node: str = "one") -> bool:
    """Whether applying the writes wakes a node that waits for changes."""
    woken = False

    async def listen() -> None:
        nonlocal woken
        await storage.wait_changed(node)
        woken = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await wait_all_tasks_blocked()
        await storage.apply(writes)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return woken


async def test_apply_performs_its_group_without_a_checkpoint() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    applying = storage.apply([insertion(subject)])
    with pytest.raises(StopIteration) as finished:
        applying.send(None)
    assert len(finished.value.value) == 1


async def test_another_node_is_woken_by_new_jobs_outcomes_and_cancellations() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    assert await wakes(storage, insertion(subject))
    job = await subject.claim_one()
    assert await wakes(storage, RequestCancel(job.request.id, job.token, "no"))
    assert await wakes(storage, success(job))
    await subject.insert(subject.request(), subject.request())
    jobs = (await subject.claim()).jobs
    assert await wakes(storage, successes(*jobs))


async def test_nobody_is_woken_by_claims_and_renewals() -> None:
    storage = await two_nodes()
    claim = ClaimDue("one", NOW, NOW + LEASE, 9, 9)
    assert not await wakes(storage, claim, Renew("one", NOW, NOW + LEASE, []))


async def test_a_lone_node_is_not_woken_by_its_own_writes() -> None:
    storage = MemoryStorage()
    await storage.attach("one")
    assert not await wakes(storage, insertion(Subject(storage, "one")))


async def test_every_waiting_node_is_woken() -> None:
    storage = await two_nodes()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            for node in ("one", "two"):
                nursery.start_soon(storage.wait_changed, node)
            await wait_all_tasks_blocked()
            await storage.apply([insertion(Subject(storage, "one"))])


async def test_a_node_that_is_detached_while_it_waits_does_not_come_back() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    await subject.enqueue()
    await subject.claim_one()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(storage.wait_changed, "one")
        await wait_all_tasks_blocked()
        await storage.apply([insertion(subject)])  # news for both, and before they are heard
        await storage.detach("one")
        await wait_all_tasks_blocked()
        nursery.start_soon(storage.wait_changed, "one")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    stranded = await storage.read(Stranded("two", NOW, 10))
    assert len(stranded.lost) == 1


async def test_what_happens_between_two_waits_is_not_missed() -> None:
    storage = await two_nodes()
    await storage.apply([insertion(Subject(storage, "one"))])
    with trio.fail_after(5):
        await storage.wait_changed("two")


async def test_a_node_that_has_heard_waits_for_what_comes_next() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    await storage.apply([insertion(subject)])
    await storage.wait_changed("one")
    assert not await wakes(storage)
    assert await wakes(storage, insertion(subject))


async def test_nobody_is_woken_by_what_is_refused() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    insert = insertion(subject)
    await storage.apply([insert])
    await storage.wait_changed("one")
    assert not await wakes(storage, insert)


async def test_it_is_heard_what_has_happened_in_all_since_the_last_time() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    await storage.apply([insertion(subject)])
    assert await storage.wait_changed("two") == News.CLAIMABLE
    await storage.apply([insertion(subject)])
    await storage.apply([successes(*(await subject.claim()).jobs)])
    assert await storage.wait_changed("two") == News.CLAIMABLE | News.ENDED
    await storage.detach("one")
    assert await storage.wait_changed("two") == EVERYTHING


async def test_the_others_hear_when_a_node_leaves() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    await subject.enqueue()
    job = await subject.claim_one()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(storage.wait_changed, "two")
            await wait_all_tasks_blocked()
            await storage.detach("one")
    stranded = await storage.read(Stranded("two", NOW, 9))
    assert [lost.request.id for lost in stranded.lost] == [job.request.id]


async def test_detach_is_safe_in_a_cancelled_scope() -> None:
    storage = await two_nodes()
    with trio.CancelScope() as scope:
        scope.cancel()
        await storage.detach("one")
    assert set(storage._bells) == {"two"}


async def test_detaching_a_node_that_has_left_does_no_harm() -> None:
    storage = await two_nodes()
    for _ in range(2):
        await storage.detach("one")
    assert set(storage._bells) == {"two"}


async def test_a_node_that_has_heard_of_nothing_has_heard_of_no_pause() -> None:
    """As when a pause was lifted before it could be told."""
    storage = await two_nodes()
    subject = Subject(storage, "one")
    await subject.enqueue()
    await subject.claim()
    await storage.apply([PutPause(None, None, "", NOW), HeardPauses("one", 0)])
    assert list((await storage.read(Pauses(NOW))).unheard) == ["one"]
