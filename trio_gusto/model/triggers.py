"""Triggers: what makes something happen again and again.

A trigger is plain data: it compares equal to another that says the same, prints readably, and can be
stored (`to_wire`). It knows no present: from any instant it tells the next one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeGuard, cast
from zoneinfo import ZoneInfo

import attrs

from .cron.clock_changes import zone_named
from .cron.expression import normal_form, parse
from .cron.occurrences import Occurrences
from .errors import ScheduleError
from .instants import to_datetime, to_instant
from .schedule_values import duration_of, instant_of

SHORTEST = 1000
"""Microseconds: the least length of an interval. What comes faster than that is no schedule."""

LAST_INSTANT = to_instant(datetime.max.replace(tzinfo=UTC))
"""Microseconds: the end of the year 9999, after which there are no datetimes."""


class Trigger(ABC):
    """Tells when something happens next. Made by `cron`, `every` and `every_after`."""

    def next_after(self, after: datetime, timezone: str = "UTC") -> datetime | None:
        """The first instant strictly later than ``after``, in UTC; ``None`` if there is none.

        ``after`` is an aware ``datetime``. ``timezone`` is the IANA name of the zone whose clocks a
        cron expression is read on; intervals are the same in all zones. Nothing happens after the
        year 9999.

        Raises:
            ScheduleError: ``after`` has no time zone, or there is no such ``timezone``.

        >>> from datetime import UTC, datetime
        >>> cron("0 2 * * *").next_after(datetime(2026, 7, 1, tzinfo=UTC), "Europe/Rome")
        datetime.datetime(2026, 7, 2, 0, 0, tzinfo=datetime.timezone.utc)
        """
        found = self.next_instant(instant_of("after", after), zone_named(timezone))
        return None if found is None or found > LAST_INSTANT else to_datetime(found)

    @abstractmethod
    def next_instant(self, after: int, zone: ZoneInfo) -> int | None:
        """The same in microseconds since the epoch, without that end of time."""

    def named(self, _schedule: str, /) -> Trigger:
        """The trigger as it is for the schedule of this name, which ``H`` is drawn from."""
        return self

    def anchored(self, _instant: int, /) -> Trigger:
        """The trigger with its intervals counted from an instant, unless it has an anchor."""
        return self


def _occurrences_of(trigger: Cron) -> Occurrences | None:
    parsed = parse(trigger.expression, trigger.name)
    return None if parsed.is_hashed and trigger.name is None else Occurrences(parsed)


@attrs.frozen
class Cron(Trigger):
    """The instants of a cron expression. ``name`` is the schedule's, once that is known."""

    expression: str = attrs.field(eq=normal_form)
    name: str | None = None
    _occurrences: Occurrences | None = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_occurrences_of, takes_self=True)
    )

    def __str__(self) -> str:
        return self.expression

    def next_instant(self, after: int, zone: ZoneInfo) -> int | None:
        if self._occurrences is None:
            raise ScheduleError(
                "its H is drawn from the name of a schedule, and it has none",
                "give it one, as in cron('H 2 * * *', name='nightly')",
                expression=self.expression,
            )
        return self._occurrences.after(after, zone)

    def named(self, schedule: str, /) -> Trigger:
        return Cron(self.expression, schedule) if self._occurrences is None else self


@attrs.frozen
class Every(Trigger):
    """A grid of instants, ``length`` apart (microseconds), one of which is ``anchor``."""

    length: int
    anchor: int | None = None

    def __str__(self) -> str:
        return f"every {timedelta(microseconds=self.length)}"

    def next_instant(
        self,
        after: int,
        zone: ZoneInfo,  # noqa: ARG002 - time passes at the same speed everywhere
    ) -> int | None:
        anchor = after if self.anchor is None else self.anchor
        return anchor + ((after - anchor) // self.length + 1) * self.length

    def anchored(self, instant: int, /) -> Trigger:
        return Every(self.length, instant) if self.anchor is None else self


@attrs.frozen
class EveryAfter(Trigger):
    """``length`` (microseconds) after the end of the time before; at first, not before ``anchor``.

    Only a schedule knows that end: it gives it as ``after``.
    """

    length: int
    anchor: int | None = None

    def __str__(self) -> str:
        return f"{timedelta(microseconds=self.length)} after each job"

    def next_instant(
        self,
        after: int,
        zone: ZoneInfo,  # noqa: ARG002 - time passes at the same speed everywhere
    ) -> int | None:
        if self.anchor is not None and after < self.anchor:
            return self.anchor
        return after + self.length

    def anchored(self, instant: int, /) -> Trigger:
        return EveryAfter(self.length, instant) if self.anchor is None else self


# --- making them ----------------------------------------------------------------------------------


def cron(expression: str, *, name: str | None = None) -> Cron:
    """The instants of a cron expression, by the grammar and the rules of Cronos.

    Five fields are minute, hour, day of month, month and day of week; with six, the second comes
    first. A day matches when all its fields do. ``name`` is what ``H`` is drawn from; a schedule
    gives its own.

    Raises:
        ScheduleError: the expression is malformed, or no day in any year matches it.

    >>> cron("0 2 * * *") == cron("0  2  *  *  *")
    True
    >>> cron("0 0 30 2 *")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    trio_gusto.model.errors.ScheduleError: the cron expression '0 0 30 2 *' cannot be followed: ...
    """
    if not isinstance(expression, str):
        raise ScheduleError(
            f"{expression!r} is no text", "give a cron expression as a string", field="trigger"
        )
    return Cron(expression, name)


def every(length: float | timedelta, *, anchor: datetime | None = None) -> Every:
    """Instants that lie ``length`` (seconds or a timedelta) apart, however long the work takes.

    They are counted from ``anchor``. Without one, a schedule counts from its ``start``, or from its
    first registration; and `Trigger.next_after` from the instant that it is asked about.

    Raises:
        ScheduleError: the length is no length, or shorter than a millisecond.

    >>> every(timedelta(minutes=5)).length
    300000000
    """
    return Every(duration_of("trigger", length, least=SHORTEST), _anchor(anchor))


def every_after(length: float | timedelta, *, anchor: datetime | None = None) -> EveryAfter:
    """``length`` (seconds or a timedelta) after the job of the time before has ended.

    The first time is at ``anchor``, or at the schedule's ``start``; without them, ``length`` after
    the first registration.

    Raises:
        ScheduleError: the length is no length, or shorter than a millisecond.

    >>> every_after(30).length
    30000000
    """
    return EveryAfter(duration_of("trigger", length, least=SHORTEST), _anchor(anchor))


def to_trigger(value: object) -> Trigger:
    """The trigger that a caller meant: a cron expression, a timedelta, or a trigger.

    Raises:
        ScheduleError: it is none of them, or a wrong one.
    """
    if isinstance(value, Trigger):
        return value
    if isinstance(value, str):
        return cron(value)
    if isinstance(value, timedelta):
        return every(value)
    raise ScheduleError(
        f"{value!r} tells no instants",
        "give a cron expression, a timedelta, or what cron, every or every_after return",
        field="trigger",
    )


def _anchor(anchor: datetime | None) -> int | None:
    return None if anchor is None else instant_of("anchor", anchor)


# --- storing them ---------------------------------------------------------------------------------


def to_wire(trigger: Trigger) -> dict[str, object]:
    """The JSON form of a trigger, to be stored with a schedule.

    Raises:
        ScheduleError: the trigger is of a class of somebody's own. Code is not stored.
    """
    if isinstance(trigger, Cron):
        return {"cron": [trigger.expression, trigger.name]}
    if isinstance(trigger, Every):
        return {"every": [trigger.length, trigger.anchor]}
    if isinstance(trigger, EveryAfter):
        return {"every_after": [trigger.length, trigger.anchor]}
    raise ScheduleError(
        f"{trigger!r} is code, and code is not stored",
        "use what cron, every or every_after return",
        field="trigger",
    )


def from_wire(wire: Mapping[str, object]) -> Trigger:
    """The trigger of a JSON form made by `to_wire`.

    Raises:
        ValueError: it is no such form.
    """
    try:
        ((kind, values),) = wire.items()
        said, given = cast("list[object]", values)
        if kind == "cron" and isinstance(said, str) and isinstance(given, str | None):
            return Cron(said, given)
        if _is_count(said) and said >= SHORTEST and (given is None or _is_count(given)):
            if kind == "every":
                return Every(said, given)
            if kind == "every_after":
                return EveryAfter(said, given)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{wire!r} is no stored trigger") from error
    raise ValueError(f"{wire!r} is no stored trigger")


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
