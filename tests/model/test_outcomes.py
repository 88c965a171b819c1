"""What a handler raised, in the words of the law book."""

from __future__ import annotations

from datetime import timedelta

import pytest

from trio_gusto.model.failure import JobError
from trio_gusto.model.outcomes import (
    AttemptCancelled,
    AttemptFailed,
    Cancel,
    Fail,
    Lost,
    Outcome,
    Released,
    Retry,
    Snooze,
    Snoozed,
    Succeeded,
    TimedOut,
    classify,
    describe,
)

OOPS = ValueError("oops")


class TooManyRequests(Exception):
    def __init__(self, retry_after: object) -> None:
        self.retry_after = retry_after
        super().__init__("slow down")


def group(*members: BaseException) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("several", members)


def kind(outcome: Outcome) -> tuple[object, ...]:
    match outcome:
        case AttemptFailed(_, final, after, reason):
            return ("failed", final, after, reason)
        case Snoozed(delay):
            return ("snoozed", delay)
        case AttemptCancelled(reason):
            return ("cancelled", reason)
        case _:
            return (outcome.word,)


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (OOPS, ("failed", False, None, "")),
        (SystemExit(3), ("failed", False, None, "")),
        (Retry(after=2), ("failed", False, 2_000_000, "")),
        (Retry(after=timedelta(seconds=-1)), ("failed", False, 0, "")),
        (Snooze(for_=timedelta(minutes=1)), ("snoozed", 60_000_000)),
        (Fail("bad address"), ("failed", True, None, "bad address")),
        (Cancel("enough"), ("cancelled", "enough")),
        (TooManyRequests(1.5), ("failed", False, 1_500_000, "")),
        (TooManyRequests(timedelta(seconds=4)), ("failed", False, 4_000_000, "")),
        (TooManyRequests(-3), ("failed", False, 0, "")),
        (TooManyRequests("soon"), ("failed", False, None, "")),
        (TooManyRequests(float("nan")), ("failed", False, None, "")),
        (TooManyRequests(float("inf")), ("failed", False, None, "")),
    ],
    ids=repr,
)
def test_an_error_has_one_outcome(error: BaseException, wanted: tuple[object, ...]) -> None:
    assert kind(classify(error)) == wanted


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (group(OOPS, Fail("never"), Cancel("no")), ("failed", True, None, "never")),
        (group(OOPS, group(Cancel("no")), Snooze(1)), ("cancelled", "no")),
        (group(Snooze(1), group(Snooze(3))), ("snoozed", 3_000_000)),
        (group(Snooze(1), OOPS), ("failed", False, None, "")),
        (group(Retry(1), Retry(5), Snooze(9)), ("failed", False, 5_000_000, "")),
        (group(Retry(1), OOPS), ("failed", False, None, "")),
        (group(TooManyRequests(1), TooManyRequests("soon")), ("failed", False, None, "")),
    ],
)
def test_the_strongest_leaf_of_a_group_decides(
    error: BaseException, wanted: tuple[object, ...]
) -> None:
    outcome = classify(error)
    assert kind(outcome) == wanted
    if isinstance(outcome, AttemptFailed):
        assert outcome.exception is error


def test_a_failed_attempt_is_described_by_its_exception() -> None:
    assert describe(AttemptFailed(OOPS)) == JobError("ValueError", "oops")


def test_a_timeout_says_how_long_it_was_and_what_was_raised_then() -> None:
    described = describe(TimedOut(1_500_000, OOPS))
    assert described is not None
    assert described.message == "the attempt ran longer than 1.5 s"
    assert described.children == (JobError("ValueError", "oops"),)
    assert describe(TimedOut(1_000_000)) == JobError("TimedOut", "the attempt ran longer than 1 s")


def test_a_lost_attempt_says_so() -> None:
    assert describe(Lost()) == JobError(
        "Lost", "the node that ran this attempt vanished or lost its lease"
    )


@pytest.mark.parametrize(
    "outcome", [Succeeded(), Snoozed(1), Released(entered=True), AttemptCancelled("")]
)
def test_what_is_no_failure_has_no_error(outcome: Outcome) -> None:
    assert describe(outcome) is None


def test_what_a_handler_raises_says_so_to_people_and_to_programs() -> None:
    assert (Retry(after=2).after, str(Retry(after=2))) == (
        2_000_000,
        "the handler asked to be retried after 2",
    )
    assert str(Retry(after=2, message="the relay is down")) == "the relay is down"
    assert (Snooze(for_=2).for_, str(Snooze(for_=2))) == (
        2_000_000,
        "the handler asked to be run again after 2",
    )
    assert (Snooze(for_=-1).for_, Retry(after=-1).after) == (0, 0)
    assert (Fail("bad address").reason, str(Fail("bad address"))) == ("bad address",) * 2
    assert (Cancel("not wanted").reason, str(Cancel("not wanted"))) == ("not wanted",) * 2


@pytest.mark.parametrize(
    ("delay", "taken"), [(7, 7), (1, 1), (0, 0), (-1, 0), (1.5, 0), (True, 0), ("7", 0), (None, 0)]
)
def test_a_handlers_own_kind_of_snooze_may_have_set_anything(delay: object, taken: int) -> None:
    class Later(Snooze):
        def __init__(self) -> None:
            self.for_ = delay  # type: ignore[assignment]  # that is the point

    assert classify(Later()) == Snoozed(taken)
