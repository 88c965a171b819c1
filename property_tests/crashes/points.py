"""The named points: whether the file and the ledger say that a process, which stands still, is at one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from .looking import Held, Observer
from .processes import Process

Point: TypeAlias = Callable[[Observer, Process], bool]

LARGE = 300
"""Pages in the log that are not in the file yet, from which on it is large."""


def _entry(look: Observer, held: Held) -> str | None:
    return look.known.begun.get((held.job, held.token))


def _own(look: Observer, process: Process) -> list[Held]:
    return [held for held in look.held() if held.pid == process.pid]


def enqueued(look: Observer, process: Process) -> bool:
    """It was told that a job is stored, and nobody has claimed it."""
    if process.is_worker:
        return False
    rows = look.ask("SELECT hex(id) FROM job WHERE state IN (1, 2) ORDER BY seq DESC LIMIT 50")
    look.read_ledger()
    return any(str(job).lower() in look.known.acknowledged for (job,) in rows)


def claimed(look: Observer, process: Process) -> bool:
    """It has claimed a job, and has not entered its handler."""
    return any(_entry(look, held) is None for held in _own(look, process))


def begun(look: Observer, process: Process) -> bool:
    """It is in a handler."""
    entries = [_entry(look, held) for held in _own(look, process)]
    return any(entry is not None and entry not in look.known.over for entry in entries)


def ended(look: Observer, process: Process) -> bool:
    """It has left a handler, and what came of it is not stored."""
    return any(_entry(look, held) in look.known.over for held in _own(look, process))


def not_released(look: Observer, process: Process) -> bool:
    """A success is stored, and what waits for it and nothing else still waits."""
    return process.is_worker and bool(
        look.ask(
            "SELECT 1 FROM dependency JOIN job AS parent ON parent.seq = dependency.parent "
            "WHERE parent.state = 4 AND NOT EXISTS (SELECT 1 FROM dependency AS other JOIN job "
            "AS awaited ON awaited.seq = other.parent WHERE other.child = dependency.child "
            "AND awaited.state < 4) LIMIT 1"
        )
    )


def complete(look: Observer, process: Process) -> bool:
    """All jobs of a batch have ended, and what waits for the batch has not begun."""
    rows = look.ask(
        "SELECT DISTINCT hex(batch.id) FROM batch WHERE NOT EXISTS (SELECT 1 FROM job WHERE "
        "job.batch = number AND job.batch IS NOT NULL AND state < 4) ORDER BY number DESC LIMIT 5"
    )
    jobs = {job for job, _ in look.known.begun}
    ends = [look.known.ends.get(str(batch).lower()) for (batch,) in rows]
    waiting = look.ask("SELECT hex(id) FROM job WHERE state < 4")
    live = {str(job).lower() for (job,) in waiting}
    return process.is_worker and any(end in live and end not in jobs for end in ends)


def fired(look: Observer, process: Process) -> bool:
    """A schedule has made a job, and its handler has not been entered."""
    if not process.is_worker:
        return False
    if look.ask("SELECT 1 FROM job WHERE schedule IS NOT NULL AND state IN (1, 2) LIMIT 1"):
        return True
    return any(held.schedule and _entry(look, held) is None for held in look.held())


def large(look: Observer, process: Process) -> bool:
    """There is much in the log that is not in the file yet."""
    return look.log()[0] >= LARGE


def moving(look: Observer, process: Process) -> bool:
    """Somebody moves the log into the file."""
    return look.log()[1]


def draining(look: Observer, process: Process) -> bool:
    """It was told to stop, and has not come to an end."""
    return (process.pid, "draining") in look.known.said and (
        process.pid,
        "stopped",
    ) not in look.known.said


POINTS: Mapping[str, Point] = MappingProxyType(
    {
        "enqueued, not claimed": enqueued,
        "claimed, not begun": claimed,
        "begun, not ended": begun,
        "ended, not settled": ended,
        "completed, successor not released": not_released,
        "batch complete, successor not begun": complete,
        "schedule fired, not begun": fired,
        "log large": large,
        "log being moved": moving,
        "draining": draining,
    }
)
