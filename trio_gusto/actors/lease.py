"""A lease as this process holds it, and the slot that its handler runs in.

Rules. The *fence* of a lease is the monotonic instant at which its handler must be gone, counted from
before the claim or renewal was sent. A slot runs one lease at a time; whoever interrupts it names the
cause first, so that the executor can tell why its handler was cancelled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum, auto

import trio

from ..model.dependencies import Parent
from ..model.job import ClaimedJob, JobRequest
from ..model.states import JobState, State
from .line import Line
from .probe import BatchRecord

FENCE_MARGIN = 5.0
"""Seconds before its lease passes at which a handler must be gone (a tenth of short leases)."""

PATIENCE = 5.0
"""Seconds after which a handler is late that was cancelled and has not ended."""


def fence_after(lease: float) -> float:
    """How many seconds after asking for a lease its handler must be gone."""
    return lease - min(FENCE_MARGIN, lease / 10)


NewJob = tuple[JobRequest, State]
"""A job that is not stored yet, and its first state."""


class Cause(Enum):
    """Why a running handler is cancelled."""

    TIMEOUT = auto()
    CANCEL = auto()
    FENCE = auto()
    SHUTDOWN = auto()
    GIVEN_BACK = auto()
    """Its handler was not entered, and is not to be."""


class Lease:
    """One claimed job in this process, from the claim until its outcome is recorded."""

    __slots__ = (
        "batch",
        "cancel_reason",
        "cause",
        "children",
        "claimed",
        "fence",
        "is_behind",
        "line",
        "over",
        "parents",
        "recorded",
        "slot",
        "started_at",
        "state",
        "waited",
    )

    def __init__(self, claimed: ClaimedJob, fence: float, batch: BatchRecord) -> None:
        self.claimed = claimed
        self.fence = fence
        self.batch = batch
        self.slot: Slot | None = None
        self.cause: Cause | None = None
        self.cancel_reason: str | None = None
        self.started_at: int | None = None
        self.over = False
        """Whether its outcome is on its way to the storage."""
        self.parents: tuple[Parent, ...] = ()
        """The jobs that this one waited for, read before its handler is entered."""
        self.children: list[NewJob] | None = None
        """The jobs that its handler wants stored with its success."""
        self.waited = False
        """Whether the handler has let the event loop have its turn."""
        self.line: Line | None = None
        """Where it stands, if others have to wait for it, or it for them."""
        self.is_behind = False
        """Whether it was claimed to wait in a line, which then hands it to the executors."""
        self.recorded: trio.Event | None = None
        """Set when the outcome is recorded; there only while barriers are in use."""
        self.state: JobState | None = None
        """What was recorded of the job; ``None`` before, and if the outcome was refused."""

    def settled(self) -> tuple[ClaimedJob, JobState | None]:
        """What a barrier behind the outcome is told."""
        return self.claimed, self.state

    def interrupt(self, cause: Cause) -> None:
        """Cancel the handler, or keep it from being entered. The first cause stands."""
        if self.cause is None:
            self.cause = cause
        if self.slot is not None:
            self.slot.cancel()

    def cancel(self, reason: str) -> None:
        """Interrupt it because somebody called the job off."""
        self.cancel_reason = reason
        self.interrupt(Cause.CANCEL)


class Slot:
    """One executor's place: the scope its handlers run in, and what runs there."""

    __slots__ = (
        "_watch",
        "cancelled_at",
        "deadline",
        "lease",
        "left_open_by",
        "scope",
        "task",
        "thread",
        "thread_wait",
        "turned_at",
        "used_up",
    )

    def __init__(self, watch: Callable[[float], None]) -> None:
        self._watch = watch
        """Told of a deadline, so that the heart wakes for it."""
        self.scope = trio.CancelScope()
        self.used_up = False
        """Whether the next job needs another scope, because this one was cancelled, or may need
        another slot, because there are to be fewer."""
        self.lease: Lease | None = None
        self.left_open_by: Lease | None = None
        """Whose handler has entered a scope or nursery and not left it."""
        self.deadline = math.inf
        """When the handler is late: its timeout, or some seconds after it was cancelled."""
        self.cancelled_at = -math.inf
        """When the scope was cancelled, if it was."""
        self.task: trio.lowlevel.Task | None = None
        """The executor, in which the handler runs."""
        self.thread: int | None = None
        """Where a plain handler runs."""
        self.turned_at = -math.inf
        """The monotonic instant since which its executor has not waited."""
        self.thread_wait: trio.CancelScope | None = None
        """Set while the slot waits for a cancelled handler's thread to end."""

    def cancel(self) -> None:
        """Cancel what runs here. From the first time on it has `PATIENCE` seconds to end."""
        self.used_up = True
        if not self.scope.cancel_called:
            self.cancelled_at = trio.current_time()
            self.deadline = self.cancelled_at + PATIENCE
            self._watch(self.deadline)
            self.scope.cancel()
