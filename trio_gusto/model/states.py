"""The states of a job: one class each, owning exactly the data that is true in it.

A processing job has a lease and no end; an ended one has an end and no lease. Nothing here is
``None`` to mean "not yet". `lifecycle` holds the table of which state may follow which.
"""

from __future__ import annotations

from enum import StrEnum

import attrs

from .ids import JobId


class JobState(StrEnum):
    """What users see of a job's state: one word each."""

    SCHEDULED = "scheduled"
    READY = "ready"
    WAITING = "waiting"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    EXPIRED = "expired"

    @property
    def is_ended(self) -> bool:
        """Whether a job in this state runs no more, unless it is retried by hand."""
        return self in _ENDED


_ENDED = frozenset(
    {
        JobState.COMPLETED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.SKIPPED,
        JobState.EXPIRED,
    }
)


class Condition(StrEnum):
    """How its parents have to end for a continuation to run; `dependencies.judge` says it exactly."""

    SUCCESS = "success"
    FAILURE = "failure"
    FINISH = "finish"


@attrs.define
class Waiting:
    """Not due before its ``parents``, jobs and batches, have ended, the way ``condition`` wants it."""

    parents: tuple[JobId, ...] = ()
    condition: Condition = Condition.SUCCESS

    word = JobState.WAITING


@attrs.define
class AwaitingCallback:
    """The handler returned, and ``callback``, the job that is given its result, has not ended yet.

    The attempt is over and recorded; the rest is what `Completed` will say.
    """

    callback: JobId
    started_at: int
    claimed_at: int
    node: str
    result: str | None = None

    word = JobState.WAITING
    condition = Condition.SUCCESS

    @property
    def parents(self) -> tuple[JobId, ...]:
        """What it waits for."""
        return (self.callback,)


@attrs.define
class Scheduled:
    """Not due before ``due``: an `execute_after` ahead, a retry's delay, or a snooze."""

    due: int

    word = JobState.SCHEDULED


@attrs.define
class Ready:
    """Due since ``due``; the next free executor takes it."""

    due: int

    word = JobState.READY


@attrs.define
class Processing:
    """Leased: ``node`` claimed it at ``claimed_at`` and holds it until ``lease_until``.

    ``cancel_reason`` is set when somebody asked for its cancellation while it ran.
    """

    node: str
    claimed_at: int
    lease_until: int
    cancel_reason: str | None = None

    word = JobState.PROCESSING


@attrs.define
class Completed:
    """The handler returned. The state is the record of its last attempt, so none is kept beside it.

    ``result`` is the wire form of what was returned, ``None`` when that was ``None``;
    ``result_error`` says why it could not be stored, if it could not.
    """

    ended_at: int
    started_at: int
    claimed_at: int
    node: str
    result: str | None = None
    result_error: str | None = None

    word = JobState.COMPLETED


@attrs.define
class Failed:
    """All attempts are spent, or the handler or the policy said that more are of no use."""

    ended_at: int
    reason: str

    word = JobState.FAILED


@attrs.define
class Cancelled:
    """Called off, by ``cancel`` or by the handler itself."""

    ended_at: int
    reason: str

    word = JobState.CANCELLED


@attrs.define
class Skipped:
    """Recorded so that it can be seen, but never meant to run."""

    ended_at: int
    reason: str

    word = JobState.SKIPPED


@attrs.define
class Expired:
    """Not started before its ``expire_on``."""

    ended_at: int
    reason: str

    word = JobState.EXPIRED


AWAITING = (Waiting, AwaitingCallback)
"""States of a job that waits for others; both have ``parents`` and a ``condition``."""

Live = Waiting | AwaitingCallback | Scheduled | Ready | Processing
"""States of a job that has not ended."""

Ended = Completed | Failed | Cancelled | Skipped | Expired
"""States of a job that has ended."""

State = Live | Ended
