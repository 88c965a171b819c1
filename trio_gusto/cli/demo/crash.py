"""The demo with a crash: jobs run in a worker process, which is killed midway and started again."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import trio
from rich.console import Console

from ... import JobFilter, JobQueue, JobState, SystemClock
from .conclude import conclude
from .fanout import Running, fanned_out
from .files import Plan
from .jobs import make_app
from .screen import Watch, announce, say
from .watching import LOOK, STANDSTILL, Look, Watcher
from .worker import Worker


async def with_crash(plan: Plan, console: Console) -> bool:
    """Jobs are enqueued and watched here, and run in another process, which is killed midway."""
    began = SystemClock().now()
    async with make_app(plan.database, plan.concurrency).connected() as queue:
        async with fanned_out(queue, plan) as running:
            announce(console, plan)
            worker = await Worker.start(plan)
            say(console, f"Worker {worker.pid} runs them, in a process of its own.")
            try:
                with Watch(console, "hashing", len(plan.files)) as watch:
                    watcher = Watcher(queue, plan, running, watch, worker.must_live)
                    await watcher.until(_is_midway)
                await worker.kill()
                killed_at = SystemClock().now()
                killed = await _held(queue, running)
                _tell_of_kill(console, worker, killed)
                worker = await Worker.start(plan)
                with Watch(console, "hashing", len(plan.files)) as watch:
                    watcher = Watcher(queue, plan, running, watch, worker.must_live)
                    await _tell_of_recovery(queue, console, worker, killed)
                    await watcher.until_over(killed_at)
            finally:
                await worker.stop()
        return await conclude(queue, plan, running, console, began=began, crashed_at=killed_at)


async def _is_midway(now: Look) -> bool:
    """Two fifths done and something running, or everything over already."""
    batch = now.batch
    return batch.is_finished or (batch.completed >= batch.total * 2 // 5 and batch.processing > 0)


async def _held(queue: JobQueue, running: Running) -> dict[UUID, int]:
    """The jobs in somebody's hands, with the number of the attempt."""
    tenants = [running.tenant, running.ticks_tenant]
    held = JobFilter(states=[JobState.PROCESSING], tenants=tenants)
    page = await queue.find(held, limit=1000)
    return {job.id: job.attempt for job in page.items}


def _tell_of_kill(console: Console, worker: Worker, killed: dict[UUID, int]) -> None:
    if killed:
        jobs = "1 job" if len(killed) == 1 else f"{len(killed)} jobs"
        say(console, f"Worker {worker.pid} was killed with SIGKILL; it held {jobs}.", "red")
    else:
        say(
            console,
            f"Worker {worker.pid} was killed with SIGKILL when it held no job; "
            "give a longer --pace for the crash to come midway.",
            "yellow",
        )


async def _tell_of_recovery(
    queue: JobQueue, console: Console, worker: Worker, killed: dict[UUID, int]
) -> None:
    """Wait until what the killed worker held runs again, and say how long that took."""
    again: list[datetime] = []
    with trio.move_on_after(STANDSTILL):
        for job_id, attempt in killed.items():
            again.append(await _claimed_again(queue, worker, job_id, attempt))
    if len(again) < len(killed):
        say(console, f"Worker {worker.pid} does not run them again.", "red")
    elif again:
        assert worker.app_started_at is not None
        of_app = (max(again) - worker.app_started_at).total_seconds()
        of_process = (max(again) - worker.spawned_at).total_seconds()
        say(
            console,
            f"Worker {worker.pid} took over; what was held ran again {of_app:.2f} s after its app "
            f"started ({of_process:.2f} s after its process did).",
            "green",
        )


async def _claimed_again(queue: JobQueue, worker: Worker, job_id: UUID, attempt: int) -> datetime:
    """The instant of the claim that followed ``attempt``."""
    while True:
        for later in await queue.attempts(job_id):
            if later.number > attempt:
                return later.claimed_at
        worker.must_live()
        await trio.sleep(LOOK)
