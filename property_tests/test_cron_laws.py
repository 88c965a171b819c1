"""Laws of cron expressions: what they mean, and when they happen on the clocks of every zone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from property_tests.cron_meanings import (
    Meaning,
    daily_meanings,
    happening,
    meanings,
    workday_near,
)
from property_tests.cron_oracles import changes, moments, search, walk, zones
from trio_gusto.model.cron.days import MonthShape, NearestWorkday
from trio_gusto.model.cron.expression import Expression, parse
from trio_gusto.model.cron.occurrences import Occurrences
from trio_gusto.model.cron.wall import WallSearch
from trio_gusto.model.errors import ScheduleError
from trio_gusto.model.instants import to_datetime, to_instant
from trio_gusto.model.triggers import cron, from_wire, to_wire

WALKED = 30 * 60
"""Minutes: longer than a day that is repeated or left out."""

Parse = Callable[[str], Expression]
Search = Callable[[Expression, datetime], datetime | None]
Next = Callable[[Expression, int, ZoneInfo], int | None]

walls = st.datetimes(datetime(1950, 1, 1), datetime(2150, 1, 1))  # noqa: DTZ001 - without zone


@attrs.frozen
class Question:
    """What happens next after an instant, in a zone?"""

    meaning: Meaning
    zone: str
    after: datetime


@st.composite
def questions(draw: st.DrawFn, *, with_seconds: bool = False, first: int = 1975) -> Question:
    zone = draw(zones)
    after = draw(moments(zone, first))
    near = after.astimezone(ZoneInfo(zone))
    drawn = meanings(with_seconds=with_seconds, near=near).filter(Meaning.ever_matches)
    return Question(draw(drawn), zone, after)


@st.composite
def questions_before_a_change(draw: st.DrawFn) -> Question:
    """The same about a daily expression, up to two hours before a change of clocks."""
    zone = draw(st.sampled_from(["America/New_York", "Europe/Dublin", "America/Santiago"]))
    change = draw(st.sampled_from(changes(zone, draw(st.integers(2000, 2030)))))
    near = change.astimezone(ZoneInfo(zone))
    return Question(
        draw(daily_meanings(near)), zone, change - timedelta(minutes=draw(st.integers(0, 120)))
    )


# --- the laws -------------------------------------------------------------------------------------


def the_text_is_read_as_it_is_meant(meaning: Meaning, read: Parse) -> None:
    expression = read(meaning.text)
    assert set(expression.seconds) == meaning.seconds
    assert set(expression.minutes) == meaning.minutes
    assert set(expression.hours) == meaning.hours
    assert set(expression.months) == meaning.months
    assert expression.is_interval == meaning.is_interval


def what_is_found_on_the_wall_is_the_first(
    meaning: Meaning, wall: datetime, search_for: Search
) -> None:
    assert search_for(parse(meaning.text), wall) == search(meaning, wall)


def what_is_found_in_a_zone_is_the_first(question: Question, next_of: Next) -> None:
    zone = ZoneInfo(question.zone)
    found = next_of(parse(question.meaning.text), to_instant(question.after), zone)
    expected = walk(question.meaning, question.after, zone, WALKED)
    if expected is None:
        end = question.after + timedelta(minutes=WALKED)
        assert found is None or to_datetime(found) > end.replace(second=0, microsecond=0)
    else:
        assert found is not None
        assert to_datetime(found) == expected


def the_next_is_later_and_the_same_from_all_instants_before_it(
    question: Question, next_of: Next
) -> None:
    expression, zone = parse(question.meaning.text), ZoneInfo(question.zone)
    after = to_instant(question.after)
    for _ in range(3):
        found = next_of(expression, after, zone)
        if found is None:
            return
        assert found > after
        assert next_of(expression, (after + found) // 2, zone) == found
        assert next_of(expression, found - 1, zone) == found
        after = found


def package_search(expression: Expression, wall: datetime) -> datetime | None:
    return WallSearch(expression).after(wall)


def package_next(expression: Expression, after: int, zone: ZoneInfo) -> int | None:
    return Occurrences(expression).after(after, zone)


@given(meaning=happening)
def test_the_text_is_read_as_it_is_meant(meaning: Meaning) -> None:
    the_text_is_read_as_it_is_meant(meaning, parse)


@given(meaning=meanings())
def test_an_expression_is_refused_exactly_when_it_never_happens(meaning: Meaning) -> None:
    if meaning.ever_matches():
        cron(meaning.text)
    else:
        with pytest.raises(ScheduleError, match="no year has a day"):
            cron(meaning.text)


@given(meaning=happening, wall=walls)
def test_what_is_found_on_the_wall_is_the_first(meaning: Meaning, wall: datetime) -> None:
    what_is_found_on_the_wall_is_the_first(meaning, wall, package_search)


@given(question=questions())
def test_what_is_found_in_a_zone_is_the_first(question: Question) -> None:
    what_is_found_in_a_zone_is_the_first(question, package_next)


@given(question=questions(with_seconds=True, first=1850))
def test_the_next_is_later_and_the_same_from_all_instants_before_it(question: Question) -> None:
    the_next_is_later_and_the_same_from_all_instants_before_it(question, package_next)


@given(text=st.text(max_size=30) | st.text("0123456789*/-,?LWHlwh# \t@", max_size=30))
def test_any_text_is_a_schedule_or_a_schedule_error(text: str) -> None:
    refused: ScheduleError | None = None
    try:
        cron(text)
    except ScheduleError as error:
        refused = error
    if refused is not None:
        assert refused.expression == text
        assert refused.position is None or 0 <= refused.position <= len(text)


@given(meaning=happening, name=st.none() | st.text(max_size=3))
def test_an_expression_survives_being_stored(meaning: Meaning, name: str | None) -> None:
    trigger = cron(meaning.text, name=name)
    assert from_wire(to_wire(trigger)) == trigger


# --- planted faults: the laws can fail ------------------------------------------------------------


def loses_the_step_at_the_end_of_a_field(text: str) -> Expression:
    """A wrapped range begins again at the first value of its field, whatever its step."""
    expression = parse(text)
    minutes, hours = (
        re.sub(r"(\d+)-(\d+)/(\d+)", partial(_begun_again, end), word)
        for word, end in zip(text.split()[-5:-3], (60, 24), strict=True)
    )
    wrong = parse(f"{minutes} {hours} * * *")
    return attrs.evolve(expression, minutes=wrong.minutes, hours=wrong.hours)


def _begun_again(end: int, found: re.Match[str]) -> str:
    first, last, step = map(int, found.groups())
    if first <= last:
        return found[0]
    return ",".join(map(str, [*range(first, end, step), *range(0, last + 1, step)]))


def takes_either_day(expression: Expression, wall: datetime) -> datetime | None:
    search_for = WallSearch(expression)
    search_for._croniter._day_or = True  # type: ignore[attr-defined]  # croniter's own default
    return search_for.after(wall)


@attrs.frozen
class ClampedWorkday(NearestWorkday):
    """``31W`` in a month of 30 days is the workday nearest to the 30th."""

    def day_in(self, month: MonthShape) -> int | None:
        return NearestWorkday(min(self.day, month.length)).day_in(month)


def clamps_the_day_to_the_month(expression: Expression, wall: datetime) -> datetime | None:
    rules = tuple(
        ClampedWorkday(rule.day) if isinstance(rule, NearestWorkday) else rule
        for rule in expression.rules
    )
    return WallSearch(attrs.evolve(expression, rules=rules)).after(wall)


def happens_in_both_passes(expression: Expression, after: int, zone: ZoneInfo) -> int | None:
    return Occurrences(attrs.evolve(expression, is_interval=True)).after(after, zone)


def happens_in_one_pass(expression: Expression, after: int, zone: ZoneInfo) -> int | None:
    return Occurrences(attrs.evolve(expression, is_interval=False)).after(after, zone)


def knows_no_gaps(expression: Expression, after: int, zone: ZoneInfo) -> int | None:
    """What falls into a gap happens as long after its end as it is after its beginning."""
    aware = to_datetime(after // 1_000_000 * 1_000_000).astimezone(zone)
    found = WallSearch(expression).after(aware.replace(tzinfo=None, fold=0))
    return None if found is None else to_instant(found.replace(tzinfo=zone))


def takes_the_instant_itself(expression: Expression, after: int, zone: ZoneInfo) -> int | None:
    return Occurrences(expression).after(after - 1, zone)


def breaks(law: Callable[..., None], *arguments: object) -> bool:
    try:
        law(*arguments)
    except AssertionError:
        return True
    return False


def is_found(drawn: st.SearchStrategy[object], is_broken: Callable[..., bool]) -> bool:
    tried = settings(max_examples=2_000, derandomize=True, phases=[Phase.generate], database=None)
    return is_broken(find(drawn, is_broken, settings=tried))


def test_a_lost_step_breaks_its_law() -> None:
    law = the_text_is_read_as_it_is_meant
    drawn = happening
    assert is_found(drawn, lambda some: breaks(law, some, loses_the_step_at_the_end_of_a_field))


late_workdays = meanings(days=st.integers(29, 31).map(workday_near))


@pytest.mark.parametrize(
    ("fault", "drawn"),
    [
        (takes_either_day, happening),
        (clamps_the_day_to_the_month, late_workdays.filter(Meaning.ever_matches)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_fault_of_the_search_breaks_its_law(
    fault: Search, drawn: st.SearchStrategy[Meaning]
) -> None:
    law = what_is_found_on_the_wall_is_the_first
    assert is_found(st.tuples(drawn, walls), lambda some: breaks(law, *some, fault))


@pytest.mark.parametrize(
    "fault",
    [happens_in_both_passes, happens_in_one_pass, knows_no_gaps],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_at_a_change_of_clocks_breaks_its_law(fault: Next) -> None:
    law = what_is_found_in_a_zone_is_the_first
    assert is_found(questions_before_a_change(), lambda some: breaks(law, some, fault))


def test_an_instant_that_comes_again_breaks_its_law() -> None:
    law = the_next_is_later_and_the_same_from_all_instants_before_it
    drawn = questions(with_seconds=True)
    assert is_found(drawn, lambda some: breaks(law, some, takes_the_instant_itself))
