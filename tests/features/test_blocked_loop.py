"""A handler that blocks the event loop is named, and keeps its lease for as long as it may run.

Real time and real threads: a loop that stands still is no matter of virtual time. Each node runs in
a thread with an event loop of its own, on one file.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest
import trio

from trio_gusto import Gusto, JobQueue, JobState, LoopBlocked, Options, current_job
from trio_gusto.model.facts import Fact
from trio_gusto.storage.sqlite import SqliteStorage

R = TypeVar("R")


class Node:
    """An app on the file, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        options = Options(concurrency=2, lease=1, loop_block_threshold=0.1)
        self.app = Gusto(SqliteStorage(path), options=options)
        self.facts: list[Fact] = []
        self._started = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._serve,))

    async def _serve(self) -> None:
        async with self.app.running() as self.queue:
            self.queue._probe.subscribe(self.facts.append)
            self._token = trio.lowlevel.current_trio_token()
            self._stop = trio.Event()
            self._started.set()
            await self._stop.wait()

    def ask(self, question: Callable[[JobQueue], Awaitable[R]]) -> R:
        """Ask something of this node's queue, from the test's thread."""

        async def bounded() -> R:
            with trio.fail_after(8):
                return await question(self.queue)

        return trio.from_thread.run(bounded, trio_token=self._token)

    def enqueue(self, handler: Any) -> Any:
        return self.ask(lambda queue: queue.enqueue(handler))

    def result(self, ref: Any) -> Any:
        return self.ask(lambda queue: queue.ref(ref.id).result())

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        trio.from_thread.run_sync(self._stop.set, trio_token=self._token)
        self._thread.join(5)
        assert not self._thread.is_alive()


def block_the_loop(seconds: float) -> None:
    threading.Event().wait(seconds)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [record.getMessage() for record in caplog.records]
    return [message for message in messages if "stood still" in message]


@pytest.fixture(autouse=True)
def hear_warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="trio_gusto")


def test_the_blocker_is_named_with_its_stack_and_nobody_s_lease_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node, neighbour = Node(tmp_path / "jobs.db"), Node(tmp_path / "jobs.db")
    blocked = threading.Event()
    entered: list[str] = []

    @node.app.job(name="block")
    async def block() -> int:
        entered.append("block")
        await trio.sleep(0.1)
        blocked.set()
        block_the_loop(1.5)
        await trio.sleep(0.1)
        return current_job().attempt

    @node.app.job(name="bystander")
    async def bystander() -> int:
        entered.append("bystander")
        await trio.sleep(0.5)
        return current_job().attempt

    for name in ("block", "bystander"):

        @neighbour.app.job(name=name)
        async def take_over() -> int:
            entered.append("the neighbour")
            return current_job().attempt

    with node:
        refs = [node.enqueue(bystander), node.enqueue(block)]
        assert blocked.wait(5)
        with neighbour:
            assert [node.result(ref) for ref in refs] == [1, 1]
    assert sorted(entered) == ["block", "bystander"]
    (warning,) = warnings(caplog)
    assert f"job {refs[1].id} (block, attempt 1)" in warning
    assert "in block_the_loop" in warning
    assert "plain `def` handler" in warning
    (fact,) = [fact for fact in node.facts if isinstance(fact, LoopBlocked)]
    assert (fact.job_id, fact.name) == (refs[1].id, "block")
    assert fact.seconds == pytest.approx(1.5, abs=0.5)


def test_a_blocker_past_its_own_timeout_gives_its_lease_up(tmp_path: Path) -> None:
    node, neighbour = Node(tmp_path / "jobs.db"), Node(tmp_path / "jobs.db")
    blocked = threading.Event()

    @node.app.job(name="block", timeout=0.2)
    async def block() -> int:
        await trio.sleep(0.05)
        blocked.set()
        block_the_loop(2.5)
        return current_job().attempt

    @neighbour.app.job(name="block")
    async def take_over() -> int:
        return current_job().attempt

    with node:
        ref = node.enqueue(block)
        assert blocked.wait(5)
        with neighbour:
            assert neighbour.result(ref) == 2
            assert node.ask(lambda _: ref.status()) is JobState.COMPLETED


def test_code_outside_of_jobs_is_named_as_such(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(tmp_path / "jobs.db")
    entered = threading.Event()

    @node.app.job
    async def patient() -> int:
        entered.set()
        await trio.sleep(0.4)
        return current_job().attempt

    async def block(_queue: JobQueue) -> None:
        await trio.lowlevel.checkpoint()
        block_the_loop(0.3)

    with node:
        ref = node.enqueue(patient)
        assert entered.wait(5)
        node.ask(block)
        assert node.result(ref) == 1
    (warning,) = warnings(caplog)
    assert "code outside of jobs" in warning
    (fact,) = [fact for fact in node.facts if isinstance(fact, LoopBlocked)]
    assert (fact.job_id, fact.name) == (None, None)


def test_an_idle_loop_may_stand_still(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def block(_queue: JobQueue) -> None:
        await trio.lowlevel.checkpoint()
        block_the_loop(0.3)

    with Node(tmp_path / "jobs.db") as node:
        node.ask(block)
    assert warnings(caplog) == []
