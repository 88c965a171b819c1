"""How long a lone job waits, and how long the event loop does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

import attrs
import trio

from trio_gusto import Gusto, Options
from trio_gusto.storage.sqlite import SqliteStorage

from . import sqlite_floors
from .scale import Scale
from .trio_floors import EXECUTORS, channel_load
from .workload import NoOpJobs, end_to_end

GAP = 0.004
"""Seconds of silence before every lone enqueue and every raw commit."""


@attrs.frozen
class Quantiles:
    """The median and the 99th percentile, milliseconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Quantiles:
        ordered = sorted(seconds)
        return cls(1000 * ordered[len(ordered) // 2], 1000 * ordered[len(ordered) * 99 // 100])


def enqueue_to_start(scale: Scale, *, inline: bool = False) -> tuple[Quantiles, Quantiles]:
    """A lone enqueue until its handler starts; beside it the floor, a raw durable one-row commit.

    Both come after the same silence, in turn, in the same process and on the same disk. With
    ``inline`` the product writes in the event loop, as the floor does, and not in a thread.
    """

    async def main() -> tuple[Quantiles, Quantiles]:
        storage = SqliteStorage(product, inline=inline)
        app = Gusto(storage, options=Options(concurrency=EXECUTORS))
        send, starts = trio.open_memory_channel[float](1)

        @app.job(name="benchmarks.started")
        async def started(number: int) -> None:
            send.send_nowait(perf_counter() - number / 1e9)

        waited: list[float] = []
        committed: list[float] = []
        raw = sqlite_floors.open_table(floor)
        async with app.running() as queue:
            for _ in range(scale.sparse):
                await trio.sleep(GAP)
                began = perf_counter()
                sqlite_floors.insert(raw, 1)
                committed.append(perf_counter() - began)
                await trio.sleep(GAP)
                await queue.enqueue(started, int(perf_counter() * 1e9))
                waited.append(await starts.receive())
        raw.close()
        return Quantiles.of(waited), Quantiles.of(committed)

    with scale.fresh_database() as product, scale.fresh_database() as floor:
        return trio.run(main)


def lag_of_product(scale: Scale) -> Quantiles:
    """The loop's lag while 64 producers and 32 executors work on a durable queue."""
    with scale.fresh_database() as path:
        jobs = NoOpJobs(SqliteStorage(path))
        return trio.run(_lag_under, lambda: end_to_end(jobs, scale.jobs))


def lag_of_bare_trio(scale: Scale) -> Quantiles:
    """The loop's lag while 64 tasks send to 32 others over a channel."""
    return trio.run(_lag_under, lambda: channel_load(scale.jobs, EXECUTORS))


async def _lag_under(load: Callable[[], Awaitable[float]]) -> Quantiles:
    """How much later than asked a task wakes that sleeps for 1 ms, over and over."""
    late: list[float] = []

    async def sleeper() -> None:
        while True:
            due = perf_counter() + 0.001
            await trio.sleep(0.001)
            late.append(perf_counter() - due)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper)
        await load()
        nursery.cancel_scope.cancel()
    return Quantiles.of(late)
