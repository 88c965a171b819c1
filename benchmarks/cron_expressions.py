"""What the cron part of schedules costs: one next instant, and a refusal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from time import perf_counter

import trio

from trio_gusto import Gusto, Handler, JobQueue, ScheduleError, cron

from .scale import Scale

ORDINARY: Sequence[tuple[str, str]] = (
    ("*/10 * * * * *", "UTC"),
    ("*/5 * * * *", "UTC"),
    ("0 2 * * *", "Europe/Rome"),
    ("0 9-17 * * MON-FRI", "America/New_York"),
    ("30 4 1 * *", "UTC"),
)
"""Expressions as services have them, each with the zone that it is read in."""

NEVER: Sequence[str] = (
    "0 0 30 2 *",
    "0 0 31 2,4,6,9,11 *",
    "0 0 31 4 MON",
    "0 0 1-7 * 2#2",
    "0 0 15 * 1L",
    "0 0 L-30 2 *",
    "0 0 LW 2 SUN",
)
"""No year has such a day, and each for a reason of its own."""

CALLS = 1_000


def next_after_microseconds(_scale: Scale) -> float:
    """The median time of one `next_after` of a trigger that is there, for the slowest expression."""
    return max(_next_after(*each) for each in ORDINARY)


def _next_after(expression: str, zone: str) -> float:
    trigger = cron(expression)
    at: datetime | None = datetime(2026, 1, 1, tzinfo=UTC)
    waits: list[float] = []
    for _ in range(CALLS):
        assert at is not None, "ordinary expressions do not end"
        began = perf_counter()
        at = trigger.next_after(at, zone)
        waits.append(perf_counter() - began)
    return 1e6 * statistics.median(waits)


def refusal_milliseconds(_scale: Scale) -> float:
    """The longest time until a schedule that never fires is refused.

    All of the call counts as the loop's standstill: it need not give way before it has refused.
    """

    async def main() -> float:
        app = Gusto()

        @app.job(name="benchmarks.never")
        async def never() -> None: ...

        async with app.connected() as queue:
            return max([await _refusal(queue, never, expression) for expression in NEVER])

    return trio.run(main)


async def _refusal(queue: JobQueue, handler: Handler[[], None], expression: str) -> float:
    began = perf_counter()
    try:
        await queue.schedule("never", handler, trigger=expression)
    except ScheduleError:
        return 1000 * (perf_counter() - began)
    raise AssertionError(f"{expression!r} was taken for one that fires")
