"""Promises to those who wait for changes: of storages that can tell of them. Others say nothing, and promise nothing."""

from __future__ import annotations

import trio

from ...model.job import Details
from ...model.states import Waiting
from ...storage.finding_messages import Tally
from ...storage.lease_messages import RequestCancel
from ...storage.messages import Insert, Write
from ...storage.news import news_of
from ...storage.pause_messages import PutPause
from ...storage.schedule_messages import PutSchedule
from ...storage.storage import Storage
from .inserting import insertion
from .scheduling import MINUTE, firing, schedule
from .subject import LEASE, NOW, Subject, same, success, successes

QUESTIONS, FALSE_ALARMS = 200, 20
"""How many questions are asked while others wait, and how often they may be told of changes meanwhile."""


async def whoever_waits_for_changes_hears_of_them(subject: Subject) -> None:
    """For storages that can tell; a change between two waits is not missed."""
    storage, listener = await subject.another()
    if type(storage).wait_changed is Storage.wait_changed:
        return
    for _ in range(3):
        await subject.enqueue()
        await storage.wait_changed(listener)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(storage.wait_changed, listener)
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        await subject.enqueue()


async def what_is_heard_covers_what_was_written(subject: Subject) -> None:
    """More may be said than was written, and to say nothing of it is to say everything."""
    storage, listener = await subject.another()
    if type(storage).wait_changed is Storage.wait_changed:
        return

    async def tell(write: Write) -> None:
        replies = await subject.apply([write])
        wanted = news_of([write], replies)
        same(bool(wanted), True, f"whether a {type(write).__name__} that is new is news")
        heard = await storage.wait_changed(listener)
        covered = wanted if heard is None else wanted & heard
        same(covered, wanted, f"what is heard of a {type(write).__name__}")

    parent = subject.request(details=Details(worker="press"))
    await tell(insertion(parent))
    await tell(Insert([subject.request()], [Waiting((parent.id,))]))
    await tell(successes(await subject.claim_one()))
    await tell(insertion(subject.request(expire_on=NOW + LEASE)))
    await tell(success(await subject.claim_one()))
    await tell(insertion(subject.request()))
    job = await subject.claim_one()
    await tell(RequestCancel(job.request.id, job.token, "no"))
    kept = schedule()
    await tell(PutSchedule(kept.request.name, None, kept))
    await tell(firing(kept, NOW + MINUTE, states={NOW + MINUTE: Waiting()}))
    await tell(PutPause(None, None, "", NOW))


async def who_waits_for_changes_waits_until_there_are_any(subject: Subject) -> None:
    """A storage may be wrong about that now and then, but not whenever it is asked."""
    await subject.enqueue()
    waiting = [(subject.storage, subject.node), await subject.another()]

    async def wait(storage: Storage, node: str) -> None:
        for _ in range(FALSE_ALARMS):
            await storage.wait_changed(node)
        raise AssertionError(
            f"a node that waits for changes should hear of none when nothing is written, but was told of "
            f"{FALSE_ALARMS} before {QUESTIONS} questions were answered"
        )

    async with trio.open_nursery() as nursery:
        for storage, node in waiting:
            nursery.start_soon(wait, storage, node)
        for _ in range(QUESTIONS):
            await subject.storage.read(Tally())
        nursery.cancel_scope.cancel()


HEARING_CHECKS = (
    who_waits_for_changes_waits_until_there_are_any,
    whoever_waits_for_changes_hears_of_them,
    what_is_heard_covers_what_was_written,
)
