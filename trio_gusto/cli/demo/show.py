"""``trio-gusto demo``: the main job on real input, to be watched, and killed midway if you like."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

import trio
from rich.console import Console

from ... import JobFilter, JobQueue, JobState
from .check import conclude, counts_of
from .files import Plan, Settings, enqueue, planned
from .jobs import make_app
from .screen import Watch, say
from .worker import Worker

LOOK = 0.05
"""Seconds between two looks at the jobs."""

STANDSTILL = 60.0
"""Seconds without any progress after which the demo waits no more."""

OK, WRONG, INTERRUPTED = 0, 1, 130


def demo(settings: Settings) -> int:
    """Show it; returns the exit code.

    Raises:
        Unusable: there is nothing to hash.
        GustoError: the database, or a worker process, failed.
    """
    console = Console()
    with planned(settings) as plan:
        return trio.run(_interruptible, _with_crash if settings.crash else _plainly, plan, console)


async def _interruptible(
    show: Callable[[Plan, Console], Awaitable[bool]], plan: Plan, console: Console
) -> int:
    with _cancelled_by_signals():
        return OK if await show(plan, console) else WRONG
    say(console, "Interrupted. What was running has been stopped and given back.", "yellow")
    return INTERRUPTED


@contextmanager
def _cancelled_by_signals() -> Generator[None]:
    """Ctrl-C and SIGTERM cancel the block; a second one does not disturb its clean-up."""
    token = trio.lowlevel.current_trio_token()
    scope = trio.CancelScope()

    def cancel(_number: int, _frame: object) -> None:
        token.run_sync_soon(scope.cancel, idempotent=True)

    before = {number: signal.signal(number, cancel) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with scope:
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- without a crash ------------------------------------------------------------------------------


async def _plainly(plan: Plan, console: Console) -> bool:
    """Everything in this process."""
    started = trio.current_time()
    async with make_app(plan.database, plan.concurrency).running() as queue:
        refs = await enqueue(queue, plan)
        _announce(console, plan)
        with Watch(console, "hashing", len(plan.files)) as watch:
            await _watch_until_ended(queue, plan, watch)
        return await conclude(queue, plan, refs, console, trio.current_time() - started)


def _announce(console: Console, plan: Plan) -> None:
    say(
        console,
        f"{len(plan.files)} files of {plan.folder} are {len(plan.files)} jobs, "
        f"{plan.concurrency} at once; one is due in 2 s, and one more expires where nobody serves.",
    )


async def _watch_until_ended(
    queue: JobQueue, plan: Plan, watch: Watch, must_live: Callable[[], None] | None = None
) -> None:
    """Return when all jobs have ended, or nothing has moved for long."""
    await _watch_until(
        queue, plan, watch, lambda counts: all(state.is_ended for state in counts), must_live
    )


async def _watch_until(
    queue: JobQueue,
    plan: Plan,
    watch: Watch,
    enough: Callable[[dict[JobState, int]], bool],
    must_live: Callable[[], None] | None = None,
) -> None:
    before: dict[JobState, int] = {}
    patience = trio.current_time() + STANDSTILL + plan.pace
    while True:
        counts = dict(await counts_of(queue, plan))
        watch.show(counts.get(JobState.COMPLETED, 0), counts)
        if enough(counts) or trio.current_time() > patience:
            return
        if counts != before:
            before, patience = counts, trio.current_time() + STANDSTILL + plan.pace
        if must_live is not None:
            must_live()
        await trio.sleep(LOOK)


# --- with a crash ---------------------------------------------------------------------------------


async def _with_crash(plan: Plan, console: Console) -> bool:
    """Jobs are enqueued and watched here, and run in another process, which is killed midway."""
    started = trio.current_time()
    async with make_app(plan.database, plan.concurrency).connected() as queue:
        refs = await enqueue(queue, plan)
        _announce(console, plan)
        worker = await Worker.start(plan)
        say(console, f"Worker {worker.pid} runs them, in a process of its own.")
        try:
            with Watch(console, "hashing", len(plan.files)) as watch:
                await _watch_until(queue, plan, watch, _is_midway(plan), worker.must_live)
            await worker.kill()
            killed = await _running(queue, plan)
            _tell_of_kill(console, worker, killed)
            worker = await Worker.start(plan)
            with Watch(console, "hashing", len(plan.files)) as watch:
                await _tell_of_recovery(queue, console, worker, killed)
                await _watch_until_ended(queue, plan, watch, worker.must_live)
        finally:
            await worker.stop()
        return await conclude(queue, plan, refs, console, trio.current_time() - started)


def _is_midway(plan: Plan) -> Callable[[dict[JobState, int]], bool]:
    """Two fifths done and something running, or everything over already."""

    def enough(counts: dict[JobState, int]) -> bool:
        done = counts.get(JobState.COMPLETED, 0)
        running = counts.get(JobState.PROCESSING, 0)
        return (done >= len(plan.files) * 2 // 5 and running > 0) or all(
            state.is_ended for state in counts
        )

    return enough


async def _running(queue: JobQueue, plan: Plan) -> dict[UUID, int]:
    """The jobs in somebody's hands, with the number of the attempt."""
    running = JobFilter(states=[JobState.PROCESSING], tenants=[plan.run])
    page = await queue.find(running, limit=1000)
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
