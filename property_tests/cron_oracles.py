"""When a cron expression happens, found in two ways that the package does not take.

`walk` looks at every minute, and sees the clocks of the zone change as they do. `search` knows no
zone; it goes through the calendar day by day. Both take the meaning of an expression from
`cron_meanings`, and so share nothing with the package, not even its grammar.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import strategies as st

from property_tests.cron_meanings import ONE_DAY, Meaning

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)

FIRST_YEAR, LAST_YEAR = 1975, 2060
"""Between these years every offset of every zone is in whole minutes, so minutes can be walked."""

PECULIAR = (
    "America/New_York",
    "Europe/Dublin",  # where winter time is the exception
    "Australia/Lord_Howe",  # half an hour of summer time
    "Pacific/Apia",  # 30 December 2011 did not come
    "Pacific/Kwajalein",  # nor did 21 August 1993
    "Pacific/Kiritimati",
    "America/Santiago",  # changes at midnight
    "Africa/Casablanca",  # clocks go back for Ramadan
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Antarctica/Troll",  # two hours of summer time
    "America/Godthab",  # changes before midnight
    "UTC",
)

zones = st.sampled_from(PECULIAR) | st.sampled_from(sorted(available_timezones()))
"""Names of all zones, those where something is different more often."""


# --- two ways to the next occurrence --------------------------------------------------------------


def walk(meaning: Meaning, after: datetime, zone: ZoneInfo, minutes: int) -> datetime | None:
    """The first minute later than ``after`` at which it happens, among so many."""
    minute = after.replace(second=0, microsecond=0)
    for _ in range(minutes):
        earlier, minute = minute, minute + MINUTE
        wall = minute.astimezone(zone).replace(tzinfo=None)
        if meaning.matches(wall) and (wall.fold == 0 or meaning.is_interval):
            return minute
        skipped = earlier.astimezone(zone).replace(tzinfo=None) + MINUTE
        while skipped < wall:
            if meaning.matches(skipped):
                return minute
            skipped += MINUTE
    return None


def search(meaning: Meaning, wall: datetime, years: int = 41) -> datetime | None:
    """The first matching time later than ``wall`` on a clock without zone, within so many years."""
    if not meaning.seconds or not meaning.minutes or not meaning.hours:
        return None
    start = wall.replace(microsecond=0) + SECOND
    day, earliest = start.date(), start.time()
    last = date(start.year + years, 12, 31)
    while day <= last:
        if day.month not in meaning.months:
            day = (day.replace(day=28) + 4 * ONE_DAY).replace(day=1)
        elif meaning.matches_day(day) and (found := first_time(meaning, earliest)):
            return datetime.combine(day, found)
        else:
            day += ONE_DAY
        earliest = time()
    return None


def first_time(meaning: Meaning, earliest: time) -> time | None:
    """The first matching time of day that is not before ``earliest``."""
    for hour in sorted(meaning.hours):
        if hour >= earliest.hour:
            for minute in sorted(meaning.minutes):
                if (hour, minute) >= (earliest.hour, earliest.minute):
                    for second in sorted(meaning.seconds):
                        found = time(hour, minute, second)
                        if found >= earliest:
                            return found
    return None


# --- instants worth asking about ------------------------------------------------------------------


@cache
def changes(zone: str, year: int) -> tuple[datetime, ...]:
    """The instants in a year at which the clocks of a zone change."""
    clock = ZoneInfo(zone)

    def offset(instant: datetime) -> timedelta | None:
        return instant.astimezone(clock).utcoffset()

    found: list[datetime] = []
    day = datetime(year, 1, 1, tzinfo=UTC)
    while day.year == year:
        early, late = day, day + ONE_DAY
        if offset(early) != offset(late):
            while late - early > SECOND:
                middle = early + (late - early) // 2
                middle = middle.replace(microsecond=0)
                early, late = (middle, late) if offset(middle) == offset(early) else (early, middle)
            found.append(late)
        day += ONE_DAY
    return tuple(found)


@st.composite
def moments(draw: st.DrawFn, zone: str, first: int = FIRST_YEAR, last: int = LAST_YEAR) -> datetime:
    """An instant, mostly one within hours of a change of the zone's clocks."""
    year = draw(st.integers(first, last))
    near = changes(zone, year)
    if near and draw(st.integers(0, 9)) > 0:
        distance = st.integers(-180 * 60, 180 * 60) | st.integers(-26 * 3600, 26 * 3600)
        seconds = draw(distance | distance.map(lambda some: some // 60 * 60))
        return draw(st.sampled_from(near)) + timedelta(seconds=seconds)
    moment = datetime(year, 1, 1, tzinfo=UTC) + timedelta(
        seconds=draw(st.integers(0, 366 * 86_400))
    )
    return moment + timedelta(microseconds=draw(st.sampled_from([0, 0, 1, 999_999])))
