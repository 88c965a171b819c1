"""What must hold of jobs that have to do with each other: parents, batches, children, callbacks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from . import laws
from .laws import Finding
from .rows import CANCELLED, COMPLETED, WORDS, JobRow, Rows
from .story import Story


def continuations(story: Story, rows: Rows) -> Iterator[Finding]:
    """See that each began after what it waited for, if it was to."""
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


def children(story: Story, rows: Rows) -> Iterator[Finding]:
    """See that they came with the success of the entry that enqueued them."""
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


def callbacks(story: Story, rows: Rows) -> Iterator[Finding]:
    """See that they were told what is stored, and nothing else."""
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
