"""What the whole scheduler is asked for beside single jobs: batches, continuations and schedules."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal

import attrs
from hypothesis import strategies as st

from property_tests.node import Promise, Spec
from property_tests.specs import picks, specs
from property_tests.world import Door, World
from trio_gusto import Trigger, UnknownSchedule, every, every_after
from trio_gusto.model.errors import BatchError
from trio_gusto.model.ids import JobId, to_uuid
from trio_gusto.queue.open_batch import OpenBatch

On = Literal["success", "failure", "finish"]


@attrs.frozen
class Content:
    """What is put into a batch: jobs, and those who wait for all of it."""

    members: tuple[Spec, ...] = ()
    followers: tuple[tuple[On, Spec], ...] = ()

    def fill(self, world: World, door: Door, batch: OpenBatch) -> list[Promise]:
        promises: list[Promise] = []
        for spec in self.members:
            promises.append(world.promise(spec))
            batch.enqueue(door.play, promises[-1].key, **spec.options())
        for on, spec in self.followers:
            promises.append(world.promise(spec))
            batch.continue_with(door.play, promises[-1].key, on=on, **spec.options())
        return promises


@attrs.frozen
class OpenABatch:
    content: Content
    door: int = 0

    async def perform(self, world: World) -> None:
        door = world.pick_door(self.door)
        promises: list[Promise] = []

        async def speak() -> None:
            async with door.queue.batch() as batch:
                promises.extend(self.content.fill(world, door, batch))

        world.keep(promises, stored=await world.attempt(speak))


@attrs.frozen
class AppendToABatch:
    pick: int
    content: Content
    reopen: bool = False
    door: int = 0

    async def perform(self, world: World) -> None:
        batch = pick(self.pick, list(world.waiting.members))
        if batch is None:
            return
        door = world.pick_door(self.door)
        promises: list[Promise] = []

        async def speak() -> None:
            async with door.queue.append_to(to_uuid(batch), reopen=self.reopen) as more:
                promises.extend(self.content.fill(world, door, more))

        with suppress(BatchError):
            stored = await world.attempt(speak)
            world.keep(promises, stored=stored)


@attrs.frozen
class CancelABatch:
    pick: int
    door: int = 0

    async def perform(self, world: World) -> None:
        batch = pick(self.pick, list(world.waiting.members))
        if batch is None:
            return
        door = world.pick_door(self.door)
        members = [world.witness.jobs[member] for member in world.waiting.members[batch]]
        before = [(job, job.generation) for job in members]
        if await world.attempt(door.queue.batch_ref(to_uuid(batch)).cancel):
            for job, generation in before:
                unended = job.state != "completed"
                if unended and job.generation == generation:
                    world.promises[job.key].called_off = True


@attrs.frozen
class Follow:
    """Somebody waits for jobs and batches."""

    jobs: tuple[int, ...]
    batches: tuple[int, ...]
    on: On
    spec: Spec
    door: int = 0

    async def perform(self, world: World) -> None:
        found = [pick(one, list(world.witness.jobs)) for one in self.jobs]
        found += [pick(one, list(world.waiting.members)) for one in self.batches]
        parents = [to_uuid(one) for one in found if one is not None]
        if not parents:
            return
        door, promise = world.pick_door(self.door), world.promise(self.spec)
        stored = await world.attempt(
            lambda: door.queue.continue_with(
                parents, door.play, promise.key, on=self.on, **self.spec.options()
            )
        )
        world.keep([promise], stored=stored)


@attrs.frozen
class Register:
    name: str
    trigger: timedelta | Trigger
    overlap: Literal["skip", "allow", "buffer_one", "cancel_other"]
    coalesce: Literal["latest", "earliest", "all"]
    grace: float | None
    work: float
    door: int = 0

    async def perform(self, world: World) -> None:
        door = world.pick_door(self.door)
        await world.attempt(
            lambda: door.queue.schedule(
                self.name,
                door.tick,
                self.work,
                trigger=self.trigger,
                overlap=self.overlap,
                coalesce=self.coalesce,
                misfire_grace_time=self.grace,
            )
        )


@attrs.frozen
class ChangeASchedule:
    name: str
    what: Literal["pause", "resume", "remove", "trigger"]
    door: int = 0

    async def perform(self, world: World) -> None:
        queue = world.pick_door(self.door).queue
        verb: Any = {
            "pause": queue.pause_schedule,
            "resume": queue.resume_schedule,
            "remove": queue.remove_schedule,
            "trigger": queue.trigger_schedule,
        }[self.what]
        with suppress(UnknownSchedule):
            await world.attempt(lambda: verb(self.name))


def pick(number: int, among: Sequence[JobId]) -> JobId | None:
    return among[number % len(among)] if among else None


ons = st.sampled_from(["success", "failure", "finish"])
contents = st.builds(
    Content,
    st.lists(specs, max_size=3).map(tuple),
    st.lists(st.tuples(ons, specs), max_size=2).map(tuple),
)
names = st.sampled_from(["tills", "ledger"])
registers = st.builds(
    Register,
    names,
    st.sampled_from([timedelta(minutes=10), every(97), every_after(50)]),
    st.sampled_from(["skip", "allow", "buffer_one", "cancel_other"]),
    st.sampled_from(["latest", "earliest", "all"]),
    st.none() | st.sampled_from([5.0, 200.0]),
    st.sampled_from([0.0, 3.0, 15.0]),
    picks,
)
dealings = (
    st.builds(OpenABatch, contents, picks)
    | st.builds(AppendToABatch, picks, contents, st.booleans(), picks)
    | st.builds(CancelABatch, picks, picks)
    | st.builds(
        Follow,
        st.lists(picks, max_size=2).map(tuple),
        st.lists(picks, max_size=1).map(tuple),
        ons,
        specs,
        picks,
    )
    | registers
    | st.builds(ChangeASchedule, names, st.sampled_from(["pause", "resume", "remove", "trigger"]))
)
