"""The table of transitions is total: what it lists happens as listed, all else is refused."""

from __future__ import annotations

import pytest

from tests.model.jobs import EVERY_STATE, NOW, SECOND, claimed, stored
from trio_gusto.model.errors import IllegalTransition
from trio_gusto.model.happenings import (
    CallbackFailed,
    CalledOff,
    Claimed,
    Ending,
    FellDue,
    Overdue,
    ParentsEnded,
    RetriedByHand,
)
from trio_gusto.model.lifecycle import TRANSITIONS, advance, may, settle
from trio_gusto.model.outcomes import (
    AttemptCancelled,
    AttemptFailed,
    Lost,
    Outcome,
    Released,
    Snoozed,
    Succeeded,
    TimedOut,
)
from trio_gusto.model.states import AwaitingCallback, JobState, Processing, Ready, State

Happening = FellDue | ParentsEnded | CallbackFailed | Claimed | CalledOff | Overdue | RetriedByHand

HAPPENINGS: tuple[Happening, ...] = (
    FellDue(NOW),
    ParentsEnded(NOW),
    CallbackFailed(NOW, JobState.CANCELLED),
    Claimed("node-0", NOW, NOW + SECOND),
    CalledOff(NOW, "not wanted"),
    Overdue(NOW),
    RetriedByHand(NOW),
)

OUTCOMES: tuple[Outcome, ...] = (
    Succeeded(),
    AttemptFailed(ValueError("no")),
    TimedOut(SECOND),
    Snoozed(SECOND),
    Released(entered=True),
    AttemptCancelled("not wanted"),
    Lost(),
)

LISTED = {
    ("Waiting", "ParentsEnded"),
    ("Waiting", "CalledOff"),
    ("Waiting", "Overdue"),
    ("AwaitingCallback", "ParentsEnded"),
    ("AwaitingCallback", "CallbackFailed"),
    ("AwaitingCallback", "CalledOff"),
    ("Scheduled", "FellDue"),
    ("Scheduled", "CalledOff"),
    ("Scheduled", "Overdue"),
    ("Ready", "Claimed"),
    ("Ready", "CalledOff"),
    ("Ready", "Overdue"),
    ("Failed", "RetriedByHand"),
    ("Cancelled", "RetriedByHand"),
    ("Expired", "RetriedByHand"),
}


def test_every_word_has_one_state_beside_those_that_wait_for_a_callback() -> None:
    words = [state.word for state in EVERY_STATE if not isinstance(state, AwaitingCallback)]
    assert sorted(words) == sorted(JobState)
    assert AwaitingCallback.word is JobState.WAITING


@pytest.mark.parametrize("state", EVERY_STATE, ids=lambda state: type(state).__name__)
@pytest.mark.parametrize("happening", HAPPENINGS, ids=lambda happening: type(happening).__name__)
def test_what_is_listed_happens_and_what_is_not_is_refused(
    state: State, happening: Happening
) -> None:
    job = stored(state)
    listed = (type(state).__name__, type(happening).__name__) in LISTED
    assert may(state, type(happening)) is listed
    if listed:
        targets = TRANSITIONS[type(state), type(happening)][1]
        assert isinstance(advance(job, happening).state, targets)
    else:
        with pytest.raises(IllegalTransition) as refused:
            advance(job, happening)
        assert refused.value.state == state.word
        assert refused.value.happening == type(happening).__name__


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.word)
def test_every_outcome_settles_a_processing_job(outcome: Outcome) -> None:
    settlement = settle(claimed(), Ending(outcome, NOW + 5, NOW + 1, delay=SECOND))
    assert isinstance(settlement.state, TRANSITIONS[Processing, type(outcome)][1])


@pytest.mark.parametrize("state", EVERY_STATE, ids=lambda state: type(state).__name__)
@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.word)
def test_only_a_processing_job_takes_an_outcome(state: State, outcome: Outcome) -> None:
    assert may(state, type(outcome)) is isinstance(state, Processing)


def test_the_table_has_no_entry_beside_these() -> None:
    assert {state for state, _ in TRANSITIONS} <= {type(state) for state in EVERY_STATE}
    entries = {(state.__name__, happening.__name__) for state, happening in TRANSITIONS}
    assert entries == LISTED | {("Processing", type(outcome).__name__) for outcome in OUTCOMES}


def test_a_rule_does_not_touch_the_job() -> None:
    job = stored(Ready(NOW))
    advance(job, Claimed("node-0", NOW, NOW + SECOND))
    assert job == stored(Ready(NOW))
