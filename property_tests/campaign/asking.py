"""`Asking`: the acts that ask for jobs, schedules and pauses, and what callers were told, for the book."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from trio_gusto import JobRef, JobState, RateLimit, call, exponential

from .acting import Acting, picked
from .answers import NothingToDo
from .book import AskedSchedule
from .plans import CLIENT
from .service import BACKOFF, LONGEST_RETRY, PLAIN, RETRY, TOKEN_EVERY, Spec

LIVE = {state for state in JobState if not state.is_ended}
RETRIABLE = {JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}


class Asking(Acting):
    """Mixed into `Player`."""

    # --- jobs ---

    async def _enqueue(self, who: int, script: Sequence[str], options: Spec) -> None:
        spec = self._spec(script, options)
        await self._ask(who, spec, partial(self.queue(who).enqueue, self._fn(spec), spec))

    async def _many(self, who: int, count: int, script: Sequence[str], options: Spec) -> None:
        began, spec = self.book.time(), self._spec(script, options)
        fn, asked = self._fn(spec), self._options(spec)
        calls = [call(fn, spec, **asked) for _ in range(count)]
        for ref in await self.queue(who).enqueue_many(calls):
            self._acknowledge(ref, spec, began, who)

    async def _after(
        self, who: int, parents: Sequence[int], on: str, script: Sequence[str], options: Spec
    ) -> None:
        choice = [*self.batches, *self.jobs]
        ids = list(dict.fromkeys(picked(choice, parent) for parent in parents))
        spec = self._spec(script, options) | {"parents": [*map(str, ids)], "on": on}
        self._question.named = tuple(ids)
        continue_with: Any = self.queue(who).continue_with
        await self._ask(who, spec, partial(continue_with, ids, self._fn(spec), spec, on=on))

    async def _ask(self, who: int, spec: Spec, ask: Callable[..., Awaitable[JobRef[Any]]]) -> None:
        began = self.book.time()
        ref = await ask(**self._options(spec))
        if ref.id in self.book.asked or await self._is_anothers(ref, spec):
            raise NothingToDo  # another one has its unique key
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
        batch_id = picked(self.batches, number)
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
        job = picked(fitting or self.jobs, number)
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
        name = self._question.schedule = picked(self.schedules, number)
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

    def _options(self, spec: Spec) -> dict[str, Any]:
        own = {*PLAIN, "parents", "on", "thread", "backoff"}
        asked = {key: value for key, value in spec.items() if key not in own}
        if "callback" in spec:
            asked["callback"] = self.service.play
        if "backoff" in spec:
            asked["retry"] = exponential(RETRY, BACKOFF, LONGEST_RETRY, spec["backoff"])
        if "rate_key" in asked:
            asked["rate_limit"] = RateLimit(1, per=TOKEN_EVERY)
        if "unique_key" not in asked:
            asked.pop("on_conflict", None)
        return asked
