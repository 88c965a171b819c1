"""What is said of a schedule that cannot be kept, word for word: it is all that its author has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from tests.model.schedules import asked, moment
from trio_gusto.model.cron.expression import parse
from trio_gusto.model.errors import ScheduleError
from trio_gusto.model.triggers import cron

HOUR = timedelta(hours=1)

MESSAGES: Sequence[tuple[Callable[[], object], str, str]] = [
    (
        lambda: asked(name=""),
        "name",
        "this name cannot be used for a schedule: '' is no name; give a text that is not empty",
    ),
    (
        lambda: asked(name="half a pair: \udc80"),
        "name",
        "this name cannot be used for a schedule: 'half a pair: \\udc80' is no name; "
        "give a text that is not empty",
    ),
    (
        lambda: asked(5),
        "trigger",
        "this trigger cannot be used for a schedule: 5 tells no instants; give a cron "
        "expression, a timedelta, or what cron, every or every_after return",
    ),
    (
        lambda: asked(timedelta(0)),
        "trigger",
        "this trigger cannot be used for a schedule: datetime.timedelta(0) is too "
        "short; give 0.001 s or more",
    ),
    (
        lambda: asked(timezone="Mars/Olympus"),
        "timezone",
        "this timezone cannot be used for a schedule: there is no time zone "
        "'Mars/Olympus' here; give a name of the IANA time zone database, such as "
        "'UTC' or 'Europe/Rome'",
    ),
    (
        lambda: asked(overlap="sometimes"),
        "overlap",
        "this overlap cannot be used for a schedule: 'sometimes' is no policy for it; "
        "give 'skip' or 'allow' or 'buffer_one' or 'cancel_other'",
    ),
    (
        lambda: asked(coalesce="newest"),
        "coalesce",
        "this coalesce cannot be used for a schedule: 'newest' is no policy for it; "
        "give 'latest' or 'earliest' or 'all'",
    ),
    (
        lambda: asked(misfire_grace_time=0),
        "misfire_grace_time",
        "this misfire_grace_time cannot be used for a schedule: 0 is too short; give "
        "1e-06 s or more",
    ),
    (
        lambda: asked(max_catchup=0),
        "max_catchup",
        "this max_catchup cannot be used for a schedule: 0 is out of range; give a "
        "whole number between 1 and 1000",
    ),
    (
        lambda: asked(max_catchup=1001),
        "max_catchup",
        "this max_catchup cannot be used for a schedule: 1001 is out of range; give a "
        "whole number between 1 and 1000",
    ),
    (
        lambda: asked(jitter="5"),
        "jitter",
        "this jitter cannot be used for a schedule: '5' is no duration; give a finite "
        "number of seconds or a timedelta",
    ),
    (
        lambda: asked(jitter=HOUR),
        "jitter",
        "this jitter cannot be used for a schedule: some of the next instants are 3600 "
        "s apart, so jobs could change places; give a shorter jitter",
    ),
    (
        lambda: asked(jitter=60, trigger="0,1 12 * * *"),
        "jitter",
        "this jitter cannot be used for a schedule: some of the next instants are 60 s "
        "apart, so jobs could change places; give a shorter jitter",
    ),
    (
        lambda: asked(start=5),
        "start",
        "this start cannot be used for a schedule: 5 is no datetime; give an aware datetime",
    ),
    (
        lambda: asked(start=datetime.fromisoformat("2026-06-01")),
        "start",
        "this start cannot be used for a schedule: datetime.datetime(2026, 6, 1, 0, 0) "
        "has no time zone, so it names no instant; use an aware datetime such as "
        "datetime.now(timezone.utc)",
    ),
    (
        lambda: asked(start=moment("09:00"), end=moment("09:00")),
        "end",
        "this end cannot be used for a schedule: it is not after the start; give a later end",
    ),
    (
        lambda: asked(start=moment("09:01"), end=moment("10:00")),
        "end",
        "this end cannot be used for a schedule: the trigger has no instant between "
        "the start and the end, which is exclusive; give a later end, or another "
        "trigger",
    ),
    (
        lambda: cron(cast(Any, 5)),
        "trigger",
        "this trigger cannot be used for a schedule: 5 is no text; give a cron "
        "expression as a string",
    ),
    (
        lambda: cron("H 2 * * *").next_after(moment("09:00")),
        "",
        "the cron expression 'H 2 * * *' cannot be followed: its H is drawn from the "
        "name of a schedule, and it has none; give it one, as in cron('H 2 * * *', "
        "name='nightly')",
    ),
    (
        lambda: parse("* * *"),
        "",
        "the cron expression '* * *' cannot be followed: it has 3 fields; give five "
        "(minute, hour, day of month, month, day of week), or six with the second "
        "before them",
    ),
    (
        lambda: parse("0 0 30 2 *"),
        "day of month",
        "the cron expression '0 0 30 2 *' cannot be followed: no year has a day that "
        "matches its day of month, its month and its day of week; remember that all "
        "three must match, and how long the months are",
    ),
    (
        lambda: parse("\u0661 0 * * *"),
        "any field",
        "the cron expression '\u0661 0 * * *' cannot be followed from character 1 (any "
        "field): '\u0661' has no meaning in it; write it in ASCII",
    ),
]


@pytest.mark.parametrize(("make", "field", "message"), MESSAGES)
def test_a_schedule_that_cannot_be_kept_says_why_and_what_to_give(
    make: Callable[[], object], field: str, message: str
) -> None:
    with pytest.raises(ScheduleError) as refused:
        make()
    assert str(refused.value) == message
    assert refused.value.field == field
