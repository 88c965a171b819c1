"""`JobRef`: a handle on a stored job, typed by what its handler returns."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from uuid import UUID

import trio

from ..model.errors import (
    ArgumentError,
    JobCancelled,
    JobExpired,
    JobFailed,
    JobSkipped,
    ResultError,
)
from ..model.ids import JobId, to_job_id, to_uuid
from ..model.instants import MICROSECONDS, to_duration
from ..model.job import Job, StoredJob
from ..model.states import Completed, JobState

if TYPE_CHECKING:
    from .jobqueue import JobQueue

R_co = TypeVar("R_co", covariant=True)


class JobRef(Generic[R_co]):
    """A stored job, wherever it runs. Cheap to make and to throw away.

    Two refs to one job are equal.
    """

    __slots__ = ("_id", "_queue")

    def __init__(self, queue: JobQueue, job_id: JobId) -> None:
        self._queue = queue
        self._id = job_id

    @property
    def id(self) -> UUID:
        """The job's tracking id."""
        return to_uuid(self._id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobRef) and self._id == other._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return f"<JobRef {self.id}>"

    async def status(self) -> JobState:
        """The job's state now.

        Raises:
            UnknownJob: it is gone, since retention removed it, or it never was.
        """
        return (await self._queue.reader.known(self._id)).state.word

    async def job(self) -> Job:
        """A snapshot of the job.

        Raises:
            UnknownJob: it is gone, since retention removed it, or it never was.
        """
        return self._queue.reader.view(await self._queue.reader.known(self._id))

    async def wait(self, timeout: float | timedelta | None = None) -> Job:
        """Wait until the job has ended, however; woken by the outcome, not by polling.

        Args:
            timeout: seconds or a timedelta; ``None`` waits for ever.

        Raises:
            trio.TooSlowError: the timeout passed first. The job goes on.
            UnknownJob: there is no such job.
        """
        return self._queue.reader.view(await self._ended(timeout))

    async def result(self, timeout: float | timedelta | None = None) -> R_co:
        """Wait for the job and return what its handler returned.

        Raises:
            JobFailed: all its attempts failed.
            JobCancelled: it was cancelled.
            JobExpired: it was not started in time.
            JobSkipped: it was skipped.
            ResultError: it is completed, but its result could not be stored.
            trio.TooSlowError: the timeout passed first. The job goes on.
            UnknownJob: there is no such job.
        """
        stored = await self._ended(timeout)
        state = stored.state
        if isinstance(state, Completed):
            if state.result_error is not None:
                raise ResultError(self.id, state.result_error)
            return cast("R_co", self._queue.reader.result_of(stored))
        raise unhappy(self._queue.reader.view(stored))

    async def cancel(self, reason: str = "") -> bool:
        """Call the job off; see `JobQueue.cancel`."""
        return await self._queue.cancel(self, reason)

    # --- inside ---

    async def _ended(self, timeout: float | timedelta | None) -> StoredJob:
        limit = math.inf if timeout is None else to_duration(timeout) / MICROSECONDS
        with trio.fail_after(limit):
            return await self._queue.reader.ended(self._id)


def unhappy(job: Job) -> Exception:
    """The error for a job that ended without a result."""
    match job.state:
        case JobState.FAILED:
            return JobFailed(job.id, job.reason, job.error)
        case JobState.CANCELLED:
            return JobCancelled(job.id, job.reason)
        case JobState.EXPIRED:
            return JobExpired(job.id, job.reason)
        case _:
            return JobSkipped(job.id, job.reason)


def id_of(job: JobRef[Any] | Job | UUID) -> JobId:
    """The id of what names a job.

    Raises:
        ArgumentError: it names none.
    """
    if isinstance(job, UUID):
        return to_job_id(job)
    if isinstance(job, JobRef | Job):
        return to_job_id(job.id)
    raise ArgumentError(f"{job!r} names no job; give a JobRef, a Job or its id (a UUID)")
