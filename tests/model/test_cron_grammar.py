"""What cron expressions may say, what they then mean, and how they are refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import pytest

from trio_gusto.model.cron.expression import Expression, normal_form, parse
from trio_gusto.model.cron.fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    FIELDS,
    HOUR,
    MACROS,
    MINUTE,
    MONTH,
)
from trio_gusto.model.errors import ScheduleError
from trio_gusto.model.triggers import cron


def values_of(expression: Expression) -> list[tuple[int, ...]]:
    return [
        expression.seconds,
        expression.minutes,
        expression.hours,
        expression.days,
        expression.months,
        expression.weekdays,
    ]


def field_of(name: str, text: str) -> tuple[int, ...]:
    """The values of one field, all others being ``*``."""
    words = [text if field.name == name else "*" for field in FIELDS]
    return values_of(parse(" ".join(words)))[[field.name for field in FIELDS].index(name)]


# --- which field is which -------------------------------------------------------------------------


def test_of_six_fields_the_second_comes_first() -> None:
    assert values_of(parse("1 2 3 4 5 6")) == [(1,), (2,), (3,), (4,), (5,), (6,)]


def test_of_five_fields_the_minute_comes_first_and_the_second_is_zero() -> None:
    assert values_of(parse("2 3 4 5 6")) == [(0,), (2,), (3,), (4,), (5,), (6,)]


@pytest.mark.parametrize("text", ["*", "* * * *", "* * * * * * *", "", "  \t ", "2026 * * * * * 1"])
def test_any_other_number_of_fields_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError, match="give five") as refused:
        parse(text)
    assert (refused.value.expression, refused.value.position) == (text, None)


def test_blanks_and_tabs_part_fields_and_nothing_else_does() -> None:
    assert parse(" \t1\t 2  3 4\t5 6  ") == parse("1 2 3 4 5 6")
    for blank in ("\n", "\r", "\v", "\u00a0", "\u2003"):
        with pytest.raises(ScheduleError):
            parse(f"1{blank}2 3 4 5")


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "text", "values"),
    [
        ("minute", "5", (5,)),
        ("minute", "05", (5,)),
        ("minute", "5,10,15", (5, 10, 15)),
        ("minute", "15,5,5", (5, 15)),
        ("minute", "3-6", (3, 4, 5, 6)),
        ("minute", "7-7", (7,)),
        ("minute", "50/5", (50, 55)),
        ("minute", "10-20/5", (10, 15, 20)),
        ("minute", "*/20", (0, 20, 40)),
        ("minute", "?/20", (0, 20, 40)),
        ("minute", "57-2", (0, 1, 2, 57, 58, 59)),
        ("minute", "1,4-6,50/5", (1, 4, 5, 6, 50, 55)),
        ("hour", "23-3/2", (1, 3, 23)),
        ("hour", "23-22", tuple(range(24))),
        ("day of month", "20-5/5", (4, 20, 25, 30)),
        ("day of month", "31-1", (1, 31)),
        ("month", "jan,Mar,DEC", (1, 3, 12)),
        ("month", "NOV-FEB", (1, 2, 11, 12)),
        ("month", "9-8/3", (3, 6, 9, 12)),
        ("month", "*/4", (1, 5, 9)),
        ("day of week", "0", (0,)),
        ("day of week", "7", (0,)),
        ("day of week", "SUN,sat", (0, 6)),
        ("day of week", "5-7", (0, 5, 6)),
        ("day of week", "7-2", (0, 1, 2)),
        ("day of week", "SAT-TUE", (0, 1, 2, 6)),
        ("day of week", "SAT-TUE/2", (1, 6)),
        ("day of week", "TUE/2", (2, 4, 6)),
        ("day of week", "*/5", (0, 5)),
        ("day of week", "0-7", tuple(range(7))),
        ("day of week", "SUN-SUN", (0,)),
    ],
)
def test_a_field_means_its_values(field: str, text: str, values: tuple[int, ...]) -> None:
    assert field_of(field, text) == values


@pytest.mark.parametrize("sign", ["*", "?"])
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_star_and_a_question_mark_are_every_value(field: Any, sign: str) -> None:
    assert len(field_of(field.name, sign)) == field.span


@pytest.mark.parametrize(
    ("macro", "text"),
    [
        ("@every_second", "* * * * * *"),
        ("@every_minute", "* * * * *"),
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        (" \t@Daily ", "0 0 * * *"),
    ],
)
def test_a_macro_is_short_for_an_expression(macro: str, text: str) -> None:
    assert parse(macro) == parse(text)


@pytest.mark.parametrize(
    ("text", "is_interval"),
    [
        ("30 1 * * *", False),
        ("0,30 1,2 * * *", False),
        ("0 30 1 * * *", False),
        ("30 1 1-5 */2 MON-FRI", False),
        ("30 * * * *", True),
        ("30 ? * * *", True),
        ("30 1-2 * * *", True),
        ("30 1/12 * * *", True),
        ("*/30 1 * * *", True),
        ("* 30 1 * * *", True),
    ],
)
def test_an_expression_says_when_or_how_often(text: str, is_interval: bool) -> None:
    assert parse(text).is_interval is is_interval


# --- H --------------------------------------------------------------------------------------------


def test_h_is_drawn_from_the_name_and_stays_the_same() -> None:
    first, again, other = (parse("H H H * * *", name) for name in ("ledger", "ledger", "mail"))
    assert first == again
    assert first != other
    assert all(len(values) == 1 for values in values_of(first)[:3])


def test_two_fields_with_h_are_drawn_apart() -> None:
    drawn = [parse("H H * * * *", f"schedule-{n}") for n in range(50)]
    assert any(expression.seconds != expression.minutes for expression in drawn)


def test_h_spreads_schedules_over_all_values() -> None:
    drawn = {parse("H H * * *", f"schedule-{n}").hours[0] for n in range(500)}
    assert drawn == set(range(24))


def test_h_with_a_step_past_the_end_is_drawn_from_all_values() -> None:
    drawn = {parse("0 0 1 H/12 *", f"schedule-{n}").months for n in range(200)}
    assert drawn == {(month,) for month in range(1, 13)}


def test_without_a_name_h_is_all_that_it_might_stand_for() -> None:
    assert parse("0 H H * *").hours == tuple(range(24))
    assert parse("0 H H * *").days == tuple(range(1, 29))
    assert parse("H/15 H H * *").minutes == tuple(range(60))


@pytest.mark.parametrize("name", [f"schedule-{n}" for n in range(20)])
def test_a_day_drawn_is_one_that_every_month_has(name: str) -> None:
    assert parse("0 0 H * *", name).days[0] <= 28
    assert parse("0 0 H/28 * *", name).days[-1] <= 28
    assert parse("0 0 H/31 * *", name).days


@pytest.mark.parametrize("name", [f"schedule-{n}" for n in range(20)])
def test_h_with_a_step_begins_anywhere_and_keeps_the_step(name: str) -> None:
    minutes = parse("H/15 * * * *", name).minutes
    assert len(minutes) == 4
    assert {later - earlier for earlier, later in pairwise(minutes)} == {15}
    assert parse("H/15 1 * * *", name).is_interval
    assert not parse("H 1 * * *", name).is_interval


def test_macros_stay_as_they_are_written_whatever_the_name() -> None:
    assert parse("@daily", "ledger") == parse("0 0 * * *")


# --- refused --------------------------------------------------------------------------------------


NONSENSE = [
    "-1", "-", "5-", ",", ",1", "1,", "1,,2", "/", "*/", "1/", "1/0", "1/k", "1k", "#", "*#1",
    "**", "*,1", "1,*", "*-5", "5-*", "L,1", "1,L", "H,1", "H-5", "1/2/3", "1-2-3", "100",
    "1.5", "+1", "0x1", "1W,2", "1,2W", "1-2W", "1/2W", "1LW", "W", "LL", "HH", "~", "@daily",
]  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE)
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_nonsense_is_refused_in_every_field(field: Any, text: str) -> None:
    words = [text if other is field else "*" for other in FIELDS]
    with pytest.raises(ScheduleError) as refused:
        parse(" ".join(words))
    assert refused.value.field == field.name


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("second", "60"),
        ("second", "1/60"),
        ("minute", "60"),
        ("minute", "*/60"),
        ("hour", "24"),
        ("hour", "1/24"),
        ("day of month", "0"),
        ("day of month", "32"),
        ("day of month", "10-32"),
        ("day of month", "1/32"),
        ("day of month", "L-31"),
        ("day of month", "32W"),
        ("day of month", "0W"),
        ("day of month", "MON"),
        ("day of month", "4#1"),
        ("day of month", "L-"),
        ("month", "0"),
        ("month", "13"),
        ("month", "1/13"),
        ("month", "JANUARY"),
        ("month", "L"),
        ("day of week", "8"),
        ("day of week", "1/8"),
        ("day of week", "0#"),
        ("day of week", "0#0"),
        ("day of week", "SUN#6"),
        ("day of week", "SUN#050"),
        ("day of week", "SUNDAY"),
        ("day of week", "SUT"),
        ("day of week", "SU0"),
        ("day of week", "L"),
        ("day of week", "LW"),
        ("day of week", "8L"),
        ("day of week", "1L,2"),
    ],
)
def test_a_value_out_of_range_is_refused(field: str, text: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        field_of(field, text)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "text",
    ["@", "@invalid", "@yearl", "@yearly !", "@@daily", "@every_hour", "@reboot", "@daily @daily"],
)
def test_an_unknown_macro_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "field", "position", "words"),
    [
        ("60 * * * *", "minute", 0, "60 is out of range; give a number between 0 and 59"),
        ("0 0  5,99 * *", "day of month", 7, "99 is out of range"),
        ("0 0 1,15,99 * *", "day of month", 9, "99 is out of range"),
        ("0 9-x * * *", "hour", 4, "'x' is nothing that this field takes"),
        ("0 9~17 * * *", "hour", 2, "'9~17' is nothing that this field takes"),
        ("0 9-25 * * *", "hour", 4, "25 is out of range"),
        ("0 9-17/0 * * *", "hour", 7, "between 1 and 23"),
        ("0 0 * * MON#9", "day of week", 12, "between 1 and 5"),
        ("0 0 * FOO *", "month", 6, "names such as JAN"),
        ("0 0 1,,2 * *", "day of month", 6, "a value is missing"),
        ("\u0661 0 * * *", "any field", 0, "ASCII"),
        ("0 0 * * \u017fUN", "any field", 8, "ASCII"),
    ],
)
def test_an_error_names_the_field_the_place_and_what_to_do(
    text: str, field: str, position: int, words: str
) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse(text)
    error = refused.value
    assert (error.expression, error.field, error.position) == (text, field, position)
    assert words in str(error)
    assert error.reason in str(error)


@pytest.mark.parametrize("expression", [None, 5, b"* * * * *"])
def test_what_is_no_text_is_no_expression(expression: object) -> None:
    with pytest.raises(ScheduleError, match="give a cron expression as a string"):
        cron(cast(Any, expression))


# --- never ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "0 0 30 2 *",
        "0 0 31 2,4,6,9,11 *",
        "0 0 L-29 2 *",
        "0 0 30W 2 *",
        "0 0 1W * 0",
        "* * LW * 6L",
        "0 0 LW * SAT,SUN",
        "0 0 10 * MON#1",
        "0 0 1-21 * FRIL",
        "0 0 29W 2 SAT",
        "0 0 1 * 5#5",
        "0 H 30 2 *",
        "0 0 H 2 MON#5",  # H is no later than the 28th
    ],
)
def test_an_expression_that_never_happens_is_refused_when_it_is_made(text: str) -> None:
    with pytest.raises(ScheduleError, match="no year has a day") as refused:
        cron(text)
    assert refused.value.expression == text


@pytest.mark.parametrize(
    "text", ["0 0 29 2 *", "0 0 29 2 MON", "0 0 29 2 MON#5", "0 0 31 * *", "0 0 L-30 * *"]
)
def test_an_expression_that_happens_seldom_is_kept(text: str) -> None:
    cron(text)


def test_whether_an_h_ever_happens_is_known_when_the_name_is() -> None:
    trigger = cron("0 0 H * MON#1")
    outcomes = set()
    for n in range(40):
        try:
            trigger.named(f"schedule-{n}")
            outcomes.add("kept")
        except ScheduleError:
            outcomes.add("refused")
    assert outcomes == {"kept", "refused"}


def test_the_tables_agree_with_the_calendar() -> None:
    assert [field.name for field in FIELDS[1:]] == [
        MINUTE.name, HOUR.name, DAY_OF_MONTH.name, MONTH.name, DAY_OF_WEEK.name,
    ]  # fmt: skip
    assert (MONTH.names["FEB"], DAY_OF_WEEK.names["SUN"], DAY_OF_WEEK.names["SAT"]) == (2, 0, 6)


def test_two_expressions_that_differ_in_blanks_or_case_have_one_normal_form() -> None:
    assert normal_form("  0\t9 * jan  mon ") == "0 9 * JAN MON"


def test_an_unknown_macro_is_told_which_there_are() -> None:
    with pytest.raises(ScheduleError) as refused:
        parse(" @Minutely")
    error = refused.value
    assert (error.field, error.expression, error.position) == ("macro", " @Minutely", 1)
    assert error.reason == "there is no macro @minutely"
    assert str(error).endswith(f"; use one of {', '.join(MACROS).lower()}")
    assert "@daily, " in str(error)


@pytest.mark.parametrize(
    ("field", "text", "values"),
    [
        ("day of month", "15W", (13, 14, 15, 16, 17)),
        ("day of month", "1W", (1, 2, 3)),
        ("day of month", "LW", tuple(range(26, 32))),
        ("day of month", "L-3", (25, 26, 27, 28)),
        ("day of week", "7L", (0,)),
        ("day of week", "SUN#2", (0,)),
        ("day of week", "7#2", (0,)),
    ],
)
def test_a_day_that_no_number_tells_is_one_of_few(
    field: str, text: str, values: tuple[int, ...]
) -> None:
    assert field_of(field, text) == values


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("0 0 * * MON#1", tuple(range(1, 8))),
        ("0 0 * * MON#3", tuple(range(15, 22))),
        ("0 0 * * MON#5", (29, 30, 31)),
        ("0 0 * * 5L", tuple(range(22, 32))),
    ],
)
def test_the_third_monday_is_one_of_seven_days(text: str, days: tuple[int, ...]) -> None:
    assert parse(text).days == days


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("0 0 L-31 * *", 6, "31 is out of range; give a number between 0 and 30"),
        ("0 0 32W * *", 4, "32 is out of range; give a number between 1 and 31"),
        ("0 0 * * 8L", 8, "8 is out of range; give a number between 0 and 7"),
        ("0 0 * * FOOL", 8, "'FOO' is nothing that this field takes"),
        ("0 0 * * 9#1", 8, "9 is out of range"),
        ("0 0 * * FOO#1", 8, "'FOO' is nothing that this field takes"),
        ("x 0 * * *", 0, "takes; give numbers between 0 and 59, ranges or steps"),
        (
            "0 0 * x *",
            6,
            "takes; give numbers between 1 and 12 (or names such as JAN), ranges or steps",
        ),
        (", 0 * * *", 0, ": a value is missing; give numbers between 0 and 59, ranges or steps"),
    ],
)
def test_a_mistake_is_told_where_it_begins(text: str, position: int, words: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse(text)
    assert refused.value.position == position
    assert words in str(refused.value)


def test_what_is_drawn_for_a_name_is_the_same_on_every_machine() -> None:
    assert values_of(parse("H H H H H H", "nightly"))[:4] == [(52,), (24,), (20,), (28,)]
    assert parse("H * * * *", "half of \ud83d").minutes, "any name will do"
