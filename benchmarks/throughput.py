"""Jobs per second of the product, one function for each load."""

from __future__ import annotations

from time import perf_counter

import trio
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider

from trio_gusto.storage.sqlite import SqliteStorage

from .scale import Scale
from .trio_floors import EXECUTORS
from .workload import NoOpJobs, drained, end_to_end


def memory_drain(
    scale: Scale,
    *,
    timeout: float | None = 600.0,
    waits: bool = False,
    without_telemetry: bool = False,
) -> float:
    """A backlog in memory, enqueued first, then run by 32 executors.

    With ``waits`` every handler does a checkpoint. As an app comes by default: OpenTelemetry's API is there, with no SDK behind it. With
    ``without_telemetry`` it is switched off by providers that do nothing.
    """
    jobs = NoOpJobs(
        timeout=timeout,
        waits=waits,
        tracer_provider=NoOpTracerProvider() if without_telemetry else None,
        meter_provider=NoOpMeterProvider() if without_telemetry else None,
    )

    async def main() -> float:
        await jobs.fill(scale.jobs)
        return await drained(jobs, scale.jobs)

    return trio.run(main)


def sqlite_drain(scale: Scale) -> float:
    """A backlog in SQLite, enqueued first, then run by 32 executors."""
    with scale.fresh_database() as path:
        jobs = NoOpJobs(SqliteStorage(path))

        async def main() -> float:
            await jobs.fill(scale.jobs)
            return await drained(jobs, scale.jobs)

        return trio.run(main)


def memory_end_to_end(scale: Scale, concurrency: int = EXECUTORS, backlog: int = 0) -> float:
    """64 producers awaiting every enqueue, while as many jobs are run behind ``backlog`` others."""
    jobs = NoOpJobs(concurrency=concurrency)

    async def main() -> float:
        await jobs.fill(backlog)
        return await end_to_end(jobs, scale.jobs)

    return trio.run(main)


def sqlite_end_to_end(scale: Scale, concurrency: int = EXECUTORS, backlog: int = 0) -> float:
    """The same on SQLite: an enqueue has returned when its job is on the disk."""
    with scale.fresh_database() as path:
        jobs = NoOpJobs(SqliteStorage(path), concurrency=concurrency)

        async def main() -> float:
            await jobs.fill(backlog)
            return await end_to_end(jobs, scale.jobs)

        return trio.run(main)


def sqlite_enqueue(scale: Scale, callers: int, *, inline: bool = False) -> float:
    """Durable enqueues only: nobody runs the jobs, every caller awaits each of his.

    With ``inline`` they are written in the event loop and not in a thread.
    """
    count = scale.lone if callers == 1 else scale.jobs
    with scale.fresh_database() as path:
        jobs = NoOpJobs(SqliteStorage(path, inline=inline))

        async def main() -> float:
            async with jobs.app.connected() as queue:
                began = perf_counter()
                await jobs.produce(queue, count, callers)
                return count / (perf_counter() - began)

        return trio.run(main)
