"""The end of the demo: what was promised is checked, reported and judged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console

from ... import JobQueue, JobState, SystemClock
from .check_batch import check_batch, check_summary
from .check_files import check_files
from .check_schedule import check_schedule
from .fanout import Running
from .files import Plan
from .jobs import SUMMARIZE, TICK, Summary
from .screen import Check, Rows, Watch, report, say
from .watching import Look, look
from .witness import attested

MOST_COMPLAINTS = 20
"""Sentences said one by one; the others are counted."""


async def conclude(
    queue: JobQueue,
    plan: Plan,
    running: Running,
    console: Console,
    *,
    began: datetime,
    crashed_at: datetime | None = None,
) -> bool:
    """Check and report; returns whether everything is as it should be."""
    seconds = (SystemClock().now() - began).total_seconds()
    with Watch(console, "checking", len(plan.files)) as watch:
        files = await check_files(queue, plan, running, watch)
    now = await look(queue, running)
    entries = attested(plan.witness)
    of_summary = [entry for entry in entries if entry.name == SUMMARIZE]
    of_schedule = [entry for entry in entries if entry.name == TICK]
    summary = await check_summary(queue, running, files, of_summary)
    checks = [
        files.check(plan),
        check_batch(now.batch, files, len(plan.files)),
        summary.check,
        *await check_schedule(queue, running, of_schedule, began, crashed_at),
        await _check_expired(running),
        _check_stuck(now),
    ]
    figures = [
        _summary_rows(summary.summary, plan.folder),
        [("seconds in all", f"{seconds:.2f}"), *files.rows()],
    ]
    report(console, figures, checks)
    return _judge(console, plan, checks)


def _summary_rows(summary: Summary | None, folder: Path) -> Rows:
    """What the job that ran after the batch has to say."""
    if summary is None:
        return []
    rows = [("files in the summary", f"{summary.files:,}")]
    if summary.not_hashed:
        rows.append(("not hashed", f"{summary.not_hashed:,}"))
    rows.append(("MB hashed", f"{summary.size / 1e6:,.1f}"))
    if summary.slowest is not None:
        name = Path(summary.slowest.path).relative_to(folder)
        rows.append(("slowest file", f"{name}, {summary.slowest.seconds * 1000:,.1f} ms"))
    return [*rows, ("digest of all", summary.digest)]


async def _check_expired(running: Running) -> Check:
    job = await running.expiring.job()
    complaints = (
        []
        if job.state is JobState.EXPIRED
        else [f"the job that nobody serves is {job.state.value}, and should be expired"]
    )
    return Check("the job that nobody serves expired", job.state.value, complaints)


def _check_stuck(now: Look) -> Check:
    stuck = now.live + now.live_ticks
    jobs = "1 job" if stuck == 1 else f"{stuck:,} jobs"
    complaints = [f"stuck: {jobs} should have ended by now"] if stuck else []
    return Check("nothing is stuck", jobs, complaints)


def _judge(console: Console, plan: Plan, checks: Sequence[Check]) -> bool:
    complaints = [complaint for check in checks for complaint in check.complaints]
    for line in complaints[:MOST_COMPLAINTS]:
        say(console, line, "red")
    if len(complaints) > MOST_COMPLAINTS:
        say(console, f"and {len(complaints) - MOST_COMPLAINTS} more", "red")
    if complaints:
        return False
    say(
        console,
        f"All {len(plan.files)} files are hashed and summed up once, the schedule went on, "
        "and nothing is stuck.",
        "green",
    )
    return True
