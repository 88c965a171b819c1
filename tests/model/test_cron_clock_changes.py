"""When an expression happens where the clocks change.

In New York in 2026, the clocks go from 2:00 to 3:00 on 8 March, and from 2:00 back to 1:00 on
1 November.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from trio_gusto.model.cron.clock_changes import change_around, zone_named
from trio_gusto.model.errors import ScheduleError
from trio_gusto.model.triggers import cron

NEW_YORK = "America/New_York"
LORD_HOWE = "Australia/Lord_Howe"


def happenings(expression: str, zone: str, begin: str, end: str) -> list[str]:
    """All instants after ``begin`` and not after ``end``, as times on the wall with their offset."""
    instant, last = datetime.fromisoformat(begin), datetime.fromisoformat(end)
    found: list[str] = []
    while True:
        following = cron(expression).next_after(instant, zone)
        assert following is not None
        if following > last:
            return found
        instant = following
        found.append(instant.astimezone(ZoneInfo(zone)).strftime("%d %H:%M %z"))


# --- clocks go forward ----------------------------------------------------------------------------


def in_spring(expression: str) -> list[str]:
    return happenings(expression, NEW_YORK, "2026-03-08T01:00-05:00", "2026-03-08T05:00-04:00")


@pytest.mark.parametrize(
    "expression", ["30 2 * * *", "0 2 * * *", "0,30 2 * * *", "0 30 2 8 3 *", "*/10 2 * * *"]
)
def test_what_falls_into_the_gap_happens_once_at_its_end(expression: str) -> None:
    assert in_spring(expression) == ["08 03:00 -0400"]


def test_what_happens_at_the_end_of_the_gap_anyway_happens_once() -> None:
    assert in_spring("30 2,3 * * *") == ["08 03:00 -0400", "08 03:30 -0400"]
    assert in_spring("0 2,3 * * *") == ["08 03:00 -0400"]


def test_a_frequent_expression_goes_on_through_the_gap() -> None:
    assert in_spring("*/30 * * * *") == [
        "08 01:30 -0500", "08 03:00 -0400", "08 03:30 -0400", "08 04:00 -0400", "08 04:30 -0400",
        "08 05:00 -0400",
    ]  # fmt: skip


def test_an_hourly_expression_happens_at_the_end_of_the_gap_too() -> None:
    """As in Cronos: 2:30 was wanted, so 3:00 it is, and 3:30 besides."""
    assert in_spring("30 * * * *") == [
        "08 01:30 -0500", "08 03:00 -0400", "08 03:30 -0400", "08 04:30 -0400",
    ]  # fmt: skip


def test_after_the_gap_the_next_day_is_as_usual() -> None:
    found = happenings("30 2 * * *", NEW_YORK, "2026-03-07T00:00-05:00", "2026-03-10T00:00-04:00")
    assert found == ["07 02:30 -0500", "08 03:00 -0400", "09 02:30 -0400"]


def test_a_gap_at_midnight() -> None:
    found = happenings(
        "30 0 L * *", "Asia/Amman", "2017-03-30T20:00+02:00", "2017-05-01T00:00+03:00"
    )
    assert found == ["31 01:00 +0300", "30 00:30 +0300"]


def test_a_gap_of_half_an_hour() -> None:
    found = happenings("15 2 * * *", LORD_HOWE, "2026-10-03T20:00+10:30", "2026-10-05T20:00+11:00")
    assert found == ["04 02:30 +1100", "05 02:15 +1100"]


def test_a_day_that_never_came() -> None:
    """In Samoa, 30 December 2011 was left out."""
    found = happenings(
        "0 12 * * *", "Pacific/Apia", "2011-12-29T00:00-10:00", "2012-01-01T00:00+14:00"
    )
    assert found == ["29 12:00 -1000", "31 00:00 +1400", "31 12:00 +1400"]


# --- clocks go back -------------------------------------------------------------------------------


def in_autumn(expression: str) -> list[str]:
    return happenings(expression, NEW_YORK, "2026-11-01T00:45-04:00", "2026-11-01T02:30-05:00")


@pytest.mark.parametrize(
    "expression",
    ["30 1 * * *", "0 30 1 * * *", "30 1 1 11 *", "30 1 * * SUN#1", "30 1 */1 1-12 0/1"],
)
def test_a_fixed_time_happens_once_in_the_first_pass(expression: str) -> None:
    """The daily job of 1:30 must not run twice on the day that 1:30 comes twice."""
    assert in_autumn(expression) == ["01 01:30 -0400"]


def test_a_list_of_fixed_times_happens_once_in_the_first_pass() -> None:
    assert in_autumn("0,30 1,2 * * *") == [
        "01 01:00 -0400", "01 01:30 -0400", "01 02:00 -0500", "01 02:30 -0500",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "expression", ["30 * * * *", "30 */1 * * *", "30 0/1 * * *", "30 1-9 * * *"]
)
def test_an_hourly_expression_happens_in_both_passes(expression: str) -> None:
    assert in_autumn(expression) == ["01 01:30 -0400", "01 01:30 -0500", "01 02:30 -0500"]


@pytest.mark.parametrize("expression", ["*/30 1 * * *", "0/30 1 * * *", "0-30/30 1 * * *"])
def test_a_frequent_expression_happens_in_both_passes(expression: str) -> None:
    assert in_autumn(expression) == [
        "01 01:00 -0400", "01 01:30 -0400", "01 01:00 -0500", "01 01:30 -0500",
    ]  # fmt: skip


def test_asked_in_the_second_pass_the_next_year_begins_with_its_first() -> None:
    after = datetime.fromisoformat("2026-11-01T01:40-05:00")
    expected = datetime.fromisoformat("2027-11-07T01:00-04:00")
    assert cron("*/30 1 * 11 SUN#1").next_after(after, NEW_YORK) == expected


def test_seconds_happen_in_both_passes_too() -> None:
    assert in_autumn("*/30 0 1 * * *") == [
        "01 01:00 -0400", "01 01:00 -0400", "01 01:00 -0500", "01 01:00 -0500",
    ]  # fmt: skip


def test_asked_in_the_second_pass_a_fixed_time_is_over() -> None:
    after = datetime.fromisoformat("2026-11-01T01:10-05:00")
    expected = datetime.fromisoformat("2026-11-02T01:30-05:00")
    assert cron("30 1 * * *").next_after(after, NEW_YORK) == expected


def test_what_follows_the_second_pass_happens_once() -> None:
    assert in_autumn("0 2 * * *") == ["01 02:00 -0500"]
    assert in_autumn("0 */2 * * *") == ["01 02:00 -0500"]


def test_an_hour_that_comes_twice_before_midnight() -> None:
    zone = "America/Santiago"
    found = happenings("30 23 * * *", zone, "2017-05-13T12:00-03:00", "2017-05-15T12:00-04:00")
    assert found == ["13 23:30 -0300", "14 23:30 -0400"]


def test_half_an_hour_that_comes_twice() -> None:
    begin, end = "2026-04-05T01:00+11:00", "2026-04-05T02:15+10:30"
    assert happenings("45 1 * * *", LORD_HOWE, begin, end) == ["05 01:45 +1100"]
    assert happenings("*/15 * * * *", LORD_HOWE, begin, end) == [
        "05 01:15 +1100", "05 01:30 +1100", "05 01:45 +1100", "05 01:30 +1030", "05 01:45 +1030",
        "05 02:00 +1030", "05 02:15 +1030",
    ]  # fmt: skip


# --- symptoms of other schedulers -----------------------------------------------------------------


@pytest.mark.parametrize("zone", [NEW_YORK, LORD_HOWE, "Africa/Cairo", "America/Santiago"])
def test_a_change_of_clocks_never_holds_a_schedule_up(zone: str) -> None:
    """Other schedulers have asked for ever for an instant that never comes."""
    instant = datetime(2026, 1, 1, 1, 30, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    for _ in range(2 * 365):
        following = cron("30 1 * * *").next_after(instant, zone)
        assert following is not None
        assert timedelta(hours=22) < following - instant < timedelta(hours=26)
        instant = following


def test_without_a_time_zone_it_is_utc_and_not_the_zone_of_the_machine() -> None:
    expected = datetime(2026, 7, 1, 2, tzinfo=UTC)
    after = datetime.fromisoformat("2026-07-01T02:00+02:00")
    assert cron("0 2 * * *").next_after(after) == expected


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ScheduleError, match="has no time zone") as refused:
        cron("0 2 * * *").next_after(datetime(2026, 7, 1))  # noqa: DTZ001 - naive on purpose
    assert refused.value.field == "after"


# --- zones and changes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "Mars/Olympus",
        "",
        "America",
        "/etc/localtime",
        "../UTC",
        "Europe/Rome\0",
        "a\udc80",
        None,
        5,
    ],
)
def test_an_unknown_zone_is_refused(name: object) -> None:
    with pytest.raises(ScheduleError, match="Europe/Rome") as refused:
        zone_named(name)
    assert refused.value.field == "timezone"


def test_a_change_is_found_from_any_time_that_it_makes_ambiguous() -> None:
    zone = ZoneInfo(NEW_YORK)
    begin, end = datetime(2026, 11, 1, 1), datetime(2026, 11, 1, 2)  # noqa: DTZ001 - on the wall
    for seconds in (0, 1, 1799, 3599):
        change = change_around(begin + timedelta(seconds=seconds), zone)
        assert change is not None
        assert (change.begin, change.end, change.turns_back) == (begin, end, True)
        assert change.at.isoformat() == "2026-11-01T06:00:00"
    assert change_around(begin - timedelta(seconds=1), zone) is None
    assert change_around(end, zone) is None
