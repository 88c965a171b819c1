"""A mock clock beside threads, which it knows nothing of."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto import Gusto
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import FaultyStorage, VirtualClock, standing_still


async def test_no_time_passes_while_a_thread_is_waited_for(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    nursery.start_soon(trio.sleep, 3600)  # something to jump to
    before = trio.current_time()
    with standing_still():
        await trio.to_thread.run_sync(threading.Event().wait, 0.02)
    assert trio.current_time() == before
    await trio.sleep(60)
    assert trio.current_time() == before + 60


async def test_blocks_may_overlap(autojump_clock: MockClock) -> None:
    doors = {name: threading.Event() for name in ("first", "second")}

    async def wait_at(name: str) -> None:
        with standing_still():
            await trio.to_thread.run_sync(doors[name].wait)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_at, "first")
        nursery.start_soon(wait_at, "second")
        await trio.lowlevel.checkpoint()
        doors["first"].set()
        while len(nursery.child_tasks) > 1:
            await trio.lowlevel.checkpoint()
        assert autojump_clock.autojump_threshold == math.inf
        doors["second"].set()
    assert autojump_clock.autojump_threshold == 0


async def test_the_threshold_of_a_mock_clock_is_given_back_when_the_block_fails(
    mock_clock: MockClock,
) -> None:
    mock_clock.autojump_threshold = 0.5
    with pytest.raises(ZeroDivisionError), standing_still():
        raise ZeroDivisionError
    assert mock_clock.autojump_threshold == 0.5


async def test_a_real_clock_goes_on() -> None:
    with standing_still():
        before = trio.current_time()
        await wait_all_tasks_blocked()
        assert trio.current_time() >= before


async def test_a_storage_with_threads_takes_no_virtual_time_behind_a_faulty_one(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    clock = VirtualClock()
    app = Gusto(FaultyStorage(SqliteStorage(tmp_path / "jobs.db")), clock=clock)

    @app.job
    async def greet(name: str) -> str:
        await trio.sleep(30)
        return f"hello {name}"

    async with app.running() as queue:
        started = clock.now()
        ref = await queue.enqueue(greet, "Ann", execute_after=3600)
        assert await ref.result() == "hello Ann"
        assert (clock.now() - started).total_seconds() == 3630


async def test_a_plain_handlers_thread_takes_no_virtual_time(autojump_clock: MockClock) -> None:
    clock = VirtualClock()
    app = Gusto(clock=clock)

    @app.job(timeout=60)
    def work() -> str:
        threading.Event().wait(0.02)
        return "done"

    async with app.running() as queue:
        started = clock.now()
        ref = await queue.enqueue(work)
        assert await ref.result() == "done"
        assert clock.now() == started
