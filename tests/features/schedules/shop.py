"""An app with one handler that schedules call, and what became of each instant."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import trio

from trio_gusto import (
    Fail,
    Gusto,
    JobFilter,
    JobQueue,
    MemoryStorage,
    Options,
    Storage,
    current_job,
    fixed,
)
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import VirtualClock

MINUTE = timedelta(minutes=1)
TEN_MINUTES = timedelta(minutes=10)
HOUR = timedelta(hours=1)


class Shop:
    """An app with one handler, which notes for which instant it was called, and when."""

    def __init__(self, storage: Storage, clock: VirtualClock | None = None) -> None:
        self.clock = VirtualClock() if clock is None else clock
        self.app = Gusto(
            storage, clock=self.clock, options=Options(concurrency=4, default_timeout=None)
        )
        self.ran: list[tuple[str | None, str]] = []

        @self.app.job(name="close_day", retry=fixed(60))
        async def close_day(minutes: float = 0, fails: bool = False) -> None:
            fire_time = current_job().job.fire_time
            self.ran.append((None if fire_time is None else time_of(fire_time), self.time()))
            await trio.sleep(60 * minutes)
            if fails:
                raise Fail("the till does not open")

        self.close_day = close_day

    def time(self) -> str:
        return time_of(self.clock.now())


def time_of(moment: datetime) -> str:
    return moment.strftime("%H:%M")


async def history(queue: JobQueue, name: str = "ledger") -> list[tuple[str | None, str]]:
    """Each instant of the schedule and what became of it, oldest first."""
    jobs = (await queue.find(JobFilter(schedule_name=name), limit=1000)).items
    return [
        (None if job.fire_time is None else time_of(job.fire_time), job.state.value)
        for job in reversed(jobs)
    ]


def in_memory(_path: Path) -> Storage:
    return MemoryStorage()


def in_a_file(path: Path) -> Storage:
    return SqliteStorage(path / "jobs.db", inline=True, synchronous="NORMAL", watch_interval=5)
