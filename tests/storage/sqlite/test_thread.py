"""The way to the thread and back: outcomes, cancellation, and the end."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_gusto.model.ids import JobId
from trio_gusto.storage.finding_messages import Find
from trio_gusto.storage.lease_messages import Renew, Renewed
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite.thread import DatabaseThread
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import LEASE, NOW


def nothing() -> None:
    """Nothing to finish."""


@pytest.fixture
async def thread() -> AsyncIterator[DatabaseThread]:
    thread = DatabaseThread("under test")
    yield thread
    await thread.close(nothing)


async def test_what_the_work_raises_goes_to_its_caller_and_the_thread_lives_on(
    thread: DatabaseThread,
) -> None:
    def fail() -> None:
        raise SystemExit("not that easily")

    with pytest.raises(SystemExit, match="not that easily"):
        await thread.run(fail)
    assert await thread.run(lambda: 7) == 7


async def test_work_is_done_in_the_order_it_was_asked_for(thread: DatabaseThread) -> None:
    done: list[int] = []
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(thread.run, lambda number=number: done.append(number))
            await wait_all_tasks_blocked()
    assert done == list(range(10))


async def test_a_caller_cancelled_while_its_work_runs_waits_for_the_outcome(
    thread: DatabaseThread,
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    replies: list[str] = []

    def work() -> str:
        begun.set()
        assert go_on.wait(10)
        return "done"

    async def ask() -> None:
        replies.append(await thread.run(work))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.to_thread.run_sync(begun.wait)
        nursery.cancel_scope.cancel()
        go_on.set()
    assert replies == ["done"]


async def test_work_that_has_not_begun_is_withdrawn_with_its_caller(
    thread: DatabaseThread,
) -> None:
    go_on = threading.Event()
    done: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(thread.run, go_on.wait)
        await wait_all_tasks_blocked()
        with trio.move_on_after(0.01) as scope:
            await thread.run(lambda: done.append("too late"))
        assert scope.cancelled_caught
        go_on.set()
    await thread.run(nothing)
    assert done == []


async def test_a_question_is_left_behind_when_its_caller_is_cancelled(
    thread: DatabaseThread,
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> bool:
        begun.set()
        return go_on.wait(10)

    async def ask() -> None:
        await thread.run(slow, question=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.to_thread.run_sync(begun.wait)
        nursery.cancel_scope.cancel()
    assert not go_on.is_set()
    go_on.set()
    assert await thread.run(lambda: "the next") == "the next"


async def test_a_loop_that_asks_again_and_again_can_be_cancelled(thread: DatabaseThread) -> None:
    with trio.move_on_after(0.02) as scope:
        while True:
            await thread.run(nothing)
    assert scope.cancelled_caught


async def test_detaching_the_last_node_ends_the_threads(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    storage = SqliteStorage(tmp_path / "jobs.db")
    for _ in range(3):
        await storage.attach("node")
        await storage.read(Find(1))
        assert len(set(threading.enumerate()) - before) == 2
        await storage.detach("node")
        # Threads that Trio keeps for the next call may end meanwhile: they were there before.
        assert set(threading.enumerate()) <= before


async def test_a_cancelled_task_can_detach(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    storage = SqliteStorage(tmp_path / "jobs.db")
    await storage.attach("node")
    with trio.CancelScope() as scope:
        scope.cancel()
        await storage.detach("node")
    assert set(threading.enumerate()) <= before


async def test_leases_are_renewed_while_the_event_loop_is_blocked(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "jobs.db")
    await storage.attach("node")
    subject = Subject(storage, "node")
    await subject.enqueue()
    job = await subject.claim_one()
    replies: list[Renewed | None] = []
    leases = [(job.request.id, job.token), (JobId(bytes(16)), 1)]

    def watchdog() -> None:
        replies.append(storage.renew_blocking(Renew("node", NOW + 1, NOW + 2 * LEASE, leases)))

    other = threading.Thread(target=watchdog)
    other.start()
    other.join()  # blocks the loop
    assert replies == [Renewed([JobId(bytes(16))], [])]
    stored = await subject.get(job.request.id)
    assert getattr(stored.state, "lease_until", None) == NOW + 2 * LEASE
    await storage.detach("node")
    assert storage.renew_blocking(Renew("node", NOW, NOW, leases)) is None


async def test_without_a_thread_nothing_is_renewed_behind_the_loop(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "jobs.db", inline=True)
    await storage.attach("node")
    assert storage.renew_blocking(Renew("node", NOW, NOW, [])) is None
    await storage.detach("node")
