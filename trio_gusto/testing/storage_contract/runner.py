"""Running the checks, each on a fresh storage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable

import trio

from ...model.states import Cancelled
from ...storage.messages import Commit, Committed, Conflict, Insert
from ...storage.storage import Storage
from .callbacks import awaiting
from .depending import ask, of
from .scheduling import MINUTE, find, firing, put, schedule
from .subject import NOW, Subject, same, successes

MakeStorage = Callable[[], Storage | Awaitable[Storage]]
"""Makes a fresh, empty storage, not yet attached."""

Reopen = Callable[[Storage], Storage | Awaitable[Storage]]
"""Makes another storage on the same data as one that is detached; for the same object, returns it."""

Check = Callable[[Subject], Awaitable[None]]
"""One promise; its name is the sentence."""

PATIENCE = 60
"""Seconds after which a check that hangs is given up."""


async def check_storage(make_storage: MakeStorage, *, reopen: Reopen | None = None) -> None:
    """Check that a storage keeps every promise of the message contract.

    Args:
        make_storage: makes a fresh, empty storage each time; may be async.
        reopen: makes a storage on the same data as one that was detached. Without it, what
            outlives a storage object is not checked.

    Raises:
        AssertionError: a promise is broken; the message names it, and what was found instead.

    >>> import trio
    >>> from trio_gusto.storage.memory import MemoryStorage
    >>> trio.run(check_storage, MemoryStorage)
    """
    from . import STORAGE_CHECKS  # noqa: PLC0415 - the list of checks is made of what stands below

    for check in STORAGE_CHECKS:
        await run_check(check, make_storage)
    if reopen is not None:
        await check_reopening(make_storage, reopen)


async def run_check(check: Check, make_storage: MakeStorage) -> None:
    """Run one check on a fresh storage.

    Raises:
        AssertionError: the promise is broken.
    """
    storage = make_storage()
    if isawaitable(storage):
        storage = await storage
    await storage.attach("checker")
    try:
        with trio.fail_after(PATIENCE):
            await check(Subject(storage, "checker"))
    except AssertionError as error:
        raise AssertionError(f"{sentence(check)}: {error}") from error
    except Exception as error:
        error.add_note(f"while checking that {sentence(check)}")
        raise
    finally:
        await storage.detach("checker")


def sentence(check: Check) -> str:
    """What a check promises, in words."""
    return getattr(check, "__name__", repr(check)).replace("_", " ")


async def check_reopening(make_storage: MakeStorage, reopen: Reopen) -> None:
    """Check that jobs are still there when a storage was detached and opened again."""
    storage = make_storage()
    if isawaitable(storage):
        storage = await storage
    await storage.attach("before")
    subject = Subject(storage, "before")
    try:
        await subject.enqueue(priority=7)
        await subject.enqueue()
        done, running = (await subject.claim(limit=2)).jobs
        await subject.complete(done)
        await subject.enqueue()
        returned, callback = await subject.claim_one(), subject.request(execute_after=NOW + MINUTE)
        await subject.expect(Committed, awaiting(returned, callback))
        waiting = await subject.enqueue(execute_after=running.request.created_at + 1)
        await put(subject, schedule())
        await subject.expect(Committed, firing(schedule(), NOW + MINUTE))
        kept = await subject.everything()
        schedules = await find(subject)
    finally:
        await storage.detach("before")
    again = reopen(storage)
    if isawaitable(again):
        again = await again
    await again.attach("after")
    subject = Subject(again, "after")
    try:
        same(await subject.everything(), kept, "the jobs after the storage was opened again")
        same(await find(subject), schedules, "the schedules after the storage was opened again")
        (claimed,) = (await subject.claim(waiting.created_at + 1)).jobs
        same(claimed.request, waiting, "the job claimed after the storage was opened again")
        duplicate = await subject.tell(Insert([waiting], [kept[0].state]))
        same(type(duplicate).__name__, "DuplicateJob", "the reply to an id used before reopening")
        refused = await subject.complete_all(successes(running, done))
        same(refused, {1: Conflict()}, "what is refused of successes claimed before reopening")
        await subject.expect(Committed, Commit(callback.id, 0, Cancelled(NOW, "not wanted"), 0))
        over = of(await ask(subject))
        same(over, [returned.request.id], "whose wait for a callback may be over after reopening")
    finally:
        await again.detach("after")
