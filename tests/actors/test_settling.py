"""What a settler hands in when an attempt ends, and what it does when the storage has answered."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from tests.actors.doubles import NOW, SECOND
from tests.actors.settler_alone import (
    AWAITED,
    CALLBACK,
    CHILD,
    NO,
    PARTS,
    STARTED,
    Office,
    record,
)
from tests.actors.test_roster import lease
from trio_gusto import ArgumentError, StorageError
from trio_gusto.actors.announcements import attempt_over, lease_refused
from trio_gusto.actors.lease import NewJob
from trio_gusto.actors.settler import Settler
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.outcomes import (
    RETURNED,
    AttemptCancelled,
    AttemptFailed,
    Outcome,
    Released,
    Snoozed,
    Succeeded,
    TimedOut,
)
from trio_gusto.model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Failed,
    Ready,
    Scheduled,
    State,
)
from trio_gusto.storage.messages import (
    Commit,
    Committed,
    Conflict,
    Insert,
    Inserted,
)


@pytest.mark.parametrize(
    ("outcome", "delay", "cancel_reason", "state", "attempt"),
    [
        (AttemptFailed(NO), 5 * SECOND, None, Scheduled(NOW + 5 * SECOND), 1),
        (AttemptFailed(NO), None, None, Failed(NOW, "the retry policy allows no more attempts"), 1),
        (AttemptFailed(NO), 5, "not needed", Cancelled(NOW, "not needed"), 1),
        (TimedOut(7, NO), 5 * SECOND, None, Scheduled(NOW + 5 * SECOND), 1),
        (TimedOut(7), 0, None, Ready(NOW), 1),
        (Snoozed(60 * SECOND), None, None, Scheduled(NOW + 60 * SECOND), 0),
        (Released(entered=True), None, None, Ready(0), 0),
        (AttemptCancelled("no more"), None, None, Cancelled(NOW, "no more"), 1),
    ],
)
def test_an_outcome_is_judged_and_handed_in_behind_what_was_said(
    outcome: Outcome, delay: int | None, cancel_reason: str | None, state: State, attempt: int
) -> None:
    held = lease(1)
    held.cancel_reason = cancel_reason
    office = Office(held)
    assert office.settler.settle(held, outcome, delay=delay) == state
    error = outcome.exception if isinstance(outcome, AttemptFailed | TimedOut) else None
    assert office.commit() == Commit(
        held.claimed.request.id, 1, state, attempt, record(outcome), exception=error
    )
    assert office.letters[0].insist
    assert held.over
    assert office.order == ["reports before letter 1"]
    assert office.held == [held], "until the storage has answered"


def test_an_attempt_may_have_ended_before_it_is_settled() -> None:
    held = lease(1)
    office = Office(held)
    office.settler.settle(held, AttemptFailed(NO), now=NOW - SECOND, delay=3 * SECOND)
    commit = office.commit()
    assert commit.state == Scheduled(NOW + 2 * SECOND)
    assert commit.record == record(AttemptFailed(NO), now=NOW - SECOND)


@pytest.mark.parametrize(
    ("children", "callback", "stored"),
    [
        ([CHILD], None, [CHILD]),
        ([CHILD], CALLBACK, [CHILD, CALLBACK]),
        (None, CALLBACK, [CALLBACK]),
        (None, None, None),
        ([], None, None),
    ],
)
def test_a_success_is_stored_with_what_its_handler_has_enqueued_and_its_callback_last(
    children: list[NewJob] | None, callback: NewJob | None, stored: Sequence[NewJob] | None
) -> None:
    held = lease(1)
    held.children = children
    office = Office(held)
    state = office.settler.settle(held, Succeeded('"done"'), callback=callback)
    if callback is None:
        assert state == Completed(NOW, STARTED, 0, "node", '"done"')
    else:
        assert state == AwaitingCallback(callback[0].id, STARTED, 0, "node", '"done"')
    commit = office.commit()
    assert commit.forget_expiry is (callback is not None)
    expected = (
        None if stored is None else Insert([job for job, _ in stored], [at for _, at in stored])
    )
    assert commit.children == expected


def test_what_a_handler_has_enqueued_is_not_stored_if_it_fails() -> None:
    held = lease(1)
    held.children = [CHILD]
    office = Office(held)
    office.settler.settle(held, AttemptFailed(NO), delay=1)
    assert office.commit().children is None


@pytest.mark.parametrize(
    ("outcome", "due", "is_over"),
    [
        (AttemptFailed(NO), [NOW + SECOND], False),
        (Released(entered=True), [0], False),
        (AttemptCancelled("no"), [], True),
    ],
)
def test_when_an_outcome_is_recorded_its_lease_is_let_go_of_and_everybody_told(
    outcome: Outcome, due: list[int], is_over: bool
) -> None:
    held = lease(1)
    office = Office(held)
    office.listen()
    state = office.settler.settle(held, outcome, delay=SECOND)
    office.answer(Committed((AWAITED,)))
    assert office.held == []
    assert held.state is state.word
    assert office.around.due == due
    assert office.around.notified == ([held.claimed.request.id] if is_over else [])
    assert office.around.awaited == [AWAITED]
    assert office.facts == [attempt_over(held.claimed, outcome, NOW, state)]
    assert len(office.letters) == 1


def test_nobody_is_told_of_those_that_nobody_waits_for() -> None:
    held = lease(1)
    office = Office(held)
    told: list[object] = []
    office.settler.on_awaited = told.append
    office.settler.settle(held, AttemptCancelled("no"))
    office.answer(Committed())
    assert told == []


def test_a_settler_to_which_nobody_listens_tells_nobody() -> None:
    held = lease(1)
    held.children = [CHILD]
    office = Office(held)
    alone = Settler(*(getattr(office.settler, f"_{name}") for name in PARTS))
    for outcome, reply in (
        (RETURNED, Committed((AWAITED,), Inserted())),
        (AttemptFailed(NO), Committed()),
    ):
        alone.settle(held, outcome, delay=1)
        office.answer(reply)
    assert office.held == []


def test_a_job_that_waits_for_its_callback_has_not_ended() -> None:
    held = lease(1)
    office = Office(held)
    office.listen()
    state = office.settler.settle(held, RETURNED, callback=CALLBACK)
    office.answer(Committed())
    assert (office.around.notified, office.around.due) == ([], [])
    assert office.facts == [attempt_over(held.claimed, RETURNED, NOW, state)]


@pytest.mark.parametrize("inserted", [None, Inserted(replaced=(AWAITED,))])
def test_of_jobs_that_were_stored_with_a_success_somebody_is_told(
    inserted: Inserted | None,
) -> None:
    held = lease(1)
    held.children = [CHILD]
    office = Office(held)
    office.settler.settle(held, RETURNED)
    office.answer(Committed(inserted=inserted))
    children = Insert([CHILD[0]], [CHILD[1]])
    assert office.born == ([] if inserted is None else [(children, inserted)])
    assert office.held == []


def test_a_success_whose_children_are_refused_is_a_failure_for_good() -> None:
    held = lease(1)
    held.children = [CHILD]
    office = Office(held)
    office.settler.settle(held, RETURNED, now=NOW - 5)
    refusal = ArgumentError("taken")
    office.answer(refusal)
    outcome = AttemptFailed(refusal, final=True)
    assert office.commit(1) == Commit(
        held.claimed.request.id,
        1,
        Failed(NOW - 5, f"what it enqueued was refused: {refusal}"),
        1,
        record(outcome, now=NOW - 5),
        exception=refusal,
    )
    assert office.held == [held]


def test_an_attempt_of_a_job_that_was_called_off_elsewhere_ends_as_cancelled() -> None:
    held = lease(1)
    office = Office(held)
    office.settler.settle(held, AttemptFailed(NO), now=NOW - 5, delay=1)
    office.answer(Conflict("not needed"))
    cancelled = AttemptCancelled("not needed")
    assert office.commit(1) == Commit(
        held.claimed.request.id,
        1,
        Cancelled(NOW - 5, "not needed"),
        1,
        record(cancelled, now=NOW - 5),
    )
    assert held.cancel_reason == "not needed"
    assert office.held == [held]


def test_an_outcome_that_comes_too_late_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    held = lease(1)
    office = Office(held)
    office.listen()
    office.settler.settle(held, AttemptFailed(NO), delay=1)
    office.answer(Conflict())
    job_id = held.claimed.request.id
    assert (office.held, held.state) == ([], None)
    assert (office.around.notified, office.around.due) == ([job_id], [NOW])
    assert office.facts == [lease_refused(held.claimed, to_datetime(NOW))]
    assert caplog.record_tuples == [
        (
            "trio_gusto",
            logging.WARNING,
            f"job {to_uuid(job_id)} (work) came too late with its outcome: "
            "its lease was no longer valid",
        )
    ]


def test_an_outcome_that_the_storage_refuses_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    held = lease(1)
    office = Office(held)
    office.listen()
    office.settler.settle(held, AttemptFailed(NO), delay=1)
    office.answer(StorageError("too large"))
    assert (office.held, office.facts, office.around.due) == ([], [], [])
    assert caplog.record_tuples == [
        (
            "trio_gusto",
            logging.ERROR,
            f"the outcome of job {to_uuid(held.claimed.request.id)} was refused: too large",
        )
    ]
