"""What may happen to the whole scheduler: one class for each kind of operation, and how to draw them."""

from __future__ import annotations

from typing import Literal

import attrs
import trio
from hypothesis import strategies as st

from property_tests.dealings import dealings, registers
from property_tests.node import LEASE, Spec
from property_tests.specs import picks, specs
from property_tests.world import World
from trio_gusto import StorageBusy
from trio_gusto.testing import Fault


@attrs.frozen
class Enqueue:
    specs: tuple[Spec, ...]
    door: int = 0
    many: bool = False

    async def perform(self, world: World) -> None:
        await world.enqueue(self.specs, self.door, many=self.many)


@attrs.frozen
class Pass:
    """Time passes."""

    seconds: float

    async def perform(self, world: World) -> None:
        await trio.sleep(self.seconds)


@attrs.frozen
class PassTo:
    """Time passes exactly to the next instant of a kind."""

    what: Literal["due", "lease", "expiry"]

    async def perform(self, world: World) -> None:
        now = world.clock.instant()
        instants: list[int] = []
        for job in world.witness.jobs.values():
            if self.what == "due" and job.state == "scheduled":
                instants.append(job.due)
            elif self.what == "lease" and job.claim is not None:
                instants.append(job.claim.lease_until)
            elif self.what == "expiry" and job.expire_on is not None:
                instants.append(job.expire_on)
        ahead = min((instant for instant in instants if instant > now), default=now)
        await trio.sleep((ahead - now) / 1e6)


@attrs.frozen
class StepClock:
    """Somebody sets the wall clock."""

    by: int

    async def perform(self, world: World) -> None:
        world.firing.see_clock()
        world.clock.step(self.by)
        world.steps_of_clock += 1
        world.disturb()


@attrs.frozen
class Cancel:
    pick: int
    door: int = 0

    async def perform(self, world: World) -> None:
        await world.cancel(self.pick, self.door)


@attrs.frozen
class RetryByHand:
    pick: int
    door: int = 0

    async def perform(self, world: World) -> None:
        await world.retry(self.pick, self.door)


@attrs.frozen
class StartNode:
    concurrency: int = 1

    async def perform(self, world: World) -> None:
        if len(world.alive()) < 3:
            await world.start(self.concurrency)


@attrs.frozen
class StopNode:
    """It drains, beside everything else."""

    pick: int

    async def perform(self, world: World) -> None:
        if node := world.pick_node(self.pick):
            node.leave.set()
            world.disturb()


@attrs.frozen
class CrashNode:
    """Now, or in its next transaction, before or after the commit."""

    pick: int
    when: Literal["now", "before", "after"] = "now"
    noticed: bool = True

    async def perform(self, world: World) -> None:
        node = world.pick_node(self.pick)
        if node is None:
            return
        world.disturb()
        if self.when == "now":
            await node.crash(noticed=self.noticed)
        else:
            node.mortal.dies = self.when


@attrs.frozen
class FailStorage:
    pick: int
    on: Literal["apply", "read"] = "apply"
    after_commit: bool = False
    times: int = 1

    async def perform(self, world: World) -> None:
        if node := world.pick_node(self.pick):
            fault = Fault(on=self.on, error=StorageBusy("busy"), after_commit=self.after_commit)
            node.faults.extend([fault] * self.times)
            world.disturb()


# --- drawn ----------------------------------------------------------------------------------------

enqueues = st.builds(
    Enqueue, st.lists(specs, min_size=1, max_size=4).map(tuple), picks, st.just(True)
) | st.builds(Enqueue, st.tuples(specs), picks)
passing = st.builds(
    Pass, st.sampled_from([0.000001, 0.5, 1.0, 3.4, LEASE - 1, LEASE, 61.0, 600.0])
) | st.builds(PassTo, st.sampled_from(["due", "lease", "expiry"]))
changes = st.builds(Cancel, picks, picks) | st.builds(RetryByHand, picks, picks)
nodes = (
    st.builds(StartNode, st.integers(1, 3))
    | st.builds(StopNode, picks)
    | st.builds(CrashNode, picks, st.sampled_from(["now", "before", "after"]), st.booleans())
)
faults = st.builds(
    FailStorage, picks, st.sampled_from(["apply", "read"]), st.booleans(), st.integers(1, 3)
)
clock = st.builds(StepClock, st.sampled_from([-4000, -20, -1, 1, 20, 4000]))

starts = st.builds(StartNode, st.integers(1, 3))

calm = st.lists(enqueues | passing | changes | starts | dealings, min_size=1, max_size=20)
"""Nothing goes wrong."""

alone = enqueues | passing | changes | nodes | faults | clock

lone = st.lists(alone, min_size=1, max_size=25)
"""Anything goes wrong, and no job has to do with another."""

jumpy = st.lists(
    enqueues
    | starts
    | st.builds(Pass, st.sampled_from([0.5, 1.0]))
    | st.builds(StepClock, st.sampled_from([20, 4000])),
    min_size=4,
    max_size=25,
)
"""Leases pass for everybody but their holders, again and again."""

timed = st.builds(
    lambda first, rest: [first, *rest], registers, st.lists(passing | enqueues, min_size=1)
)
"""Time passes with a schedule."""

wild = st.lists(alone | dealings, min_size=1, max_size=25)
"""Anything goes wrong."""
