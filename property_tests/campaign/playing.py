"""Plays the acts of a plan in a world, and writes into the book what callers were told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import attrs
import trio

from trio_gusto import GustoError, JobQueue, JobRef, JobState, RateLimit, call, exponential
from trio_gusto.testing import World

from .answers import NothingToDo, Question, Tally
from .book import ALL, AskedSchedule, Book
from .errands import errand_of
from .looking import ENDED, Looker
from .plans import CLIENT, CLOCK_ERROR, Act
from .service import BACKOFF, LONGEST_RETRY, PLAIN, RETRY, TOKEN_EVERY, Service, Spec

P = TypeVar("P", UUID, str)

LIVE = {state for state in JobState if not state.is_ended}
RETRIABLE = {JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}

PATIENCE = 40.0
"""Seconds that a caller waits for an answer."""

SLOW_LANES = 18
"""Hours that a line of jobs may take that all time out, again and again."""

EXACT = 1e-5
"""Seconds below which a clock is right."""

HOURS = 1000.0
"""Seconds for which no storage is broken: it would be tried all the time, and nothing else happens."""

BUSY = 200
"""Instants of a schedule in one act, at most."""


class Player:
    """One world, and what befalls it."""

    def __init__(
        self, world: World, book: Book, service: Service, looker: Looker, tally: Tally
    ) -> None:
        self.world = world
        self.looker = looker
        self.tally = tally
        self.book = book
        self.service = service
        self.jobs: list[UUID] = []
        self.batches: list[UUID] = []
        self.schedules: list[str] = []
        self.armed: dict[str, set[str]] = {node: set() for node in world.nodes}
        self.calm_since = 0.0
        self._question = Question(book, "nothing")

    async def act(self, act: Act) -> None:
        """Do what an act says, as far as it makes sense by now, and look at what has come of it.

        Raises:
            LawBroken: nobody has answered, or somebody was refused, and there is no reason for it; or
                what is to be seen cannot be so.
        """
        name, *arguments = act
        await self._keep_clocks_in_bounds(arguments[0] if name == "advance" else 0.0)
        question = self._question = Question(self.book, name)
        try:
            with trio.move_on_after(PATIENCE) as patience:
                await getattr(self, f"_{name}")(*arguments)
        except NothingToDo:
            self.tally.idle[name] += 1
        except (GustoError, trio.ClosedResourceError) as error:
            await question.judge_refusal(error, self.looker.queue, self.world)
            self.tally.refused[type(error).__name__] += 1
        else:
            if patience.cancelled_caught:
                question.judge_silence()
                self.tally.unanswered[name] += 1
            else:
                self.tally.done[name] += 1
        await self.looker.look()

    def queue(self, who: int) -> JobQueue:
        """Of the client, or of that node if it runs."""
        node = None if who == CLIENT else self.node(who)
        if node not in self.world.running:
            return self.world.queue
        self._question.ask_as(node)
        return self.world.queue_of(node)

    def node(self, number: int) -> str:
        return self.world.nodes[number % len(self.world.nodes)]

    # --- jobs ---

    async def _enqueue(self, who: int, script: Sequence[str], options: Spec) -> None:
        spec = self._spec(script, options)
        await self._ask(who, spec, partial(self.queue(who).enqueue, self._fn(spec), spec))

    async def _many(self, who: int, count: int, script: Sequence[str], options: Spec) -> None:
        began, spec = self.book.time(), self._spec(script, options)
        fn, asked = self._fn(spec), _options(spec)
        calls = [call(fn, spec, **asked) for _ in range(count)]
        for ref in await self.queue(who).enqueue_many(calls):
            self._acknowledge(ref, spec, began, who)

    async def _after(
        self, who: int, parents: Sequence[int], on: str, script: Sequence[str], options: Spec
    ) -> None:
        choice = [*self.batches, *self.jobs]
        ids = list(dict.fromkeys(_picked(choice, parent) for parent in parents))
        spec = self._spec(script, options) | {"parents": [*map(str, ids)], "on": on}
        self._question.named = tuple(ids)
        continue_with: Any = self.queue(who).continue_with
        await self._ask(who, spec, partial(continue_with, ids, self._fn(spec), spec, on=on))

    async def _ask(self, who: int, spec: Spec, ask: Callable[..., Awaitable[JobRef[Any]]]) -> None:
        began = self.book.time()
        ref = await ask(**_options(spec))
        if ref.id in self.book.asked or await self._is_anothers(ref, spec):
            return  # another one has its unique key
        self._acknowledge(ref, spec, began, who)

    async def _is_anothers(self, ref: JobRef[Any], spec: Spec) -> bool:
        """Whether it was there before, asked for by somebody who has heard of nothing."""
        if spec.get("on_conflict") != "return_existing":
            return False
        job = await self.looker.queue.get(ref.id)
        return job is None or job.args != (spec,)

    def _acknowledge(self, ref: JobRef[Any], spec: Spec, began: float, who: int) -> None:
        self.jobs.append(ref.id)
        self.book.ask(ref.id, spec, began, by_client=who == CLIENT)

    async def _batch(self, who: int, scripts: Sequence[Sequence[str]], on: str | None) -> None:
        began, jobs = self.book.time(), list[tuple[JobRef[Any], Spec]]()
        after: tuple[JobRef[Any], Spec] | None = None
        async with self.queue(who).batch() as batch:
            for script in scripts:
                spec = self._spec(script, {})
                jobs.append((batch.enqueue(self.service.play, spec), spec))
            if on is not None:
                spec = self._spec(["ok"], {}) | {"parents": [str(batch.id)], "on": on}
                follow: Any = batch.continue_with
                after = follow(self.service.play, spec, on=on), spec
        self.batches.append(batch.id)
        self.book.batches[batch.id] = {ref.id for ref, _ in jobs}
        for ref, spec in [*jobs, *([after] if after else [])]:
            self._acknowledge(ref, spec, began, who)

    async def _append(self, who: int, number: int, script: Sequence[str]) -> None:
        batch_id = _picked(self.batches, number)
        self._question.named = (batch_id,)
        began, spec = self.book.time(), self._spec(script, {})
        async with self.queue(who).append_to(batch_id) as batch:
            ref = batch.enqueue(self.service.play, spec)
        self.book.batches[batch_id].add(ref.id)
        self._acknowledge(ref, spec, began, who)

    async def _cancel(self, who: int, number: int) -> None:
        job = self._job(number, LIVE)
        self.book.called_off.add(job)
        if not await self.queue(who).cancel(job, "an act says so"):
            raise NothingToDo

    async def _retry(self, who: int, number: int) -> None:
        job = self._job(number, RETRIABLE)
        self.book.retried[job] += 1
        if not await self.queue(who).retry(self.world.queue.ref(job)):
            raise NothingToDo

    def _job(self, number: int, states: Container[JobState]) -> UUID:
        """One that was acknowledged, about which something is asked; in one of these states if there is any."""
        seen = self.looker.present
        fitting = [job for job in self.jobs if job in seen and seen[job].state in states]
        job = _picked(fitting or self.jobs, number)
        self._question.named, self._question.spec = (job,), self.book.asked[job].spec
        return job

    def _spec(self, script: Sequence[str], options: Spec) -> Spec:
        snoozes_until = self.book.time() + 60
        spec = {**PLAIN, **options, "script": [*script], "snoozes_until": snoozes_until}
        self._question.spec = spec
        return spec

    def _fn(self, spec: Spec) -> Any:
        return self.service.toil if spec.get("thread") else self.service.play

    # --- schedules and pauses ---

    async def _schedule(
        self, who: int, period: float | str, overlap: Any, coalesce: Any, script: Sequence[str]
    ) -> None:
        name = f"schedule-{len(self.schedules)}"
        self.schedules.append(name)
        seconds = None if isinstance(period, str) else float(period)
        known = AskedSchedule(seconds, overlap, coalesce, self.book.time())
        trigger = "0 */5 * * * *" if seconds is None else timedelta(seconds=seconds)
        self.book.schedules[name] = known
        await self.queue(who).schedule(
            name,
            self.service.play,
            self._spec(script, {}),
            trigger=trigger,
            overlap=overlap,
            coalesce=coalesce,
            max_catchup=1000,
        )
        known.is_stored = True

    def _named(self, number: int) -> str:
        name = self._question.schedule = _picked(self.schedules, number)
        return name

    async def _unschedule(self, number: int) -> None:
        name = self._named(number)
        known = self.book.schedules[name]
        if known.ended is None:
            known.ended = self.book.time()  # if it is refused, what comes later is not judged
        await self.world.queue.remove_schedule(name)

    async def _pause_schedule(self, number: int) -> None:
        name = self._named(number)
        self.book.schedules[name].was_paused = True
        await self.world.queue.pause_schedule(name)

    async def _resume_schedule(self, number: int, catch_up: bool) -> None:
        await self.world.queue.resume_schedule(self._named(number), catch_up=catch_up)

    async def _trigger(self, number: int) -> None:
        await self.world.queue.trigger_schedule(self._named(number))

    async def _pause_queue(self, who: int, name: str) -> None:
        self.book.touched.add(name)
        await self.queue(who).pause(queue=name, reason="an act says so")
        self.book.paused[name] = self.book.time()

    async def _resume_queue(self, who: int, name: str) -> None:
        if name not in self.book.touched:
            raise NothingToDo
        self.book.paused.pop(name, None)
        await self.queue(who).resume(queue=name)

    # --- time, nodes, weather, clocks ---

    async def _advance(self, seconds: float) -> None:
        if seconds > HOURS:
            await self.act(("clear",))
        with trio.CancelScope(shield=True):  # patience is for answers
            for number, name in enumerate(self.schedules):
                known = self.book.schedules[name]
                if known.ended is None and seconds > BUSY * (known.period or 300):
                    await self.act(("unschedule", number))
            await self.world.advance(seconds)

    async def _crash(self, number: int, point: str | None, noticed: bool) -> None:
        await self.world.crash(self._running(number, point), at=point, noticed=noticed)

    async def _stop(self, number: int, point: str | None) -> None:
        await self.world.pause(self._running(number, point), at=point)

    def _running(self, number: int, point: str | None) -> str:
        """A node, which something is to befall; at a point, if that is given."""
        node = self.node(number)
        if node not in self.world.running:
            raise NothingToDo
        if point is not None:
            self.armed[node].add(point)
        return node

    async def _go_on(self, number: int) -> None:
        node = self.node(number)
        if node not in self.book.still:
            node = _picked(sorted(self.book.still), number)
        await self.world.resume(node)

    async def _restart(self, number: int) -> None:
        node = self.node(number)
        self._question.ask_as(node)
        self.armed[node].clear()
        await self.world.restart(node)

    async def _drain(self, number: int) -> None:
        node = self.node(number)
        if node not in self.world.running or self.armed[node]:
            raise NothingToDo
        self._question.ask_as(node)
        self.book.shake(node)
        await self.world.drain(node)

    async def _fail(self, stage: str, number: int | None, after: bool, times: int) -> None:
        node = None if number is None else self.node(number)
        self.world.storage.fail_next(on=stage, after_commit=after, node=node, times=times)

    async def _slow(self, number: int | None, seconds: float, on: str = "apply") -> None:
        node = None if number is None else self.node(number)
        self.book.slow.add(node or ALL)
        self.world.storage.slow(seconds, on=on, node=node)

    async def _locked(self, number: int | None) -> None:
        self.world.storage.locked(node=None if number is None else self.node(number))

    async def _full(self, number: int) -> None:
        self.world.storage.full(node=self.node(number))

    async def _clear(self) -> None:
        if self.world.storage.is_fine:
            raise NothingToDo
        for node in self.book.slow:
            self.book.shake(node)
        self.book.slow.clear()
        self.world.storage.clear()

    async def _clock(self, number: int, error: float) -> None:
        node = self.node(number)
        known = self.book.clock_of(node)
        if abs(error - known.by) < EXACT:
            raise NothingToDo
        await self.world.step_clock(node, error - known.by)
        self.book.clocks[node] = attrs.evolve(known, by=error)

    async def _drift(self, number: int, rate: float) -> None:
        node = self.node(number)
        known = self.book.clock_of(node)
        if rate == known.rate:
            raise NothingToDo
        await self.world.drift_clock(node, rate)
        self.book.clocks[node] = attrs.evolve(known, rate=rate)

    async def _keep_clocks_in_bounds(self, seconds: float) -> None:
        """Let no clock drift any more that would be too far off after so long, and what is done beside."""
        until = self.book.time() + seconds + 2 * PATIENCE
        for number, node in enumerate(self.world.nodes):
            known = self.book.clock_of(node)
            if known.rate and abs(known.at(until)) > CLOCK_ERROR:
                await self._drift(number, 0.0)

    # --- the end ---

    async def lead(self, point: str) -> None:
        """Have the first node crash at a kill point, with nobody else about who would come first."""
        first, *others = range(len(self.world.nodes))
        before, errand = errand_of(point)
        acts: list[Act] = [("clear",)]
        if self.node(first) not in self.world.running:
            acts.append(("restart", first))
        acts.append(("crash", first, point, False))
        if before:
            acts += [("stop", first, None), *before, ("go_on", first)]
        acts += [("stop", other, None) for other in others]
        acts += errand
        acts += [("go_on", other) for other in others]
        for act in acts:
            await self.act(act)

    async def calm_down(self, *, keeps_pauses: bool) -> None:
        """Everything is well again, and everything that is due has its time.

        What it takes for that is no part of the plan, and is not counted.
        """
        self.tally = Tally()
        await self.act(("clear",))
        for number, node in enumerate(self.world.nodes):
            await self.act(("drift", number, 0.0))
            await self.act(("clock", number, 0.0))
            if node not in self.world.running or self.armed[node]:
                await self.act(("restart", number))
        self.calm_since = self.book.time()
        for name in sorted(self.book.touched):  # a pause may be stored of which nobody has heard
            if not keeps_pauses or name not in self.book.paused:
                await self.act(("resume_queue", CLIENT, name))
        await self.act(("advance", 600))
        for number in range(len(self.schedules)):
            await self.act(("unschedule", number))
        for _ in range(SLOW_LANES):
            await self.act(("advance", 3600))
            live = [job for job in self.looker.present.values() if job.state not in ENDED]
            if {job.queue for job in live} <= self.book.paused.keys():
                break


def _picked(choice: Sequence[P], number: int) -> P:
    """One of those there are.

    Raises:
        NothingToDo: there is none.
    """
    if not choice:
        raise NothingToDo
    return choice[number % len(choice)]


def _options(spec: Spec) -> dict[str, Any]:
    own = {*PLAIN, "parents", "on", "thread", "backoff"}
    asked = {key: value for key, value in spec.items() if key not in own}
    if "backoff" in spec:
        asked["retry"] = exponential(RETRY, BACKOFF, LONGEST_RETRY, spec["backoff"])
    if "rate_key" in asked:
        asked["rate_limit"] = RateLimit(1, per=TOKEN_EVERY)
    if "unique_key" not in asked:
        asked.pop("on_conflict", None)
    return asked
