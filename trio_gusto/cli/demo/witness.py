"""The witness: a file to which jobs write that they ran, so that the end need not trust the database.

A line is appended in one write, so processes do not disturb each other, and what was written stays
when one of them is killed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID

import attrs

from ... import JobContext, current_job


@attrs.frozen
class Entry:
    """One attempt of a job, as it began. ``fire_time`` is that of a schedule's job."""

    name: str
    job_id: UUID
    attempt: int
    fire_time: datetime | None


def attest(log: Path) -> None:
    """Write down that this attempt of the current job runs."""
    line = " ".join(_words(current_job())) + "\n"
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def _words(context: JobContext) -> tuple[str, ...]:
    fire_time = context.job.fire_time
    at = () if fire_time is None else (fire_time.isoformat(),)
    return (context.job.name, str(context.id), str(context.attempt), *at)


def attested(log: Path) -> Sequence[Entry]:
    """What was written, in its order; nothing if nobody wrote."""
    try:
        lines = log.read_text().splitlines()
    except FileNotFoundError:
        return ()
    return [_entry(*line.split()) for line in lines]


def _entry(name: str, job_id: str, attempt: str, fire_time: str | None = None) -> Entry:
    at = None if fire_time is None else datetime.fromisoformat(fire_time)
    return Entry(name, UUID(job_id), int(attempt), at)


def repeated(entries: Sequence[Entry]) -> Iterator[str]:
    """Complaints about attempts that began more than once."""
    for (job_id, attempt), times in Counter((one.job_id, one.attempt) for one in entries).items():
        if times > 1:
            yield f"attempt {attempt} of job {job_id} began {times} times"
