"""Schedules run by apps: registered, edited, paused, fired by hand, under clocks that are set.

A producer performs the operations of a plan, two nodes fire and run jobs, and each of the three may die
at any transaction; for a while there may be nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal

import attrs
import trio
from hypothesis import strategies as st
from trio.testing import MockClock

from property_tests.acts import End, act, ends
from property_tests.dying import NODES, Death, Stage, deaths, serve
from property_tests.firing_rules import GRIDS, FiringRules
from property_tests.hearing import Hearing
from trio_gusto import (
    Gusto,
    JobQueue,
    Options,
    ScheduleError,
    Trigger,
    UnknownSchedule,
    every,
    every_after,
    fixed,
)
from trio_gusto.model.ids import to_uuid
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

PRODUCER = NODES
LONGEST_AWAY = 100
CALM = 70
"""Seconds of peace after which nothing may be due: the longest sleep, twice."""
ROUNDS = 100
"""Times that the end is waited for: a minute each, and then ten."""


@attrs.frozen
class Register:
    """A schedule, with what its jobs do. ``ends`` and ``begins`` are seconds from now."""

    name: str
    trigger: str | Trigger
    overlap: Literal["skip", "allow", "buffer_one", "cancel_other"] = "skip"
    coalesce: Literal["latest", "earliest", "all"] = "latest"
    grace: float | None = None
    max_catchup: int = 100
    jitter: float | None = None
    begins: float | None = None
    ends: float | None = None
    end: End = "ok"
    work: float = 0.0

    async def perform(self, play: SchedulePlay, queue: JobQueue) -> None:
        now = play.clock.now()
        starts = None if self.begins is None else now + timedelta(seconds=self.begins)
        until = None if self.ends is None else now + timedelta(seconds=self.ends)
        with suppress(ScheduleError):  # nothing happens in so short a window
            await queue.schedule(
                self.name,
                act,
                self.end,
                self.work,
                trigger=self.trigger,
                overlap=self.overlap,
                coalesce=self.coalesce,
                misfire_grace_time=self.grace,
                max_catchup=self.max_catchup,
                jitter=self.jitter,
                start=starts,
                end=until,
            )


@attrs.frozen
class Change:
    """Something is done to a schedule."""

    name: str
    what: Literal["pause", "resume", "catch up", "remove", "trigger"]

    async def perform(self, play: SchedulePlay, queue: JobQueue) -> None:
        before = play.rules.schedules.get(self.name)
        try:
            match self.what:
                case "pause":
                    await queue.pause_schedule(self.name)
                case "resume":
                    await queue.resume_schedule(self.name)
                case "catch up":
                    await queue.resume_schedule(self.name, catch_up=True)
                case "remove":
                    await queue.remove_schedule(self.name)
                case "trigger":
                    await queue.trigger_schedule(self.name)
        except UnknownSchedule:
            assert before is None, "a schedule that is kept is known"


@attrs.frozen
class Touch:
    """Something is done to a job."""

    pick: int
    what: Literal["cancel", "retry"]

    async def perform(self, play: SchedulePlay, queue: JobQueue) -> None:
        jobs = list(play.rules.words)
        if jobs:
            job = to_uuid(jobs[self.pick % len(jobs)])
            await (queue.cancel(job) if self.what == "cancel" else queue.retry(job))


@attrs.frozen
class StepClock:
    """Somebody sets the wall clock."""

    by: int

    async def perform(self, play: SchedulePlay, _queue: JobQueue) -> None:
        play.rules.see_clock()
        play.clock.step(self.by)


@attrs.frozen
class Pass:
    seconds: float

    async def perform(self, _play: SchedulePlay, _queue: JobQueue) -> None:
        await trio.sleep(self.seconds)


@attrs.frozen
class Anew:
    """A schedule is removed, the clock is set back, and it is registered as if there had been none."""

    register: Register

    async def perform(self, play: SchedulePlay, queue: JobQueue) -> None:
        await Change(self.register.name, "remove").perform(play, queue)
        await StepClock(-40).perform(play, queue)
        await self.register.perform(play, queue)


Operation = Register | Change | Touch | StepClock | Pass | Anew

names = st.sampled_from(["a", "a", "b"])
triggers: st.SearchStrategy[Any] = st.sampled_from(
    [*GRIDS, timedelta(seconds=7), every(31), every_after(11)]
)
registers = st.builds(
    Register,
    names,
    triggers,
    st.sampled_from(["skip", "allow", "buffer_one", "cancel_other"]),
    st.sampled_from(["latest", "earliest", "all"]),
    st.none() | st.none() | st.sampled_from([5.0, 40.0]),
    st.sampled_from([100, 100, 3, 1]),
    st.none() | st.none() | st.just(2.0),
    st.none() | st.none() | st.sampled_from([0.0, 20.0]),
    st.none() | st.none() | st.sampled_from([50.0, 200.0]),
    ends,
    st.sampled_from([0.0, 0.0, 4.0, 14.0, 40.0]),
)
operations: st.SearchStrategy[Operation] = st.one_of(
    registers,
    st.builds(Change, names, st.sampled_from(["pause", "resume", "catch up", "remove", "trigger"])),
    st.builds(Anew, registers),
    st.builds(Touch, st.integers(0, 20), st.sampled_from(["cancel", "retry"])),
    st.builds(StepClock, st.sampled_from([-4000, -20, -1, 1, 20, 4000])),
    st.builds(Pass, st.sampled_from([0.0, 1.0, 7.0, 20.0, 60.0, 150.0])),
    st.builds(Pass, st.sampled_from([7.0, 20.0, 60.0])),
)
plans = st.builds(
    lambda first, rest: [first, *rest], registers, st.lists(operations, min_size=1, max_size=10)
)
schedule_deaths = deaths(who=NODES + 1, away=(0, 0, 30, LONGEST_AWAY))


class SchedulePlay:
    """Plays a plan, and says what broke a law."""

    def __init__(self, storage: Storage) -> None:
        self.clock = VirtualClock()
        self.rules = FiringRules(self.clock)
        self.storage = Hearing(storage, self.rules)
        self.stage = Stage(self.storage, self._make)
        self.pending: deque[Operation] = deque()

    async def play(self, plan: Sequence[Operation], dying: Sequence[Death]) -> None:
        self.pending.extend(plan)
        fates = [[death for death in dying if death.node == who] for who in range(NODES + 1)]
        office = self._make(self.storage)  # so that there is always somebody, whoever dies
        async with trio.open_nursery() as nursery, office.connected() as queue:
            for fate in fates[:PRODUCER]:
                nursery.start_soon(self.stage.live, fate, Gusto.running, serve)
            await self.stage.live(fates[PRODUCER], Gusto.connected, self._produce)
            self.stage.peace.set()
            await trio.sleep(LONGEST_AWAY + CALM)
            self.rules.check_at_rest()
            for schedule in await queue.schedules():
                await queue.remove_schedule(schedule.name)
            for number in range(ROUNDS):
                await trio.sleep(60 if number < 10 else 600)
                if self.rules.all_have_ended:
                    break
            nursery.cancel_scope.cancel()
        assert self.rules.all_have_ended, "every job of a schedule ends"
        violations = self.storage.violations
        assert not violations, "\n".join(violations)

    def _make(self, storage: Storage) -> Gusto:
        options = Options(
            concurrency=3,
            drain_timeout=1,
            lease=10,
            retention=None,
            default_timeout=60,
            default_max_attempts=3,
            default_retry=fixed(2),
        )
        app = Gusto(storage, clock=self.clock, options=options)
        app.job(name="act")(act)
        return app

    async def _produce(self, queue: JobQueue) -> None:
        while self.pending:
            await self.pending.popleft().perform(self, queue)


def play(make: Callable[[], Storage], plan: Sequence[Operation], dying: Sequence[Death]) -> None:
    """Play a plan in virtual time, on a storage of its own."""
    trio.run(SchedulePlay(make()).play, plan, dying, clock=MockClock(autojump_threshold=0))
