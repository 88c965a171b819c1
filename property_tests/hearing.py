"""A storage between nodes and the real one: everything said to it is heard, and judged by rules.

Rules share nothing with the model: what they know they have from the messages and their replies alone.
A law that is broken becomes a sentence in ``violations``: raised in here, it would be taken for a fault
of the storage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import trio

from trio_gusto.model.errors import GustoError
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import ClaimedJob, JobRequest
from trio_gusto.model.states import JobState, State
from trio_gusto.storage.batch_messages import InsertBatch
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
from trio_gusto.storage.schedule_messages import Fire
from trio_gusto.storage.storage import Storage

Reply = WriteReply | GustoError


class Rules:
    """What must hold, judged message by message."""

    def __init__(self) -> None:
        self.violations: list[str] = []

    def expect(self, holds: bool, law: str, *about: object) -> None:
        if not holds:
            self.violations.append(f"{law}: {', '.join(map(str, about))}")

    def hear(self, write: Write, reply: Reply) -> None:
        """One message was performed."""

    def look(self) -> None:
        """A group is committed: this is what readers see."""


class Hearing(Storage):
    """Passes everything on to ``storage``, and lets each of ``rules`` hear it."""

    def __init__(self, storage: Storage, *rules: Rules) -> None:
        self.storage = storage
        self.rules = rules
        self.take_after(storage)

    @property
    def violations(self) -> list[str]:
        return [violation for rules in self.rules for violation in rules.violations]

    async def attach(self, node: str) -> None:
        await self.storage.attach(node)

    async def detach(self, node: str) -> None:
        await self.storage.detach(node)

    async def apply(self, writes: Sequence[Write]) -> Sequence[Reply]:
        replies: Sequence[Reply] = ()
        # What is performed must be heard of, also when the caller is being cancelled.
        with trio.CancelScope(shield=True):
            replies = await self.storage.apply(writes)
        for rules in self.rules:
            for write, reply in zip(writes, replies, strict=True):
                rules.hear(write, reply)
            rules.look()
        return replies

    async def read(self, query: Query) -> Any:
        return await self.storage.read(query)

    async def wait_changed(self, node: str) -> None:
        await self.storage.wait_changed(node)


# --- what a message and its reply come to ---------------------------------------------------------


def stored(write: Write, reply: Reply) -> Iterator[tuple[JobRequest, State]]:
    """The jobs that were stored. Of those that fired, some may have been there already."""
    match write, reply:
        case Insert(), Inserted():
            yield from zip(write.requests, write.states, strict=True)
        case Fire(), Committed():
            yield from zip(write.requests, write.states, strict=True)
        case InsertBatch(), Inserted():
            yield from zip(write.jobs.requests, write.jobs.states, strict=True)
        case _:
            pass


def claimed(write: Write, reply: Reply) -> Sequence[ClaimedJob]:
    """The jobs that were claimed."""
    if isinstance(write, ClaimDue) and isinstance(reply, ClaimReply):
        return reply.jobs
    return ()


def committed(write: Write, reply: Reply) -> Iterator[Commit]:
    """The new states that were recorded."""
    match write, reply:
        case Commit(), Committed():
            yield write
        case Complete(), Completions():
            for position, commit in enumerate(write.commits()):
                if position not in reply.refused:
                    yield commit
        case _:
            pass


class Words(Rules):
    """Knows the state of every job, as far as it was told: a job that falls due tells nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.words: dict[JobId, JobState] = {}

    def hear(self, write: Write, reply: Reply) -> None:
        for request, state in stored(write, reply):
            self.words.setdefault(request.id, state.word)
        for job in claimed(write, reply):
            self.words[job.request.id] = JobState.PROCESSING
        for commit in committed(write, reply):
            self.words[commit.job_id] = commit.state.word

    def has_ended(self, job_id: JobId) -> bool:
        return self.words[job_id].is_ended

    @property
    def all_have_ended(self) -> bool:
        return all(word.is_ended for word in self.words.values())
