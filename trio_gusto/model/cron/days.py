"""Which days of a month match.

Whether a day matches depends on the length of its month and on the weekday that the month begins
with, and on nothing else. There are few such months, and over 400 years the calendar comes by all of
them. So whether an expression ever fires can be looked up, without a search through the years.
"""

from __future__ import annotations

import calendar
from collections.abc import Collection, Iterator
from typing import NamedTuple

import attrs

SUNDAY, SATURDAY = 0, 6
"""Weekdays are counted from Sunday, as in cron."""

ALL_DAYS = frozenset(range(1, 32))
"""The days that a month can have."""

_LENGTHS = {
    month: (28, 29) if month == 2 else (30,) if month in (4, 6, 9, 11) else (31,)
    for month in range(1, 13)
}


class MonthShape(NamedTuple):
    """A month as far as its days are concerned: how many, and the weekday of the first."""

    length: int
    first_weekday: int

    def weekday(self, day: int) -> int:
        return (self.first_weekday + day - 1) % 7


def shape_of(year: int, month: int) -> MonthShape:
    monday_first, length = calendar.monthrange(year, month)
    return MonthShape(length, (monday_first + 1) % 7)


# --- the days that cannot be written as numbers ---------------------------------------------------


@attrs.frozen
class LastDay:
    """``L`` and ``L-n``: so many days ``before`` the last; ``LW``, ``L-nW``: the workday nearest."""

    before: int = 0
    workday: bool = False

    def day_in(self, month: MonthShape) -> int | None:
        day = month.length - self.before
        if day < 1:
            return None
        return _nearest_workday(day, month) if self.workday else day

    @property
    def candidates(self) -> frozenset[int]:
        return _around(range(28 - self.before, 32 - self.before), by=2 if self.workday else 0)


@attrs.frozen
class NearestWorkday:
    """``nW``: the workday nearest to a day, in months that have that day."""

    day: int

    def day_in(self, month: MonthShape) -> int | None:
        return _nearest_workday(self.day, month) if self.day <= month.length else None

    @property
    def candidates(self) -> frozenset[int]:
        return _around([self.day], by=2)


@attrs.frozen
class LastWeekday:
    """``5L``: the last Friday of the month."""

    weekday: int

    def day_in(self, month: MonthShape) -> int | None:
        return month.length - (month.weekday(month.length) - self.weekday) % 7

    @property
    def candidates(self) -> frozenset[int]:
        return _around(range(22, 32), by=0)


DayRule = LastDay | NearestWorkday | LastWeekday
"""Names at most one day in each month, which is one of its ``candidates``."""


def _nearest_workday(day: int, month: MonthShape) -> int:
    """The nearest day from Monday to Friday, never in another month."""
    weekday = month.weekday(day)
    if weekday == SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == SUNDAY:
        return day + 1 if day < month.length else day - 2
    return day


def _around(days: Collection[int], by: int) -> frozenset[int]:
    return frozenset(near for day in days for near in range(day - by, day + by + 1)) & ALL_DAYS


# --- does it ever happen? -------------------------------------------------------------------------


def ever_match(
    months: Collection[int],
    days: Collection[int],
    weekdays: Collection[int],
    rules: Collection[DayRule],
) -> bool:
    """Whether there is any day in any year that matches everything."""
    return any(
        shape.weekday(day) in weekdays and all(rule.day_in(shape) == day for rule in rules)
        for shape in _shapes(months)
        for day in days
        if day <= shape.length
    )


def _shapes(months: Collection[int]) -> Iterator[MonthShape]:
    lengths = {length for month in months for length in _LENGTHS[month]}
    return (MonthShape(length, weekday) for length in lengths for weekday in range(7))
