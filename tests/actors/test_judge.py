"""Which outcome it is what came out of a handler, and whether there is another attempt."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import trio

from tests.actors.test_isolation import raised_in
from tests.actors.test_roster import lease
from trio_gusto import Retry, RetryState, fixed
from trio_gusto.actors.judge import Judge
from trio_gusto.actors.lease import Cause, Slot
from trio_gusto.model.job import ClaimedJob, Details
from trio_gusto.model.outcomes import (
    AttemptCancelled,
    AttemptFailed,
    Outcome,
    Released,
    Snoozed,
    TimedOut,
)
from trio_gusto.model.retry import RetryPolicy, to_wire
from trio_gusto.serialization.calls import DecodeError

NO = ValueError("no")


class Office:
    """A judge whose handlers have this policy, and look at jobs so."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy
        self.judge = Judge(self)  # type: ignore[arg-type]

    def view(self, claimed: ClaimedJob) -> Any:
        return ("a view of", claimed)

    def retry_of(self, handler: object) -> RetryPolicy:
        assert handler == "the handler"
        return self.policy

    def delay(self, claimed: ClaimedJob, outcome: Outcome) -> int | None:
        handler: Any = "the handler"
        return self.judge.retry_delay(handler, claimed, outcome)


async def cancelled() -> trio.Cancelled:
    """What Trio raises in a scope that is cancelled."""
    error = None
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as raised:
            error = raised
            raise
    assert error is not None
    return error


@pytest.mark.parametrize("own", [None, NO])
@pytest.mark.parametrize("cause", list(Cause))
async def test_of_a_cancelled_attempt_the_cause_decides(
    cause: Cause, own: Exception | None
) -> None:
    held, slot = lease(1), Slot(lambda _deadline: None)
    held.claimed.request.timeout = 7
    held.slot = slot
    if cause is Cause.CANCEL:
        held.cancel("not needed")
    else:
        held.interrupt(cause)
    raised: list[BaseException] = [await cancelled(), *([] if own is None else [own])]
    error = BaseExceptionGroup("both", raised)
    outcome = Office(fixed(1)).judge.outcome_of(slot, held, error)
    match cause:
        case Cause.TIMEOUT:
            assert outcome == TimedOut(7, None if own is None else error)
        case Cause.CANCEL:
            assert outcome == AttemptCancelled("not needed")
        case _:
            assert outcome == Released(entered=True)


async def test_a_job_may_be_called_off_without_a_reason() -> None:
    held, slot = lease(1), Slot(lambda _deadline: None)
    held.slot = slot
    held.interrupt(Cause.CANCEL)
    outcome = Office(fixed(1)).judge.outcome_of(slot, held, await cancelled())
    assert outcome == AttemptCancelled("")


async def test_whoever_raises_a_cancellation_by_himself_has_failed() -> None:
    error = await cancelled()
    outcome = Office(fixed(1)).judge.outcome_of(Slot(lambda _deadline: None), lease(1), error)
    assert outcome == AttemptFailed(error)


@pytest.mark.parametrize("is_cancellation", [True, False])
async def test_in_a_pool_that_is_cancelled_a_cancellation_alone_is_no_failure(
    is_cancellation: bool,
) -> None:
    error = await cancelled() if is_cancellation else NO
    outcome: object = None
    with trio.CancelScope(deadline=-math.inf):
        outcome = Office(fixed(1)).judge.outcome_of(Slot(lambda _deadline: None), lease(1), error)
        await trio.lowlevel.cancel_shielded_checkpoint()
    assert outcome == (Released(entered=True) if is_cancellation else AttemptFailed(NO))


@pytest.mark.parametrize("is_real", [True, False])
async def test_a_real_ctrl_c_is_no_failure_of_the_handler_it_hits(is_real: bool) -> None:
    error = raised_in("signal" if is_real else "a_handler", KeyboardInterrupt())
    group = BaseExceptionGroup("", [ValueError(), error])
    outcome = Office(fixed(1)).judge.outcome_of(Slot(lambda _deadline: None), lease(1), group)
    assert outcome == (Released(entered=True) if is_real else AttemptFailed(group))


async def test_arguments_that_cannot_be_decoded_are_of_no_use_a_second_time() -> None:
    error = DecodeError("bad JSON", [], "give better")
    outcome = Office(fixed(1)).judge.outcome_of(Slot(lambda _deadline: None), lease(1), error)
    assert outcome == AttemptFailed(error, final=True, reason="its arguments could not be decoded")


# --- another attempt ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "delay"),
    [
        (AttemptFailed(NO), 2_000_000),
        (TimedOut(7, NO), 2_000_000),
        (TimedOut(7), 2_000_000),
        (AttemptFailed(NO, final=True), None),
        (AttemptFailed(Retry(after=9), after=9_000_000), None),
        (Snoozed(5), None),
        (Released(entered=True), None),
        (AttemptCancelled("no"), None),
    ],
)
def test_a_policy_is_asked_of_failures_that_say_nothing_themselves(
    caplog: pytest.LogCaptureFixture, outcome: Outcome, delay: int | None
) -> None:
    assert Office(fixed(2)).delay(lease(1).claimed, outcome) == delay
    assert caplog.messages == []


@pytest.mark.parametrize("outcome", [AttemptFailed(NO), TimedOut(7, NO), TimedOut(7)])
def test_a_policy_is_told_of_the_attempt_and_its_error(
    caplog: pytest.LogCaptureFixture, outcome: AttemptFailed | TimedOut
) -> None:
    asked: list[RetryState] = []

    def policy(state: RetryState) -> None:
        asked.append(state)

    claimed = lease(1).claimed
    claimed.attempt = 2
    assert Office(policy).delay(claimed, outcome) is None
    assert caplog.messages == []
    (state,) = asked
    assert (state.attempt, state.max_attempts) == (2, 3)
    seen: object = state.job
    assert seen == ("a view of", claimed)
    if outcome.exception is None:
        assert repr(state.error) == "TimeoutError('the attempt timed out')"
    else:
        assert state.error is NO


@pytest.mark.parametrize(("attempt", "delay"), [(2, 2_000_000), (3, None), (4, None)])
def test_after_the_last_attempt_there_is_none(attempt: int, delay: int | None) -> None:
    claimed = lease(1).claimed
    claimed.attempt = attempt
    assert Office(fixed(2)).delay(claimed, AttemptFailed(NO)) == delay


@pytest.mark.parametrize(
    ("answer", "delay"),
    [(timedelta(seconds=-5), 0), (timedelta(0), 0), (timedelta(seconds=3), 3_000_000)],
)
def test_nobody_waits_for_less_than_nothing(answer: timedelta, delay: int) -> None:
    assert Office(lambda _state: answer).delay(lease(1).claimed, AttemptFailed(NO)) == delay


@pytest.mark.parametrize(("retry", "delay"), [(to_wire(fixed(60)), 60_000_000), (None, 2_000_000)])
def test_the_policy_of_the_job_itself_comes_before_that_of_its_handler(
    retry: Mapping[str, object] | None, delay: int
) -> None:
    claimed = lease(1).claimed
    claimed.request.details = Details(retry=retry)
    assert Office(fixed(2)).delay(claimed, AttemptFailed(NO)) == delay


def test_a_policy_that_breaks_allows_no_more_attempts_and_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def policy(_state: RetryState) -> None:
        raise ZeroDivisionError

    assert Office(policy).delay(lease(1).claimed, AttemptFailed(NO)) is None
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (
        logging.ERROR,
        "the retry policy of work failed, so the job is not retried",
    )
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
