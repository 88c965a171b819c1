"""What must become of a job that fails, by what is documented of retries: in fractions, and without
a line of the code that does it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import chain, repeat
from typing import Any

import attrs

from property_tests.retry_errands import (
    ERRORS,
    TIMEOUT,
    ByClass,
    Code,
    Constant,
    Errand,
    Growing,
    Never,
    Policy,
    Step,
)

MILLISECOND = 1000


@attrs.frozen
class Pause:
    """How long, in microseconds: the policy's word, and the most that jitter makes of it."""

    least: int
    most: int


@attrs.frozen
class Again:
    """Another attempt after ``pause``, with the same number if this one is given back."""

    outcome: str
    pause: Pause
    given_back: bool = False


@attrs.frozen
class End:
    outcome: str
    state: str
    reason: str


@attrs.frozen
class Run:
    """What a handler noted of one attempt: when it was entered, and when left."""

    began: int
    ended: int


def pause_of(policy: Policy, number: int, errors: Sequence[type[BaseException]]) -> Pause | None:
    """After attempt ``number``; ``None``: the policy allows no more."""
    match policy:
        case Never():
            return None
        case Constant(delay, jitter):
            return _jittered(Fraction(delay), jitter)
        case Growing(base, factor, cap, jitter):
            return _jittered(min(base * Fraction(factor) ** (number - 1), Fraction(cap)), jitter)
        case Code(delay, last):
            return _exactly(max(delay * number, 0)) if number <= last else None
        case ByClass():
            pauses = [_of_class(policy, number, kind) for kind in errors]
            known = [pause for pause in pauses if pause is not None]
            if len(known) < len(pauses):
                return None
            return Pause(max(one.least for one in known), max(one.most for one in known))


def _of_class(policy: ByClass, number: int, kind: type[BaseException]) -> Pause | None:
    fitting = [rule for rule in policy.rules if issubclass(kind, rule[0])]
    if fitting:
        _, nearest = max(fitting, key=lambda rule: len(rule[0].__mro__))
        return pause_of(nearest, number, [kind])
    return None if policy.otherwise is None else pause_of(policy.otherwise, number, [kind])


def _exactly(milliseconds: int) -> Pause:
    return Pause(milliseconds * MILLISECOND, milliseconds * MILLISECOND)


def _jittered(milliseconds: Fraction, jitter: float) -> Pause:
    least = milliseconds * MILLISECOND
    return Pause(math.floor(least), math.ceil(least * (1 + Fraction(jitter))))


def verdict(errand: Errand, step: Step, number: int) -> Again | End:
    """What becomes of an attempt in which this is done."""
    if step.hangs:
        return _by_policy(errand, "timed_out", number, [TimeoutError])
    if not step.raises:
        return End("succeeded", "completed", "")
    words = [word.word for word in step.raises]
    if "fail" in words:
        return End("failed", "failed", "of no use")
    if "cancel" in words:
        return End("cancelled", "cancelled", "not wanted")
    ordinary = [ERRORS[word] for word in words if word in ERRORS]
    if ordinary:
        return _by_policy(errand, "failed", number, ordinary)
    wishes = [one.delay for one in step.raises if one.word != "snooze"]
    if not wishes:
        return Again("snoozed", _exactly(max(one.delay for one in step.raises)), given_back=True)
    if number >= errand.max_attempts:
        return End("failed", "failed", "all attempts failed")
    return Again("failed", _exactly(max(wishes)))


def _by_policy(
    errand: Errand, outcome: str, number: int, errors: Sequence[type[BaseException]]
) -> Again | End:
    if number >= errand.max_attempts:
        return End(outcome, "failed", "all attempts failed")
    pause = pause_of(errand.policy, number, errors)
    if pause is None:
        return End(outcome, "failed", "the retry policy allows no more attempts")
    return Again(outcome, pause)


def check_life(
    errand: Errand, due: int, expires: int | None, runs: Sequence[Run], job: Any, history: Any
) -> None:
    """See that the runs of a life came as documented, each at its instant, and that it is recorded."""
    earliest = latest = due
    number, seen = 1, len(runs)
    assert len(history) == seen, f"every attempt has a record: {seen} runs, {history}"
    script = chain(errand.script, repeat(Step()))
    for place, (run, record, step) in enumerate(zip(runs, history, script, strict=False)):
        assert earliest <= run.began <= latest, (
            f"an attempt starts at its instant: {place}, {run.began - earliest} after the earliest, "
            f"{run.began - latest} after the latest"
        )
        length = TIMEOUT if step.hangs else step.work
        assert run.ended == run.began + length * MILLISECOND, "it lasts as long as it works"
        found = verdict(errand, step, number)
        assert record == (number, found.outcome, run.began, run.began, run.ended), (
            f"the record is right: {record}, {number}, {found}, {run}"
        )
        if isinstance(found, Again) and expires is not None:
            would_be_late = run.ended + found.pause.least >= expires
            may_be_late = run.ended + found.pause.most >= expires
            if would_be_late or (may_be_late and seen == place + 1):
                found = End(found.outcome, "failed", "expired")
        if isinstance(found, End):
            assert seen == place + 1, f"no attempt after the last: {found}, {seen} runs"
            assert (job.state, job.reason) == (found.state, found.reason), (
                f"it ends as documented: {job.state}, {job.reason!r}, {found}"
            )
            return
        number += not found.given_back
        earliest, latest = run.ended + found.pause.least, run.ended + found.pause.most
    raise AssertionError(f"no attempt is missing: {seen} runs, {job.state}, {job.reason!r}")
