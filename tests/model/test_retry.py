"""Retry policies: their delays, their bounds, their stored form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from trio_gusto.model.errors import OptionsError
from trio_gusto.model.job import Job
from trio_gusto.model.outcomes import Retry, Snooze
from trio_gusto.model.retry import (
    Exponential,
    Fixed,
    RetryPolicy,
    RetryState,
    exponential,
    fixed,
    from_wire,
    no_retry,
    retry_on,
    to_wire,
)
from trio_gusto.model.states import JobState

JOB = Job(
    id=UUID(int=1), name="f", job_type="", method_name="f", args=(), kwargs={}, queue="default",
    priority=0, tenant="", state=JobState.PROCESSING, attempt=1, max_attempts=10,
    created_at=datetime(2026, 1, 1, tzinfo=UTC), execute_after=None, expire_on=None,
    started_at=None, ended_at=None, result=None, error=None, reason="", ref_id=None,
    tags=frozenset(), created_by=None, user_id=None, metadata={}, timeout=None,
)  # fmt: skip


def after(attempt: int, error: BaseException | None = None) -> RetryState:
    return RetryState(attempt, 10, error or ValueError("oops"), JOB)


def seconds(policy: RetryPolicy, *attempts: int) -> list[float]:
    delays = [policy(after(attempt)) for attempt in attempts]
    return [delay.total_seconds() for delay in delays if delay is not None]


def test_exponential_delays_grow_up_to_the_cap() -> None:
    policy = exponential(base=5, factor=2, cap=60, jitter=0)
    assert seconds(policy, 1, 2, 3, 4, 5, 6) == [5, 10, 20, 40, 60, 60]


def test_huge_attempt_numbers_do_not_overflow() -> None:
    assert seconds(exponential(jitter=0, cap=3600), 1_000_000) == [3600]


def test_jitter_is_added_on_top_and_the_same_whenever_asked() -> None:
    policy = exponential(base=10, factor=1, jitter=0.25)
    delays = seconds(policy, *range(1, 50))
    assert all(10 <= delay <= 12.5 for delay in delays)
    assert len(set(delays)) > 40
    assert delays == seconds(policy, *range(1, 50))


def test_fixed_delays_stay_the_same() -> None:
    assert seconds(fixed(timedelta(seconds=3)), 1, 2, 9) == [3, 3, 3]


def test_no_retry_allows_no_more_attempts() -> None:
    assert no_retry()(after(1)) is None


def test_a_policy_per_error_takes_the_most_specific_class() -> None:
    policy = retry_on({OSError: fixed(1), ConnectionError: fixed(2)}, otherwise=fixed(3))
    errors = (PermissionError(), ConnectionResetError(), ValueError())
    delays = [policy(after(1, error)) for error in errors]
    assert delays == [timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=3)]


def test_errors_without_a_rule_are_not_retried() -> None:
    assert retry_on({OSError: fixed(1)})(after(1)) is None


def test_in_a_group_one_leaf_that_is_not_to_be_retried_decides() -> None:
    policy = retry_on({OSError: fixed(1), KeyError: fixed(5)})
    retried = ExceptionGroup("several", [OSError(), ExceptionGroup("more", [KeyError()])])
    assert policy(after(1, retried)) == timedelta(seconds=5)
    refused = ExceptionGroup("several", [OSError(), ValueError()])
    assert policy(after(1, refused)) is None


@pytest.mark.parametrize(
    "policy",
    [
        exponential(),
        exponential(0.5, 3, timedelta(days=1), 0),
        fixed(2.5, jitter=1),
        no_retry(),
        retry_on({OSError: fixed(1), KeyError: no_retry()}, otherwise=exponential()),
    ],
    ids=repr,
)
def test_a_policy_survives_being_stored(policy: RetryPolicy) -> None:
    assert from_wire(to_wire(policy)) == policy


def test_code_is_not_stored() -> None:
    with pytest.raises(OptionsError, match="only exponential, fixed") as refused:
        to_wire(lambda state: None)
    assert refused.value.key == "retry"


@pytest.mark.parametrize(
    "wire",
    [{}, {"unknown": []}, {"fixed": [1]}, {"fixed": 1}, {"fixed": [-1, 0]}, {"a": [], "b": []}],
)
def test_a_stored_form_that_is_none_is_refused(wire: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"stored retry policy|zero or more"):
        from_wire(wire)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: exponential(base=-1), "base"),
        (lambda: exponential(base=float("nan")), "base"),
        (lambda: exponential(factor=0.5), "factor"),
        (lambda: exponential(factor=True), "factor"),
        (lambda: exponential(cap=float("inf")), "cap"),
        (lambda: exponential(jitter=11), "jitter"),
        (lambda: exponential(jitter=-0.1), "jitter"),
        (lambda: fixed(timedelta(seconds=-1)), "delay"),
        (lambda: retry_on(cast(Any, {ValueError(): fixed(1)})), "rules"),
        (lambda: retry_on(cast(Any, {int: fixed(1)})), "rules"),
    ],
)
def test_a_policy_out_of_range_names_its_option(make: Callable[[], object], key: str) -> None:
    with pytest.raises(OptionsError) as refused:
        make()
    assert refused.value.key == key


def test_a_leaf_that_asks_for_more_itself_is_not_judged_beside_others() -> None:
    policy = retry_on({OSError: fixed(1), Snooze: fixed(9), Retry: fixed(9)})
    for asking in (Snooze(for_=5), Retry(after=5)):
        assert policy(after(1, ExceptionGroup("both", [OSError(), asking]))) == timedelta(seconds=1)
        assert policy(after(1, ExceptionGroup("alone", [asking]))) == timedelta(seconds=9)


def test_each_leaf_is_judged_by_itself_with_the_attempt_it_ended() -> None:
    seen: list[RetryState] = []

    def ask(state: RetryState) -> timedelta:
        seen.append(state)
        return timedelta(seconds=len(seen))

    one, other = OSError("one"), OSError("other")
    policy = retry_on({OSError: ask})
    assert policy(after(3, ExceptionGroup("two", [one, other]))) == timedelta(seconds=2)
    assert [(state.attempt, state.error) for state in seen] == [(3, one), (3, other)]


def test_a_rule_for_what_is_no_exception_shows_what_was_given() -> None:
    with pytest.raises(OptionsError) as refused:
        retry_on(cast(Any, {int: fixed(1)}))
    assert refused.value.value is int
    assert refused.value.allowed == "give exception classes as keys"
    policy = exponential
    with pytest.raises(OptionsError) as refused:
        to_wire(policy)
    assert refused.value.value is policy
    assert refused.value.allowed == (
        "only exponential, fixed, no_retry and retry_on can be stored with one job; "
        "give other callables to @app.job(retry=...) or Options(default_retry=...)"
    )


def test_what_is_no_stored_policy_is_shown() -> None:
    with pytest.raises(ValueError, match="no stored retry policy") as refused:
        from_wire({"unknown": []})
    assert str(refused.value) == "{'unknown': []} is no stored retry policy"
    assert str(refused.value.__cause__) == "unknown"


ZERO_OR_MORE = "give seconds or a timedelta, zero or more"
A_SHARE = "give a share of the delay between 0 and 10"


@pytest.mark.parametrize(
    ("make", "key", "value", "allowed"),
    [
        (lambda: exponential(base=-1), "base", -1, ZERO_OR_MORE),
        (lambda: exponential(cap=cast(Any, "1")), "cap", "1", ZERO_OR_MORE),
        (lambda: fixed(1, jitter=11), "jitter", 11, A_SHARE),
        (lambda: fixed(1, jitter=cast(Any, "1")), "jitter", "1", A_SHARE),
        (lambda: fixed(1, jitter=True), "jitter", True, A_SHARE),
        (lambda: exponential(factor=1001), "factor", 1001, "give a number between 1 and 1000"),
    ],
)
def test_a_policy_out_of_range_says_what_may_be_given(
    make: Callable[[], object], key: str, value: object, allowed: str
) -> None:
    with pytest.raises(OptionsError) as refused:
        make()
    error = refused.value
    assert (error.key, error.value, error.allowed) == (key, value, allowed)


def test_policies_have_the_defaults_that_are_documented_and_take_the_greatest_numbers() -> None:
    assert exponential() == Exponential(1.0, 2.0, 3600.0, 0.25)
    assert exponential(factor=1000, jitter=10) == Exponential(1.0, 1000.0, 3600.0, 10.0)
    assert fixed(0) == Fixed(0.0, 0.0)
    assert fixed(1, jitter=10)(after(1)) > timedelta(seconds=1)


def test_a_jitter_is_drawn_from_the_job_and_the_attempt_everywhere_alike() -> None:
    assert seconds(fixed(1, jitter=1), 1, 2) == [1.659591, 1.789993]
