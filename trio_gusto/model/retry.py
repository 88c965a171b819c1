"""When a failed attempt is followed by another.

A policy is any callable from `RetryState` to a delay (``timedelta``), or ``None`` for "no more".
The ones made here are plain data: they compare equal, print readably, and can be stored with a job
(`to_wire`), which other callables cannot.

Jitter is drawn from a hash of the job and the attempt, not from a random number generator: the same
job is retried after the same delay wherever and whenever it is asked, so that tests and replays
agree. It is additive, so a delay is never shorter than the policy says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import cast

import attrs

from .errors import OptionsError
from .failure import is_a, leaves, qualified_name
from .instants import MICROSECONDS, to_duration
from .job import Job
from .outcomes import Snooze, retry_after


@attrs.frozen
class RetryState:
    """What a policy may judge by.

    ``attempt`` is the number of the attempt that failed (1-based), ``error`` the exception itself,
    ``job`` a snapshot of the job taken before it failed.
    """

    attempt: int
    max_attempts: int
    error: BaseException
    job: Job


RetryPolicy = Callable[[RetryState], timedelta | None]


def _seconds(value: float | timedelta, key: str) -> float:
    try:
        length = to_duration(value)
    except ValueError:
        length = -1
    if length < 0:
        raise OptionsError(key, value, "give seconds or a timedelta, zero or more")
    return length / MICROSECONDS


def _fraction(value: float, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10:
        raise OptionsError(key, value, "give a share of the delay between 0 and 10")
    return float(value)


@attrs.frozen
class Exponential:
    """Delays ``base``, ``base * factor``, ``base * factor**2`` … seconds, at most ``cap``.

    Up to ``jitter`` times the delay is added on top.
    """

    base: float
    factor: float
    cap: float
    jitter: float

    def __call__(self, state: RetryState) -> timedelta:
        try:
            delay = min(self.base * self.factor ** (state.attempt - 1), self.cap)
        except OverflowError:
            delay = self.cap
        return _jittered(delay, self.jitter, state)


@attrs.frozen
class Fixed:
    """The same ``delay`` (seconds) every time, plus up to ``jitter`` times of it."""

    delay: float
    jitter: float

    def __call__(self, state: RetryState) -> timedelta:
        return _jittered(self.delay, self.jitter, state)


@attrs.frozen
class NoRetry:
    """One attempt, whatever ``max_attempts`` says."""

    def __call__(self, _state: RetryState) -> None:
        return None


@attrs.frozen
class RetryOn:
    """A policy per exception class, judged leaf by leaf for exception groups.

    ``rules`` maps qualified class names to policies; a class counts for its subclasses, the most
    specific one first. Where leaves disagree, one that is not to be retried decides; otherwise the
    longest delay. Leaves beside them that ask for another attempt themselves are not judged.
    """

    rules: Mapping[str, RetryPolicy] = attrs.field(hash=False)
    otherwise: RetryPolicy

    def __call__(self, state: RetryState) -> timedelta | None:
        longest = timedelta(0)
        members = leaves(state.error)
        for leaf in [leaf for leaf in members if not _asks_for_more(leaf)] or members:
            delay = self._policy_for(leaf)(attrs.evolve(state, error=leaf))
            if delay is None:
                return None
            longest = max(longest, delay)
        return longest

    def _policy_for(self, leaf: BaseException) -> RetryPolicy:
        for kind in type(leaf).__mro__:
            policy = self.rules.get(qualified_name(kind))
            if policy is not None:
                return policy
        return self.otherwise


def exponential(
    base: float | timedelta = 1.0,
    factor: float = 2.0,
    cap: float | timedelta = 3600.0,
    jitter: float = 0.25,
) -> Exponential:
    """Ever longer delays: ``base`` seconds, then ``factor`` times longer each time, up to ``cap``.

    ``jitter`` is the share of the delay that may be added on top (0.25: up to a quarter).

    >>> exponential(base=1, jitter=0).base
    1.0
    """
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1 <= factor <= 1000:
        raise OptionsError("factor", factor, "give a number between 1 and 1000")
    return Exponential(
        _seconds(base, "base"), float(factor), _seconds(cap, "cap"), _fraction(jitter, "jitter")
    )


def fixed(delay: float | timedelta, jitter: float = 0.0) -> Fixed:
    """The same ``delay`` (seconds or a timedelta) before every retry."""
    return Fixed(_seconds(delay, "delay"), _fraction(jitter, "jitter"))


def no_retry() -> NoRetry:
    """No second attempt."""
    return NoRetry()


def retry_on(
    rules: Mapping[type[BaseException], RetryPolicy], otherwise: RetryPolicy | None = None
) -> RetryOn:
    """A policy per class of exception; ``otherwise`` for the rest (default: `no_retry`).

    >>> policy = retry_on({ConnectionError: fixed(1)}, otherwise=no_retry())
    """
    for kind in rules:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise OptionsError("rules", kind, "give exception classes as keys")
    named = {qualified_name(kind): policy for kind, policy in rules.items()}
    return RetryOn(named, NoRetry() if otherwise is None else otherwise)


def to_wire(policy: object) -> dict[str, object]:
    """The JSON form of a policy, to be stored with a job.

    Raises:
        OptionsError: the policy is code. Code is not stored; declare it with ``@app.job(retry=…)``.
    """
    if isinstance(policy, Exponential):
        return {"exponential": [policy.base, policy.factor, policy.cap, policy.jitter]}
    if isinstance(policy, Fixed):
        return {"fixed": [policy.delay, policy.jitter]}
    if isinstance(policy, NoRetry):
        return {"no_retry": []}
    if isinstance(policy, RetryOn):
        named = {name: to_wire(inner) for name, inner in policy.rules.items()}
        return {"retry_on": [named, to_wire(policy.otherwise)]}
    raise OptionsError(
        "retry",
        policy,
        "only exponential, fixed, no_retry and retry_on can be stored with one job; "
        "give other callables to @app.job(retry=...) or Options(default_retry=...)",
    )


def from_wire(wire: Mapping[str, object]) -> RetryPolicy:
    """The policy of a JSON form made by `to_wire`.

    Raises:
        ValueError: it is no such form.
    """
    try:
        ((kind, values),) = wire.items()
        values = cast("list[object]", values)
        match kind:
            case "exponential":
                base, factor, cap, jitter = cast("list[float]", values)
                return exponential(base, factor, cap, jitter)
            case "fixed":
                delay, jitter = cast("list[float]", values)
                return fixed(delay, jitter)
            case "no_retry":
                return NoRetry()
            case "retry_on":
                rules, otherwise = cast("list[Mapping[str, object]]", values)
                inner = cast("Mapping[str, Mapping[str, object]]", rules)
                return RetryOn(
                    {name: from_wire(form) for name, form in inner.items()}, from_wire(otherwise)
                )
            case _:
                raise ValueError(kind)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{wire!r} is no stored retry policy") from error


def _asks_for_more(error: BaseException) -> bool:
    return is_a(error, Snooze) or retry_after(error) is not None


def _jittered(delay: float, share: float, state: RetryState) -> timedelta:
    if share:
        delay += delay * share * _draw(state)
    return timedelta(seconds=delay)


def _draw(state: RetryState) -> float:
    """A number in [0, 1), the same for the same job and attempt."""
    seed = state.job.id.bytes + state.attempt.to_bytes(8, "big")
    return int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest(), "big") / 2**64
