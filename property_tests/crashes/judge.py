"""The judge: holds what the file says in the end against the ledger. It shares no rule with the package."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from . import laws, related, together
from .laws import Finding
from .ledger import Line
from .rows import CANCELLED, COMPLETED, FAILED, PROCESSING, SKIPPED, WORDS, JobRow, Rows
from .story import Story, read


def judge(lines: Iterable[Line], rows: Rows) -> list[Finding]:
    """What cannot have come so."""
    story = read(lines)
    found = [
        *_acknowledged(story, rows),
        *_ends(story, rows),
        *_attempts(story, rows),
        *together.overlaps(story),
        *together.lanes(story, rows),
        *together.keys(story, rows),
        *together.instants(story, rows),
        *related.continuations(story, rows),
        *related.children(story, rows),
        *related.callbacks(story, rows),
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
