"""Storages that break a promise when several speak to them at once, and keep it otherwise.

Each looks, lets others go on, and then does what it has seen to be right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import trio

from property_tests.broken.groups import Replies, lone
from property_tests.broken.lanes import OtherIndex
from trio_gusto.model.errors import DuplicateJob, GustoError
from trio_gusto.model.lanes import Lanes
from trio_gusto.storage.lease_messages import Renew
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.index import Index
from trio_gusto.storage.memory.uniqueness import Keys
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Insert,
    Write,
    WriteReply,
)
from trio_gusto.storage.schedule_messages import Fire


class LetsOthersInBetween(MemoryStorage):
    """Its groups are no transactions."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        replies: list[WriteReply | GustoError] = []
        for write in writes:
            replies.append(self.perform(write))
            await trio.lowlevel.checkpoint()
        return replies


class GivesTheSameJobsToWhoAsksMeanwhile(MemoryStorage):
    """It has found the jobs, but not leased them yet."""

    def __init__(self) -> None:
        super().__init__()
        self._found: ClaimReply | None = None

    async def apply(self, writes: Sequence[Write]) -> Replies:
        claim = lone(ClaimDue, writes)
        if claim is None:
            return await super().apply(writes)
        if self._found is not None:
            return [self._found]
        reply = self.perform(claim)
        assert isinstance(reply, ClaimReply)
        self._found = reply
        await trio.lowlevel.checkpoint()
        self._found = None
        return [reply]


class ComparesTokensTooEarly(MemoryStorage):
    """It has seen that the token holds, and settles the job a moment later."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        commit = lone(Commit, writes)
        if commit is None:
            return await super().apply(writes)
        job = self._jobs.get(commit.job_id)
        held = job is not None and job.version == commit.version
        await trio.lowlevel.checkpoint()
        if held and job is not None:
            commit = attrs.evolve(commit, version=job.version)
        return [self.perform(commit)]


class LooksForKeysTooEarly(MemoryStorage):
    """It has seen that nobody has the key, and stores the job a moment later."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        insert = lone(Insert, writes)
        if insert is None:
            return await super().apply(writes)
        taken = self._keys.taken(insert)
        await trio.lowlevel.checkpoint()
        if taken is None:
            self._keys = Keys()
        return [self.perform(insert)]


class LooksForSchedulesTooEarly(MemoryStorage):
    """It has seen that the version holds, and fires a moment later."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        fire = lone(Fire, writes)
        if fire is None:
            return await super().apply(writes)
        held = self._schedules.is_at(fire.schedule.request.name, fire.version)
        await trio.lowlevel.checkpoint()
        reply = self.perform(fire)
        return [Committed() if held else reply]


class RenewsWhatIsTakenOver(MemoryStorage):
    """It has seen that the lease holds, and writes the renewed lease a moment later."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        replies = await super().apply(writes)
        if (renew := lone(Renew, writes)) is not None:
            held = {
                job_id: job.state
                for job_id, _ in renew.leases
                if (job := self._index.processing.get(job_id)) is not None
            }
            await trio.lowlevel.checkpoint()
            for job_id, state in held.items():
                self._jobs[job_id].state = state
        return replies


class Asked(OtherIndex):
    """Forgets who is at work while several ask."""

    asking = 0

    def leased_lanes(self, node: str, depth: int) -> Lanes | None:
        if self.asking > 1:
            return super().leased_lanes(node, depth)
        return Index.leased_lanes(self, node, depth)


class OverfillsLanes(MemoryStorage):
    """It counts who is at work before those who ask meanwhile are."""

    def __init__(self) -> None:
        super().__init__()
        self._index: Asked = Asked()

    async def apply(self, writes: Sequence[Write]) -> Replies:
        claims = sum(isinstance(write, ClaimDue) for write in writes)
        self._index.asking += claims
        try:
            await trio.lowlevel.checkpoint()
            return await super().apply(writes)
        finally:
            self._index.asking -= claims


class LosesWhatIsInsertedMeanwhile(MemoryStorage):
    """Two write back what they have read: the later one, without what the earlier one added."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        before = set(self._jobs)
        replies = await super().apply(writes)
        if (insert := lone(Insert, writes)) is not None:
            mine = {request.id for request in insert.requests}
            await trio.lowlevel.checkpoint()
            if not any(isinstance(reply, DuplicateJob) for reply in replies):
                for job_id in set(self._jobs) - before - mine:
                    del self._jobs[job_id]
        return replies


class CommitsLargeGroupsInTwo(MemoryStorage):
    """One of more than forty writes is two transactions."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        first = await super().apply(writes[:40])
        if len(writes) <= 40:
            return first
        await trio.lowlevel.checkpoint()
        return [*first, *await super().apply(writes[40:])]


class LeavesHalfOfWhatIsCutOff(MemoryStorage):
    """A lock keeps others away from a group until it is done, but does not undo one that is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = trio.Lock()

    async def apply(self, writes: Sequence[Write]) -> Replies:
        replies: list[WriteReply | GustoError] = []
        async with self._lock:
            for write in writes:
                replies.append(self.perform(write))
                await trio.lowlevel.checkpoint()
        return replies

    async def read(self, query: Any) -> Any:
        async with self._lock:
            return await super().read(query)


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (LetsOthersInBetween, "a group is seen as a whole or not at all"),
    (GivesTheSameJobsToWhoAsksMeanwhile, "many who claim at once share the jobs"),
    (ComparesTokensTooEarly, "of many who settle an attempt one is heard"),
    (LooksForKeysTooEarly, "of many who insert the same one is heard"),
    (LooksForSchedulesTooEarly, "a schedule that many fire fires once"),
    (RenewsWhatIsTakenOver, "a job that was taken over is not renewed"),
    (OverfillsLanes, "a lane is not overfilled by many who claim at once"),
    (LosesWhatIsInsertedMeanwhile, "what many insert at once is all there"),
    (
        CommitsLargeGroupsInTwo,
        "whoever looks meanwhile sees a group as a whole or not at all in a play of hundreds",
    ),
    (
        LeavesHalfOfWhatIsCutOff,
        "a group that was cut off is done as a whole or not at all in a play of everything",
    ),
]
