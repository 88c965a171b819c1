"""Who waits for a job to end, in this process.

Woken by the outcome when it is recorded here, and by every change from outside, after which waiters
look for themselves.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import trio

from ..model.ids import JobId


class Waiters:
    """Parking places by job."""

    __slots__ = ("_events",)

    def __init__(self) -> None:
        self._events: dict[JobId, set[trio.Event]] = {}

    @contextmanager
    def waiting(self, job_id: JobId) -> Generator[Waiter]:
        """Register before looking at the job, so that no end is missed."""
        waiter = Waiter(self._events, job_id)
        try:
            yield waiter
        finally:
            waiter.leave()

    def are_there(self) -> bool:
        """Whether anybody waits for any job."""
        return bool(self._events)

    def notify(self, job_id: JobId) -> None:
        """This job has ended."""
        if self._events:
            for event in self._events.get(job_id, ()):
                event.set()

    def notify_all(self) -> None:
        """Something may have happened to any job."""
        for events in tuple(self._events.values()):
            for event in events:
                event.set()


class Waiter:
    """One task's place; may be waited on again and again."""

    __slots__ = ("_event", "_events", "_job_id")

    def __init__(self, events: dict[JobId, set[trio.Event]], job_id: JobId) -> None:
        self._events = events
        self._job_id = job_id
        self._event = trio.Event()
        events.setdefault(job_id, set()).add(self._event)

    def is_called(self) -> bool:
        """Whether there was a notification that `wait` has not returned for yet."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Wait for the next notification since the last `wait` (or since registering)."""
        await self._event.wait()
        events = self._events[self._job_id]
        events.discard(self._event)
        self._event = trio.Event()
        events.add(self._event)

    def leave(self) -> None:
        """Give the place up."""
        events = self._events[self._job_id]
        events.discard(self._event)
        if not events:
            del self._events[self._job_id]
