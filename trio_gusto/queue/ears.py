"""Whom a queue speaks with in its own process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from ..actors.tree import Workers
from ..model.explanation import WorkersHere
from ..model.ids import JobId
from ..model.pauses import StoredPause
from ..storage.messages import Inserted


class Ears:
    """Whom the queue tells of what it did, in this process. A producer has nobody to tell."""

    def ready(self) -> None:
        """There is a job that is due."""

    def due(self, instant: int) -> None:
        """A job falls due at ``instant``."""

    def expiring(self) -> None:
        """A job with an ``expire_on`` was stored."""

    def heed_expiring(self, reply: object) -> None:
        """`expiring`, when ``reply`` says that it was: for a letter, whose sender may be gone then.

        Not sooner, because a sweep reads what is committed.
        """
        if isinstance(reply, Inserted):
            self.expiring()

    def called_off(self, job_id: JobId, reason: str) -> None:
        """The cancellation of a processing job was asked for."""

    def paused(self, pauses: Sequence[StoredPause]) -> str | None:  # noqa: ARG002 - for subclasses
        """These pauses hold. Returns the node of the workers that have heard it, if there are any."""
        return None

    def rescheduled(self) -> None:
        """A schedule was registered, changed or removed."""

    def awaited(self, ended: Sequence[JobId]) -> None:
        """These jobs may have ended, and others wait for them."""

    def concurrency(self) -> int:
        """How many jobs the workers of this process run at once; 0 if there are none."""
        return 0

    def resize(self, concurrency: int) -> bool:  # noqa: ARG002 - for subclasses
        """Run so many at once from now on. Returns whether there are workers to do so."""
        return False

    def offer(self, name: str, queue: str) -> WorkersHere | None:  # noqa: ARG002 - for subclasses
        """What the workers of this process can do for a job of this handler and queue."""
        return None


class WorkersEars(Ears):
    """Tells the workers of this process, while there are any."""

    def __init__(self, workers: Workers | None, note: Callable[[Sequence[JobId]], None]) -> None:
        self.workers = workers
        self._note = note
        self.left = trio.Event()
        """Set when those that are there now have left."""

    def dismiss(self) -> None:
        """The workers have left."""
        self.workers = None
        self.left.set()
        self.left = trio.Event()

    def ready(self) -> None:
        if self.workers is not None:
            self.workers.poller.wake()

    def due(self, instant: int) -> None:
        if self.workers is not None:
            self.workers.poller.note_due(instant)

    def expiring(self) -> None:
        if self.workers is not None:
            self.workers.sweeper.news.ring()

    def called_off(self, job_id: JobId, reason: str) -> None:
        if self.workers is not None:
            self.workers.heart.cancel([(job_id, reason)])

    def paused(self, pauses: Sequence[StoredPause]) -> str | None:
        return None if self.workers is None else self.workers.poller.hold(pauses)

    def rescheduled(self) -> None:
        if self.workers is not None:
            self.workers.cron.wake()

    def awaited(self, ended: Sequence[JobId]) -> None:
        self._note(ended)

    def concurrency(self) -> int:
        return 0 if self.workers is None else self.workers.roster.concurrency

    def resize(self, concurrency: int) -> bool:
        if self.workers is not None:
            self.workers.resize(concurrency)
        return self.workers is not None

    def offer(self, name: str, queue: str) -> WorkersHere | None:
        return None if self.workers is None else self.workers.offer(name, queue)
