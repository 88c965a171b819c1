"""What callers write for a schedule, and how it is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.model.schedules import TEMPLATE, asked, at, moment
from tests.naming import same_in_every_process
from trio_gusto.model.errors import ScheduleError
from trio_gusto.model.instants import to_instant
from trio_gusto.model.schedule import Coalesce, Overlap, ScheduleRequest
from trio_gusto.model.schedule_options import SPACINGS_SEEN, schedule_request
from trio_gusto.model.triggers import Trigger, cron, every

HOUR = timedelta(hours=1)


class Own(Trigger):
    """A trigger of somebody's own."""

    def next_instant(self, after: int, zone: ZoneInfo) -> int | None:
        return after + 1


def test_options_have_the_defaults_that_are_documented() -> None:
    assert asked() == ScheduleRequest(
        name="ledger",
        trigger=cron("0 * * * *"),
        template=TEMPLATE,
        timezone="UTC",
        overlap=Overlap.SKIP,
        coalesce=Coalesce.LATEST,
        misfire_grace_time=None,
        max_catchup=100,
        jitter=0,
        start=None,
        end=None,
    )


def test_durations_are_seconds_or_timedeltas_and_instants_datetimes() -> None:
    request = asked(
        HOUR,
        misfire_grace_time=1.5,
        jitter=timedelta(minutes=1),
        start=moment("09:00"),
        end=moment("12:00"),
        overlap="cancel_other",
        coalesce="all",
        max_catchup=5,
    )
    assert request.trigger == every(HOUR)
    assert (request.misfire_grace_time, request.jitter) == (1_500_000, 60_000_000)
    assert (request.start, request.end) == (at("09:00"), at("12:00"))
    assert (request.overlap, request.coalesce) == (Overlap.CANCEL_OTHER, Coalesce.ALL)
    assert request.max_catchup == 5


def test_no_jitter_is_a_jitter() -> None:
    assert asked(jitter=0).jitter == 0
    assert asked(jitter=timedelta(0)).jitter == 0


def test_h_is_drawn_from_the_name_of_the_schedule() -> None:
    assert asked("H H * * *").trigger == cron("H H * * *", name="ledger")
    assert asked("H H * * *", name="mail").trigger == cron("H H * * *", name="mail")


def test_a_name_may_make_an_expression_with_h_one_that_never_happens() -> None:
    """For this name the H is the 9th, which is no first Monday of any month."""
    with pytest.raises(ScheduleError, match="no year has a day"):
        asked("0 0 H * MON#1", name="ledger")


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({"name": ""}, "name", "not empty"),
        ({"name": None}, "name", "not empty"),
        ({"name": "half a pair: \udc80"}, "name", "not empty"),
        ({"trigger": 5}, "trigger", "tells no instants"),
        ({"trigger": Own()}, "trigger", "code is not stored"),
        ({"trigger": timedelta(0)}, "trigger", "too short"),
        ({"timezone": "Mars/Olympus"}, "timezone", "'Mars/Olympus'"),
        ({"timezone": None}, "timezone", "Europe/Rome"),
        (
            {"overlap": "sometimes"},
            "overlap",
            "'skip' or 'allow' or 'buffer_one' or 'cancel_other'",
        ),
        ({"overlap": None}, "overlap", "None is no policy"),
        ({"coalesce": "newest"}, "coalesce", "'latest' or 'earliest' or 'all'"),
        ({"misfire_grace_time": 0}, "misfire_grace_time", "too short"),
        ({"misfire_grace_time": -1}, "misfire_grace_time", "too short"),
        ({"misfire_grace_time": "1h"}, "misfire_grace_time", "is no duration"),
        ({"max_catchup": 0}, "max_catchup", "between 1 and 1000"),
        ({"max_catchup": 1001}, "max_catchup", "between 1 and 1000"),
        ({"max_catchup": True}, "max_catchup", "between 1 and 1000"),
        ({"max_catchup": 5.0}, "max_catchup", "between 1 and 1000"),
        ({"jitter": -1}, "jitter", "too short"),
        ({"jitter": "5"}, "jitter", "is no duration"),
        ({"jitter": HOUR}, "jitter", "3600 s apart"),
        ({"jitter": 60, "trigger": "0,1 12 * * *"}, "jitter", "60 s apart"),
        ({"jitter": 60, "trigger": timedelta(minutes=1)}, "jitter", "60 s apart"),
        ({"start": "2026-06-01"}, "start", "is no datetime"),
        ({"start": datetime(2026, 6, 1)}, "start", "has no time zone"),  # noqa: DTZ001 - naive
        ({"end": 5}, "end", "is no datetime"),
        ({"start": moment("09:00"), "end": moment("09:00")}, "end", "not after the start"),
        ({"start": moment("09:00"), "end": moment("08:00")}, "end", "not after the start"),
        ({"start": moment("09:01"), "end": moment("10:00")}, "end", "exclusive"),
        ({"end": moment("08:00"), "start": moment("07:10")}, "end", "exclusive"),
    ],
    ids=same_in_every_process,
)
def test_a_wrong_option_is_named(options: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        asked(**options)
    assert refused.value.field == field
    assert words in str(refused.value)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "60 * * * *", "nonsense"])
def test_a_wrong_expression_is_refused_at_once(expression: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        asked(expression)
    assert refused.value.expression == expression


def test_a_jitter_shorter_than_every_spacing_is_kept() -> None:
    assert asked(jitter=3599).jitter == 3_599_000_000
    assert asked("0,1 12 * * *", jitter=59).jitter == 59_000_000
    once = asked("0 12 1 6 *", jitter=timedelta(days=2), start=moment("08:00"), end=moment("23:00"))
    assert once.jitter == 2 * 86_400_000_000


def test_a_wrong_value_says_what_is_wrong_and_what_to_give() -> None:
    with pytest.raises(ScheduleError) as refused:
        asked(jitter="5")
    assert refused.value.reason == "'5' is no duration"
    assert str(refused.value) == (
        "this jitter cannot be used for a schedule: '5' is no duration; "
        "give a finite number of seconds or a timedelta"
    )


def test_one_and_a_thousand_are_catchups() -> None:
    assert [asked(max_catchup=most).max_catchup for most in (1, 1000)] == [1, 1000]


def test_an_interval_has_its_first_instant_at_its_start() -> None:
    window: dict[str, Any] = {"start": moment("09:00"), "end": moment("09:30")}
    assert asked(HOUR, **window).start == at("09:00")


def test_a_spacing_is_seen_as_far_as_one_looks_and_no_farther() -> None:
    """On 29 March 2026 noon in Berlin comes after 23 hours."""
    noon = datetime(2026, 3, 28, 11, tzinfo=UTC)

    def looked_at_from(days_before: int) -> None:
        schedule_request(
            "ledger",
            "0 12 * * *",
            TEMPLATE,
            now=to_instant(noon - timedelta(days=days_before)) - 1,
            timezone="Europe/Berlin",
            jitter=timedelta(hours=23.5),
        )

    with pytest.raises(ScheduleError, match="82800 s apart"):
        looked_at_from(SPACINGS_SEEN - 1)
    looked_at_from(SPACINGS_SEEN)


def test_a_value_with_a_semicolon_is_shown_whole_in_the_reason() -> None:
    with pytest.raises(ScheduleError) as refused:
        asked(jitter="5; or 6")
    assert refused.value.reason == "'5; or 6' is no duration"
