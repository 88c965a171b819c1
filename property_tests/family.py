"""Jobs that wait for each other in any shape, run by apps that may die at any transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import attrs
import trio
from hypothesis import strategies as st

from property_tests.dying import NODES, Death, Stage, serve
from property_tests.hearing import Hearing
from property_tests.waiting_rules import WaitingRules
from trio_gusto import Cancel, Fail, Gusto, JobQueue, JobRef, Options
from trio_gusto.model.ids import to_job_id
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

ROUNDS = 60
"""Times that the end is waited for, five seconds each."""

End = Literal["ok", "fail", "cancel"]


@attrs.frozen
class Member:
    """A job: what its handler does, and for which earlier ones it waits."""

    end: End
    parents: tuple[int, ...] = ()
    on: Literal["success", "failure", "finish"] = "success"
    after: int = 0
    """Seconds from its registration before which it does not run."""
    pause: int = 0
    """Seconds before the next one is registered."""


@st.composite
def families(draw: st.DrawFn) -> list[Member]:
    members: list[Member] = []
    for number in range(draw(st.integers(2, 9))):
        earlier = st.lists(st.integers(0, number - 1), max_size=3, unique=True).map(tuple)
        members.append(
            Member(
                draw(st.sampled_from(["ok", "ok", "ok", "fail", "cancel"])),
                draw(earlier) if number else (),
                draw(st.sampled_from(["success", "failure", "finish"])),
                draw(st.sampled_from([0, 0, 0, 1, 3])),
                draw(st.sampled_from([0, 0, 0, 1, 2])),
            )
        )
    return members


class Family:
    """Plays a family on two nodes, and says what broke a law."""

    def __init__(self, storage: Storage) -> None:
        self.rules = WaitingRules()
        self.storage = Hearing(storage, self.rules)
        self.clock = VirtualClock()
        self.stage = Stage(self.storage, self._make)
        self.members: list[Member] = []
        self.refs: list[JobRef[None]] = []

    async def play(self, members: Sequence[Member], dying: Sequence[Death]) -> None:
        self.members = list(members)
        office = Gusto(self.storage, clock=self.clock)
        act = office.job(name="act")(self._act)
        async with trio.open_nursery() as nursery, office.connected() as queue:
            for node in range(NODES):
                fate = [death for death in dying if death.node == node]
                nursery.start_soon(self.stage.live, fate, Gusto.running, serve)
            await self._register(queue, act)
            for _ in range(ROUNDS):
                await trio.sleep(5)
                if self.rules.all_have_ended:
                    break
            nursery.cancel_scope.cancel()
        self._check_ends()
        assert not self.rules.violations, "\n".join(self.rules.violations)

    async def _register(self, queue: JobQueue, act: Any) -> None:
        for number, member in enumerate(self.members):
            if member.parents:
                parents = [self.refs[parent] for parent in member.parents]
                ref = await queue.continue_with(
                    parents, act, number, on=member.on, execute_after=member.after
                )
            else:
                ref = await queue.enqueue(act, number, execute_after=member.after)
            self.refs.append(ref)
            await trio.sleep(member.pause)

    async def _act(self, number: int) -> None:
        match self.members[number].end:
            case "fail":
                raise Fail("as planned")
            case "cancel":
                raise Cancel("as planned")
            case "ok":
                return

    def _make(self, storage: Storage) -> Gusto:
        options = Options(concurrency=2, drain_timeout=1, lease=10, retention=None)
        app = Gusto(storage, clock=self.clock, options=options)
        app.job(name="act")(self._act)
        return app

    def _check_ends(self) -> None:
        """What became of each, by what became of its parents."""
        words = self.rules.words
        for member, ref in zip(self.members, self.refs, strict=True):
            job_id = to_job_id(ref.id)
            ends = [words[to_job_id(self.refs[parent].id)].value for parent in member.parents]
            runs = {
                "success": all(end == "completed" for end in ends),
                "failure": any(end != "completed" for end in ends),
                "finish": True,
            }[member.on if ends else "finish"]
            wanted = {"ok": "completed", "fail": "failed", "cancel": "cancelled"}[member.end]
            assert words[job_id].is_ended, "every job that waits is decided in the end"
            assert words[job_id].value == (wanted if runs else "cancelled"), "its condition decides"
