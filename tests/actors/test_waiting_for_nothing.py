"""Storages that wait for nothing are spoken to in the caller's own step."""

from __future__ import annotations

import itertools
import signal
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto import (
    Gusto,
    GustoError,
    JobState,
    MemoryStorage,
    Options,
    StorageBusy,
    StorageError,
    call,
)
from trio_gusto.actors.desk import StoreLetter
from trio_gusto.queue.jobqueue import TURN
from trio_gusto.storage.messages import ClaimDue, Commit, Insert, Write, WriteReply
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Answer, Storage
from trio_gusto.testing import VirtualClock


class Grouped(SqliteStorage):
    """Remembers the kinds of each group, and whether it was performed in its caller's step."""

    def __init__(self, path: Path, *, inline: bool) -> None:
        super().__init__(path, inline=inline, busy_timeout=0)
        self.groups: list[list[type]] = []
        self.submitted = 0

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        self.groups.append([type(write) for write in writes])
        return await super().apply(writes)

    def submit(self, writes: Sequence[Write], answer: Answer) -> bool:
        self.groups.append([type(write) for write in writes])
        begun = super().submit(writes, answer)
        self.submitted += 1
        return begun


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
        assert storage.submitted


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


async def test_a_storage_that_breaks_in_a_callers_step_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    class Broken(Grouped):
        def submit(self, writes: Sequence[Write], answer: Answer) -> bool:
            raise ZeroDivisionError(f"cannot perform {len(writes)} writes")

    app = Gusto(Broken(tmp_path / "jobs.db", inline=True))

    @app.job
    async def work() -> str:
        return "done"

    async with app.running() as queue:
        await wait_all_tasks_blocked(0.01)
        for _ in range(3):
            assert await (await queue.enqueue(work)).result() == "done"


async def test_what_overrides_apply_is_asked_for_lone_writes_too(tmp_path: Path) -> None:
    class Overriding(SqliteStorage):
        asked = 0

        async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
            self.asked += len(writes)
            return await super().apply(writes)

    storage = Overriding(tmp_path / "jobs.db", inline=True)
    app = Gusto(storage)

    @app.job
    async def work() -> None: ...

    async with app.connected() as queue:
        await wait_all_tasks_blocked()
        for _ in range(5):
            await queue.enqueue(work)
    assert storage.asked == 5


async def test_a_storage_that_works_elsewhere_is_asked_once_whether_it_works_here(
    tmp_path: Path,
) -> None:
    """What is taken out of the mailbox for it in vain was sealed in vain, too."""

    class Asked(Grouped):
        asked = 0

        def submit(self, writes: Sequence[Write], answer: Answer) -> bool:
            self.asked += 1
            return Storage.submit(self, writes, answer)

    storage = Asked(tmp_path / "jobs.db", inline=False)
    app = Gusto(storage)

    @app.job
    async def work() -> None: ...

    async with app.connected() as queue:
        await wait_all_tasks_blocked(0.01)
        for _ in range(5):
            await queue.enqueue(work)
            await wait_all_tasks_blocked(0.01)
    assert storage.asked == 1


def test_a_ctrl_c_does_not_tear_a_write_that_is_performed_in_its_callers_step() -> None:
    class Interrupted(MemoryStorage):
        def perform(self, write: Write) -> WriteReply | GustoError:
            if isinstance(write, Commit):
                signal.raise_signal(signal.SIGINT)
            return super().perform(write)

    app = Gusto(Interrupted())

    @app.job
    async def work() -> None: ...

    async def main() -> None:
        async with app.connected() as queue:
            ref = await queue.enqueue(work)
            with pytest.raises(KeyboardInterrupt):
                await ref.cancel()
            assert await ref.status() is JobState.CANCELLED

    trio.run(main)


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


class Slow(SqliteStorage):
    """Lets a test say when, and how, what was submitted is answered."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, inline=True)
        self.answers: list[Callable[[], None]] = []
        self.fault: StorageError | None = None

    def submit(self, writes: Sequence[Write], answer: Answer) -> bool:
        replies: list[Sequence[WriteReply | GustoError] | StorageError] = []
        if self.fault is None:
            assert super().submit(writes, replies.append)
        else:
            replies.append(self.fault)
        self.answers.append(lambda: answer(replies[0]))
        return True


async def test_while_a_lone_write_is_under_way_others_gather(tmp_path: Path) -> None:
    storage = Slow(tmp_path / "jobs.db")
    app = Gusto(storage)
    ended: list[str] = []

    @app.job
    async def work() -> None: ...

    async def enqueue(name: str) -> None:
        await queue.enqueue(work)
        ended.append(name)

    async with app.connected() as queue, trio.open_nursery() as nursery:
        await wait_all_tasks_blocked()
        nursery.start_soon(enqueue, "first")
        await wait_all_tasks_blocked()
        nursery.start_soon(enqueue, "second")
        await wait_all_tasks_blocked()
        assert ended == ["second"]
        (answer,) = storage.answers
        answer()
        await wait_all_tasks_blocked()
        assert ended == ["second", "first"]


async def test_a_fault_that_comes_later_is_told_to_the_lone_caller(tmp_path: Path) -> None:
    storage = Slow(tmp_path / "jobs.db")
    app = Gusto(storage)

    @app.job
    async def work() -> None: ...

    async with app.connected() as queue:
        await wait_all_tasks_blocked()
        storage.fault = StorageError("the disk is gone, so nothing was stored; mend it")
        async with trio.open_nursery() as nursery:

            async def enqueue() -> None:
                with pytest.raises(StorageError, match="the disk is gone"):
                    await queue.enqueue(work)

            nursery.start_soon(enqueue)
            await wait_all_tasks_blocked()
            storage.answers.pop()()
        storage.fault = None
        with trio.move_on_after(0):
            await queue.enqueue(work)
        storage.answers.pop()()
        assert (await queue.stats()).by_state == {JobState.READY: 1}


async def test_a_stop_waits_for_a_lone_write_that_is_under_way(tmp_path: Path) -> None:
    """Its claim has to be given back by somebody who is still there."""
    path = tmp_path / "jobs.db"
    storage = Slow(path)
    app = Gusto(storage)

    @app.job
    async def work() -> None: ...

    left = trio.Event()
    begin = trio.Event()

    async def serve() -> None:
        async with app.running() as queue:
            await wait_all_tasks_blocked()
            with trio.move_on_after(0):  # its caller does not wait for it
                await queue.enqueue(work)
            begin.set()
        left.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await begin.wait()
        await wait_all_tasks_blocked(0.05)
        assert not left.is_set()
        storage.answers.pop()()
        with trio.fail_after(10):
            await left.wait()
    async with Gusto(SqliteStorage(path, inline=True)).connected() as queue:
        states = (await queue.stats()).by_state
        assert states.get(JobState.PROCESSING, 0) == 0
        assert sum(states.values()) == 1


async def test_a_reply_that_cannot_be_delivered_ends_no_loop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Slow(tmp_path / "jobs.db")
    app = Gusto(storage)

    @app.job
    async def work() -> None: ...

    def broken(_letter: object, reply: object) -> None:
        raise ZeroDivisionError(str(reply))

    async with app.connected() as queue:
        await wait_all_tasks_blocked()
        with monkeypatch.context() as patched:
            with trio.move_on_after(0):
                await queue.enqueue(work)
            patched.setattr(StoreLetter, "deliver", broken)
            storage.answers.pop()()
        assert "could not be delivered" in caplog.text
        with trio.move_on_after(0):
            await queue.enqueue(work)
        storage.answers.pop()()
