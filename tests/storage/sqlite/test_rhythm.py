"""How long a storage waits for a lock, whom it wakes, and when its thread does what else there is."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto.model.errors import StorageBusy
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite.thread import DatabaseThread
from trio_gusto.testing.storage_contract import Subject


def nothing(_: object = None) -> None:
    """Nothing to do."""


async def test_in_the_loop_who_writes_does_not_wait_for_another_turn() -> None:
    storage = SqliteStorage(":memory:", inline=True)
    await storage.attach("node")
    async with trio.open_nursery() as nursery:
        others = trio.Event()

        async def take_turn() -> None:
            others.set()

        nursery.start_soon(take_turn)
        await storage.apply([])
        assert not others.is_set()
    await storage.detach("node")


@pytest.mark.parametrize("timeout", [0, 0.1])
async def test_in_the_loop_a_lock_is_waited_for_as_long_as_asked(
    tmp_path: Path, autojump_clock: MockClock, timeout: float
) -> None:
    path = tmp_path / "jobs.db"
    storage = SqliteStorage(path, inline=True, busy_timeout=timeout)
    await storage.attach("node")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = trio.current_time()
        with trio.fail_after(1), pytest.raises(StorageBusy):
            await Subject(storage, "node").enqueue()
        assert timeout <= trio.current_time() - began <= timeout + (0.03 if timeout else 0)
    await storage.detach("node")


async def test_in_the_loop_a_lock_that_is_let_go_of_is_taken(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "jobs.db"
    storage = SqliteStorage(path, inline=True, busy_timeout=5)
    await storage.attach("node")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        async def let_go() -> None:
            await trio.sleep(0.05)
            other.execute("ROLLBACK")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(let_go)
            await Subject(storage, "node").enqueue()
    await storage.detach("node")


async def test_a_node_alone_does_not_hear_of_itself_and_others_hear_no_silence() -> None:
    storage = SqliteStorage(":memory:", inline=True)
    await storage.attach("node")
    subject, heard = Subject(storage, "node"), list[str]()

    async def listen(node: str) -> None:
        await storage.wait_changed(node)
        heard.append(node)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, "node")
        await subject.enqueue()
        await wait_all_tasks_blocked()
        assert heard == []
        await storage.attach("another")
        nursery.start_soon(listen, "another")
        await wait_all_tasks_blocked()
        await subject.claim()
        await wait_all_tasks_blocked()
        assert heard == []
        await subject.enqueue()
    assert sorted(heard) == ["another", "node"]
    for node in ("another", "node"):
        await storage.detach(node)


async def test_soon_after_some_work_there_is_time_for_something_else() -> None:
    asked: list[bool] = []
    answers = iter([0.001, None])
    over = threading.Event()

    def between(idle: bool) -> float | None:
        asked.append(idle)
        answer = next(answers, None)
        if answer is None:
            over.set()
        return answer

    thread = DatabaseThread("under test", between)
    own = await thread.run(threading.current_thread)
    assert (own.name, own.daemon) == ("under test", True)
    assert over.wait(5)
    assert not threading.Event().wait(0.02)
    assert asked == [False, True]
    await thread.close(nothing)


async def test_after_many_pieces_of_work_there_is_time_for_something_else() -> None:
    done: list[int] = []
    seen: list[int] = []
    go_on, over = threading.Event(), threading.Event()

    def between(idle: bool) -> None:
        seen.append(len(done))
        if len(done) == 121:
            over.set()

    thread = DatabaseThread("under test", between)

    def work() -> None:
        assert go_on.wait(5)
        done.append(1)

    for _ in range(121):
        thread.begin(work, nothing)
    go_on.set()
    assert over.wait(5)
    assert seen == [50, 100, 121]
    await thread.close(nothing)
