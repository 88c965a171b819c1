"""Is every file hashed? Each hash is computed again here, without a job, and compared."""

from __future__ import annotations

import hashlib
from pathlib import Path

import attrs
import trio

from ... import AttemptOutcome, Job, JobQueue, JobRef, JobState
from .fanout import Running
from .files import Plan, Source
from .jobs import Hashed
from .screen import Check, Rows, Watch


@attrs.define
class FilesFound:
    """What became of the jobs of the files."""

    hashed: list[Hashed] = attrs.field(factory=list[Hashed])
    retried: int = 0
    lost: int = 0
    at_once: list[Job] = attrs.field(factory=list[Job])
    """Jobs that were due from the start and completed at their first attempt."""
    complaints: list[str] = attrs.field(factory=list[str])

    def check(self, plan: Plan) -> Check:
        """The verdict."""
        found = f"{len(self.hashed):,} of {len(plan.files):,}"
        return Check("every file is hashed", found, [*plan.unread, *self.complaints])

    def rows(self) -> Rows:
        """The figures."""
        rows = [("needed more than one attempt", f"{self.retried:,}")]
        if self.lost:
            rows.append(("attempts lost in the crash", f"{self.lost:,}"))
        per_second = _throughput(self.at_once)
        if per_second is not None:
            rows.append(("files per second, while due", f"{per_second:,.0f}"))
        return rows


async def check_files(queue: JobQueue, plan: Plan, running: Running, watch: Watch) -> FilesFound:
    """Look at the job of each file, and at the file."""
    found = FilesFound()
    for done, (source, ref) in enumerate(zip(plan.files, running.refs, strict=True), 1):
        await _check(queue, source, ref, found)
        watch.count(done)
    return found


async def _check(queue: JobQueue, source: Source, ref: JobRef[Hashed], found: FilesFound) -> None:
    job = await ref.job()
    if job.attempt > 1:
        found.retried += 1
        attempts = await queue.attempts(ref)
        found.lost += sum(attempt.outcome is AttemptOutcome.LOST for attempt in attempts)
    if job.state is not JobState.COMPLETED:
        found.complaints.append(f"{source.path}: {job.state.value}, {job.reason or 'not ended'}")
        return
    hashed = await ref.result()
    found.hashed.append(hashed)
    if job.attempt == 1 and job.execute_after is None:
        found.at_once.append(job)
    complaint = await trio.to_thread.run_sync(_compare, source, hashed)
    if complaint is not None:
        found.complaints.append(f"{source.path}: {complaint}")


def _compare(source: Source, hashed: Hashed) -> str | None:
    """What is wrong with the hash, or ``None``."""
    try:
        if (hashed.path, hashed.sha256, hashed.size) == (str(source.path), *hash_here(source.path)):
            return None
        if Source.of(source.path) != source:
            return "changed while the demo ran, so the hash is not the one it has now"
    except FileNotFoundError:
        return "was hashed and then vanished, so the hash cannot be checked"
    except OSError as error:
        return f"was hashed, but cannot be read any more: {error.strerror}"
    return "the hash is wrong"


def hash_here(path: Path) -> tuple[str, int]:
    """Hash and size, without a job."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return digest.hexdigest(), file.tell()


def _throughput(jobs: list[Job]) -> float | None:
    started = [job.started_at for job in jobs if job.started_at is not None]
    ended = [job.ended_at for job in jobs if job.ended_at is not None]
    if not started or not ended:
        return None
    seconds = (max(ended) - min(started)).total_seconds()
    return len(jobs) / seconds if seconds > 0 else None
