"""A program that these tests run in a process of its own, which may mount a disk that nobody else sees.

``python -m tests.processes.on_small_disks SCENARIO FOLDER`` ends with `CANNOT` where it may not.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest
import trio

from property_tests.crashes import small_disk
from trio_gusto import Gusto, JobQueue, JobState, Options, StorageFull, StorageReadOnly
from trio_gusto.storage.sqlite import SqliteStorage, log

CANNOT = 77
LARGE = "x" * 100_000
_REMOUNT_READ_ONLY = 33


def app_on(place: Path) -> Gusto:
    """An app whose file is on the disk."""
    app = Gusto(SqliteStorage(place / "jobs.db"), options=Options(concurrency=2))
    app.job(name="work")(work)
    return app


async def work(text: str) -> int:
    """Look at a text."""
    return len(text)


async def is_refused(app: Gusto, kind: type[Exception], word: str) -> None:
    """See that neither a producer nor a worker can be opened, and that they say why."""
    for opening in (app.connected, app.running):
        with pytest.raises(kind, match=word):
            async with opening():
                pass


async def full(place: Path) -> None:
    """The disk is full at the start, and while a worker runs."""
    log.ROOM = 64 << 10
    app = app_on(place)
    with small_disk.filled(place):
        await is_refused(app, StorageFull, f"{place}/jobs.db is full")
    async with app.connected() as queue:
        before = await queue.enqueue(work, "before")
    with small_disk.filled(place):
        await is_refused(app, StorageFull, f"{place}/jobs.db is full")
    async with app.running() as queue:
        with small_disk.filled(place):
            stored = await _until_full(queue)
        for job_id in [before.id, *stored]:
            await queue.ref(job_id).result()
        assert await (await queue.enqueue(work, "after")).result() == 5
        assert (await queue.stats()).by_state == {JobState.COMPLETED: len(stored) + 2}


async def _until_full(queue: JobQueue) -> list[UUID]:
    stored: list[UUID] = []
    try:
        while len(stored) < 1000:
            stored.append((await queue.enqueue(work, LARGE)).id)
    except StorageFull:
        return stored
    raise AssertionError("there is space for everything")


async def read_only(place: Path) -> None:
    """The disk may not be written, not even by root."""
    app = app_on(place)
    async with app.connected() as queue:
        ref = await queue.enqueue(work, "before")
    flags = _REMOUNT_READ_ONLY
    assert not ctypes.CDLL(None).mount(None, bytes(place), None, flags, None)
    content = (place / "jobs.db").read_bytes()
    await is_refused(app, StorageReadOnly, f"{place}/jobs.db may not be written")
    new = Gusto(SqliteStorage(place / "new.db"))
    await is_refused(new, StorageReadOnly, f"{place} may not be written")
    assert (place / "jobs.db").read_bytes() == content
    assert not ctypes.CDLL(None).mount(None, bytes(place), None, 32, None)
    async with app.running() as queue:
        assert await queue.ref(ref.id).result() == 6


SCENARIOS: dict[str, Callable[[Path], Awaitable[None]]] = {"full": full, "read-only": read_only}

if __name__ == "__main__":
    folder = Path(sys.argv[2])
    if not (small_disk.may_mount() and small_disk.mount(folder)):
        sys.exit(CANNOT)
    trio.run(SCENARIOS[sys.argv[1]], folder)
