"""A house where ended jobs are kept for so long and no longer, watched before and after each round.

Rounds come every five minutes from the start of the app. Whatever is done, is done ten seconds past a
multiple of twenty, and every period is a multiple of twenty seconds; so at a round nothing is on the edge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import attrs
import trio

from trio_gusto import (
    Cancel,
    Gusto,
    Job,
    JobQueue,
    JobState,
    Keep,
    Options,
    Retention,
    every,
    no_retry,
)
from trio_gusto.model.errors import UnknownJob
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

ROUND = 300.0
BEAT = 20
EDGE = 5.0
"""Seconds before and after a round at which is looked."""

FRESH = 900.0
"""Seconds after which rules look at all again, also at what was needed once; shorter than it is, to be met."""

Kind = Literal["ok", "fail", "cancel", "expire"]


@attrs.frozen
class Work:
    """A job, how it ends, and after how many beats it begins."""

    kind: Kind = "ok"
    later: int = 0
    tenant: str = ""
    tags: frozenset[str] = frozenset()


@attrs.frozen
class Enqueue:
    """Jobs: each for itself, or as a ``batch``, which somebody may ``follow``."""

    works: tuple[Work, ...]
    batch: bool = False
    follow: bool = False


@attrs.frozen
class Follow:
    """A job that waits for one or two others."""

    parents: tuple[int, ...]
    work: Work


@attrs.frozen
class Again:
    """A job is run again by hand."""

    pick: int


@attrs.frozen
class Repeat:
    """A schedule; its jobs take ``beats``, so that they may be in each other's way."""

    beats: int


Act = Enqueue | Follow | Again | Repeat


@attrs.frozen
class Rule:
    """`Keep`, in beats."""

    beats: int | None
    states: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()

    def made(self) -> Keep:
        return Keep(
            None if self.beats is None else timedelta(seconds=self.beats * BEAT),
            states=self.states,
            tenants=self.tenants,
            tags=self.tags,
        )

    def fits(self, job: Job) -> bool:
        return (
            (not self.states or job.state.value in self.states)
            and (not self.tenants or job.tenant in self.tenants)
            and (not self.tags or any(tag in self.tags for tag in job.tags))
        )


@attrs.frozen
class Plan:
    """``default`` and ``rules``, in beats, and how many jobs are looked at in one go."""

    default: int | None
    rules: tuple[Rule, ...] = ()
    slice_of: int = 500

    def made(self) -> Retention:
        default = None if self.default is None else timedelta(seconds=self.default * BEAT)
        return Retention(default, rules=[rule.made() for rule in self.rules])

    def beats_of(self, job: Job) -> int | None:
        for rule in self.rules:
            if rule.fits(job):
                return rule.beats
        return self.default


@attrs.frozen
class Moment:
    """What is there."""

    at: datetime
    jobs: dict[UUID, Job]


class House:
    """An app on a storage, what it is asked for, and the laws of keeping."""

    def __init__(
        self, storage: Storage, plan: Plan, there: Callable[[], set[str]] | None = None
    ) -> None:
        self.clock = VirtualClock()
        self.plan = plan
        self.there = there
        """Where there is an archive: the ids of what is in the main file. The newest stays there."""
        options = Options(
            concurrency=50, retention=plan.made(), queues=["default"], default_retry=no_retry()
        )
        self.app = Gusto(storage, clock=self.clock, options=options)
        self.do = self.app.job(name="do")(self._do)
        self.queue: JobQueue
        self.known: list[UUID] = []
        self.schedules = 0
        self.awaits: dict[UUID, UUID] = {}
        """Which batch a job follows."""
        self.needed: dict[UUID, datetime] = {}
        """When somebody was last seen to need a job that was old enough."""
        self.moved: dict[UUID, Job] = {}
        """What is no longer where it was, as it was last."""

    async def _do(self, kind: Kind, seconds: int = 0) -> None:
        await trio.sleep(seconds)
        if kind == "fail":
            raise ValueError("of no use")
        if kind == "cancel":
            raise Cancel("not wanted")

    async def run(self, acts: Sequence[Sequence[Act]], rounds: int) -> None:
        """Those of the first list after the first round, and so on."""
        async with self.app.running() as self.queue:
            start = trio.current_time()
            for number in range(1, rounds + 1):
                for place, act in enumerate(acts[number - 1] if number <= len(acts) else ()):
                    at = start + (number - 1) * ROUND + BEAT * (place + 1) + BEAT / 2
                    await trio.sleep_until(at)
                    await act_on(self, act)
                await trio.sleep_until(start + number * ROUND - EDGE)
                before = await self.look()
                await trio.sleep_until(start + number * ROUND + EDGE)
                after = await self.look()
                self.check(before, after)
                await self.check_counts(after)
            await self.check_what_is_gone()

    async def look(self) -> Moment:
        jobs = {job.id: job for job in (await self.queue.find(limit=1000)).items}
        if self.there is not None:
            here = self.there()
            jobs = {job_id: job for job_id, job in jobs.items() if str(job_id) in here}
        return Moment(self.clock.now(), jobs)

    # --- the laws -----------------------------------------------------------------------------

    def check(self, before: Moment, after: Moment) -> None:
        """Between the two there was one round, and nothing else."""
        gone = before.jobs.keys() - after.jobs.keys()
        for job_id, job in before.jobs.items():
            old, needed = self.is_old(job, before), self.is_needed(job, before)
            if job_id in gone:
                assert job.state.is_ended, f"nothing live is removed: {job}"
                assert old, f"nothing goes before its time: {job}, {before.at}"
                assert not needed, f"what somebody needs is kept: {job}"
                self.moved[job_id] = job
            elif old and needed:
                self.needed[job_id] = before.at
            elif old:
                self.check_patience(job, before)
        born = after.jobs.keys() - before.jobs.keys()
        assert not born, f"nothing comes back: {born}"

    def is_old(self, job: Job, moment: Moment) -> bool:
        beats = self.plan.beats_of(job)
        return (
            job.state.is_ended
            and job.ended_at is not None
            and beats is not None
            and moment.at - job.ended_at > timedelta(seconds=beats * BEAT)
        )

    def is_needed(self, job: Job, moment: Moment) -> bool:
        jobs = moment.jobs.values()
        live = [other for other in jobs if not other.state.is_ended]
        waiting = [other for other in live if other.state == "waiting"]
        of_schedule = [
            other
            for other in jobs
            if other.schedule_name == job.schedule_name and other.state != "skipped"
        ]
        return (
            any(job.id in other.parent_ids for other in waiting)
            or (job.batch_id is not None and any(o.batch_id == job.batch_id for o in live))
            or (
                job.batch_id is not None
                and any(self.awaits.get(o.id) == job.batch_id for o in waiting)
            )
            or (job.schedule_name is not None and job is newest(of_schedule))
            or (self.there is not None and job is next(iter(moment.jobs.values())))
        )

    def check_patience(self, job: Job, moment: Moment) -> None:
        """It is old, needed by nobody, and there: only a rule may not have looked again yet."""
        may_be_late = bool(self.plan.rules) and (job.id in self.needed or self.plan.slice_of < 500)
        beats = self.plan.beats_of(job)
        assert beats is not None
        assert job.ended_at is not None
        since = job.ended_at + timedelta(seconds=beats * BEAT)
        since = max(since, self.needed.get(job.id, since))
        patience = FRESH + ROUND if may_be_late else 0.0
        assert moment.at - since <= timedelta(seconds=patience + 2 * EDGE + ROUND * may_be_late), (
            f"what is old goes with the next round: {job}, {moment.at}"
        )

    async def check_counts(self, moment: Moment) -> None:
        counted = {state: n for state, n in (await self.queue.stats()).by_state.items() if n}
        there = Counter(job.state for job in moment.jobs.values())
        assert counted == there, f"counts agree: {counted}, {there}"
        batches = {status.id for status in (await self.queue.batches(limit=100)).items}
        kept = {job.batch_id for job in moment.jobs.values() if job.batch_id is not None}
        assert batches == kept, f"a batch goes with its last job: {batches}, {kept}"

    async def check_what_is_gone(self) -> None:
        here = (await self.look()).jobs
        for job_id, job in self.moved.items():
            if job_id in here:
                continue  # it ran again
            found = await self.queue.get(job_id)
            wanted = None if self.there is None else job
            assert found == wanted, f"what has gone is gone, or as it was: {found}, {wanted}"


def newest(jobs: Sequence[Job]) -> Job | None:
    return max(jobs, key=lambda job: (job.fire_time, job.id.bytes), default=None)


async def act_on(house: House, act: Act) -> None:
    queue = house.queue
    match act:
        case Enqueue(works, batch=False):
            for work in works:
                house.known.append((await queue.enqueue(house.do, work.kind, **options(work))).id)
        case Enqueue(works):
            async with queue.batch() as batch:
                refs = [batch.enqueue(house.do, work.kind, **options(work)) for work in works]
                follower = batch.continue_with(house.do, "ok", on="finish") if act.follow else None
            house.known += [ref.id for ref in refs]
            if follower is not None:
                house.awaits[follower.id] = batch.id
                house.known.append(follower.id)
        case Follow(parents, work):
            chosen = {house.known[pick % len(house.known)] for pick in parents if house.known}
            there = [one for one in (await house.look()).jobs if one in chosen]
            if there:
                child = await queue.continue_with(
                    there, house.do, work.kind, on="finish", **options(work)
                )
                house.known.append(child.id)
        case Again(pick):
            if house.known:
                with suppress(UnknownJob):
                    await queue.retry(house.known[pick % len(house.known)])
        case Repeat(beats):
            house.schedules += 1
            await queue.schedule(
                f"schedule-{house.schedules}", house.do, "ok", beats * BEAT, trigger=every(ROUND)
            )


def options(work: Work) -> dict[str, Any]:
    given: dict[str, Any] = {"tenant": work.tenant, "tags": sorted(work.tags)}
    if work.kind == "expire":
        given |= {"queue": "served by nobody", "expire_on": (1 + work.later) * BEAT}
    elif work.later:
        given["execute_after"] = work.later * BEAT
    return given


STATES = [state.value for state in JobState if state.is_ended]
