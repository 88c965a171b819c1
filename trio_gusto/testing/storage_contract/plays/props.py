"""What plays are made of: requests and messages, with as little said as possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from ....model.batch import BatchRequest
from ....model.happenings import Ending
from ....model.ids import JobId, uuid7
from ....model.job import ClaimedJob, Details, JobRequest, StoredJob
from ....model.lifecycle import admit, advance, settle
from ....model.outcomes import AttemptFailed, Outcome
from ....model.states import State
from ....storage.messages import ClaimDue, Commit, Complete, Insert
from ..subject import LEASE, NOW, SECOND, completed
from .seen import NODES

LEFT, RIGHT = NODES

FAILURE = AttemptFailed(ValueError("no luck"))


class Props:
    """Makes what a play needs, each time the same; ids follow on the ``first``."""

    def __init__(self, first: int = 0) -> None:
        self._made = first

    def id(self) -> JobId:
        """An id like no other."""
        self._made += 1
        return uuid7(NOW * 1000, 1_000_000 + self._made)

    def request(self, *, at: int = NOW, **changes: Any) -> JobRequest:
        """A request like no other; what `Details` have is given by name, too."""
        apart = {field.name for field in attrs.fields(Details)} & changes.keys()
        details = Details(**{name: changes.pop(name) for name in apart}) if apart else None
        defaults: dict[str, Any] = {
            "id": self.id(),
            "name": "say_hello",
            "args": '[["ann"],{}]',
            "created_at": at,
            "max_attempts": 3,
        }
        return JobRequest(**(defaults | changes), details=details)

    def requests(self, count: int, **changes: Any) -> list[JobRequest]:
        """So many that are alike."""
        return [self.request(**changes) for _ in range(count)]

    def batch(self, **changes: Any) -> BatchRequest:
        """A batch like no other."""
        return BatchRequest(self.id(), NOW, **changes)


def inserting(*requests: JobRequest, states: Sequence[State] = ()) -> Insert:
    """The message that stores jobs, in the states that admit them unless others are given."""
    return Insert(requests, states or [admit(request) for request in requests])


def claiming(node: str = LEFT, now: int = NOW, limit: int = 9, **changes: Any) -> ClaimDue:
    """The claim of a node with as many free executors."""
    fields: dict[str, Any] = {"lease_until": now + LEASE, "free": limit, **changes}
    return ClaimDue(node=node, now=now, limit=limit, **fields)


def succeeding(*jobs: ClaimedJob, now: int = NOW + SECOND) -> Complete:
    """The message that settles attempts as successes."""
    return Complete(jobs, [completed(job, now) for job in jobs])


def settling(
    job: ClaimedJob, outcome: Outcome = FAILURE, now: int = NOW + SECOND, **changes: Any
) -> Commit:
    """The message that settles an attempt that came out like this, as the lifecycle would have it."""
    settled = settle(job, Ending(outcome, now, job.claimed_at, **changes))
    return Commit(
        job.request.id,
        job.token,
        settled.state,
        settled.attempt,
        settled.record,
        settled.forget_expiry,
    )


def moving(job: StoredJob, happening: Any) -> Commit:
    """The message that tells what happened to a job that nobody holds."""
    moved = advance(job, happening)
    return Commit(
        job.request.id, job.version, moved.state, moved.attempt, None, moved.forget_expiry
    )
