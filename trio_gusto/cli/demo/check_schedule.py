"""Did the schedule go on, and did each of its instants fire at most once?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from ... import Job, JobFilter, JobQueue, JobState
from .fanout import BEAT, Running
from .screen import Check
from .witness import Entry, repeated

PAGE = 1000
"""Jobs read at a time."""


async def check_schedule(
    queue: JobQueue,
    running: Running,
    entries: Sequence[Entry],
    began: datetime,
    crashed_at: datetime | None,
) -> tuple[Check, Check]:
    """That it ticked, also after the crash if there was one, and that no instant did twice."""
    jobs = await _all(queue, JobFilter(schedule_name=running.heartbeat.name))
    ticks = [job for job in jobs if job.state is JobState.COMPLETED]
    skipped = [job for job in jobs if job.state is JobState.SKIPPED]
    since = crashed_at or began
    late = sum(job.created_at >= since for job in ticks)
    instants = _instants(running, jobs)
    after = f" ({late:,} after the crash)" if crashed_at else ""
    went_on = Check(
        "the schedule went on",
        f"{len(ticks):,} ticks{after} of {instants:,} instants; "
        f"{len(skipped):,} skipped, {instants - len(jobs):,} coalesced",
        [*_silence(late, since), *_unhappy(jobs)],
    )
    once = Check(
        "each instant fired at most once",
        f"{len({entry.fire_time for entry in entries}):,} instants, "
        f"{len({entry.job_id for entry in entries}):,} jobs",
        [*_twice(jobs, entries), *_amiss(running, jobs, entries)],
    )
    return went_on, once


async def _all(queue: JobQueue, which: JobFilter) -> Sequence[Job]:
    page = await queue.find(which, limit=PAGE)
    jobs = list(page.items)
    while page.next is not None:
        page = await queue.find(which, limit=PAGE, after=page.next)
        jobs += page.items
    return jobs


def _instants(running: Running, jobs: Sequence[Job]) -> int:
    """How many instants there were, up to the last one of which there is a trace."""
    traces = [job.fire_time for job in jobs if job.fire_time is not None]
    return (max(traces) - running.heartbeat.anchor) // BEAT if traces else 0


def _silence(late: int, since: datetime) -> Iterator[str]:
    if not late:
        yield f"the schedule did not go on: no tick after {since.astimezone():%H:%M:%S}"


def _unhappy(jobs: Sequence[Job]) -> Iterator[str]:
    for job in jobs:
        if job.state not in {JobState.COMPLETED, JobState.SKIPPED}:
            yield f"the tick of {_clock(job.fire_time)} is {job.state.value} {job.reason}".rstrip()


def _twice(jobs: Sequence[Job], entries: Sequence[Entry]) -> Iterator[str]:
    fired = {(job.fire_time, job.id) for job in jobs}
    fired |= {(entry.fire_time, entry.job_id) for entry in entries}
    for instant, times in Counter(instant for instant, _ in fired).items():
        if times > 1:
            yield f"the instant {_clock(instant)} fired {times} times"
    yield from repeated(entries)


def _amiss(running: Running, jobs: Sequence[Job], entries: Sequence[Entry]) -> Iterator[str]:
    """Ticks at no instant of the schedule, and those of which database and witness disagree."""
    began = {entry.job_id for entry in entries}
    for unknown in began - {job.id for job in jobs}:
        yield f"job {unknown} ran as a tick, and is not in the database"
    for job in jobs:
        at = _clock(job.fire_time)
        if job.fire_time is None or (job.fire_time - running.heartbeat.anchor) % BEAT:
            yield f"the tick of {at} is at no instant of the schedule"
        if job.state is JobState.COMPLETED and job.id not in began:
            yield f"the tick of {at} is completed, and never ran"
        if job.state is JobState.SKIPPED and job.id in began:
            yield f"the tick of {at} was skipped, and ran"


def _clock(instant: datetime | None) -> str:
    if instant is None:
        return "no instant"
    return instant.astimezone().isoformat(sep=" ", timespec="milliseconds")[11:23]
