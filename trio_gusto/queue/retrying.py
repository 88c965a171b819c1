"""The part of `JobQueue` that runs ended jobs again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload
from uuid import UUID

import attrs

from ..actors.canceller import Canceller
from ..actors.desk import StorageDesk
from ..clock import Clock
from ..model.errors import DuplicateJob, GustoError, UnknownJob
from ..model.happenings import RetriedByHand
from ..model.ids import JobId
from ..model.job import Job, StoredJob
from ..model.lifecycle import advance, may
from ..model.states import JobState
from ..storage.messages import Commit, Committed
from .reading import Reader
from .records import JobFilter
from .ref import JobRef, id_of

if TYPE_CHECKING:
    from .ears import Ears

RETRIABLE = frozenset({JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED})
"""The states of jobs that can be run again."""

SLICE = 250
"""Jobs put back in one go: few enough that neither the loop nor other writes have to wait."""


class Retrying:
    """Retries by hand; mixed into `JobQueue`."""

    _desk: StorageDesk
    _clock: Clock
    _ears: Ears
    _canceller: Canceller
    reader: Reader

    @overload
    async def retry(self, job: JobRef[Any] | Job | UUID) -> bool: ...
    @overload
    async def retry(self, job: JobFilter) -> int: ...
    async def retry(self, job: JobRef[Any] | Job | UUID | JobFilter) -> int:
        """Run a failed, cancelled or expired job again, with all its attempts, now.

        Its recorded attempts stay; an ``expire_on`` it had holds no more. A `JobFilter` in its place
        means all such jobs that satisfy it, page by page, newest first. They are no one
        transaction: some may run while others are put back.

        Returns:
            Whether the job will run again; ``False`` if it has not ended, or is completed. For a
            filter: how many jobs will. Those whose ``unique_key`` another live job has are left as
            they are.

        Raises:
            UnknownJob: there is no such job.
            DuplicateJob: a live job has its ``unique_key`` by now; it stays as it was.
            ArgumentError: the filter is not of its kind.

        >>> from trio_gusto import Gusto, JobFilter
        >>> app = Gusto()
        >>> @app.job(max_attempts=1)
        ... async def call_home() -> None:
        ...     raise ConnectionError
        >>> async def main() -> int:
        ...     async with app.running() as queue:
        ...         for _ in range(3):
        ...             await (await queue.enqueue(call_home)).wait()
        ...         return await queue.retry(JobFilter(states=["failed"], names=[call_home.name]))
        >>> import trio
        >>> trio.run(main)
        3
        """
        if isinstance(job, JobFilter):
            return await self._retry_all(job)
        return await self._retry_one(id_of(job))

    async def _retry_one(self, job_id: JobId) -> bool:
        while True:
            stored = await self.reader.known(job_id)
            if not may(stored.state, RetriedByHand):
                return False
            now = self._clock.instant()
            then = partial(self._ears.due, now)
            if await self._canceller.change(stored, RetriedByHand(now), then):
                return True

    async def _retry_all(self, wanted: JobFilter) -> int:
        query = wanted.to_query(SLICE, None)
        states = query.states & RETRIABLE if query.states else RETRIABLE
        if not states:
            return 0
        before: int | None = None
        count = 0
        while True:
            query = attrs.evolve(query, states=states, before=before)
            found = (await self._desk.read(query)).jobs
            count += await self._put_back(found)
            if len(found) < SLICE:
                return count
            before = found[-1].sequence

    async def _put_back(self, jobs: Sequence[StoredJob]) -> int:
        """In one transaction, and those that have changed meanwhile one by one."""
        now = self._clock.instant()
        letters = [self._desk.post(_again(job, now)) for job in jobs]
        count = 0
        fault: GustoError | None = None
        for letter, job in zip(letters, jobs, strict=True):
            reply = await letter.answer()
            if isinstance(reply, Committed):
                count += 1
            elif isinstance(reply, GustoError):
                fault = fault or (None if isinstance(reply, DuplicateJob) else reply)
            else:
                count += await self._retry_if_possible(job.request.id)
        if count:
            self._ears.due(now)
        if fault is not None:
            raise fault
        return count

    async def _retry_if_possible(self, job_id: JobId) -> bool:
        try:
            return await self._retry_one(job_id)
        except (DuplicateJob, UnknownJob):
            return False


def _again(job: StoredJob, now: int) -> Commit:
    settlement = advance(job, RetriedByHand(now))
    return Commit(
        job.request.id,
        job.version,
        settlement.state,
        settlement.attempt,
        forget_expiry=settlement.forget_expiry,
    )
