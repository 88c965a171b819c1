"""Storages that wait for nothing are spoken to in the caller's own step."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto import Gusto, GustoError, JobState, MemoryStorage, Options, StorageBusy, call
from trio_gusto.queue.jobqueue import TURN
from trio_gusto.storage.messages import ClaimDue, Insert, Write, WriteReply
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import VirtualClock


class Grouped(SqliteStorage):
    """Remembers the kinds of each group, and whether it was performed in its caller's step."""

    def __init__(self, path: Path, *, inline: bool) -> None:
        super().__init__(path, inline=inline, busy_timeout=0)
        self.groups: list[list[type]] = []
        self.at_once = 0

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        self.groups.append([type(write) for write in writes])
        return await super().apply(writes)

    def apply_at_once(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError] | None:
        replies = super().apply_at_once(writes)
        if replies is not None:
            self.at_once += 1
            self.groups.append([type(write) for write in writes])
        return replies


@pytest.mark.parametrize("inline", [True, False])
async def test_a_lone_job_is_stored_and_claimed_in_one_transaction(
    autojump_clock: MockClock, tmp_path: Path, inline: bool
) -> None:
    storage = Grouped(tmp_path / "jobs.db", inline=inline)
    app = Gusto(storage)

    @app.job
    async def work() -> str:
        return "done"

    async with app.running() as queue:
        await wait_all_tasks_blocked(0.01)
        storage.groups.clear()
        assert await (await queue.enqueue(work)).result() == "done"
        assert [Insert, ClaimDue] in storage.groups
        assert bool(storage.at_once) is inline


async def test_a_crowd_is_served_in_groups_all_the_same(tmp_path: Path) -> None:
    storage = Grouped(tmp_path / "jobs.db", inline=True)
    app = Gusto(storage)

    @app.job
    async def work(number: int) -> None: ...

    async with app.connected() as queue:
        await wait_all_tasks_blocked()

        async def producer() -> None:
            for number in range(10):
                await queue.enqueue(work, number)

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(producer)
        assert sum(map(len, storage.groups)) == 500
        assert len(storage.groups) < 30


async def test_a_fault_that_a_lone_caller_meets_is_answered_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    app = Gusto(Grouped(path, inline=True))

    @app.job
    async def work() -> None: ...

    async with app.connected() as queue:
        await wait_all_tasks_blocked()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy):
            await queue.enqueue(work)
        other.execute("ROLLBACK")
        other.close()
        await queue.enqueue(work)
        assert (await queue.stats()).by_state == {JobState.READY: 1}


async def test_enqueueing_in_memory_lets_others_have_their_turn() -> None:
    """No task that enqueues in a loop keeps the event loop to itself."""
    app = Gusto(MemoryStorage())
    turns: list[int] = []

    @app.job
    async def work() -> None: ...

    async with app.connected() as queue:
        enqueued = 0
        async with trio.open_nursery() as nursery:

            async def onlooker() -> None:
                while True:
                    turns.append(enqueued)
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(onlooker)
            for _ in range(10 * TURN):
                await queue.enqueue(work)
                enqueued += 1
            nursery.cancel_scope.cancel()
    pauses = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert max(pauses) <= 2 * TURN  # whose turn comes first is drawn by lot


@pytest.mark.parametrize("how", ["one", "many"])
async def test_a_cancelled_task_gets_no_further_than_one_enqueue(how: str) -> None:
    app = Gusto(MemoryStorage())

    @app.job
    async def work() -> None: ...

    async with app.connected() as queue:
        with trio.CancelScope() as scope:
            scope.cancel()
            if how == "one":
                await queue.enqueue(work)
            else:
                await queue.enqueue_many([call(work)])
        assert scope.cancelled_caught
        await queue.enqueue(work)  # and nothing is broken


class Counting(MemoryStorage):
    """Counts claims; with its own `apply` it is asked through that."""

    def __init__(self) -> None:
        super().__init__()
        self.claims = 0

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        self.claims += sum(isinstance(write, ClaimDue) for write in writes)
        return await super().apply(writes)


async def test_one_claim_covers_all_that_was_stored_before_it_goes(
    autojump_clock: MockClock,
) -> None:
    storage = Counting()
    app = Gusto(storage, clock=VirtualClock(), options=Options(concurrency=100, batch_size=100))
    running = 0

    @app.job
    async def work() -> None:
        nonlocal running
        running += 1
        await trio.sleep(1)

    async with app.running() as queue:
        await wait_all_tasks_blocked()
        before = storage.claims
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(queue.enqueue, work)
        await wait_all_tasks_blocked()
        assert running == 100
        assert storage.claims - before <= 3
