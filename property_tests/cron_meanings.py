"""Cron expressions drawn together with what they mean.

The meaning is made beside the text and not read from it, from sets and from dates alone, so that it
can judge the package's reading of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import cache

import attrs
from hypothesis import strategies as st

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

ONE_DAY = timedelta(days=1)

DayTest = Callable[[date], bool]


@cache
def month_of(year: int, month: int) -> tuple[date, ...]:
    """The days of a month."""
    days = (date(year, month, 1) + number * ONE_DAY for number in range(31))
    return tuple(day for day in days if day.month == month)


EVERY_KIND_OF_DAY = tuple(
    day
    for days in {
        (month, len(month_of(year, month)), month_of(year, month)[0].isoweekday()): month_of(
            year, month
        )
        for year in range(2001, 2029)  # among 28 years, there is every kind of year
        for month in range(1, 13)
    }.values()
    for day in days
)
"""The days of one month of each kind: by its name, its length and the weekday that it begins with."""


@attrs.frozen
class Part:
    """The text of one field, the values it means, and whether it says how often."""

    text: str
    values: frozenset[int] = frozenset()
    how_often: bool = False
    day: DayTest | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Meaning:
    """An expression, and what it means."""

    text: str
    seconds: frozenset[int] = attrs.field(repr=False)
    minutes: frozenset[int] = attrs.field(repr=False)
    hours: frozenset[int] = attrs.field(repr=False)
    months: frozenset[int] = attrs.field(repr=False)
    day_tests: tuple[DayTest, ...] = attrs.field(repr=False)
    is_interval: bool

    def matches_day(self, day: date) -> bool:
        return day.month in self.months and all(test(day) for test in self.day_tests)

    def matches(self, wall: datetime) -> bool:
        return (
            wall.second in self.seconds
            and wall.minute in self.minutes
            and wall.hour in self.hours
            and self.matches_day(wall.date())
        )

    def ever_matches(self) -> bool:
        return any(map(self.matches_day, EVERY_KIND_OF_DAY))


def weekday_of(day: date) -> int:
    return day.isoweekday() % 7


# --- fields ---------------------------------------------------------------------------------------


def round_trip(low: int, high: int, first: int, last: int, step: int) -> frozenset[int]:
    """Every ``step``-th value on the way from first to last, round the end if it must be."""
    values: list[int] = []
    value, walked = first, 0
    while True:
        if walked % step == 0:
            values.append(value)
        if value == last:
            return frozenset(values)
        value = low if value == high else value + 1
        walked += 1


@st.composite
def parts(draw: st.DrawFn, low: int, high: int, names: Sequence[str] = ()) -> Part:
    """A field of numbers: everything, or a list of values, ranges and steps."""
    last_step = high + (low == 0 and high == 6)  # days of the week go up to 7
    steps = st.integers(1, last_step) | st.integers(1, 3)
    if draw(st.booleans()):
        sign = draw(st.sampled_from("*?"))
        if draw(st.booleans()):
            return Part(sign, frozenset(range(low, high + 1)), how_often=True)
        step = draw(steps)
        values = frozenset(
            value % 7 if high == 6 else value for value in range(low, last_step + 1, step)
        )
        return Part(f"{sign}/{step}", values, how_often=True)
    items = draw(st.lists(list_items(low, high, names, steps), min_size=1, max_size=3))
    return Part(
        ",".join(item.text for item in items),
        frozenset().union(*(item.values for item in items)),
        how_often=any(item.how_often for item in items),
    )


@st.composite
def list_items(
    draw: st.DrawFn, low: int, high: int, names: Sequence[str], steps: st.SearchStrategy[int]
) -> Part:
    def written(value: int) -> str:
        ways = [str(value), f"{value:02}"]
        if names:
            name = names[value - low]
            ways += [name, name.lower(), name.capitalize()]
        return draw(st.sampled_from(ways))

    values = st.integers(low, high)
    first = draw(values)
    match draw(st.sampled_from(["value", "value", "range", "stepped range", "step"])):
        case "value":
            return Part(written(first), frozenset({first}))
        case "range":
            last = draw(values)
            text = f"{written(first)}-{written(last)}"
            return Part(text, round_trip(low, high, first, last, 1), how_often=True)
        case "stepped range":
            last, step = draw(values), draw(steps)
            text = f"{written(first)}-{written(last)}/{step}"
            return Part(text, round_trip(low, high, first, last, step), how_often=True)
        case _:
            step = draw(steps)
            end = 7 if high == 6 else high
            reached = {value % 7 if high == 6 else value for value in range(first, end + 1, step)}
            return Part(f"{written(first)}/{step}", frozenset(reached), how_often=True)


# --- days -----------------------------------------------------------------------------------------


def is_last_of_month(day: date) -> bool:
    return (day + ONE_DAY).month != day.month


def days_before_last(count: int) -> DayTest:
    def test(day: date) -> bool:
        later = day + count * ONE_DAY
        return later.month == day.month and is_last_of_month(later)

    return test


def workday_nearest(is_meant: DayTest) -> DayTest:
    """The workday of the month that is nearest to the day meant, if the month has that day."""

    def test(day: date) -> bool:
        month = month_of(day.year, day.month)
        for meant in filter(is_meant, month):
            workdays = [other for other in month if other.isoweekday() <= 5]
            return day == min(workdays, key=lambda other: abs(other - meant))
        return False

    return test


def workday_near(number: int) -> Part:
    return Part(f"{number}W", day=workday_nearest(lambda day: day.day == number))


def days_of_month() -> st.SearchStrategy[Part]:
    def last(count: int) -> Part:
        return Part("L" if count == 0 else f"L-{count}", day=days_before_last(count))

    def last_workday(count: int) -> Part:
        text = "LW" if count == 0 else f"l-{count}w"
        return Part(text, day=workday_nearest(days_before_last(count)))

    counts = st.integers(0, 3) | st.integers(0, 30)
    numbers = parts(1, 31).map(
        lambda part: attrs.evolve(part, day=lambda day: day.day in part.values)
    )
    special = counts.map(last) | counts.map(last_workday) | st.integers(1, 31).map(workday_near)
    return st.one_of(st.just(Part("*", day=lambda day: True)), numbers, special)


def days_of_week() -> st.SearchStrategy[Part]:
    def last(weekday: int) -> Part:
        return Part(
            f"{weekday}L",
            day=lambda day: weekday_of(day) == weekday and (day + 7 * ONE_DAY).month != day.month,
        )

    def nth(weekday: int, count: int) -> Part:
        return Part(
            f"{WEEKDAYS[weekday]}#{count}",
            day=lambda day: weekday_of(day) == weekday and (day.day + 6) // 7 == count,
        )

    numbers = parts(0, 6, WEEKDAYS).map(
        lambda part: attrs.evolve(part, day=lambda day: weekday_of(day) in part.values)
    )
    weekdays = st.integers(0, 6)
    special = weekdays.map(last) | st.builds(nth, weekdays, st.integers(1, 5))
    return st.one_of(st.just(Part("*", day=lambda day: True)), numbers, special)


# --- expressions ----------------------------------------------------------------------------------


@st.composite
def hours_near(draw: st.DrawFn, hour: int) -> Part:
    """One or two hours at or beside an hour, as plain numbers."""
    distances = draw(st.lists(st.sampled_from([0, 0, -1, 1]), min_size=1, max_size=2))
    hours = [(hour + distance) % 24 for distance in distances]
    return Part(",".join(map(str, hours)), frozenset(hours))


EVERY_DAY = Part("*", frozenset(range(1, 13)), day=lambda day: True)


@st.composite
def meanings(
    draw: st.DrawFn,
    *,
    with_seconds: bool = True,
    near: datetime | None = None,
    days: st.SearchStrategy[Part] | None = None,
) -> Meaning:
    """An expression, perhaps one that never happens.

    ``with_seconds``: with six fields as well as with five. ``near``: perhaps at about this time of
    day, on every day. ``days``: what the day of month may be.
    """
    minute, hour = draw(parts(0, 59)), draw(parts(0, 23))
    second = draw(parts(0, 59)) if with_seconds and draw(st.booleans()) else None
    if near is not None and draw(st.integers(0, 3)) > 0:
        hour = draw(hours_near(near.hour) | hours_near(near.hour) | st.just(hour))
        day, month, weekday = EVERY_DAY, EVERY_DAY, EVERY_DAY
    else:
        day = draw(days_of_month() if days is None else days)
        weekday = draw(days_of_week())
        month = draw(parts(1, 12, MONTHS))
    return meaning_of(
        [second, minute, hour, day, month, weekday], draw(st.sampled_from([" ", "\t", "  "]))
    )


def meaning_of(fields: Sequence[Part | None], blank: str = " ") -> Meaning:
    """The expression of six fields, of which the second may be left out."""
    second, minute, hour, day, month, weekday = fields
    assert minute is not None
    assert hour is not None
    assert month is not None
    return Meaning(
        blank.join(part.text for part in fields if part is not None),
        frozenset({0}) if second is None else second.values,
        minute.values,
        hour.values,
        month.values,
        tuple(part.day for part in (day, weekday) if part is not None and part.day is not None),
        is_interval=any(part is not None and part.how_often for part in (second, minute, hour)),
    )


@st.composite
def daily_meanings(draw: st.DrawFn, near: datetime) -> Meaning:
    """An expression that happens every day at about a time of day."""
    minutes = [
        Part("30", frozenset({30})),
        Part("*/15", frozenset({0, 15, 30, 45}), how_often=True),
    ]
    minute, hour = draw(st.sampled_from(minutes)), draw(hours_near(near.hour))
    return meaning_of([None, minute, hour, EVERY_DAY, EVERY_DAY, EVERY_DAY])


happening = meanings().filter(Meaning.ever_matches)
"""Expressions that happen at some time or other."""
