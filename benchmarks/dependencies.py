"""Releasing ten thousand continuations of one batch, and cancelling a batch of ten thousand.

``python -m benchmarks.dependencies`` prints for each how long it took and for how long the event loop
stood still at most. Each should take less than two seconds, and none hold the loop for 50 ms.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from trio_gusto import Gusto, JobQueue, JobState, Options
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage

MANY = 10_000


class Lag:
    """The longest time that a task had to wait for its turn, in seconds."""

    worst = 0.0

    async def watch(self) -> None:
        while True:
            began = time.perf_counter()
            await trio.sleep(0.001)
            self.worst = max(self.worst, time.perf_counter() - began - 0.001)


@asynccontextmanager
async def measured(what: str) -> AsyncGenerator[None]:
    """Print how long the block took, and how the loop fared."""
    lag = Lag()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lag.watch)
        await trio.sleep(0.01)
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        nursery.cancel_scope.cancel()
    sys.stdout.write(f"{what}: {took:.2f} s, loop held for {1000 * lag.worst:.0f} ms at most\n")


async def measure(name: str, storage: Storage) -> None:
    app = Gusto(storage, options=Options(queues=["run"]))

    @app.job(queue="other")
    async def nothing() -> None: ...

    async with app.running() as queue:
        async with queue.batch() as batch:
            for _ in range(MANY):
                batch.enqueue(nothing)
        await trio.sleep(1.2)
        async with measured(f"{name}, cancelling a batch of {MANY}"):
            await batch.cancel()
        async with queue.batch() as parent:
            one = parent.enqueue(nothing, execute_after=3600)
            for _ in range(MANY):
                parent.continue_with(nothing, on="finish")
        await trio.sleep(1.2)
        async with measured(f"{name}, releasing {MANY} continuations of one batch"):
            await one.cancel()
            await until_released(queue)


async def until_released(queue: JobQueue) -> None:
    while (await queue.stats()).by_state.get(JobState.WAITING):
        await trio.sleep(0.05)


def main() -> None:
    trio.run(measure, "memory", MemoryStorage())
    with tempfile.TemporaryDirectory() as home:
        trio.run(measure, "SQLite", SqliteStorage(Path(home) / "jobs.db"))


if __name__ == "__main__":
    main()
