"""How a job begins, is claimed, put back and ended: an example for each rule of the law book."""

from __future__ import annotations

import attrs
import pytest

from tests.model.jobs import CALLBACK, EVERY_STATE, NOW, SECOND, claimed, request, stored
from trio_gusto.model.attempts import attempts_of, claimed_again, token_of
from trio_gusto.model.failure import JobError
from trio_gusto.model.happenings import (
    CalledOff,
    Claimed,
    Ending,
    FellDue,
    Overdue,
    ParentsEnded,
    RetriedByHand,
    Settlement,
)
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import AttemptRecord, ClaimedJob
from trio_gusto.model.lifecycle import admit, advance, complete, settle, within_reach
from trio_gusto.model.outcomes import (
    AttemptCancelled,
    AttemptFailed,
    AttemptOutcome,
    Lost,
    Outcome,
    Released,
    Snoozed,
    Succeeded,
    TimedOut,
)
from trio_gusto.model.quarantine import pause_after
from trio_gusto.model.states import (
    Cancelled,
    Completed,
    Expired,
    Failed,
    Processing,
    Ready,
    Scheduled,
    State,
    Waiting,
)

END = NOW + 5
OOPS = ValueError("oops")


def settled(
    job: ClaimedJob, outcome: Outcome, *, started: bool = True, **more: int | str
) -> Settlement:
    ending = Ending(outcome, END, NOW + 1 if started else None)
    for name, value in more.items():
        setattr(ending, name, value)
    return settle(job, ending)


# --- beginning ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("execute_after", "state"),
    [
        (None, Ready(NOW)),
        (NOW + 1, Scheduled(NOW + 1)),
        (NOW, Ready(NOW)),
        (NOW - 5, Ready(NOW - 5)),
    ],
)
def test_a_job_begins_scheduled_only_when_it_is_not_due_yet(
    execute_after: int | None, state: State
) -> None:
    assert admit(request(execute_after=execute_after)) == state


def test_a_scheduled_job_keeps_its_due_instant_when_it_falls_due() -> None:
    settlement = advance(stored(Scheduled(NOW), attempt=2), FellDue(NOW + 9))
    assert settlement == Settlement(Ready(NOW), 2)


def test_a_released_job_is_due_at_once_or_when_it_was_asked_for() -> None:
    assert advance(stored(Waiting()), ParentsEnded(END)) == Settlement(Ready(END), 0)
    later = stored(Waiting(), execute_after=END + 1)
    assert advance(later, ParentsEnded(END)) == Settlement(Scheduled(END + 1), 0)


# --- claiming -------------------------------------------------------------------------------------


def test_an_attempt_is_spent_at_the_claim() -> None:
    settlement = advance(stored(Ready(NOW), attempt=1), Claimed("node-1", END, END + 9))
    assert settlement == Settlement(Processing("node-1", END, END + 9), 2)


@pytest.mark.parametrize(
    ("spent", "free", "reach"),
    [
        ([], 0, 0),
        ([(0, 3), (0, 3)], 0, 2),
        ([(2, 3)], 0, 0),
        ([(2, 3)], 1, 1),
        ([(0, 3), (2, 3), (0, 3)], 1, 1),
        ([(0, 3), (2, 3), (0, 3)], 2, 3),
        ([(0, 1), (0, 1), (0, 1)], 2, 2),
    ],
)
def test_a_last_attempt_waits_for_a_free_executor(
    spent: list[tuple[int, int]], free: int, reach: int
) -> None:
    assert within_reach(spent, free) == reach


# --- ending an attempt ----------------------------------------------------------------------------


def test_a_success_is_its_own_record() -> None:
    settlement = settled(claimed(), Succeeded("1", None))
    assert settlement == Settlement(Completed(END, NOW + 1, NOW, "node-0", "1"), 1)


def test_a_failure_is_retried_after_the_delay_of_the_policy() -> None:
    settlement = settled(claimed(), AttemptFailed(OOPS), delay=SECOND)
    assert settlement.state == Scheduled(END + SECOND)
    assert settlement.attempt == 1
    assert settlement.record == AttemptRecord(
        1, 7, "node-0", NOW, NOW + 1, END, AttemptOutcome.FAILED, JobError("ValueError", "oops")
    )


def test_a_timeout_is_retried_after_the_delay_of_the_policy() -> None:
    assert settled(claimed(), TimedOut(1), delay=SECOND).state == Scheduled(END + SECOND)


def test_a_retry_without_delay_is_ready_at_once() -> None:
    assert settled(claimed(), AttemptFailed(OOPS), delay=0).state == Ready(END)


def test_the_handler_overrides_the_delay() -> None:
    assert settled(claimed(), AttemptFailed(OOPS, after=7), delay=SECOND).state == Scheduled(
        END + 7
    )
    assert settled(claimed(), AttemptFailed(OOPS, after=7)).state == Scheduled(END + 7)


@pytest.mark.parametrize(
    ("outcome", "attempt", "reason"),
    [
        (AttemptFailed(OOPS, after=1), 3, "all attempts failed"),
        (TimedOut(SECOND), 3, "all attempts failed"),
        (AttemptFailed(OOPS), 1, "the retry policy allows no more attempts"),
        (AttemptFailed(OOPS, final=True, reason="bad address"), 1, "bad address"),
        (Lost(), 3, "lost in its last attempt"),
    ],
)
def test_a_job_fails_when_no_attempt_may_follow(
    outcome: Outcome, attempt: int, reason: str
) -> None:
    settlement = settled(claimed(attempt=attempt), outcome)
    assert settlement.state == Failed(END, reason)
    assert settlement.attempt == attempt
    assert settlement.record is not None
    assert settlement.record.outcome == outcome.word


def test_a_snooze_gives_the_attempt_back() -> None:
    settlement = settled(claimed(attempt=3), Snoozed(SECOND))
    assert (settlement.state, settlement.attempt) == (Scheduled(END + SECOND), 2)


def test_a_released_job_keeps_its_attempt_and_its_place() -> None:
    settlement = settled(claimed(due=NOW - 9), Released(entered=True))
    assert (settlement.state, settlement.attempt) == (Ready(NOW - 9), 0)


@pytest.mark.parametrize("entered", [True, False])
def test_a_handler_meant_to_be_entered_once_is_not_entered_twice(entered: bool) -> None:
    settlement = settled(claimed(max_attempts=1), Released(entered=entered), started=entered)
    assert settlement.state == (Failed(END, "interrupted") if entered else Ready(NOW))
    assert settlement.attempt == (1 if entered else 0)


def test_a_lost_attempt_stays_spent_and_its_job_keeps_its_place() -> None:
    job = claimed(attempt=2)
    settlement = settled(job, Lost())
    assert (settlement.state, settlement.attempt) == (Ready(job.due), 2)


def test_a_job_that_was_lost_before_waits_and_its_attempt_stays_spent() -> None:
    job = claimed(attempt=2, id=JobId(b"\xff" * 16))
    settlement = settled(job, Lost(2, 3))
    pause = pause_after(Lost(2, 3), job.request.id)
    assert pause > 0
    assert (settlement.state, settlement.attempt) == (Scheduled(END + pause), 2)


def test_a_job_lost_past_its_deadline_is_not_run_again() -> None:
    settlement = settled(claimed(expire_on=END), Lost())
    assert settlement.state == Failed(END, "expired")


def test_a_handler_may_call_its_job_off() -> None:
    assert settled(claimed(), AttemptCancelled("enough")).state == Cancelled(END, "enough")


@pytest.mark.parametrize(
    "outcome",
    [AttemptFailed(OOPS), TimedOut(1), Snoozed(1), Released(entered=True), Lost()],
    ids=lambda outcome: outcome.word,
)
def test_a_request_to_cancel_ends_whatever_would_run_again(outcome: Outcome) -> None:
    settlement = settled(claimed(), outcome, delay=0, cancel_reason="not wanted")
    assert settlement.state == Cancelled(END, "not wanted")


def test_a_success_counts_even_when_its_cancellation_was_asked_for() -> None:
    assert isinstance(settled(claimed(), Succeeded(), cancel_reason="late").state, Completed)


# --- deadlines ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outcome", [AttemptFailed(OOPS, after=10), Snoozed(10)], ids=lambda outcome: outcome.word
)
@pytest.mark.parametrize(("expire_on", "expired"), [(END + 10, True), (END + 11, False)])
def test_a_start_that_could_not_come_in_time_is_not_waited_for(
    outcome: Outcome, expire_on: int, expired: bool
) -> None:
    state = settled(claimed(expire_on=expire_on), outcome).state
    assert state == (Failed(END, "expired") if expired else Scheduled(END + 10))


def test_a_job_never_started_expires_and_one_that_was_fails() -> None:
    assert advance(stored(Ready(NOW)), Overdue(END)).state == Expired(END, "not started in time")
    assert advance(stored(Ready(NOW), attempt=1), Overdue(END)) == Settlement(
        Failed(END, "expired"), 1
    )


# --- by hand --------------------------------------------------------------------------------------


def test_a_job_not_running_is_called_off_with_the_reason_given() -> None:
    settlement = advance(stored(Ready(NOW), attempt=2), CalledOff(END, "not wanted"))
    assert settlement == Settlement(Cancelled(END, "not wanted"), 2)


def test_a_job_retried_by_hand_has_all_its_attempts_and_no_deadline() -> None:
    settlement = advance(stored(Failed(NOW, ""), attempt=3, expire_on=NOW), RetriedByHand(END))
    assert settlement == Settlement(Ready(END), 0, forget_expiry=True)


# --- reading back ---------------------------------------------------------------------------------


def test_attempts_are_the_records_and_the_one_that_the_state_records() -> None:
    records = (settled(claimed(), Lost()).record,)
    for state in EVERY_STATE:
        job = stored(state)
        job.history = records  # type: ignore[assignment]  # a lost attempt has a record
        own = (state,) if isinstance(state, Processing | Completed) else ()
        assert attempts_of(job) == (*records, *own)


def test_a_lease_read_back_settles_under_the_same_token() -> None:
    job = stored(Processing("node-0", NOW, END), attempt=2, version=7)
    again = claimed_again(job)
    assert (again.attempt, again.token, again.node) == (2, 7, "node-0")
    assert settled(again, Lost(), started=False).state == Ready(job.request.created_at)


@pytest.mark.parametrize(("execute_after", "due"), [(NOW - 5, NOW - 5), (NOW + 5, NOW)])
def test_a_lease_read_back_was_due_when_it_was_to_be_executed_or_was_claimed(
    execute_after: int, due: int
) -> None:
    job = stored(
        Processing("node-0", NOW, END), created_at=NOW - 9, execute_after=execute_after, attempt=1
    )
    assert claimed_again(job).due == due


def test_each_attempt_has_the_token_of_its_lease() -> None:
    job = attrs.evolve(stored(Ready(NOW), version=9), history=(record(token=4),))
    assert [token_of(one, job) for one in attempts_of(job)] == [4]
    runs = attrs.evolve(job, state=Processing("node-0", NOW, NOW + SECOND))
    assert [token_of(one, runs) for one in attempts_of(runs)] == [4, 9]
    over = attrs.evolve(job, state=Completed(NOW, NOW, NOW, "node-0"))
    assert [token_of(one, over) for one in attempts_of(over)] == [4, 8], "its end was a change"
    called_back = attrs.evolve(over, history=(record(token=4, outcome=AttemptOutcome.SUCCEEDED),))
    assert [token_of(one, called_back) for one in attempts_of(called_back)] == [4]


def record(token: int, outcome: AttemptOutcome = AttemptOutcome.FAILED) -> AttemptRecord:
    return AttemptRecord(1, token, "node-0", NOW, NOW, NOW, outcome, None)


def test_what_is_released_at_its_very_instant_is_due() -> None:
    waiting = stored(Waiting(), execute_after=NOW)
    assert advance(waiting, ParentsEnded(NOW)) == Settlement(Ready(NOW), 0)


def test_the_short_cut_of_a_success_keeps_all_that_it_says() -> None:
    ended = complete(claimed(), Succeeded(None, "it is too large"), NOW + 1, NOW + 2)
    assert ended == Completed(NOW + 2, NOW + 1, NOW, "node-0", None, "it is too large")
    assert complete(claimed(), Succeeded("[1]"), NOW + 1, NOW + 2).result == "[1]"


def test_a_job_whose_result_cannot_be_kept_for_its_callback_fails() -> None:
    ending = Ending(Succeeded(None, "a socket"), END, NOW + 1)
    ending.callback = CALLBACK
    settlement = settle(claimed(), ending)
    why = "its result could not be stored for its callback: a socket"
    assert (settlement.state, settlement.attempt) == (Failed(END, why), 1)
    assert settlement.record is not None
