"""The product under measurement: an app with one no-op handler, and the clock that times it.

Speaks to the public API only, as a user's service would.
"""

from __future__ import annotations

from datetime import timedelta
from time import perf_counter

import trio
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from trio_gusto import Gusto, JobQueue, MemoryStorage, Options, call
from trio_gusto.clock import Clock
from trio_gusto.storage.storage import Storage

from .trio_floors import EXECUTORS, PRODUCERS

PATIENCE = 120.0
"""Seconds after which a load that has not ended is an error, not a slow machine."""


class NoOpJobs:
    """An app whose only handler takes one int and does nothing.

    ``timeout`` is that of every job, in seconds, and ``None`` for none. With ``waits`` the handler
    does one checkpoint, as the floors of Trio do for every job.
    """

    def __init__(
        self,
        storage: Storage | None = None,
        *,
        concurrency: int = EXECUTORS,
        timeout: float | None = 600.0,
        waits: bool = False,
        retention: timedelta | None = timedelta(days=7),
        clock: Clock | None = None,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self.app = Gusto(
            MemoryStorage() if storage is None else storage,
            options=Options(concurrency=concurrency, default_timeout=timeout, retention=retention),
            clock=clock,
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
        )
        self._expected = 0
        self._left = 0
        self._began = 0.0
        self._ended_at = 0.0
        self._ended = trio.Event()

        @self.app.job(name="benchmarks.no_op")
        async def no_op(number: int) -> None:  # noqa: ARG001  an argument is part of the load
            if not self._began:
                self._began = perf_counter()
            if waits:
                await trio.lowlevel.checkpoint()
            self._left -= 1
            if self._left == 0:
                self._ended_at = perf_counter()
                self._ended.set()

        self.handler = no_op

    def expect(self, jobs: int) -> None:
        """From now on ``jobs`` handlers are to be counted."""
        self._expected = self._left = jobs
        self._began = 0.0
        self._ended = trio.Event()

    async def ended(self) -> float:
        """Wait for the handlers expected. Returns handlers per second since the first began."""
        with trio.fail_after(PATIENCE):
            await self._ended.wait()
        return self._expected / (self._ended_at - self._began)

    @property
    def handled(self) -> int:
        """How many handlers have run since `expect`, more than expected if there were more jobs."""
        return self._expected - self._left

    async def fill(self, jobs: int) -> None:
        """Leave ``jobs`` jobs pending, enqueued by a process that runs none."""
        async with self.app.connected() as queue:
            for first in range(0, jobs, 1000):
                numbers = range(first, min(first + 1000, jobs))
                await queue.enqueue_many([call(self.handler, number) for number in numbers])

    async def produce(self, queue: JobQueue, jobs: int, producers: int = PRODUCERS) -> None:
        """``producers`` tasks enqueue ``jobs`` jobs among them, each awaiting every single one."""

        async def producer(first: int) -> None:
            for number in range(first, jobs, producers):
                await queue.enqueue(self.handler, number)

        async with trio.open_nursery() as nursery:
            for first in range(producers):
                nursery.start_soon(producer, first)


async def drained(jobs: NoOpJobs, count: int) -> float:
    """Run ``count`` pending jobs. Returns jobs per second."""
    jobs.expect(count)
    async with jobs.app.running():
        return await jobs.ended()


async def end_to_end(jobs: NoOpJobs, count: int) -> float:
    """64 producers enqueue ``count`` jobs while as many, or more of a backlog, are run.

    Returns the mean of the jobs enqueued and the jobs run per second: executors do not wait for
    producers as long as there is a backlog.
    """
    jobs.expect(count)
    async with jobs.app.running() as queue:
        began = perf_counter()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jobs.produce, queue, count)
            await jobs.ended()
        return (count + jobs.handled) / 2 / (perf_counter() - began)
