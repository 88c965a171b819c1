"""The ways an attempt can end, and what a handler may raise to say more than "it failed".

The set is closed: an executor turns whatever a handler did into one of the outcome classes, and
`lifecycle.settle` turns that into the job's next state.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

import attrs

from .failure import JobError, is_a, leaves, words
from .instants import to_duration


class AttemptOutcome(StrEnum):
    """How an attempt ended: one word each."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    SNOOZED = "snoozed"
    RELEASED = "released"
    CANCELLED = "cancelled"
    LOST = "lost"


class Retry(Exception):
    """Raised by a handler: this attempt failed; try again after ``after`` (seconds or a timedelta).

    Uses an attempt, like any failure; the delay overrides the retry policy's.
    """

    after = 0

    def __init__(self, after: float | timedelta, message: str = "") -> None:
        self.after = max(0, to_duration(after))
        super().__init__(message or f"the handler asked to be retried after {after}")


class Snooze(Exception):
    """Raised by a handler: not now; run again after ``for_`` (seconds or a timedelta).

    Gives the attempt back: a job may snooze as often as it likes, until its ``expire_on``.
    """

    for_ = 0

    def __init__(self, for_: float | timedelta) -> None:
        self.for_ = max(0, to_duration(for_))
        super().__init__(f"the handler asked to be run again after {for_}")


class Fail(Exception):
    """Raised by a handler: this job has failed, and more attempts are of no use."""

    reason = ""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Cancel(Exception):
    """Raised by a handler: this job is called off; it ends as ``cancelled``."""

    reason = ""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@attrs.define
class Succeeded:
    """The handler returned; ``result`` is the wire form (see `states.Completed`)."""

    result: str | None = None
    result_error: str | None = None

    word = AttemptOutcome.SUCCEEDED


RETURNED = Succeeded()
"""The outcome of most attempts, made once."""


@attrs.define
class AttemptFailed:
    """The handler raised ``exception``. ``final``: no more attempts, whatever is left of them.

    ``after`` is the delay that the handler asked for, in microseconds, if it asked for one.
    """

    exception: BaseException
    final: bool = False
    after: int | None = None
    reason: str = ""

    word = AttemptOutcome.FAILED


@attrs.define
class TimedOut:
    """The attempt's timeout (microseconds) passed; ``exception`` is what the handler raised then."""

    timeout: int
    exception: BaseException | None = None

    word = AttemptOutcome.TIMED_OUT


@attrs.define
class Snoozed:
    """The handler asked to be run again after ``delay`` (microseconds)."""

    delay: int

    word = AttemptOutcome.SNOOZED


@attrs.define
class Released:
    """Given back by its node, which stops. ``entered``: the handler had begun."""

    entered: bool

    word = AttemptOutcome.RELEASED


@attrs.define
class AttemptCancelled:
    """Called off while it ran, by the handler or by somebody else."""

    reason: str

    word = AttemptOutcome.CANCELLED


@attrs.define
class Lost:
    """Its node vanished, or let the lease pass, for the ``in_a_row``-th time in a row.

    After ``quarantine_after`` of them the job is not run again; ``None``: it is.
    """

    in_a_row: int = 1
    quarantine_after: int | None = None

    word = AttemptOutcome.LOST


Outcome = Succeeded | AttemptFailed | TimedOut | Snoozed | Released | AttemptCancelled | Lost


def classify(error: BaseException) -> Outcome:
    """The outcome of an attempt whose handler raised ``error``.

    A group is judged by its leaves. Where they disagree the strongest word wins: `Fail`, then
    `Cancel`, then an ordinary error, then `Retry` (the longest delay), and `Snooze` only when there
    is nothing else. An error may carry ``retry_after`` (seconds or a timedelta), as answers of rate
    limited servers do; it counts as a `Retry` delay. Of an ordinary error the retry policy decides.
    """
    members = leaves(error)
    for leaf in members:
        if is_a(leaf, Fail):
            return AttemptFailed(error, final=True, reason=words(leaf.reason))
    for leaf in members:
        if is_a(leaf, Cancel):
            return AttemptCancelled(words(leaf.reason))
    snoozes = [_whole(leaf.for_) for leaf in members if is_a(leaf, Snooze)]
    if len(snoozes) == len(members):
        return Snoozed(max(snoozes))
    delays = [retry_after(leaf) for leaf in members if not is_a(leaf, Snooze)]
    wanted = [delay for delay in delays if delay is not None]
    return AttemptFailed(error, after=max(wanted) if len(wanted) == len(delays) else None)


def describe(outcome: Outcome) -> JobError | None:
    """The error to store with an attempt that ended so, if there is one."""
    match outcome:
        case AttemptFailed(exception=error):
            return JobError.of(error)
        case TimedOut(timeout=timeout, exception=error):
            children = () if error is None else (JobError.of(error),)
            seconds = timeout / 1_000_000
            return JobError("TimedOut", f"the attempt ran longer than {seconds:g} s", "", children)
        case Lost():
            return JobError("Lost", "the node that ran this attempt vanished or lost its lease")
        case _:
            return None


def retry_after(error: BaseException) -> int | None:
    """The delay (microseconds) that an error asks for, as `Retry` does; ``None``: it asks for none."""
    if is_a(error, Retry):
        return _whole(error.after)
    try:
        after: object = getattr(error, "retry_after", None)
        if isinstance(after, int | float | timedelta):
            return max(0, to_duration(after))
    except Exception:  # noqa: BLE001 - a handler's property may raise anything
        return None
    return None


def _whole(delay: object) -> int:
    """A delay as the constructors keep it; a class of a handler's own may have set something else."""
    return delay if type(delay) is int and delay >= 0 else 0
