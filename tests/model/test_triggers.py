"""Triggers: made from what users write, asked for the next instant, stored and read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from trio_gusto.model.errors import ScheduleError
from trio_gusto.model.triggers import (
    SHORTEST,
    Trigger,
    cron,
    every,
    every_after,
    from_wire,
    to_trigger,
    to_wire,
)

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Own(Trigger):
    """A trigger of somebody's own."""

    def next_instant(self, after: int, zone: ZoneInfo) -> int | None:
        return after + 1


# --- intervals ------------------------------------------------------------------------------------


def test_an_interval_lies_on_a_grid_through_its_anchor() -> None:
    trigger = every(HOUR, anchor=NOON)
    assert trigger.next_after(NOON) == NOON + HOUR
    assert trigger.next_after(NOON + timedelta(minutes=1)) == NOON + HOUR
    assert trigger.next_after(NOON - timedelta(microseconds=1)) == NOON
    assert trigger.next_after(NOON - 5 * HOUR) == NOON - 4 * HOUR


def test_a_late_look_does_not_move_the_grid() -> None:
    trigger = every(7, anchor=NOON)
    late = NOON + timedelta(days=3000, microseconds=1)
    following = trigger.next_after(late)
    assert following is not None
    assert (following - NOON) % timedelta(seconds=7) == timedelta()
    assert timedelta() < following - late <= timedelta(seconds=7)


def test_an_interval_is_exact_to_the_microsecond() -> None:
    trigger = every(timedelta(microseconds=1_000_001), anchor=NOON)
    instant = NOON
    for n in range(1, 100):
        following = NOON + n * timedelta(microseconds=1_000_001)
        assert trigger.next_after(instant) == following
        instant = following


def test_an_interval_is_elapsed_time_and_no_matter_of_clocks() -> None:
    before = datetime(2026, 3, 8, 6, 30, tzinfo=UTC)
    assert every(HOUR, anchor=before).next_after(before, "America/New_York") == before + HOUR


def test_without_an_anchor_an_interval_is_counted_from_where_one_asks() -> None:
    assert every(HOUR).next_after(NOON + timedelta(minutes=5)) == NOON + timedelta(minutes=65)


def test_a_pause_is_counted_from_the_end_of_the_time_before() -> None:
    trigger = every_after(HOUR, anchor=NOON)
    assert trigger.next_after(NOON - timedelta(days=1)) == NOON
    assert trigger.next_after(NOON) == NOON + HOUR
    assert every_after(HOUR).next_after(NOON + timedelta(minutes=5)) == NOON + timedelta(minutes=65)


def test_an_anchor_that_is_given_holds() -> None:
    anchored = every(HOUR, anchor=NOON)
    assert anchored.anchored(5) is anchored
    assert every(HOUR).anchored(5) == every(
        HOUR, anchor=datetime(1970, 1, 1, microsecond=5, tzinfo=UTC)
    )
    assert every_after(HOUR).anchored(5).next_instant(0, ZoneInfo("UTC")) == 5


def test_nothing_happens_after_the_last_year() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    assert every(HOUR, anchor=NOON).next_after(last) is None
    assert every_after(HOUR).next_after(last) is None
    assert every(HOUR, anchor=last).next_after(last - HOUR) == last, "it is the last there is"


@pytest.mark.parametrize("make", [every, every_after], ids=["every", "every_after"])
@pytest.mark.parametrize(
    "length", [0, -1, timedelta(0), timedelta(days=-1), 0.0001, float("nan"), True, "5", None]
)
def test_what_is_no_length_is_refused(make: Any, length: object) -> None:
    with pytest.raises(ScheduleError, match=r"too short|is no duration") as refused:
        make(length)
    assert refused.value.field == "trigger"


@pytest.mark.parametrize("anchor", [datetime(2026, 1, 1), "2026-01-01", 5])  # noqa: DTZ001 - naive
def test_an_anchor_is_an_instant(anchor: Any) -> None:
    with pytest.raises(ScheduleError) as refused:
        every(5, anchor=anchor)
    assert refused.value.field == "anchor"


# --- what users write -----------------------------------------------------------------------------


def test_a_string_is_a_cron_expression_and_a_timedelta_an_interval() -> None:
    assert to_trigger("0 2 * * *") == cron("0 2 * * *")
    assert to_trigger(HOUR) == every(HOUR)
    own = Own()
    assert to_trigger(own) is own


@pytest.mark.parametrize("value", [None, 5, 5.0, b"* * * * *", NOON, Own])
def test_anything_else_is_no_trigger(value: object) -> None:
    with pytest.raises(ScheduleError, match="tells no instants") as refused:
        to_trigger(value)
    assert refused.value.field == "trigger"


def test_two_expressions_are_the_same_whatever_their_blanks_and_case() -> None:
    assert cron("0 2 * * mon-fri") == cron(" 0\t2  * * MON-FRI")
    assert hash(cron("0 2 * * mon")) == hash(cron("0 2 * *  MON"))
    assert cron("0 2 * * *") != cron("0 3 * * *")
    assert cron("H 2 * * *", name="a") != cron("H 2 * * *", name="b")


def test_a_trigger_prints_as_it_was_written() -> None:
    assert "0 2 * * mon" in repr(cron("0 2 * * mon"))


def test_a_trigger_is_told_in_words() -> None:
    assert str(cron("0 2 * * mon")) == "0 2 * * mon"
    assert str(every(90)) == "every 0:01:30"
    assert str(every_after(HOUR)) == "1:00:00 after each job"


def test_an_unknown_zone_is_refused_whatever_the_trigger() -> None:
    for trigger in (cron("0 2 * * *"), every(5), every_after(5), Own()):
        with pytest.raises(ScheduleError, match="there is no time zone 'Nowhere'"):
            trigger.next_after(NOON, "Nowhere")


def test_an_h_without_a_name_has_no_next() -> None:
    with pytest.raises(ScheduleError, match="name='nightly'"):
        cron("H 2 * * *").next_after(NOON)
    assert cron("H 2 * * *", name="nightly").next_after(NOON) is not None
    assert cron("H 2 * * *").named("nightly") == cron("H 2 * * *", name="nightly")
    assert cron("0 2 * * *").named("nightly") == cron("0 2 * * *")


# --- stored ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trigger",
    [
        cron("0 2 * * *"),
        cron("H 2 * * *"),
        cron("H 2 * * *", name="nightly"),
        every(HOUR),
        every(0.25, anchor=NOON),
        every_after(HOUR),
        every_after(HOUR, anchor=NOON),
    ],
    ids=repr,
)
def test_a_trigger_survives_being_stored(trigger: Trigger) -> None:
    assert from_wire(to_wire(trigger)) == trigger


def test_code_is_not_stored() -> None:
    with pytest.raises(ScheduleError, match="code is not stored") as refused:
        to_wire(Own())
    assert refused.value.field == "trigger"
    assert str(refused.value).endswith("; use what cron, every or every_after return")


@pytest.mark.parametrize(
    "wire",
    [
        {},
        {"unknown": ["0 2 * * *", None]},
        {"cron": "0 2 * * *"},
        {"cron": ["0 2 * * *"]},
        {"cron": ["0 0 30 2 *", None]},
        {"cron": ["0 2 * * *", 5]},
        {"cron": [5, None]},
        {"often": [5_000_000, None]},
        {"every": [0, None]},
        {"every": [True, None]},
        {"every": ["5", None]},
        {"every": [5_000_000, "5"]},
        {"every": [5_000_000, None, 1]},
        {"every_after": None},
        {"every": [5_000_000, None], "cron": ["0 2 * * *", None]},
    ],
)
def test_a_stored_form_that_is_none_is_refused(wire: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is no stored trigger"):
        from_wire(wire)


def test_a_stored_form_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(ValueError, match="is no stored trigger"):
        from_wire(cast(Any, ["cron"]))


def test_the_shortest_interval_survives_being_stored() -> None:
    shortest = every(timedelta(microseconds=SHORTEST))
    assert from_wire(to_wire(shortest)) == shortest


def test_an_interval_after_each_job_prints_as_such() -> None:
    assert str(every_after(HOUR)) == "1:00:00 after each job"


def test_a_pause_keeps_the_anchor_that_it_was_given() -> None:
    given = every_after(HOUR, anchor=NOON)
    assert given.anchored(5) == given
