"""How long ended jobs are kept: what users say, and what that comes to at an instant.

The first rule that a job satisfies says how long it is kept; where none does, the default holds. So
each rule becomes a `Cut`: jobs that it selects, and no rule before it, and that ended too long ago.
A storage selects and compares; it does not know of rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import cast

import attrs

from .errors import OptionsError
from .instants import to_duration
from .states import JobState

LONGEST = timedelta(days=100 * 366)

DEFAULT = timedelta(days=7)


@attrs.frozen
class Selection:
    """Ended jobs by state, tenant and tag. What is empty accepts every job; ``tags`` wants one."""

    states: frozenset[JobState] = frozenset()
    tenants: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()

    def accepts(self, state: JobState, tenant: str, tags: Iterable[str]) -> bool:
        """Whether a job is selected."""
        return (
            (not self.states or state in self.states)
            and (not self.tenants or tenant in self.tenants)
            and (not self.tags or not self.tags.isdisjoint(tags))
        )


@attrs.frozen
class Cut:
    """Jobs that ended before an instant: those that ``only`` selects (``None``: all), and none of
    ``but``."""

    ended_before: int
    only: Selection | None = None
    but: tuple[Selection, ...] = ()


def _period(value: object, field: str) -> timedelta | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            value = timedelta(seconds=value)
        except (OverflowError, ValueError):
            value = timedelta.max
    if value is None or (isinstance(value, timedelta) and timedelta(0) <= value <= LONGEST):
        return value
    raise OptionsError(
        field,
        value,
        "give seconds or a timedelta, from 0 seconds to a hundred years, or None to keep for ever",
    )


def _keep_for(value: float | timedelta | None) -> timedelta | None:
    return _period(value, "keep_for")


def _default(value: float | timedelta | None) -> timedelta | None:
    return _period(value, "retention")


def _states(value: Iterable[JobState | str]) -> frozenset[JobState]:
    ended = [state for state in JobState if state.is_ended]
    words = _several("states", value)
    try:
        states = frozenset(JobState(word) for word in words)
    except ValueError:
        states = frozenset(JobState)
    if not states.issubset(ended):
        they_are = ", ".join(state.value for state in ended)
        raise OptionsError("states", value, f"only jobs that have ended go; they are {they_are}")
    return states


def _tenants(value: Iterable[str]) -> frozenset[str]:
    return _several("tenants", value)


def _tags(value: Iterable[str]) -> frozenset[str]:
    return _several("tags", value)


def _several(key: str, value: object) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise OptionsError(key, value, "give several texts, such as a list or a set of them")
    items = list(cast("Iterable[object]", value))
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) < len(items):
        raise OptionsError(key, items, "give several texts, such as a list or a set of them")
    return frozenset(texts)


@attrs.frozen
class Keep:
    """One rule: how long jobs of these states, tenants and tags are kept after they have ended.

    ``keep_for`` is seconds or a ``timedelta``, ``None`` for ever. A job satisfies the rule when it
    satisfies all that is given: its state is one of ``states``, its tenant one of ``tenants``, and
    at least one of its tags is among ``tags``.

    Raises:
        OptionsError: nothing is given, a state is none of an ended job, or the period is out of
            range.

    >>> Keep(timedelta(days=90), states=["failed"], tenants=["acme"]).keep_for
    datetime.timedelta(days=90)
    """

    keep_for: timedelta | None = attrs.field(converter=_keep_for)
    states: frozenset[JobState] = attrs.field(default=frozenset(), kw_only=True, converter=_states)
    tenants: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_tenants)
    tags: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_tags)

    def __attrs_post_init__(self) -> None:
        if not (self.states or self.tenants or self.tags):
            raise OptionsError(
                "rules",
                self,
                "a rule for every job would leave nothing to the default; give it states, tenants "
                "or tags, or make its period the default",
            )

    @property
    def selection(self) -> Selection:
        """The jobs that satisfy it."""
        return Selection(self.states, self.tenants, self.tags)


def _rules(value: Iterable[Keep]) -> tuple[Keep, ...]:
    rules = tuple(value)
    if not all(isinstance(rule, Keep) for rule in rules):
        raise OptionsError("rules", value, "give a list of Keep(…)")
    return rules


@attrs.frozen
class Retention:
    """How long ended jobs are kept: ``default``, and ``rules`` for some, the first that fits.

    ``default`` is seconds or a ``timedelta``, ``None`` for ever; a week if nothing is said. What
    somebody still needs is kept for longer: jobs that others wait for, ended jobs of a batch that
    has not ended, and the newest job of each schedule.

    Raises:
        OptionsError: a period is out of range, or a rule is none.

    >>> Retention(timedelta(days=7), rules=[Keep(timedelta(days=90), states=["failed"])]).default
    datetime.timedelta(days=7)
    """

    default: timedelta | None = attrs.field(default=DEFAULT, converter=_default)
    rules: Sequence[Keep] = attrs.field(default=(), kw_only=True, converter=_rules)

    def cuts(self, now: int) -> list[Cut]:
        """What is to go at ``now``. Rules that keep for ever cut nothing, but shield from others."""
        cuts: list[Cut] = []
        before: tuple[Selection, ...] = ()
        for rule in self.rules:
            if rule.keep_for is not None:
                cuts.append(Cut(now - to_duration(rule.keep_for), rule.selection, before))
            before = (*before, rule.selection)
        if self.default is not None:
            cuts.append(Cut(now - to_duration(self.default), None, before))
        return cuts
