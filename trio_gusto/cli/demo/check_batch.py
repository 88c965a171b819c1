"""Is the batch finished with all its jobs, and was it summed up once, and rightly?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import attrs

from ... import BatchStatus, Job, JobFilter, JobQueue, JobState
from .check_files import FilesFound
from .fanout import Running
from .jobs import Summary
from .screen import Check
from .witness import Entry, repeated


def check_batch(status: BatchStatus, files: FilesFound, total: int) -> Check:
    """All jobs of the files, and no others, are in the batch and have ended; it counts as we did."""
    complaints: list[str] = []
    if status.total != total:
        complaints.append(f"the batch has {status.total} jobs, and there are {total} files")
    if not status.is_finished:
        complaints.append("the batch is not finished")
    if status.completed != len(files.hashed):
        complaints.append(
            f"the batch counts {status.completed} jobs completed, and {len(files.hashed)} are"
        )
    found = f"{status.completed:,} of {status.total:,} jobs completed"
    return Check("the batch is finished", found, complaints)


@attrs.frozen
class SummaryFound:
    """What became of the summary."""

    summary: Summary | None
    check: Check


async def check_summary(
    queue: JobQueue, running: Running, files: FilesFound, entries: Sequence[Entry]
) -> SummaryFound:
    """One continuation, of which one attempt ran to its end, and which says what we found."""
    jobs = (await queue.find(JobFilter(parent_id=running.batch.id))).items
    complaints = list(_of_jobs(jobs, entries))
    summary: Summary | None = None
    job = await running.summary.job()
    if job.state is JobState.COMPLETED:
        summary = await running.summary.result()
        expected = Summary.of(files.hashed, len(running.refs) - len(files.hashed))
        if summary != expected:
            complaints.append(f"the summary says {summary}, and should say {expected}")
    else:
        complaints.append(f"the summary is {job.state.value}, {job.reason or 'not ended'}")
    ran = len({entry.job_id for entry in entries})
    times = {0: "never", 1: "once"}.get(ran, f"{ran} times")
    return SummaryFound(summary, Check("the summary ran once", times, complaints))


def _of_jobs(jobs: Sequence[Job], entries: Sequence[Entry]) -> Iterator[str]:
    if len(jobs) != 1:
        yield f"{len(jobs)} jobs continue the batch, and should be one"
    yield from repeated(entries)
    began = Counter(entry.job_id for entry in entries)
    for job in jobs:
        if job.state is JobState.COMPLETED and not began[job.id]:
            yield "the summary is completed, and never ran"
        if began[job.id] > job.attempt:
            yield f"the summary began {began[job.id]} times with {job.attempt} attempts"
