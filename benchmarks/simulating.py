"""What a simulation takes of real time: a full day of several nodes, and a month of schedules."""

from __future__ import annotations

import random
from datetime import timedelta
from time import perf_counter

import trio

from trio_gusto import Gusto, JobFinished, Options
from trio_gusto.testing import World, simulate

from .scale import Scale

DAY = timedelta(days=1)
SCHEDULES = 50
"""Of the day, each once an hour."""

DAYS = 30


def day_seconds(scale: Scale) -> float:
    """A day of 3 nodes with 50 hourly schedules and a tenth of ``scale.jobs`` jobs."""
    jobs = scale.jobs // 10
    app = _app()

    @app.job
    async def work(seconds: float) -> None:
        await trio.sleep(seconds)

    async def day(world: World) -> None:
        chance = random.Random(1)
        for minute in range(SCHEDULES):
            await world.queue.schedule(f"at {minute}", work, 1.0, trigger=f"0 {minute} * * * *")
        for _ in range(jobs):
            due = DAY * chance.random() * 0.99
            await world.queue.enqueue(work, 30 * chance.random(), execute_after=due)
        await world.advance(DAY)

    began = perf_counter()
    history = simulate(day, app, seed=1, nodes=3)
    took = perf_counter() - began
    assert len(history.of(JobFinished)) >= jobs + 23 * SCHEDULES
    return took


def month_seconds(scale: Scale) -> float:
    """30 days of one node with so many nightly schedules."""
    app = _app()
    count = scale.schedules * 3 // 10

    @app.job
    async def nightly() -> None:
        await trio.sleep(1)

    async def month(world: World) -> None:
        for number in range(count):
            trigger = f"0 {number % 60} {number % 24} * * *"
            await world.queue.schedule(f"nightly {number}", nightly, trigger=trigger)
        await world.advance(days=DAYS)

    began = perf_counter()
    history = simulate(month, app, seed=1)
    took = perf_counter() - began
    assert len(history.of(JobFinished)) >= count * (DAYS - 1)
    return took


def _app() -> Gusto:
    return Gusto(options=Options(concurrency=4))
