"""Jobs that wait for each other in any shape, run by apps that may die at any transaction.

A witness beside the storage hears every message and its reply. It shares no rule with the model: it
knows the parents of every job, who has ended how, and what was done to whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import attrs
import trio
from hypothesis import strategies as st

from property_tests.node import Mortal
from trio_gusto import Cancel, Fail, Gusto, JobQueue, JobRef, Options
from trio_gusto.model.errors import GustoError
from trio_gusto.model.ids import JobId, to_job_id
from trio_gusto.model.states import Waiting
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Completions,
    Insert,
    Inserted,
    Query,
    Write,
    WriteReply,
)
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


@attrs.frozen
class Death:
    """A node dies before or after its ``nth`` transaction, and another one starts."""

    node: int
    nth: int
    when: Literal["before", "after"]


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


deaths = st.lists(
    st.builds(Death, st.integers(0, 1), st.integers(1, 12), st.sampled_from(["before", "after"])),
    max_size=4,
)


class Witness(Storage):
    """Hears everything that is told to ``storage``."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.remembers_presence = storage.remembers_presence
        self.parents: dict[JobId, tuple[JobId, ...]] = {}
        self.ended: dict[JobId, str] = {}
        self.claimed: set[JobId] = set()
        self.releases: dict[JobId, int] = {}
        self.violations: list[str] = []

    async def attach(self, node: str) -> None:
        await self.storage.attach(node)

    async def detach(self, node: str) -> None:
        await self.storage.detach(node)

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        replies: Sequence[WriteReply | GustoError] = ()
        # What is performed must be heard of, also when the caller is being cancelled.
        with trio.CancelScope(shield=True):
            replies = await self.storage.apply(writes)
        for write, reply in zip(writes, replies, strict=True):
            self._hear(write, reply)
        return replies

    async def read(self, query: Query) -> Any:
        return await self.storage.read(query)

    async def wait_changed(self, node: str) -> None:
        await self.storage.wait_changed(node)

    def _hear(self, write: Write, reply: WriteReply | GustoError) -> None:
        match write, reply:
            case Insert(), Inserted():
                for request, state in zip(write.requests, write.states, strict=True):
                    self.parents[request.id] = state.parents if isinstance(state, Waiting) else ()
            case ClaimDue(), ClaimReply():
                for job in reply.jobs:
                    self._claimed(job.request.id)
            case Commit(), Committed():
                self._committed(write)
            case Complete(), Completions():
                for position, commit in enumerate(write.commits()):
                    if position not in reply.refused:
                        self._committed(commit)
            case _:
                pass

    def _claimed(self, job_id: JobId) -> None:
        self.claimed.add(job_id)
        living = [parent for parent in self.parents[job_id] if parent not in self.ended]
        if living:
            self.violations.append("a job was claimed while a parent of it had not ended")

    def _committed(self, commit: Commit) -> None:
        if commit.state.word.is_ended:
            self.ended[commit.job_id] = commit.state.word.value
        elif commit.record is None:
            self.releases[commit.job_id] = self.releases.get(commit.job_id, 0) + 1
            if self.releases[commit.job_id] > 1:
                self.violations.append("a job was released twice")


class Family:
    """Plays a family on two nodes, and says what broke a law."""

    def __init__(self, storage: Storage) -> None:
        self.witness = Witness(storage)
        self.clock = VirtualClock()
        self.members: list[Member] = []
        self.refs: list[JobRef[None]] = []

    async def play(self, members: Sequence[Member], dying: Sequence[Death]) -> None:
        self.members = list(members)
        office = Gusto(self.witness, clock=self.clock)
        act = office.job(name="act")(self._act)
        async with trio.open_nursery() as nursery, office.connected() as queue:
            for number in range(2):
                nursery.start_soon(self._node, [death for death in dying if death.node == number])
            await self._register(queue, act)
            for _ in range(ROUNDS):
                await trio.sleep(5)
                if len(self.witness.ended) == len(members):
                    break
            nursery.cancel_scope.cancel()
        self._check_ends()
        assert not self.witness.violations, "\n".join(self.witness.violations)

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

    async def _node(self, dying: Sequence[Death]) -> None:
        for death in [*dying, None]:
            mortal = Doomed(self.witness, death)
            options = Options(concurrency=2, drain_timeout=1, lease=10, retention=None)
            app = Gusto(mortal, clock=self.clock, options=options)
            app.job(name="act")(self._act)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._serve, app, mortal)
                await mortal.died.wait()
                for name in mortal.names:
                    await self.witness.detach(name)
                nursery.cancel_scope.cancel()

    async def _serve(self, app: Gusto, mortal: Doomed) -> None:
        async with app.running():
            mortal.is_mortal = True
            await trio.sleep_forever()

    def _check_ends(self) -> None:
        """What became of each, by what became of its parents."""
        ended = self.witness.ended
        for member, ref in zip(self.members, self.refs, strict=True):
            job_id = to_job_id(ref.id)
            words = [ended.get(to_job_id(self.refs[parent].id)) for parent in member.parents]
            runs = {
                "success": all(word == "completed" for word in words),
                "failure": any(word != "completed" for word in words),
                "finish": True,
            }[member.on if words else "finish"]
            wanted = {"ok": "completed", "fail": "failed", "cancel": "cancelled"}[member.end]
            assert job_id in ended, "every job that waits is decided in the end"
            assert ended[job_id] == (wanted if runs else "cancelled"), "its condition decides"
            assert (job_id in self.witness.claimed) is runs, "only whose condition holds is run"


class Doomed(Mortal):
    """Dies as it was told to."""

    def __init__(self, storage: Storage, death: Death | None) -> None:
        super().__init__(storage)
        self._death = death
        self._count = 0
        self.is_mortal = False
        """Whether it has begun: an app that starts waits for its storage, and cannot be cancelled."""

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | Any]:
        self._count += self.is_mortal
        if self._death is not None and self._count == self._death.nth:
            self.dies = self._death.when
        return await super().apply(writes)
