"""Looking at the jobs until they are where one wants them, or nothing moves any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import attrs
import trio

from ... import BatchStatus, JobQueue, JobState
from .fanout import Running, has_ticked_since
from .files import Plan
from .screen import Watch

LOOK = 0.05
"""Seconds between two looks at the jobs."""

STANDSTILL = 60.0
"""Seconds without any progress after which the demo waits no more."""

Counts = Mapping[JobState, int]


@attrs.frozen
class Look:
    """The jobs of one moment: the batch, all of the run with the summary, and the ticks."""

    batch: BatchStatus
    jobs: Counts
    ticks: Counts

    @property
    def live(self) -> int:
        """How many jobs have not ended, ticks left out."""
        return sum(count for state, count in self.jobs.items() if not state.is_ended)

    @property
    def live_ticks(self) -> int:
        """How many ticks have not ended."""
        return sum(count for state, count in self.ticks.items() if not state.is_ended)


async def look(queue: JobQueue, running: Running) -> Look:
    """Look at the jobs now."""
    by_tenant = (await queue.stats()).by_tenant
    return Look(
        await running.batch.status(),
        by_tenant.get(running.tenant, {}),
        by_tenant.get(running.ticks_tenant, {}),
    )


@attrs.frozen
class Watcher:
    """Whoever waits for the jobs of one run, and must not wait in vain."""

    queue: JobQueue
    plan: Plan
    running: Running
    watch: Watch
    must_live: Callable[[], None] = lambda: None
    """Raises when the process that runs the jobs is gone."""

    async def until(self, enough: Callable[[Look], Awaitable[bool]]) -> None:
        """Return when it is enough, or nothing has moved for long."""
        before: Look | None = None
        patience = trio.current_time()
        while True:
            now = await look(self.queue, self.running)
            self.watch.show(now.batch, now.ticks)
            # A heart that beats is no progress, or one would wait for a stuck job for ever.
            if before is None or now.jobs != before.jobs:
                before, patience = now, trio.current_time() + STANDSTILL + self.plan.pace
            if await enough(now) or trio.current_time() > patience:
                return
            self.must_live()
            await trio.sleep(LOOK)

    async def until_over(self, since: datetime) -> None:
        """Return when all jobs have ended, and the schedule, which ticks no more, has after ``since``."""

        async def jobs_ended(now: Look) -> bool:
            return not now.live and await has_ticked_since(self.queue, self.running, since)

        async def ticks_ended(now: Look) -> bool:
            return not now.live_ticks

        await self.until(jobs_ended)
        await self.queue.pause_schedule(self.running.heartbeat.name)
        await self.until(ticks_ended)
