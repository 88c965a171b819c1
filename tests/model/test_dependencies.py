"""When a job that waits for others may run, and when it never will."""

from __future__ import annotations

import pytest

from tests.model.jobs import CALLBACK, NOW, SECOND, stored
from trio_gusto.model.dependencies import (
    PARENTS_COMPLETED,
    PARENTS_FAILED,
    Dependent,
    GiveUp,
    Release,
    Verdict,
    WaitOn,
    judge,
    resolve,
)
from trio_gusto.model.happenings import Settlement
from trio_gusto.model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Condition,
    Failed,
    JobState,
    Ready,
    Scheduled,
    Waiting,
)

COMPLETED, FAILED, READY = JobState.COMPLETED, JobState.FAILED, JobState.READY
RELEASE, WAIT_ON = Release(), WaitOn()


@pytest.mark.parametrize(
    ("condition", "parents", "verdict"),
    [
        ("success", {COMPLETED: 2}, RELEASE),
        ("success", {COMPLETED: 1, READY: 1}, WAIT_ON),
        ("success", {COMPLETED: 1, FAILED: 1}, GiveUp(PARENTS_FAILED)),
        ("success", {FAILED: 1, READY: 5}, GiveUp(PARENTS_FAILED)),
        ("failure", {COMPLETED: 1, FAILED: 1}, RELEASE),
        ("failure", {FAILED: 1, READY: 1}, WAIT_ON),
        ("failure", {COMPLETED: 2}, GiveUp(PARENTS_COMPLETED)),
        ("finish", {COMPLETED: 1, FAILED: 1}, RELEASE),
        ("finish", {COMPLETED: 1, FAILED: 1, READY: 1}, WAIT_ON),
    ],
)
def test_a_condition_is_judged_from_the_states_of_the_parents(
    condition: str, parents: dict[JobState, int], verdict: Verdict
) -> None:
    assert judge(Condition(condition), parents) == verdict


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED, "skipped", "expired"])
def test_whatever_is_not_completed_is_a_failure(state: JobState) -> None:
    state = JobState(state)
    assert judge(Condition.SUCCESS, {state: 1}) == GiveUp(PARENTS_FAILED)
    assert judge(Condition.FAILURE, {state: 1}) == RELEASE
    assert judge(Condition.FINISH, {state: 1}) == RELEASE


@pytest.mark.parametrize("state", ["waiting", "scheduled", "ready", "processing"])
def test_a_parent_that_lives_is_waited_for(state: str) -> None:
    for condition in Condition:
        assert judge(condition, {JobState(state): 1, COMPLETED: 1}) == WAIT_ON


def test_what_is_released_is_due_now_or_when_it_was_to_be() -> None:
    waiting = stored(Waiting())
    assert resolve(Dependent(waiting, {COMPLETED: 1}), NOW) == Settlement(Ready(NOW), 0)
    later = stored(Waiting(), execute_after=NOW + SECOND)
    assert resolve(Dependent(later, {COMPLETED: 1}), NOW) == Settlement(Scheduled(NOW + SECOND), 0)


def test_what_is_given_up_is_cancelled_and_what_waits_on_is_left_alone() -> None:
    waiting = stored(Waiting())
    given_up = resolve(Dependent(waiting, {FAILED: 1}), NOW)
    assert given_up == Settlement(Cancelled(NOW, PARENTS_FAILED), 0)
    assert resolve(Dependent(waiting, {READY: 1}), NOW) is None


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (JobState.FAILED, "failed"),
        (JobState.CANCELLED, "was cancelled"),
        (JobState.SKIPPED, "was skipped"),
        (JobState.EXPIRED, "expired"),
    ],
)
def test_a_job_ends_as_its_callback_does(end: JobState, how: str) -> None:
    called = AwaitingCallback(CALLBACK, NOW - 2, NOW - 3, "node-0", "[1]")
    behind = stored(called, attempt=2)
    completed = resolve(Dependent(behind, {COMPLETED: 1}), NOW)
    assert completed == Settlement(Completed(NOW, NOW - 2, NOW - 3, "node-0", "[1]"), 2)
    missed = resolve(Dependent(behind, {end: 1}), NOW)
    assert missed == Settlement(Failed(NOW, f"its callback {how}"), 2)
    assert resolve(Dependent(behind, {READY: 1}), NOW) is None
