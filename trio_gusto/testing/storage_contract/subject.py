"""The storage under test, with the verbs that checks are written in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, TypeVar

from ...model.errors import GustoError
from ...model.ids import JobId, uuid7
from ...model.job import AttemptRecord, ClaimedJob, Details, JobRequest, StoredJob
from ...model.lifecycle import admit
from ...model.outcomes import AttemptOutcome
from ...model.states import Completed, State
from ...storage.finding_messages import Find, Get
from ...storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
    Insert,
    Inserted,
    Write,
    WriteReply,
)
from ...storage.storage import Storage

NOW = 1_700_000_000_000_000
"""The instant at which checks begin."""

SECOND = 1_000_000
LEASE = 60 * SECOND
EVERYTHING = 1_000_000

Reply = TypeVar("Reply")


def same(found: object, wanted: object, what: str) -> None:
    """Raise an AssertionError unless the two are equal."""
    if found != wanted:
        raise AssertionError(f"{what} should be {wanted!r}, but is {found!r}")


Reopen = Callable[[Storage], Storage | Awaitable[Storage]]
"""Makes another storage on the same data as one that is detached; for the same object, returns it."""

Beside = Callable[[Storage], Storage | Awaitable[Storage]]
"""Makes another storage on the same data as one that is attached, as a second process would have it."""


class Subject:
    """A fresh, empty storage to which ``node`` is attached."""

    def __init__(
        self,
        storage: Storage,
        node: str,
        *,
        reopen: Reopen | None = None,
        beside: Beside | None = None,
    ) -> None:
        self.storage = storage
        self.node = node
        self._reopen = reopen
        self._beside = beside
        self._made = 0
        self._openings = 0
        self._attached: list[tuple[Storage, str]] = []

    async def open(self) -> None:
        """Attach ``node``."""
        await self.storage.attach(self.node)
        self._attached.append((self.storage, self.node))

    async def close(self) -> None:
        """Detach whatever is attached."""
        while self._attached:
            storage, node = self._attached.pop()
            await storage.detach(node)

    async def reopen(self) -> None:
        """Detach whatever is attached, and go on with another storage on the same data."""
        assert self._reopen is not None
        await self.close()
        again = self._reopen(self.storage)
        self.storage = await again if isawaitable(again) else again
        self._openings += 1
        self.node = f"checker {self._openings}"
        await self.open()

    async def another(self) -> tuple[Storage, str]:
        """A second storage on the same data (the same object, if need be), with a node attached to it."""
        other: Storage | Awaitable[Storage] = self.storage
        if self._beside is not None:
            other = self._beside(self.storage)
        storage = await other if isawaitable(other) else other
        self._openings += 1
        node = f"another {self._openings}"
        await storage.attach(node)
        self._attached.append((storage, node))
        return storage, node

    def request(self, *, details: Details | None = None, **changes: Any) -> JobRequest:
        """A request unlike any other of this subject."""
        self._made += 1
        defaults: dict[str, Any] = {
            "id": uuid7(NOW * 1000, self._made),
            "name": "say_hello",
            "args": '[["ann"],{}]',
            "created_at": NOW,
            "max_attempts": 3,
        }
        return JobRequest(**(defaults | changes), details=details)

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        """The replies to a group, one for each of its writes."""
        replies = await self.storage.apply(writes)
        same(len(replies), len(writes), f"the number of replies to a group of {len(writes)}")
        return replies

    async def tell(self, write: Write) -> WriteReply | GustoError:
        """The reply to one write, alone in its group."""
        (reply,) = await self.apply([write])
        return reply

    async def expect(self, kind: type[Reply], write: Write) -> Reply:
        """Like `tell`, for a reply of one kind."""
        return reply_of(kind, await self.tell(write))

    async def insert(self, *requests: JobRequest, states: Sequence[State] = ()) -> None:
        """Insert jobs, in the states that admit them unless others are given."""
        first_states = states or [admit(request) for request in requests]
        await self.expect(Inserted, Insert(requests, first_states))

    async def enqueue(self, **changes: Any) -> JobRequest:
        """Insert one job."""
        request = self.request(**changes)
        await self.insert(request)
        return request

    async def claim(self, now: int = NOW, **changes: Any) -> ClaimReply:
        """Claim what is due at ``now``: everything, unless told otherwise."""
        defaults: dict[str, Any] = {"node": self.node, "lease_until": now + LEASE}
        defaults |= {"limit": EVERYTHING, "free": EVERYTHING}
        return await self.expect(ClaimReply, ClaimDue(now=now, **(defaults | changes)))

    async def claim_one(self, now: int = NOW, **changes: Any) -> ClaimedJob:
        """Claim the one job that is due."""
        reply = await self.claim(now, **changes)
        same(len(reply.jobs), 1, "the number of jobs claimed")
        return reply.jobs[0]

    async def complete(self, job: ClaimedJob, now: int = NOW) -> Committed:
        """Settle an attempt as a success."""
        return await self.expect(Committed, success(job, now))

    async def complete_all(self, complete: Complete) -> Mapping[int, Conflict | GustoError]:
        """Settle many attempts as successes; returns what was refused of them, by position."""
        return dict((await self.expect(Completions, complete)).refused)

    async def get(self, job_id: JobId) -> StoredJob:
        """The one job with this id."""
        found = await self.storage.read(Get([job_id]))
        same(len(found.jobs), 1, "the number of jobs found by an id that exists")
        return found.jobs[0]

    async def everything(self) -> list[StoredJob]:
        """All jobs with their histories, newest first."""
        found = await self.storage.read(Find(EVERYTHING))
        return [await self.get(job.request.id) for job in found.jobs]


def reply_of(kind: type[Reply], reply: WriteReply | GustoError) -> Reply:
    """``reply``, if it is of this kind."""
    if not isinstance(reply, kind):
        raise AssertionError(f"the reply should be of kind {kind.__name__}, but is {reply!r}")
    return reply


def ids(jobs: Sequence[JobRequest | ClaimedJob | StoredJob]) -> list[JobId]:
    """The ids of jobs, in order."""
    return [job.id if isinstance(job, JobRequest) else job.request.id for job in jobs]


def completed(
    job: ClaimedJob, now: int = NOW, result: str | None = '"done"', error: str | None = None
) -> Completed:
    """The state of a job whose handler returned."""
    return Completed(now, job.claimed_at, job.claimed_at, job.node, result, error)


def success(job: ClaimedJob, now: int = NOW) -> Commit:
    """The commit of an attempt that succeeded."""
    return Commit(job.request.id, job.token, completed(job, now), job.attempt)


def successes(*jobs: ClaimedJob, now: int = NOW) -> Complete:
    """Attempts that succeeded, in one message."""
    return Complete(jobs, [completed(job, now) for job in jobs])


def record(job: ClaimedJob, outcome: AttemptOutcome, now: int = NOW) -> AttemptRecord:
    """The record of an attempt that is over."""
    return AttemptRecord(
        job.attempt, job.token, job.node, job.claimed_at, job.claimed_at, now, outcome
    )


def put_back(job: ClaimedJob, state: State, outcome: AttemptOutcome, now: int = NOW) -> Commit:
    """The commit of an attempt after which the job will run again."""
    return Commit(job.request.id, job.token, state, job.attempt, record(job, outcome, now))


async def refused(subject: Subject, write: Write) -> Conflict:
    """The conflict that ``write`` is answered with, having changed nothing."""
    before = await subject.everything()
    conflict = await subject.expect(Conflict, write)
    same(await subject.everything(), before, "the storage after a refused write")
    return conflict
