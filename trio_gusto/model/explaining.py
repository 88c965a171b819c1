"""Why a job is where it is, and what it waits for.

Rule 1: every job has an explanation, and every job that has not ended has one that names what moves
        it on: an instant, other jobs, or a worker.
Rule 2: the rules of a state are asked in order, and the first that has an answer gives it. The last
        rule of each state always has one. So one more obstacle is one more `Reason` and one more
        entry of `RULES`. They are written in `reasons`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from .explanation import Explanation, Surroundings
from .job import StoredJob
from .reasons import ended, pending, ready, running
from .states import JobState, Ready, Scheduled, State

Rule = Callable[..., Explanation | None]  # type: ignore[explicit-any]  # each its own state
"""Takes the job, its state, and what is around it."""

RULES: Mapping[JobState, Sequence[Rule]] = {
    JobState.WAITING: (
        pending.overdue,
        pending.behind_callback,
        pending.behind_its_schedule,
        pending.behind_parents,
        pending.about_to_be_released,
    ),
    JobState.SCHEDULED: (pending.overdue, pending.after_an_attempt, pending.not_due),
    JobState.READY: (
        pending.overdue,
        ready.paused,
        ready.worker_busy,
        ready.at_its_limit,
        ready.rate_limited,
        ready.unknown_handler,
        ready.queue_not_served,
        ready.executors_busy,
        ready.ready,
    ),
    JobState.PROCESSING: (running.lease_lost, running.cancelling, running.processing),
    JobState.COMPLETED: (ended.completed,),
    JobState.FAILED: (ended.failed,),
    JobState.CANCELLED: (ended.cancelled,),
    JobState.SKIPPED: (ended.skipped,),
    JobState.EXPIRED: (ended.expired,),
}
"""What is asked of a job in each state, in this order."""


def as_good_as(state: State, now: int) -> State:
    """``state``, or ready where it is due, since the next claim of anybody makes it so."""
    if isinstance(state, Scheduled) and state.due <= now:
        return Ready(state.due)
    return state


def explain(job: StoredJob, around: Surroundings) -> Explanation:
    """Why ``job`` is where it is."""
    state = as_good_as(job.state, around.now)
    for rule in RULES[state.word]:
        explanation = rule(job, state, around)
        if explanation is not None:
            return explanation if around.dossier is None else _with(around.dossier, explanation)
    raise AssertionError(f"the rules for {job.state.word} end without an answer")


def _with(dossier: str, explanation: Explanation) -> Explanation:
    headline = dossier.partition("\n")[0]
    return attrs.evolve(
        explanation,
        sentence=f"{explanation.sentence} Its last attempt did not end in time, and has a dossier: {headline}.",
        details={**explanation.details, "dossier": dossier},
    )
