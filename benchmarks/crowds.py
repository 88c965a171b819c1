"""What happens to many at once: schedules of one instant, continuations of one batch, a batch.

Of each it is measured how long it takes, and for how long the event loop stands still at most.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from time import perf_counter, time_ns

import attrs
import trio

from trio_gusto import Gusto, Handler, JobFilter, JobQueue, JobState, MemoryStorage, Options
from trio_gusto.clock import SystemClock
from trio_gusto.model.instants import MICROSECONDS, to_datetime
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage

from . import sqlite_floors
from .scale import Scale
from .workload import NoOpJobs

SILENCE = 0.5
"""Seconds before what is measured, in which nothing is left of its preparation."""

REGISTRATIONS = 64
"""Schedules that are registered at a time."""


@attrs.frozen
class Toll:
    """``seconds`` that something took; ``stall``: the loop's longest standstill, milliseconds."""

    seconds: float
    stall: float


class Watch:
    """The longest time that a task had to wait for its turn, in seconds."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def run(self) -> None:
        while True:
            due = perf_counter() + 0.001
            await trio.sleep(0.001)
            self.worst = max(self.worst, perf_counter() - due)


@asynccontextmanager
async def watched() -> AsyncGenerator[Watch]:
    """Watches the loop for the length of the block, and until the watch has had a turn after it."""
    watch = Watch()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        await trio.sleep(0.01)
        yield watch
        await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


# --- the schedules of one instant -----------------------------------------------------------------


class AdvancingClock(SystemClock):
    """The machine's clock, which may be put forward, so that no instant has to be waited for."""

    def __init__(self) -> None:
        self._ahead = 0

    def instant(self) -> int:
        return time_ns() // 1000 + self._ahead

    def put_forward_to(self, instant: int) -> None:
        self._ahead += instant - self.instant()


def fire_schedules(scale: Scale, *, durable: bool = True) -> Toll:
    """From the instant at which all the schedules fall due until the last of their jobs has run."""
    with scale.fresh_database() as path:
        return trio.run(_fire_schedules, _storage(path, durable=durable), scale.schedules)


async def _fire_schedules(storage: Storage, count: int) -> Toll:
    clock = AdvancingClock()
    jobs = NoOpJobs(storage, clock=clock)
    due = clock.instant() + 3600 * MICROSECONDS
    start = to_datetime(due)

    async def register(queue: JobQueue, first: int) -> None:
        for number in range(first, count, REGISTRATIONS):
            await queue.schedule(
                f"schedule-{number}",
                jobs.handler,
                number,
                trigger=timedelta(hours=1),
                start=start,
            )

    async with jobs.app.connected() as queue, trio.open_nursery() as nursery:
        for first in range(REGISTRATIONS):
            nursery.start_soon(register, queue, first)
    jobs.expect(count)
    clock.put_forward_to(due - round(2 * SILENCE * MICROSECONDS))
    async with jobs.app.running():
        await trio.sleep(SILENCE)
        async with watched() as watch:
            began = perf_counter() + (due - clock.instant()) / MICROSECONDS
            await jobs.ended()
            seconds = perf_counter() - began
        return Toll(seconds, 1000 * watch.worst)


# --- a batch --------------------------------------------------------------------------------------


def release_continuations(scale: Scale, *, durable: bool = True) -> Toll:
    """From the end of a batch until all that waited for it is ready."""
    with scale.fresh_database() as path:
        return trio.run(_release_continuations, _storage(path, durable=durable), scale.crowd)


async def _release_continuations(storage: Storage, count: int) -> Toll:
    app, nothing = _idle_app(storage)
    async with app.running() as queue:
        async with queue.batch() as batch:
            member = batch.enqueue(nothing, execute_after=3600)
            for _ in range(count):
                batch.continue_with(nothing, on="finish")
        await trio.sleep(SILENCE)
        async with watched() as watch:
            began = perf_counter()
            await member.cancel()
            while (await queue.find(JobFilter(states=[JobState.WAITING]), limit=1)).items:
                await trio.sleep(0.01)
            seconds = perf_counter() - began
        return Toll(seconds, 1000 * watch.worst)


def cancel_batch(scale: Scale, *, durable: bool = True) -> Toll:
    """From the call until all the members, none of which has begun, are cancelled."""
    with scale.fresh_database() as path:
        return trio.run(_cancel_batch, _storage(path, durable=durable), scale.crowd)


async def _cancel_batch(storage: Storage, count: int) -> Toll:
    app, nothing = _idle_app(storage)
    async with app.running() as queue:
        async with queue.batch() as batch:
            for _ in range(count):
                batch.enqueue(nothing)
        await trio.sleep(SILENCE)
        async with watched() as watch:
            began = perf_counter()
            called_off = await batch.cancel()
            seconds = perf_counter() - began
        assert called_off == count
        return Toll(seconds, 1000 * watch.worst)


def _storage(path: Path, *, durable: bool) -> Storage:
    return SqliteStorage(path) if durable else MemoryStorage()


def _idle_app(storage: Storage) -> tuple[Gusto, Handler[[], None]]:
    """An app that works on no queue in which there is anything, and its handler."""
    app = Gusto(storage, options=Options(queues=["nothing is put here"]))

    @app.job(name="benchmarks.nothing")
    async def nothing() -> None: ...

    return app, nothing


# --- floors ---------------------------------------------------------------------------------------


def raw_firing(scale: Scale) -> Toll:
    """As many rows of schedules moved on, and as many jobs inserted, claimed and completed."""
    return _raw(scale, scale.schedules, sqlite_floors.add_schedules, sqlite_floors.fire)


def raw_release(scale: Scale) -> Toll:
    """As many jobs made ready in one durable statement."""
    return _raw(scale, scale.crowd, sqlite_floors.add_waiting, sqlite_floors.release)


def raw_cancel(scale: Scale) -> Toll:
    """As many jobs brought to their end in one durable statement."""
    return _raw(scale, scale.crowd, sqlite_floors.insert, sqlite_floors.end_ready)


RawWork = Callable[[sqlite3.Connection, int], object]


def _raw(scale: Scale, count: int, prepare: RawWork, work: RawWork) -> Toll:
    """``work`` in a thread, where the product's storage works too, beside an idle loop."""

    def timed(path: Path) -> float:
        with closing(sqlite_floors.open_table(path)) as connection:
            began = perf_counter()
            work(connection, count)
            return perf_counter() - began

    async def main(path: Path) -> Toll:
        async with watched() as watch:
            seconds = await trio.to_thread.run_sync(timed, path)
        return Toll(seconds, 1000 * watch.worst)

    with scale.fresh_database() as path:
        with closing(sqlite_floors.open_table(path)) as connection:
            prepare(connection, count)
        return trio.run(main, path)
