"""What is wrong with a schedule is said where it is registered, and nothing of it is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trio_gusto import (
    ArgumentError,
    Gusto,
    GustoError,
    OptionsError,
    ScheduleError,
    UnknownHandler,
    every_after,
)
from trio_gusto.testing import VirtualClock

HOUR = timedelta(hours=1)
NAIVE = datetime(2030, 1, 1)  # noqa: DTZ001 - the very mistake
LATER = datetime(2030, 1, 1, tzinfo=UTC)

WRONG_SCHEDULES: list[tuple[str, dict[str, Any], str]] = [
    ("no trigger", {}, "trigger"),
    ("a number", {"trigger": 60}, "trigger"),
    ("a negative interval", {"trigger": -HOUR}, "trigger"),
    ("an interval too short", {"trigger": timedelta(microseconds=10)}, "trigger"),
    ("an unknown zone", {"trigger": HOUR, "timezone": "Mars/Olympus"}, "timezone"),
    ("an unknown overlap", {"trigger": HOUR, "overlap": "queue"}, "overlap"),
    ("an unknown coalesce", {"trigger": HOUR, "coalesce": "some"}, "coalesce"),
    ("no grace at all", {"trigger": HOUR, "misfire_grace_time": 0}, "misfire_grace_time"),
    ("no catch-up", {"trigger": HOUR, "max_catchup": 0}, "max_catchup"),
    ("too much catch-up", {"trigger": HOUR, "max_catchup": 10**6}, "max_catchup"),
    ("more jitter than there is room", {"trigger": HOUR, "jitter": 2 * HOUR}, "jitter"),
    ("a start without a zone", {"trigger": HOUR, "start": NAIVE}, "start"),
    ("an end before the start", {"trigger": HOUR, "start": LATER, "end": LATER}, "end"),
]


def make_app() -> tuple[Gusto, Any]:
    app = Gusto(clock=VirtualClock())

    @app.job
    async def close_day(day: str = "today") -> None: ...

    return app, close_day


@pytest.mark.parametrize(
    ("options", "field"),
    [(options, field) for _, options, field in WRONG_SCHEDULES],
    ids=[name for name, *_ in WRONG_SCHEDULES],
)
async def test_a_wrong_schedule_is_refused_and_its_field_is_named(
    options: dict[str, Any], field: str
) -> None:
    app, close_day = make_app()
    async with app.connected() as queue:
        with pytest.raises(ScheduleError, match=r"; (give|use) ") as caught:
            await queue.schedule("ledger", close_day, **options)
        assert caught.value.field == field
        assert isinstance(caught.value, ValueError)
        assert await queue.schedules() == ()


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "61 * * * *", "* * *", "", "nightly"])
async def test_an_expression_that_cannot_be_followed_is_refused_at_once(expression: str) -> None:
    app, close_day = make_app()
    async with app.connected() as queue:
        with pytest.raises(ScheduleError) as caught:
            await queue.schedule("ledger", close_day, trigger=expression)
        assert caught.value.expression == expression
        assert await queue.schedules() == ()


@pytest.mark.parametrize("name", ["", 7, None, "\ud800"])
async def test_a_name_that_is_none_is_refused(name: Any) -> None:
    app, close_day = make_app()
    async with app.connected() as queue:
        with pytest.raises(ScheduleError, match="is no name"):
            await queue.schedule(name, close_day, trigger=HOUR)


WRONG_JOBS: list[tuple[str, tuple[object, ...], dict[str, Any], type[GustoError], str]] = [
    ("an argument of another type", (7,), {}, ArgumentError, "day"),
    ("an argument too many", ("a", "b"), {}, ArgumentError, "argument"),
    ("an unknown option", (), {"quue": "mail"}, OptionsError, "quue"),
    ("an id that each job would have", (), {"ref_id": "x"}, OptionsError, "ref_id"),
    ("one instant for all of them", (), {"execute_after": LATER}, OptionsError, "execute_after"),
    ("one deadline for all of them", (), {"expire_on": LATER}, OptionsError, "expire_on"),
    (
        "a delay longer than the deadline",
        (),
        {"execute_after": HOUR, "expire_on": 60},
        OptionsError,
        "execute_after",
    ),
]


@pytest.mark.parametrize(
    ("args", "options", "kind", "word"),
    [case[1:] for case in WRONG_JOBS],
    ids=[case[0] for case in WRONG_JOBS],
)
async def test_what_is_wrong_with_its_jobs_is_said_at_the_registration(
    args: tuple[object, ...], options: dict[str, Any], kind: type[GustoError], word: str
) -> None:
    app, close_day = make_app()
    async with app.connected() as queue:
        with pytest.raises(kind, match=word):
            await queue.schedule("ledger", close_day, *args, trigger=HOUR, **options)
        assert await queue.schedules() == ()


async def test_a_function_that_nobody_declared_is_refused() -> None:
    app, _ = make_app()

    async def unknown() -> None: ...

    async with app.connected() as queue:
        with pytest.raises(UnknownHandler):
            await queue.schedule("ledger", unknown, trigger=every_after(60))


async def test_a_wrong_registration_leaves_the_schedule_as_it_was() -> None:
    app, close_day = make_app()
    async with app.connected() as queue:
        kept = await queue.schedule("ledger", close_day, trigger=HOUR)
        with pytest.raises(ScheduleError):
            await queue.schedule("ledger", close_day, trigger="61 * * * *")
        assert await queue.get_schedule("ledger") == kept
