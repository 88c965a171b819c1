"""What a running job sees of itself: `current_job()`."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from ..model.dependencies import Parent
from ..model.errors import NoCurrentJob
from ..model.ids import to_uuid
from ..model.instants import to_datetime
from ..model.job import ClaimedJob, Job
from .roster import Lease, Roster

View = Callable[[ClaimedJob], Job]

_lease: contextvars.ContextVar[Lease] = contextvars.ContextVar("trio_gusto.lease")
_node: contextvars.ContextVar[tuple[Roster, View]] = contextvars.ContextVar("trio_gusto.node")

make_current = _lease.set
"""Make the job under a lease the current one, in the current context."""


class JobContext:
    """The job that runs here. Get it with `current_job`; it is gone when the handler has ended."""

    __slots__ = ("_lease", "_roster", "_view")

    def __init__(self, lease: Lease, roster: Roster, view: View) -> None:
        self._lease = lease
        self._roster = roster
        self._view = view

    @property
    def id(self) -> UUID:
        """The job's tracking id; the same in every attempt, so it serves as idempotency key."""
        return to_uuid(self._lease.claimed.request.id)

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._lease.claimed.attempt

    @property
    def job(self) -> Job:
        """A snapshot of the job, taken as it was claimed."""
        return self._view(self._lease.claimed)

    @property
    def parents(self) -> tuple[Parent, ...]:
        """The jobs that this one waited for, with their results, in the order they were given.

        For a batch, its jobs. Read before the handler was entered; one that retention has removed is left out. Empty for a
        job that is no continuation.
        """
        return self._lease.parents

    @property
    def deadline(self) -> datetime | None:
        """When this attempt times out; ``None`` if it has no timeout."""
        timeout = self._lease.claimed.request.timeout
        started_at = self._lease.started_at
        if timeout is None or started_at is None:
            return None
        return to_datetime(started_at + timeout)

    @property
    def shutting_down(self) -> bool:
        """Whether this node is going down, so that a long job does well to come to an end."""
        return self._roster.stopping

    @property
    def cancel_requested(self) -> bool:
        """Whether this attempt has been cancelled, timed out or lost its lease.

        Async handlers need not ask: they are cancelled. Plain ones in threads may ask, or call
        ``trio.from_thread.check_cancelled()``.
        """
        return self._lease.cause is not None


def current_job() -> JobContext:
    """The job that the calling code runs in.

    Works in the handler's task, in tasks it has started, and in its worker thread.

    Raises:
        NoCurrentJob: no job runs here.
    """
    try:
        return JobContext(_lease.get(), *_node.get())
    except LookupError:
        raise NoCurrentJob from None


def node_context(roster: Roster, view: View) -> contextvars.Context:
    """What the host has set up for the current task, as every job of this node may see it."""
    context = contextvars.copy_context()
    context.run(_node.set, (roster, view))
    return context
