"""``trio-gusto demo``: the main job on real input, to be watched, and killed midway if you like."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import trio
from rich.console import Console

from .. import Gusto, JobFilter, JobQueue, JobRef, JobState, call
from .demo_jobs import SERVED, UNSERVED, Hashed, hash_file, make_app
from .demo_screen import Watch, report

SKIPPED = {"node_modules", "__pycache__", "dist", "build"}
"""Folders left out, besides hidden ones."""

EVERY = 15
"""Every so many files the job fails at first, on purpose."""

CRASH_SECONDS = 6.0
"""How long hashing should take when it is to be interrupted."""


@attrs.frozen
class Settings:
    """What the command line said."""

    folder: Path
    database: Path | None
    concurrency: int
    pace: float | None


@attrs.frozen
class Plan:
    """The files, and how the demo goes about them."""

    folder: Path
    files: tuple[Path, ...]
    database: Path
    concurrency: int
    pace: float


def _no_pace(_files: int) -> float:
    return 0.0


def run(settings: Settings) -> int:
    """Everything in this process."""
    console = Console()
    with _planned(settings, default_pace=_no_pace) as plan:
        return trio.run(_run, plan, console)


async def _run(plan: Plan, console: Console) -> int:
    app = make_app(plan.database, plan.concurrency)
    started = time.perf_counter()
    async with app.running() as queue:
        refs = await _enqueue(queue, plan)
        with Watch(console, len(plan.files)) as watch:
            await _watch_until_done(queue, watch, len(plan.files))
        seconds = time.perf_counter() - started
        return await _conclude(queue, plan, refs, console, seconds)


def crash(settings: Settings) -> int:
    """Jobs are enqueued and watched here, run in another process, which is killed midway."""
    console = Console()

    def pace(files: int) -> float:
        return min(1.0, CRASH_SECONDS * settings.concurrency / max(files, 1))

    with _planned(settings, default_pace=pace) as plan:
        return trio.run(_crash, plan, console)


async def _crash(plan: Plan, console: Console) -> int:
    app = make_app(plan.database, plan.concurrency)
    started = time.perf_counter()
    async with app.connected() as queue:
        refs = await _enqueue(queue, plan)
        worker = _start_worker(plan)
        try:
            with Watch(console, len(plan.files)) as watch:
                await _watch_until_done(queue, watch, len(plan.files) * 2 // 5)
            worker = await _kill_and_restart(queue, plan, worker, console)
            with Watch(console, len(plan.files)) as watch:
                await _watch_until_done(queue, watch, len(plan.files))
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(timeout=60)
        seconds = time.perf_counter() - started
        return await _conclude(queue, plan, refs, console, seconds)


async def _kill_and_restart(
    queue: JobQueue, plan: Plan, worker: subprocess.Popen[bytes], console: Console
) -> subprocess.Popen[bytes]:
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    orphans = await queue.find(JobFilter(states=[JobState.PROCESSING]), limit=1000)
    console.print(
        f"[red]Worker {worker.pid} was killed with SIGKILL[/red]; "
        f"{len(orphans.items)} jobs were in its hands."
    )
    killed = {job.id: job.attempt for job in orphans.items}
    restarted = time.perf_counter()
    worker = _start_worker(plan)
    with trio.move_on_after(60):
        while not await _running_again(queue, killed):  # noqa: ASYNC110 - another process's event
            await trio.sleep(0.02)
        seconds = time.perf_counter() - restarted
        console.print(
            f"Worker {worker.pid} took over: the first of them ran again after "
            f"{seconds:.2f} s, the start of its process included."
        )
    return worker


async def _running_again(queue: JobQueue, killed: dict[Any, int]) -> bool:
    for job_id, attempt in killed.items():
        job = await queue.get(job_id)
        if job is not None and (job.attempt > attempt or job.state.is_ended):
            return True
    return not killed


def work(settings: Settings) -> int:
    """A worker process: runs jobs until SIGTERM."""
    assert settings.database is not None
    app = make_app(settings.database, settings.concurrency)
    trio.run(_work, app)
    return 0


async def _work(app: Gusto) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with app.running():
            async for _signal in signals:
                return


def _start_worker(plan: Plan) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "trio_gusto", "demo", "--worker"]
    command += ["--database", str(plan.database), "--concurrency", str(plan.concurrency)]
    return subprocess.Popen(command)  # noqa: S603 - our own program


# --- the steps ------------------------------------------------------------------------------------


async def _enqueue(queue: JobQueue, plan: Plan) -> list[JobRef[Hashed]]:
    """One job per file in one transaction; the first is scheduled for later. One more expires."""
    calls = [
        call(hash_file, str(path), int(number % EVERY == 1), plan.pace, queue=SERVED)
        for number, path in enumerate(plan.files[1:])
    ]
    later = call(
        hash_file,
        str(plan.files[0]),
        0,
        plan.pace,
        queue=SERVED,
        execute_after=timedelta(seconds=2),
    )
    refs = await queue.enqueue_many([later, *calls])
    await queue.enqueue(
        hash_file, str(plan.files[0]), 0, 0.0, queue=UNSERVED, expire_on=timedelta(seconds=1)
    )
    return list(refs)


async def _watch_until_done(queue: JobQueue, watch: Watch, enough: int) -> None:
    while True:
        stats = await queue.stats()
        done = stats.by_queue.get(SERVED, {}).get(JobState.COMPLETED, 0)
        watch.show(done, stats)
        left = sum(count for state, count in stats.by_state.items() if not state.is_ended)
        if done >= enough and (enough < watch.total or left == 0):
            return
        if left == 0:
            return
        await trio.sleep(0.05)


async def _conclude(
    queue: JobQueue, plan: Plan, refs: list[JobRef[Hashed]], console: Console, seconds: float
) -> int:
    """Check every hash against its file, and look for anything that is stuck."""
    wrong: list[str] = []
    size = 0
    retried = 0
    for path, ref in zip(plan.files, refs, strict=True):
        job = await ref.job()
        retried += job.attempt > 1
        if job.state is not JobState.COMPLETED:
            wrong.append(f"{path}: {job.state.value} {job.reason}")
            continue
        hashed = await ref.result()
        size += hashed.size
        if hashed != hash_file_here(path):
            wrong.append(f"{path}: another hash than the file has now")
    stats = await queue.stats()
    report(console, stats, len(plan.files), size, retried, seconds, await _lost(queue, refs))
    for line in wrong:
        console.print(f"[red]{line}[/red]")
    stuck = [state for state in stats.by_state if not state.is_ended]
    if wrong or stuck:
        console.print(f"[red]{len(wrong)} files are missing or wrong, stuck: {stuck}[/red]")
        return 1
    console.print(f"[green]All {len(plan.files)} files are hashed, and nothing is stuck.[/green]")
    return 0


async def _lost(queue: JobQueue, refs: list[JobRef[Hashed]]) -> int:
    lost = 0
    for ref in refs:
        lost += sum(attempt.outcome == "lost" for attempt in await queue.attempts(ref))
    return lost


def hash_file_here(path: Path) -> Hashed:
    """The same without a job."""
    import hashlib

    data = path.read_bytes()
    return Hashed(hashlib.sha256(data).hexdigest(), len(data))


@contextmanager
def _planned(settings: Settings, default_pace: Callable[[int], float]) -> Generator[Plan]:
    folder = settings.folder.resolve()
    files = tuple(_files(folder))
    if not files:
        raise SystemExit(f"trio-gusto: {folder} has no files to hash; name another folder")
    pace = default_pace(len(files)) if settings.pace is None else settings.pace
    with tempfile.TemporaryDirectory(prefix="trio-gusto-demo-") as place:
        database = settings.database or Path(place) / "jobs.db"
        yield Plan(folder, files, database, settings.concurrency, pace)


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in SKIPPED
        )
        for name in sorted(names):
            path = Path(place) / name
            if path.is_file() and not path.is_symlink():
                yield path
