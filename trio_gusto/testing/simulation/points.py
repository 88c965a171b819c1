"""Kill points: the moments of a job's life at which a process can vanish with the most effect.

Between two writes nothing that a process does can be told from its having died before it. So there
are two points at each kind of write: just before it is committed, when it never happens, and just
after, when nobody hears of it. The one point more is a handler that has been entered.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...model.errors import OptionsError
from ...model.outcomes import AttemptOutcome
from ...model.states import Ready, Scheduled
from ...storage.batch_messages import Discard, InsertBatch, Stage
from ...storage.lease_messages import Renew, RequestCancel
from ...storage.messages import ClaimDue, Commit, Complete, Insert, Write
from ...storage.pause_messages import HeardPauses, LiftPauses, PutPause
from ...storage.report_messages import Report
from ...storage.retention_messages import Prune
from ...storage.schedule_messages import Fire, PutSchedule

STAGES = (
    "enqueue",
    "batch",
    "claim",
    "outcome",
    "retry",
    "release",
    "recovery",
    "resolution",
    "cancel",
    "renewal",
    "registration",
    "schedule",
    "report",
    "retention",
    "pause",
)
"""The kinds of writes, in words:

``enqueue`` stores jobs, ``batch`` a batch or a part of it, ``claim`` takes what is due, ``outcome``
ends a job, ``retry`` has it run again, ``release`` gives it back unrun (a drain, a snooze),
``recovery`` is for an attempt whose node has vanished, ``resolution`` for a job that waited for
others, ``cancel`` calls a job off, ``renewal`` moves leases, ``registration`` keeps a schedule,
``schedule`` fires one, ``report`` keeps progress and logs, ``retention`` removes what is old,
``pause`` concerns pauses."""

RUNNING = "handler.running"

KILL_POINTS = (
    *(f"{stage}.{moment}" for stage in STAGES for moment in ("before_commit", "after_commit")),
    RUNNING,
)
"""All kill points: ``<stage>.before_commit``, ``<stage>.after_commit``, and ``handler.running``, when
a handler has been entered and waits for the first time."""

STAGE_OF: dict[type, str] = {
    Insert: "enqueue",
    InsertBatch: "batch",
    Stage: "batch",
    Discard: "batch",
    ClaimDue: "claim",
    Complete: "outcome",
    Renew: "renewal",
    RequestCancel: "cancel",
    PutSchedule: "registration",
    Fire: "schedule",
    Report: "report",
    Prune: "retention",
    PutPause: "pause",
    LiftPauses: "pause",
    HeardPauses: "pause",
}


def stage_of(write: Write) -> str:
    """Which kind of write it is."""
    return _stage_of_commit(write) if isinstance(write, Commit) else STAGE_OF[type(write)]


def stages_of(writes: Sequence[Write]) -> tuple[str, ...]:
    """The kinds in a group, each once, in order."""
    return tuple(dict.fromkeys(map(stage_of, writes)))


def checked(point: str) -> str:
    """``point``, if it is one.

    Raises:
        OptionsError: it is none.
    """
    if point not in KILL_POINTS:
        raise OptionsError("at", point, f"give one of {', '.join(KILL_POINTS)}")
    return point


def _stage_of_commit(commit: Commit) -> str:
    record = commit.record
    again = isinstance(commit.state, Ready | Scheduled)
    if record is None:
        return "outcome" if _is_success(commit) else "resolution" if again else "cancel"
    if record.outcome is AttemptOutcome.LOST:
        return "recovery"
    if record.outcome in (AttemptOutcome.RELEASED, AttemptOutcome.SNOOZED):
        return "release"
    return "retry" if again else "outcome"


def _is_success(commit: Commit) -> bool:
    return commit.state.word.value == "completed"
