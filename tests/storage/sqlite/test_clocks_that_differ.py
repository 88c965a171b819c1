"""Processes whose wall clocks are set, ahead or back, on one file: nothing is lost, and nothing happens twice.

Each app stands for a process, with a storage and a clock of its own.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import AttemptOutcome, Gusto, JobState, Options, call, every
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import VirtualClock

SECONDS = 10
STEPS = [timedelta(hours=1), timedelta(hours=-1), timedelta(days=40), timedelta(seconds=-5)]


class Node:
    """An app, the clock on its wall, and what it has run."""

    def __init__(self, path: Path, ran: list[int]) -> None:
        self.clock = VirtualClock()
        self.app = Gusto(
            SqliteStorage(path, inline=True),
            clock=self.clock,
            options=Options(concurrency=2, lease=30, retention=None),
        )
        self.ran = ran
        self.app.job(name="work")(self.work)

    async def work(self, number: int) -> int:
        await trio.sleep(1)
        self.ran.append(number)
        return number


@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("whose", [0, 1])
async def test_a_clock_that_is_set_loses_nothing_and_repeats_nothing(
    tmp_path: Path, autojump_clock: MockClock, step: timedelta, whose: int
) -> None:
    ran: list[int] = []
    nodes = [Node(tmp_path / "jobs.db", ran) for _ in range(2)]
    first, second = nodes
    async with first.app.running() as queue, second.app.running() as other:
        await queue.schedule(
            "beats", first.work, -1, trigger=every(SECONDS), overlap="allow", coalesce="all"
        )
        delayed = [call(first.work, number, execute_after=60) for number in range(5)]
        refs = [
            *await queue.enqueue_many(delayed),
            *await other.enqueue_many([call(second.work, number) for number in range(5, 10)]),
        ]
        await trio.sleep(0.5)  # some of them run
        nodes[whose].clock.step(step)
        await trio.sleep(120)
        nodes[whose].clock.step(-step)
        with trio.fail_after(4 * 3600):
            for number, ref in enumerate(refs):
                assert await ref.result() == number
        await queue.remove_schedule("beats")
        await trio.sleep(120)
        jobs = (await queue.find(limit=1000)).items
        attempts = {job.id: await queue.attempts(job) for job in jobs if job.fire_time is None}
    assert {job.state for job in jobs if job.fire_time is None} == {JobState.COMPLETED}
    # Of hours that were missed the newest hundred instants are made up for; a record tells of the others.
    assert {job.state for job in jobs} <= {JobState.COMPLETED, JobState.SKIPPED}
    for tries in attempts.values():
        assert [attempt.outcome for attempt in tries].count(AttemptOutcome.SUCCEEDED) == 1
    counted = Counter(number for number in ran if number >= 0)
    assert counted.keys() == set(range(10))
    lost = sum(len(tries) - 1 for tries in attempts.values())
    assert counted.total() <= 10 + lost, "what ran again had lost its lease"
    instants = sorted(job.fire_time for job in jobs if job.fire_time is not None)
    assert len({*instants}) == len(instants)
    assert all(
        not (later - earlier) % timedelta(seconds=SECONDS) for earlier, later in pairwise(instants)
    )
