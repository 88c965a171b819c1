"""When an expression happens next, on clocks that never change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from croniter import croniter

from trio_gusto.model.cron.days import LastDay, LastWeekday, MonthShape, NearestWorkday, shape_of
from trio_gusto.model.cron.wall import WallSearch
from trio_gusto.model.triggers import cron


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def next_of(expression: str, after: str) -> datetime | None:
    return cron(expression).next_after(at(after))


# 2026-12-01 is a Tuesday, 2027-02-01 a Monday, 2027-05-01 a Saturday.
@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        # times of day
        ("* * * * * *", "2026-12-01 10:00:00", "2026-12-01 10:00:01"),
        ("* * * * *", "2026-12-01 10:00:00", "2026-12-01 10:01:00"),
        ("* * * * *", "2026-12-01 10:00:59", "2026-12-01 10:01:00"),
        ("20 * * * * *", "2026-12-01 10:00:20", "2026-12-01 10:01:20"),
        ("57-5/3 * * * * *", "2026-12-01 10:00:58", "2026-12-01 10:01:00"),
        ("*/20 * * * *", "2026-12-01 10:40:00", "2026-12-01 11:00:00"),
        ("57,20/20,30/20,32-34/2,58 * * * *", "2026-12-01 17:35", "2026-12-01 17:40"),
        ("0 2 * * *", "2026-12-01 02:00", "2026-12-02 02:00"),
        ("0 2 * * *", "2026-12-31 02:00", "2027-01-01 02:00"),
        ("0 23-3/2 * * *", "2026-12-01 23:30", "2026-12-02 01:00"),
        ("0 4/5 * * *", "2026-12-01 05:00", "2026-12-01 09:00"),
        # days of the month
        ("0 0 1 * *", "2027-01-30 00:00", "2027-02-01 00:00"),
        ("0 0 30 * *", "2027-01-31 00:00", "2027-03-30 00:00"),
        ("0 0 31 * *", "2027-03-31 00:00", "2027-05-31 00:00"),
        ("0 0 30-31 * *", "2028-02-27 00:00", "2028-03-30 00:00"),
        ("0 0 20-5/5 * *", "2027-05-26 00:00", "2027-05-30 00:00"),
        ("0 0 20-5/5 * *", "2027-05-30 00:00", "2027-06-04 00:00"),
        ("0 0 29 2 *", "2026-03-01 00:00", "2028-02-29 00:00"),
        ("0 0 29 2 *", "2096-02-29 00:00", "2104-02-29 00:00"),
        ("0 0 29 2 MON", "2080-01-01 00:00", "2112-02-29 00:00"),
        # the last day and its neighbours
        ("0 0 L * *", "2027-02-05 00:00", "2027-02-28 00:00"),
        ("0 0 L * *", "2028-02-28 00:00", "2028-02-29 00:00"),
        ("0 0 L * *", "2027-02-28 00:00", "2027-03-31 00:00"),
        ("0 0 L-0 * *", "2027-02-05 00:00", "2027-02-28 00:00"),
        ("0 0 L-1 * *", "2027-01-30 00:00", "2027-02-27 00:00"),
        ("0 0 L-28 * *", "2028-02-01 00:00", "2028-03-03 00:00"),
        ("0 0 L-28 2 *", "2027-01-01 00:00", "2028-02-01 00:00"),
        ("0 0 L-30 * *", "2027-02-01 00:00", "2027-03-01 00:00"),
        # workdays
        ("0 0 1W * *", "2027-04-30 00:00", "2027-05-03 00:00"),
        ("0 0 2W * *", "2027-05-01 00:00", "2027-05-03 00:00"),
        ("0 0 8W * *", "2027-05-01 00:00", "2027-05-07 00:00"),
        ("0 0 15W * *", "2027-05-01 00:00", "2027-05-14 00:00"),
        ("0 0 16W * *", "2027-05-01 00:00", "2027-05-17 00:00"),
        ("0 0 30W * *", "2027-02-01 00:00", "2027-03-30 00:00"),
        ("0 0 31W * *", "2027-05-31 00:00", "2027-07-30 00:00"),
        ("0 0 LW * *", "2027-02-01 00:00", "2027-02-26 00:00"),
        ("0 0 LW * *", "2027-02-26 00:00", "2027-03-31 00:00"),
        ("0 0 l-1w * *", "2027-05-01 00:00", "2027-05-31 00:00"),
        ("0 0 L-2W * *", "2027-05-01 00:00", "2027-05-28 00:00"),
        ("30 17 LW * *", "2027-02-26 17:45", "2027-03-31 17:30"),
        # weekdays
        ("0 0 * * FRI", "2026-12-01 00:00", "2026-12-04 00:00"),
        ("0 0 * * 7", "2026-12-01 00:00", "2026-12-06 00:00"),
        ("0 0 * * sat-tue/2", "2026-12-01 00:00", "2026-12-05 00:00"),
        ("0 0 * * sat-tue/2", "2026-12-05 00:00", "2026-12-07 00:00"),
        ("0 0 * * FRIL", "2026-12-01 00:00", "2026-12-25 00:00"),
        ("0 0 * * 5L", "2026-12-25 00:00", "2027-01-29 00:00"),
        ("0 0 * * 0L", "2027-02-01 00:00", "2027-02-28 00:00"),
        ("0 0 * * 7L", "2027-02-01 00:00", "2027-02-28 00:00"),
        ("0 0 * * SAT#3", "2026-12-01 00:00", "2026-12-19 00:00"),
        ("0 0 * * 2#5", "2026-12-01 00:00", "2026-12-29 00:00"),
        ("0 0 * * 1#5", "2026-12-01 00:00", "2027-03-29 00:00"),
        # months
        ("0 0 1 3,9 *", "2026-10-01 00:00", "2027-03-01 00:00"),
        ("0 0 1 DEC-FEB *", "2027-02-01 00:00", "2027-12-01 00:00"),
        # day of month and day of week
        ("0 0 27W * 1L", "2026-12-01 00:00", "2026-12-28 00:00"),
        ("0 0 29 * MON", "2026-12-01 00:00", "2027-03-29 00:00"),
    ],
)
def test_an_expression_happens_next(expression: str, after: str, expected: str) -> None:
    assert next_of(expression, after) == at(expected)


def test_a_fraction_of_a_second_is_later_than_its_second() -> None:
    before = at("2026-12-01 01:59:59.999999")
    at_two = at("2026-12-01 02:00:00")
    just_after = at_two + timedelta(microseconds=1)
    trigger = cron("0 2 * * *")
    assert trigger.next_after(before) == at_two
    assert (
        trigger.next_after(at_two) == trigger.next_after(just_after) == at_two + timedelta(days=1)
    )


def test_a_fraction_of_a_second_counts_for_nothing_in_far_off_years() -> None:
    """There, floating point numbers tell microseconds no more."""
    after = at("9000-01-01 00:00:00.999999")
    assert cron("* * * * * *").next_after(after) == at("9000-01-01 00:00:01")


def test_days_that_a_rule_leaves_out_are_passed_over_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not second by second: the last workday of February 2027 is the 26th, of May the 31st."""
    looks: list[datetime] = []
    look = croniter.get_next

    def counted(search: croniter, *asked: Any) -> datetime:
        looks.append(look(search, *asked))
        assert len(looks) < 9, "it goes on second by second"
        return looks[-1]

    monkeypatch.setattr(croniter, "get_next", counted)
    assert next_of("* * * LW * *", "2027-05-02 00:00:00") == at("2027-05-31 00:00:00")
    assert [f"{each:%d %H:%M:%S}" for each in looks] == ["26 00:00:00", "31 00:00:00"]


def test_nothing_happens_after_the_last_year() -> None:
    assert next_of("0 0 1 1 *", "9999-06-01 00:00") is None
    assert next_of("0 0 29 2 *", "9996-03-01 00:00") is None
    assert next_of("* * * * *", "9999-12-31 23:59:30") is None
    assert cron("* * * * *").next_after(at("9999-12-31 23:30:00"), "Asia/Tokyo") is None


# --- symptoms of other cron engines ---------------------------------------------------------------


def test_six_fields_are_not_read_with_the_second_last() -> None:
    """Read so, "at 2:00:00 every day" would happen in every second of an hour once a month."""
    assert next_of("0 0 2 * * *", "2026-12-01 12:00") == at("2026-12-02 02:00")
    assert next_of("30 0 2 * * *", "2026-12-01 00:00") == at("2026-12-01 02:00:30")


def test_a_day_of_month_and_a_day_of_week_must_both_match() -> None:
    """Friday the 13th, and not every Friday and every 13th."""
    assert next_of("0 0 13 * FRI", "2026-11-14 00:00") == at("2027-08-13 00:00")


def test_a_range_of_one_value_is_not_the_whole_field() -> None:
    assert next_of("1-1 * * * *", "2026-12-01 00:01") == at("2026-12-01 01:01")
    assert next_of("0 0 31-31 * *", "2026-12-01 00:00") == at("2026-12-31 00:00")


def test_a_workday_near_the_31st_leaves_short_months_out() -> None:
    assert next_of("0 0 31W * *", "2027-04-01 00:00") == at("2027-05-31 00:00")


# --- shapes of months -----------------------------------------------------------------------------


def test_a_month_has_a_length_and_a_first_weekday() -> None:
    assert shape_of(2027, 5) == MonthShape(31, 6)
    assert shape_of(2028, 2) == MonthShape(29, 2)
    assert shape_of(2027, 8) == MonthShape(31, 0), "it begins with a Sunday"
    assert shape_of(2027, 5).weekday(2) == 0


@pytest.mark.parametrize(
    ("rule", "month", "day"),
    [
        (LastDay(), MonthShape(28, 1), 28),
        (LastDay(30), MonthShape(30, 1), None),
        (LastDay(workday=True), MonthShape(31, 5), 31 - 2),
        (LastDay(30, workday=True), MonthShape(31, 6), 3),
        (NearestWorkday(31), MonthShape(30, 0), None),
        (NearestWorkday(1), MonthShape(30, 0), 2),
        (NearestWorkday(1), MonthShape(30, 6), 3),
        (NearestWorkday(2), MonthShape(30, 5), 1),
        (LastWeekday(5), MonthShape(28, 0), 27),
    ],
)
def test_a_rule_names_one_day_of_a_month(
    rule: LastDay | NearestWorkday | LastWeekday, month: MonthShape, day: int | None
) -> None:
    assert rule.day_in(month) == day
    assert day is None or day in rule.candidates


def test_who_asks_the_same_again_is_answered_without_a_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As whoever fires a schedule does, and in memory every node."""
    searched: list[datetime] = []
    search = WallSearch.after

    def count(of: WallSearch, wall: datetime, *until: datetime) -> datetime | None:
        searched.append(wall)
        return search(of, wall, *until)

    monkeypatch.setattr(WallSearch, "after", count)
    noon, rome = at("2026-12-01 12:00"), "Europe/Rome"
    daily = cron("0 2 * * *")
    for _ in range(3):
        assert daily.next_after(noon) == at("2026-12-02 02:00")
    assert len(searched) == 1
    for _ in range(3):
        assert daily.next_after(noon, rome) == at("2026-12-02 01:00")
    assert len(searched) == 2
    later = noon + timedelta(days=1)
    for _ in range(3):
        assert daily.next_after(later, rome) == at("2026-12-03 01:00")
    assert len(searched) == 3
    assert daily.next_after(noon) == at("2026-12-02 02:00")
