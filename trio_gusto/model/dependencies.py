"""When a job that waits for others may run, and when it never will.

Rule 1: a condition is judged from how many of the parents are in which state, and from nothing else.
Rule 2: `FAILURE` and `FINISH` are judged when all parents have ended. `SUCCESS` is lost with the first
        parent that ends otherwise; then nobody has to wait for the rest.
Rule 3: a job whose handler has returned waits for its callback as for a parent that has to complete;
        where a continuation would be cancelled, it has failed.
Rule 4: a verdict is final. What happens to a parent afterwards (a retry by hand) changes nothing.

An order in which jobs wait for each other in a circle cannot come up: a job may wait only for jobs
that were stored before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never
from uuid import UUID

import attrs

from .failure import JobError
from .happenings import CallbackFailed, CalledOff, ParentsEnded, Settlement
from .job import StoredJob
from .lifecycle import advance
from .states import AwaitingCallback, Condition, JobState, Waiting

PARENTS_FAILED = "not all of its parents completed"
"""The reason of a continuation that wanted success."""

PARENTS_COMPLETED = "none of its parents failed"
"""The reason of a continuation that wanted failure."""


@attrs.frozen
class Release:
    """The condition holds: the job may run."""


@attrs.frozen
class GiveUp:
    """The condition can hold no more: the job is cancelled for this ``reason``."""

    reason: str


@attrs.frozen
class WaitOn:
    """Nothing can be said yet."""


Verdict = Release | GiveUp | WaitOn

_WAIT_ON = WaitOn()
_RELEASE = Release()


@attrs.define
class Dependent:
    """A waiting job, and how many of its parents are in which state."""

    job: StoredJob
    parents: Mapping[JobState, int]


@attrs.frozen(kw_only=True)
class Parent:
    """What a continuation sees of a job it waited for.

    ``result`` is what a completed parent returned, ``error`` the exception of the last attempt of
    one that failed.
    """

    id: UUID
    state: JobState
    result: object
    error: JobError | None


def judge(condition: Condition, parents: Mapping[JobState, int]) -> Verdict:
    """What becomes of a job that waits for ``parents``, counted by state."""
    live = sum(count for state, count in parents.items() if not state.is_ended)
    unhappy = sum(parents.values()) - live - parents.get(JobState.COMPLETED, 0)
    if condition is Condition.SUCCESS and unhappy:
        return GiveUp(PARENTS_FAILED)
    if live:
        return _WAIT_ON
    if condition is Condition.FAILURE and not unhappy:
        return GiveUp(PARENTS_COMPLETED)
    return _RELEASE


def resolve(dependent: Dependent, now: int) -> Settlement | None:
    """What becomes of a waiting job at ``now``; ``None`` while it has to wait on."""
    state = dependent.job.state
    assert isinstance(state, Waiting | AwaitingCallback)
    verdict = judge(state.condition, dependent.parents)
    match verdict:
        case Release():
            return advance(dependent.job, ParentsEnded(now))
        case GiveUp() if isinstance(state, AwaitingCallback):
            (word,) = dependent.parents
            return advance(dependent.job, CallbackFailed(now, word))
        case GiveUp(reason=reason):
            return advance(dependent.job, CalledOff(now, reason))
        case WaitOn():
            return None
        case _:
            assert_never(verdict)
