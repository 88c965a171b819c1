"""What must hold of entries that are near each other in time: of one job, of a lane, of a key, of a schedule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from . import laws
from .laws import Finding
from .rows import JobRow, Rows
from .story import Entry, Story

LEASE = 10_000_000_000
"""Nanoseconds: longer than any lease here. Whoever stood still that long before has lost what he held."""


def overlaps(story: Story) -> Iterator[Finding]:
    """See that a job's attempts do not meet."""
    for job, entries in story.of_job.items():
        for first, second in pairwise(entries):
            if _meet(story, first, second) and not _is_excused(story, first, second):
                yield Finding(laws.APART, f"job {job}: tokens {first.token} and {second.token}")


def _meet(story: Story, one: Entry, other: Entry) -> bool:
    first, second = sorted((one, other), key=lambda entry: entry.place)
    end = story.end_of(first)
    return end is None or end > second.place


def _is_excused(story: Story, first: Entry, second: Entry) -> bool:
    """Whether the first stood still, so that it lost its lease, and could not know."""
    since, until = sorted((first.at, second.at))
    return story.stood_still(first.pid, since - LEASE, until)


def lanes(story: Story, rows: Rows) -> Iterator[Finding]:
    """See that no more of a lane meet than it has room for."""
    lanes: dict[str, list[Entry]] = defaultdict(list)
    rooms: dict[str, int] = {}
    for job in rows.jobs.values():
        if job.lane is not None:
            lanes[job.lane] += story.of_job.get(job.id, [])
            rooms[job.lane] = job.room or 1
    for lane, entries in lanes.items():
        entries.sort(key=lambda entry: entry.place)
        running: list[Entry] = []
        for entry in entries:
            running = [
                other
                for other in running
                if other.job != entry.job
                and _meet(story, other, entry)
                and not _is_excused(story, other, entry)
                and not _is_excused(story, entry, other)
            ]
            running.append(entry)
            if len(running) > rooms[lane]:
                names = [f"{one.job} (token {one.token})" for one in running]
                yield Finding(laws.ROOM, f"{lane}: {names}")


def keys(story: Story, rows: Rows) -> Iterator[Finding]:
    """See that a key's next job came when the one before had ended."""
    lives: dict[str, list[JobRow]] = defaultdict(list)
    for job in rows.jobs.values():
        if job.key is not None:
            lives[job.key].append(job)
    for key, jobs in lives.items():
        jobs.sort(key=lambda job: job.created_at)
        for earlier, later in pairwise(jobs):
            stored = story.entries.get(earlier.result or "")
            if stored is None or stored.end is None:
                continue
            seen = [entry.place for entry in story.of_job.get(later.id, [])]
            seen += [story.places[later.id]] if later.id in story.places else []
            if any(place < stored.end for place in seen):
                yield Finding(laws.KEY, f"{key}: {earlier.id} had not ended, and {later.id} was")


def instants(story: Story, rows: Rows) -> Iterator[Finding]:
    """See that a schedule leaves no instant out, and has none twice."""
    instants: dict[str, list[int]] = defaultdict(list)
    for job in rows.jobs.values():
        if job.schedule is not None and job.fire_time is not None:
            instants[job.schedule].append(job.fire_time)
    for schedule, fired in instants.items():
        period = round(story.schedules.get(schedule, 0) * 1_000_000)
        for earlier, later in pairwise(sorted(fired)):
            gap = later - earlier
            is_whole = period and gap and not gap % period
            if not is_whole or (schedule == "tick" and gap != period):
                yield Finding(laws.INSTANTS, f"{schedule}: {earlier} and {later}")
