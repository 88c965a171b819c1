"""Old jobs leave while a service works at full load: what that costs the jobs, and the loop.

A hundred thousand jobs that ended a month ago are in the table when 64 producers and as many
executors as ever begin. They are told to enqueue, and to run, until the old ones are gone.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from time import perf_counter, time_ns

import attrs
import trio

from trio_gusto import JobQueue
from trio_gusto.storage.sqlite import SqliteStorage

from .big_tables import copy_first_row
from .crowds import watched
from .scale import Scale
from .trio_floors import PRODUCERS
from .workload import PATIENCE, NoOpJobs

DAY = 86_400 * 1_000_000
"""Microseconds."""

LOOK = 0.05
"""Seconds between looks at whether the old jobs are gone."""


@attrs.frozen
class Load:
    """``rate``: jobs per second; ``stall``: the loop's longest standstill, milliseconds;
    ``seconds``: for how long it was looked at."""

    rate: float
    stall: float
    seconds: float


def make_many_old(scale: Scale) -> None:
    """A table of jobs that were made and completed last month, some seconds apart; once in a run."""
    path = scale.kept_database("old")
    if path.exists():
        return
    jobs = NoOpJobs(SqliteStorage(path))

    async def main() -> None:
        await jobs.fill(1)
        await jobs.app.run_until_idle()

    trio.run(main)
    copy_first_row(path, scale.old)
    began = time_ns() // 1000 - 40 * DAY
    with closing(sqlite3.connect(path)) as connection, connection:
        times = ("created_at", "due", "claimed_at", "started_at", "ended_at")
        apart = f"{20 * DAY // scale.old} * seq"
        changes = ", ".join(f"{name} = {name} - created_at + ? + {apart}" for name in times)
        connection.execute(f"UPDATE job SET {changes}", [began] * len(times))


def leaving(scale: Scale, *, archive: bool) -> Load:
    """While they go, which is how long it lasts."""
    return _under_load(scale, archive=archive, keep=timedelta(days=1), seconds=None)


def staying(scale: Scale, seconds: float) -> Load:
    """As long, with the same jobs in the table, and nothing that happens to them."""
    return _under_load(scale, archive=True, keep=None, seconds=seconds)


def _under_load(
    scale: Scale, *, archive: bool, keep: timedelta | None, seconds: float | None
) -> Load:
    with scale.fresh_database() as path:
        shutil.copy(scale.kept_database("old"), path)
        jobs = NoOpJobs(SqliteStorage(path, archive=archive), retention=keep)
        return trio.run(_measure, jobs, path, seconds)


async def _measure(jobs: NoOpJobs, path: Path, seconds: float | None) -> Load:
    enqueued = 0

    async def produce(queue: JobQueue) -> None:
        nonlocal enqueued
        while True:
            await queue.enqueue(jobs.handler, enqueued)
            enqueued += 1

    jobs.expect(1)
    async with jobs.app.running() as queue, trio.open_nursery() as nursery:
        for _ in range(PRODUCERS):
            nursery.start_soon(produce, queue)
        async with watched() as watch:
            began, before = perf_counter(), enqueued + jobs.handled
            if seconds is None:
                await _gone(path)
            else:
                await trio.sleep(seconds)
            took, done = perf_counter() - began, enqueued + jobs.handled - before
        nursery.cancel_scope.cancel()
    return Load(done / 2 / took, 1000 * watch.worst, took)


async def _gone(path: Path) -> None:
    """Wait until no old job is left, by a look into the index of those that have ended."""
    recent = time_ns() // 1000 - DAY
    with closing(sqlite3.connect(path)) as connection, trio.fail_after(PATIENCE):
        while True:
            await trio.sleep(LOOK)  # few may be gone at once, and nothing has run until then
            (oldest,) = connection.execute(
                "SELECT min(ended_at) FROM job WHERE state > 3"
            ).fetchone()
            if oldest is None or oldest > recent:
                return
