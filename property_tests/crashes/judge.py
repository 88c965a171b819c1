"""The judge: holds what the file says in the end against the ledger. It shares no rule with the package."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

import attrs

from . import laws
from .ledger import Line
from .rows import CANCELLED, COMPLETED, FAILED, PROCESSING, SKIPPED, WORDS, JobRow, Rows
from .story import Entry, Story, read

LEASE = 10_000_000_000
"""Nanoseconds: longer than any lease here. Whoever stood still that long before has lost what he held."""


@attrs.frozen
class Finding:
    """A law that is broken, and by what."""

    law: str
    what: str


def judge(lines: Iterable[Line], rows: Rows) -> list[Finding]:
    """What cannot have come so."""
    story = read(lines)
    found = [
        *_acknowledged(story, rows),
        *_ends(story, rows),
        *_attempts(story, rows),
        *_overlaps(story, rows),
        *_lanes(story, rows),
        *_continuations(story, rows),
        *_children(story, rows),
        *_callbacks(story, rows),
        *_instants(story, rows),
        *_keys(story, rows),
    ]
    return sorted(set(found), key=lambda finding: (finding.law, finding.what))


def _acknowledged(story: Story, rows: Rows) -> Iterator[Finding]:
    refs = {job.ref for job in rows.jobs.values() if job.ref is not None}
    for line in story.acknowledged:
        for job in line["jobs"]:
            if job not in rows.jobs:
                yield Finding(laws.KEPT, f"job {job} ({line['what']}, {line['refs']}) is gone")
        if line["what"] == "batch":
            members = {job for job in line["jobs"] if job != line["end"]}
            there = {job.id for job in rows.jobs.values() if job.batch == line["batch"]}
            if members != there:
                yield Finding(laws.BATCH, f"batch {line['batch']}: {sorted(members ^ there)}")
    for line in story.asked:
        some = [ref for ref in line["refs"] if ref in refs]
        if some and len(some) < len(line["refs"]):
            yield Finding(laws.WHOLE, f"of {line['refs']} only {some} are there")
    for line in story.refused:
        for ref in line["refs"]:
            if ref in refs:
                yield Finding(laws.REFUSED, f"{ref} is there")


def _ends(story: Story, rows: Rows) -> Iterator[Finding]:
    outcomes: dict[str, list[str]] = defaultdict(list)
    for attempt in sorted(rows.attempts, key=lambda attempt: attempt.token):
        if attempt.outcome != "released":  # which says nothing of the handler
            outcomes[attempt.job].append(attempt.outcome)
    for job in rows.jobs.values():
        said = f"job {job.id} ({job.name}) is {WORDS[job.state]}"
        if job.state < COMPLETED:
            yield Finding(laws.ENDED, said)
        elif not _is_earned(job, outcomes[job.id], story):
            yield Finding(laws.EARNED, f"{said}, {job.reason}; {outcomes[job.id]}")


def _is_earned(job: JobRow, outcomes: list[str], story: Story) -> bool:
    if job.state == COMPLETED:
        entry = story.entries.get(job.result or "")
        return entry is not None and entry.job == job.id and entry.has_returned
    if job.state == FAILED:
        spent = job.attempt == job.max_attempts and outcomes[-1:] in (["failed"], ["lost"])
        return spent or outcomes[-3:].count("lost") == 3 or job.name == "measure"
    if job.state == CANCELLED:
        return job.id in story.cancels or job.name in {"gather", "tell"}
    return job.state == SKIPPED and job.schedule is not None


def _attempts(story: Story, rows: Rows) -> Iterator[Finding]:
    recorded = {(attempt.job, attempt.token): attempt for attempt in rows.attempts}
    tokens: dict[str, int] = defaultdict(int)
    for attempt in rows.attempts:
        tokens[attempt.job] = max(tokens[attempt.job], attempt.token)
    for job in rows.jobs.values():
        entries = story.of_job.get(job.id, [])
        stored = story.entries.get(job.result or "") if job.state == COMPLETED else None
        if stored is not None:
            last = max([tokens[job.id], *(entry.token for entry in entries)])
            if stored.token < last:
                yield Finding(
                    laws.LAST, f"job {job.id} has the result of token {stored.token}, not of {last}"
                )
        if job.attempt > job.max_attempts:
            yield Finding(laws.COUNTED, f"job {job.id} had {job.attempt} attempts")
        for token, count in Counter(entry.token for entry in entries).items():
            if count > 1:
                yield Finding(laws.COUNTED, f"job {job.id} began {count} times under token {token}")
        for entry in entries:
            record = recorded.get((job.id, entry.token))
            number = job.attempt if entry is stored else record and record.number
            if number is None and job.state > PROCESSING:
                yield Finding(laws.COUNTED, f"job {job.id}: no record of token {entry.token}")
            elif number is not None and number != entry.number:
                yield Finding(
                    laws.COUNTED,
                    f"job {job.id}: token {entry.token} was {entry.number}, not {number}",
                )
    for name in story.of_job.keys() - rows.jobs.keys():
        yield Finding(laws.KEPT, f"job {name} ran and is gone")


def _overlaps(story: Story, rows: Rows) -> Iterator[Finding]:
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


def _lanes(story: Story, rows: Rows) -> Iterator[Finding]:
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


def _continuations(story: Story, rows: Rows) -> Iterator[Finding]:
    for line in story.acknowledged:
        if line["what"] == "continuation":
            child, parents = line["jobs"][0], line["parents"]
        elif line["what"] == "batch":
            child, parents = line["end"], [job for job in line["jobs"] if job != line["end"]]
        else:
            continue
        there = [rows.jobs[parent] for parent in parents if parent in rows.jobs]
        if child not in rows.jobs or len(there) < len(parents):
            continue  # that is found elsewhere
        yield from _continuation(story, rows.jobs[child], there, line["on"])


def _continuation(story: Story, child: JobRow, parents: list[JobRow], on: str) -> Iterator[Finding]:
    said = f"job {child.id}, on {on} of {[WORDS[parent.state] for parent in parents]}"
    completed = all(parent.state == COMPLETED for parent in parents)
    wanted = {"success": completed, "failure": not completed, "finish": True}[on]
    entries = story.of_job.get(child.id, [])
    if entries and not wanted:
        yield Finding(laws.AFTER, f"{said}, has begun")
    if child.state == CANCELLED and wanted and child.id not in story.cancels:
        yield Finding(laws.AFTER, f"{said}, was given up")
    for parent in parents:
        stored = story.entries.get(parent.result or "")
        if stored is None or stored.end is None:
            continue
        for entry in entries:
            if entry.place < stored.end:
                yield Finding(laws.AFTER, f"{said}, has begun before {parent.id} had ended")


def _children(story: Story, rows: Rows) -> Iterator[Finding]:
    refs = {job.ref for job in rows.jobs.values()}
    for entry in story.entries.values():
        parts = entry.line.get("parts")
        if parts is None or entry.job not in rows.jobs:
            continue
        children = [*(f"{entry.name}-{part}" for part in range(parts)), f"{entry.name}-last"]
        there = [child for child in children if child in refs]
        is_stored = rows.jobs[entry.job].result == entry.name
        if there != (children if is_stored else []):
            yield Finding(
                laws.CHILDREN,
                f"job {entry.job}, token {entry.token}: {len(there)} of {len(children)} are there",
            )


def _callbacks(story: Story, rows: Rows) -> Iterator[Finding]:
    told: dict[str, set[str]] = defaultdict(set)
    for entry in story.entries.values():
        if "told" in entry.line:
            told[entry.line["told"]].add(entry.job)
    for job in rows.jobs.values():
        if job.name != "measure":
            continue
        entries = {entry.name for entry in story.of_job.get(job.id, [])}
        for name in entries & told.keys():
            if len(told[name]) > 1 or (job.state == COMPLETED and job.result != name):
                yield Finding(laws.TOLD, f"job {job.id} stored {job.result}, and told {name}")
        if job.state == COMPLETED and job.result not in told:
            yield Finding(laws.TOLD, f"job {job.id} stored {job.result}, and told nobody")


def _instants(story: Story, rows: Rows) -> Iterator[Finding]:
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


def _keys(story: Story, rows: Rows) -> Iterator[Finding]:
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
