"""Jobs that fail, and the policies by which they are tried again, as plain data, and how to draw them.

Lengths are milliseconds here, so that sums are exact; how long a pause has to be is said by `retry_oracle`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

import attrs
from hypothesis import strategies as st

from trio_gusto import Cancel, Fail, Retry, Snooze, exponential, fixed, no_retry, retry_on
from trio_gusto.model.retry import RetryState

TIMEOUT = 5_000
"""Milliseconds that an attempt may take; what a handler does in one is shorter, or it hangs."""


class Busy(Exception):
    """As a client library raises it."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("too many requests")
        self.retry_after = retry_after


ERRORS: dict[str, type[BaseException]] = {
    "value": ValueError,
    "key": KeyError,
    "reset": ConnectionResetError,
    "missing": FileNotFoundError,
    "exit": SystemExit,
}
CLASSES: tuple[type[BaseException], ...] = (
    *ERRORS.values(),
    LookupError,
    ConnectionError,
    OSError,
    TimeoutError,
    Exception,
)
"""What `retry_on` may be given: what is raised, and what those are."""


# --- policies -------------------------------------------------------------------------------------


@attrs.frozen
class Growing:
    base: int
    factor: float
    cap: int
    jitter: float

    def made(self) -> Any:
        return exponential(self.base / 1000, self.factor, self.cap / 1000, self.jitter)


@attrs.frozen
class Constant:
    delay: int
    jitter: float

    def made(self) -> Any:
        return fixed(timedelta(milliseconds=self.delay), self.jitter)


@attrs.frozen
class Never:
    def made(self) -> Any:
        return no_retry()


@attrs.frozen
class Code:
    """A function: ``delay`` for each attempt so far, and no more after attempt ``last``."""

    delay: int
    last: int
    breaks: bool = False

    def made(self) -> Any:
        def policy(state: RetryState) -> timedelta | None:
            if state.attempt <= self.last:
                return timedelta(milliseconds=self.delay * state.attempt)
            if self.breaks:
                raise ZeroDivisionError("a policy may have mistakes")
            return None

        return policy


@attrs.frozen
class ByClass:
    rules: tuple[tuple[type[BaseException], Policy], ...]
    otherwise: Policy | None

    def made(self) -> Any:
        otherwise = None if self.otherwise is None else self.otherwise.made()
        return retry_on({kind: policy.made() for kind, policy in self.rules}, otherwise)


Policy = Growing | Constant | Never | Code | ByClass

jitters = st.sampled_from([0.0, 0.0, 0.25, 1.0, 2.5])
growing = st.builds(
    Growing,
    st.integers(0, 3000),
    st.sampled_from([1, 1.5, 2, 10]),
    st.sampled_from([0, 2500, 60_000]),
    jitters,
)
constant = st.builds(Constant, st.integers(0, 3000), jitters)
simple: st.SearchStrategy[Policy] = st.one_of(growing, constant, st.just(Never()))
code = st.builds(Code, st.integers(-2, 3000), st.integers(0, 3), st.booleans())


def by_class(inner: st.SearchStrategy[Policy]) -> st.SearchStrategy[Policy]:
    rules = st.lists(
        st.tuples(st.sampled_from(CLASSES), inner),
        min_size=1,
        max_size=4,
        unique_by=lambda rule: rule[0].__name__,
    )
    return st.builds(ByClass, rules.map(tuple), st.none() | inner)


storable = st.one_of(simple, by_class(simple))
policies = st.one_of(storable, code, by_class(simple | code))


# --- what handlers do -----------------------------------------------------------------------------


@attrs.frozen
class Word:
    """Something to be raised; ``delay`` for what names one."""

    word: str
    delay: int = 0

    def made(self) -> BaseException:
        match self.word:
            case "retry":
                return Retry(after=self.delay / 1000)
            case "snooze":
                return Snooze(for_=timedelta(milliseconds=self.delay))
            case "busy":
                return Busy(self.delay / 1000)
            case "fail":
                return Fail("of no use")
            case "cancel":
                return Cancel("not wanted")
            case _:
                return ERRORS[self.word]("something is wrong")


@attrs.frozen
class Step:
    """One attempt: so much ``work``, and then it hangs, returns, or raises; several are a group."""

    raises: tuple[Word, ...] = ()
    work: int = 0
    hangs: bool = False

    def error(self) -> BaseException:
        first, *more = [word.made() for word in self.raises]
        if not more:
            return first
        return BaseExceptionGroup("outer", [first, BaseExceptionGroup("inner", more)])


lengths = st.integers(0, 4000)
errors = st.builds(Word, st.sampled_from(sorted(ERRORS)))
wishes = st.builds(Word, st.sampled_from(["retry", "busy"]), lengths)
snoozes = st.builds(Word, st.just("snooze"), lengths)
ends = st.builds(Word, st.sampled_from(["fail", "cancel"]))


def steps(*words: st.SearchStrategy[Word], most: int = 3) -> st.SearchStrategy[Step]:
    return st.builds(
        Step,
        st.lists(st.one_of(*words), min_size=1, max_size=most).map(tuple),
        st.integers(0, TIMEOUT - 1),
    )


hanging = st.builds(Step, hangs=st.just(True))
any_step = st.one_of(
    steps(errors, most=1),
    steps(errors),
    steps(wishes, snoozes, most=1),
    steps(errors, wishes, snoozes),
    steps(errors, wishes, snoozes, ends),
    hanging,
)


@attrs.frozen
class Errand:
    """A job that is raised out of as often as ``script`` says, and returns after that."""

    script: tuple[Step, ...]
    policy: Policy
    given: Literal["call", "handler"] = "call"
    max_attempts: int = 10
    after: int = 0
    life: int | None = None
    """Milliseconds from ``after`` to its ``expire_on``."""

    def at_handler(self) -> dict[str, Any]:
        return self._policy() if self.given == "handler" else {}

    def at_call(self) -> dict[str, Any]:
        options = self._policy() if self.given == "call" else {}
        if self.after:
            options["execute_after"] = self.after / 1000
        if self.life is not None:
            options["expire_on"] = (self.after + self.life) / 1000
        return options

    def _policy(self) -> dict[str, Any]:
        return {"retry": self.policy.made(), "max_attempts": self.max_attempts}


lives = st.one_of(st.none(), st.integers(1, 20_000))


def errands(
    step: st.SearchStrategy[Step] = any_step,
    policy: st.SearchStrategy[Policy] = storable,
    given: Literal["call", "handler"] = "call",
    life: st.SearchStrategy[int | None] = lives,
) -> st.SearchStrategy[Sequence[Errand]]:
    """Up to three, which is fewer than there are executors."""
    one = st.builds(
        Errand,
        st.lists(step, min_size=1, max_size=6).map(tuple),
        policy,
        st.just(given),
        st.integers(1, 5),
        st.sampled_from([0, 0, 1500]),
        life,
    )
    return st.lists(one, min_size=1, max_size=3)


def any_errands() -> st.SearchStrategy[Sequence[Errand]]:
    given = st.tuples(errands(), errands(policy=policies, given="handler"))
    return given.map(lambda both: [*both[0], *both[1]][:4])
