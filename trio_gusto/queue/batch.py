"""Batches: jobs that are stored together, counted together, and waited for as one."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import trio

from ..model.batch import BatchStatus, StoredBatch, status_of
from ..model.errors import BatchError
from ..model.ids import JobId, to_uuid
from ..model.instants import MICROSECONDS, to_duration
from ..model.job import StoredJob
from ..model.states import JobState
from ..storage.batch_messages import Batches
from ..storage.finding_messages import Find
from .ref import unhappy

if TYPE_CHECKING:
    from .jobqueue import JobQueue

SLICE = 500
"""Jobs that are looked at in one go."""

LIVE = frozenset(state for state in JobState if not state.is_ended)
UNHAPPY = frozenset(JobState) - LIVE - {JobState.COMPLETED}


class Batch:
    """A stored batch, wherever its jobs run. Cheap to make and to throw away.

    Two handles of one batch are equal.
    """

    __slots__ = ("_id", "_queue")

    def __init__(self, queue: JobQueue, batch_id: JobId) -> None:
        self._queue = queue
        self._id = batch_id

    @property
    def id(self) -> UUID:
        """The batch's id."""
        return to_uuid(self._id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Batch) and self._id == other._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return f"<Batch {self.id}>"

    async def status(self) -> BatchStatus:
        """How many jobs it has, by state.

        Raises:
            BatchError: it is gone with its jobs, since retention removed them, or it never was.
        """
        return status_of(await self._stored())

    async def wait(self, timeout: float | timedelta | None = None) -> BatchStatus:
        """Wait until none of its jobs is live.

        Args:
            timeout: seconds or a timedelta; ``None`` waits for ever.

        Raises:
            ExceptionGroup: jobs of it did not complete: a `JobFailed`, `JobCancelled`, `JobExpired`
                or `JobSkipped` for each.
            trio.TooSlowError: the timeout passed first. The batch goes on.
            BatchError: there is no such batch.
        """
        limit = math.inf if timeout is None else to_duration(timeout) / MICROSECONDS
        with trio.fail_after(limit):
            status = await self.status()
            while not status.is_finished:
                for job in await self._jobs(LIVE, limit=1):  # the newest, which mostly ends last
                    await self._queue.reader.ended(job.request.id)
                status = await self.status()
        view = self._queue.reader.view
        errors = [unhappy(view(job)) for job in await self._every(UNHAPPY)]
        if errors:
            raise ExceptionGroup(f"jobs of batch {self.id} did not complete", errors[::-1])
        return status

    async def cancel(self, reason: str = "") -> int:
        """Call off all its jobs that have not ended; see `JobQueue.cancel`.

        Those that have not begun are ``cancelled`` when this returns. Running ones are cancelled in
        their scopes, at once in this process and within a second in others.

        Returns:
            How many were called off.

        Raises:
            BatchError: there is no such batch.
        """
        await self._stored()
        called_off = 0
        before: int | None = None
        while True:
            jobs = await self._jobs(LIVE, before=before)
            called_off += await self._queue.call_off(jobs, reason)
            if len(jobs) < SLICE:
                return called_off
            before = jobs[-1].sequence

    async def _stored(self) -> StoredBatch:
        found = (await self._queue.reader.desk.read(Batches(1, batch_id=self._id))).batches
        if not found:
            raise BatchError.unknown(self.id)
        return found[0]

    async def _jobs(
        self, states: frozenset[JobState], *, before: int | None = None, limit: int = SLICE
    ) -> list[StoredJob]:
        query = Find(limit, before, states=states, batch=self._id)
        return list((await self._queue.reader.desk.read(query)).jobs)

    async def _every(self, states: frozenset[JobState]) -> list[StoredJob]:
        jobs = page = await self._jobs(states)
        while len(page) == SLICE:
            page = await self._jobs(states, before=page[-1].sequence)
            jobs += page
        return jobs
