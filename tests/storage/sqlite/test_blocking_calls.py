"""Whoever asks the thread from another thread waits for the given time, and once more for what has begun."""

from __future__ import annotations

import queue
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import TypeVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_gusto.storage.sqlite import thread as thread_module
from trio_gusto.storage.sqlite.thread import DatabaseThread

T = TypeVar("T")

TIMEOUT = 0.01


def nothing() -> None:
    """Nothing to finish."""


@pytest.fixture
async def thread() -> AsyncIterator[DatabaseThread]:
    thread = DatabaseThread("under test")
    yield thread
    await thread.close(nothing)


async def test_what_has_not_begun_in_time_is_withdrawn(thread: DatabaseThread) -> None:
    go_on = threading.Event()
    done: list[str] = []
    replies: list[str | None] = []

    def work() -> str:
        done.append("too late")
        return "done"

    def ask() -> None:
        replies.append(thread.run_blocking(work, TIMEOUT))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(thread.run, go_on.wait)
        await wait_all_tasks_blocked()
        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(5)
        waited_on = asking.is_alive()
        go_on.set()
    assert not waited_on
    assert replies == [None]
    await thread.run(nothing)
    assert done == []


class Patience(queue.SimpleQueue[T]):
    """A queue in which there is nothing until one has waited ``times`` times."""

    def __init__(self, begun: threading.Event, go_on: threading.Event, times: int) -> None:
        self.waited: list[float | None] = []
        self._begun, self._go_on, self._times = begun, go_on, times

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        self.waited.append(timeout)
        assert self._begun.wait(5)
        if len(self.waited) <= self._times:
            raise queue.Empty
        self._go_on.set()
        return super().get(block, 5)


@pytest.mark.parametrize(("times", "wanted"), [(0, "done"), (1, "done"), (2, None)])
async def test_what_has_begun_has_the_time_again(
    thread: DatabaseThread, monkeypatch: pytest.MonkeyPatch, times: int, wanted: str | None
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    patience = Patience[object](begun, go_on, times)

    def work() -> str:
        begun.set()
        assert go_on.wait(5)
        return "done"

    with monkeypatch.context() as patch:
        queues = SimpleNamespace(SimpleQueue=lambda: patience, Empty=queue.Empty)
        patch.setattr(thread_module, "queue", queues)
        assert thread.run_blocking(work, TIMEOUT) == wanted
    assert patience.waited == [TIMEOUT] * min(times + 1, 2)
    go_on.set()
    assert await thread.run(lambda: "the next") == "the next"
