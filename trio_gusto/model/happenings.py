"""What can happen to a job, and what comes of it. `lifecycle` says which happening may come when.

Outcomes of attempts, which happen to running jobs, are in `outcomes`.
"""

from __future__ import annotations

import attrs

from .ids import JobId
from .job import AttemptRecord
from .outcomes import Outcome
from .states import JobState, State


@attrs.define
class FellDue:
    """The instant it was scheduled for has come."""

    now: int


@attrs.define
class ParentsEnded:
    """Everything it waited for has ended, the way it wanted."""

    now: int


@attrs.define
class CallbackFailed:
    """Its callback has ended otherwise than completed: as ``word``."""

    now: int
    word: JobState


@attrs.define
class Claimed:
    """A node took it, until ``lease_until``."""

    node: str
    now: int
    lease_until: int


@attrs.define
class CalledOff:
    """Somebody cancelled it."""

    now: int
    reason: str


@attrs.define
class Overdue:
    """Its ``expire_on`` has come and it was not running."""

    now: int


@attrs.define
class RetriedByHand:
    """Somebody wants it run again, with all its attempts."""

    now: int


@attrs.define
class Ending:
    """An attempt is over: the outcome and what is needed to judge it.

    ``delay`` (microseconds) is what the retry policy answered, ``None`` for "no more attempts";
    ``cancel_reason`` is set when its cancellation was asked for meanwhile; ``started_at`` is
    ``None`` when its handler was never entered. ``callback`` is the job that is to be given the result,
    if there is one.
    """

    outcome: Outcome
    now: int
    started_at: int | None
    delay: int | None = None
    cancel_reason: str | None = None
    callback: JobId | None = None


@attrs.define
class Settlement:
    """What becomes of a job: its next state, the attempts spent, the record of the attempt.

    ``record`` is ``None`` when no attempt ended, and for a success, which is its own record.
    ``forget_expiry``: the ``expire_on`` asked for holds no more.
    """

    state: State
    attempt: int
    record: AttemptRecord | None = None
    forget_expiry: bool = False
