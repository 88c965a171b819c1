"""The end of the demo: every hash is checked against its file, and nothing may be stuck."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import attrs
import trio
from rich.console import Console

from ... import AttemptOutcome, Job, JobQueue, JobRef, JobState
from .files import Plan, Source
from .jobs import Hashed
from .screen import Counts, Figures, Watch, report, say

MOST_COMPLAINTS = 20
"""Files named one by one; the others are counted."""


@attrs.define
class Findings:
    """What the check gathers."""

    size: int = 0
    retried: int = 0
    lost: int = 0
    at_once: list[Job] = attrs.field(factory=list[Job])
    """Jobs that were due from the start and completed at their first attempt."""
    complaints: list[str] = attrs.field(factory=list[str])


async def conclude(
    queue: JobQueue,
    plan: Plan,
    refs: Sequence[JobRef[Hashed]],
    console: Console,
    seconds: float,
) -> bool:
    """Check and report; returns whether everything is as it should be."""
    findings = Findings(complaints=list(plan.unread))
    with Watch(console, "checking", len(plan.files)) as watch:
        for done, (source, ref) in enumerate(zip(plan.files, refs, strict=True), 1):
            await _check(queue, source, ref, findings)
            watch.show(done, {})
    counts = await counts_of(queue, plan)
    report(
        console,
        Figures(
            counts=counts,
            retried=findings.retried,
            lost=findings.lost,
            seconds=seconds,
            size=findings.size,
            files_per_second=_throughput(findings.at_once),
        ),
    )
    stuck = sum(count for state, count in counts.items() if not state.is_ended)
    return _judge(console, plan, findings.complaints, stuck)


def _judge(console: Console, plan: Plan, complaints: Sequence[str], stuck: int) -> bool:
    for line in complaints[:MOST_COMPLAINTS]:
        say(console, line, "red")
    if len(complaints) > MOST_COMPLAINTS:
        say(console, f"and {len(complaints) - MOST_COMPLAINTS} more", "red")
    if stuck:
        say(console, f"{stuck} jobs are stuck: they should have ended by now.", "red")
    if complaints or stuck:
        return False
    say(console, f"All {len(plan.files)} files are hashed, and nothing is stuck.", "green")
    return True


async def counts_of(queue: JobQueue, plan: Plan) -> Counts:
    """The jobs of this run, by state."""
    return (await queue.stats()).by_tenant.get(plan.run, {})


async def _check(queue: JobQueue, source: Source, ref: JobRef[Hashed], findings: Findings) -> None:
    job = await ref.job()
    if job.attempt > 1:
        findings.retried += 1
        attempts = await queue.attempts(ref)
        findings.lost += sum(attempt.outcome is AttemptOutcome.LOST for attempt in attempts)
    if job.state is not JobState.COMPLETED:
        findings.complaints.append(f"{source.path}: {job.state.value}, {job.reason or 'not ended'}")
        return
    hashed = await ref.result()
    findings.size += hashed.size
    if job.attempt == 1 and job.execute_after is None:
        findings.at_once.append(job)
    complaint = await trio.to_thread.run_sync(_compare, source, hashed)
    if complaint is not None:
        findings.complaints.append(f"{source.path}: {complaint}")


def _compare(source: Source, hashed: Hashed) -> str | None:
    """What is wrong with the hash, or ``None``."""
    try:
        if hashed == hash_here(source.path):
            return None
        if Source.of(source.path) != source:
            return "changed while the demo ran, so the hash is not the one it has now"
    except FileNotFoundError:
        return "was hashed and then vanished, so the hash cannot be checked"
    except OSError as error:
        return f"was hashed, but cannot be read any more: {error.strerror}"
    return "the hash is wrong"


def hash_here(path: Path) -> Hashed:
    """The same without a job."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return Hashed(digest.hexdigest(), file.tell())


def _throughput(jobs: Sequence[Job]) -> float | None:
    started = [job.started_at for job in jobs if job.started_at is not None]
    ended = [job.ended_at for job in jobs if job.ended_at is not None]
    if not started or not ended:
        return None
    seconds = (max(ended) - min(started)).total_seconds()
    return len(jobs) / seconds if seconds > 0 else None
