"""What a provider implements: five methods, and as many of the optional protocols as it likes.

The worker relies on nothing else. The five methods of one provider are never called at the same
time by one `ProviderStorage`; those of the protocols may be.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable
from uuid import UUID

import attrs

from ...model.job import DEFAULT_QUEUE
from .record import JobStorageRecord, R

R_contra = TypeVar("R_contra", bound=JobStorageRecord, contravariant=True)

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "<=": operator.le,
    ">": operator.gt,
    "in": lambda value, choice: value in choice,
}


@attrs.frozen
class Criterion:
    """One thing that must hold of a record: ``field operator value``, or the field is ``None``.

    ``operator`` is ``"=="``, ``"<="``, ``">"`` or ``"in"``; ``or_none`` says whether ``None`` will
    do as well; ``absent`` is what counts for records that have no such field.
    """

    field: str
    operator: str
    value: object
    or_none: bool = False
    absent: object = None

    def holds(self, record: JobStorageRecord) -> bool:
        """Whether ``record`` satisfies it."""
        value = getattr(record, self.field, self.absent)
        if value is None and self.or_none:
            return True
        return _COMPARISONS[self.operator](value, self.value)

    def __str__(self) -> str:
        text = f"{self.field} {self.operator} {self.value!r}"
        return f"({self.field} is None or {text})" if self.or_none else text


@attrs.frozen
class Match(Generic[R]):
    """A predicate that can be called, and read: all of ``criteria`` must hold.

    Call it with a record, or turn ``criteria`` into a query of your own.
    """

    now: datetime
    criteria: tuple[Criterion, ...]

    def __call__(self, record: R) -> bool:
        return all(criterion.holds(record) for criterion in self.criteria)

    def __str__(self) -> str:
        return " and ".join(str(criterion) for criterion in self.criteria)


@attrs.frozen
class JobSearchParams(Generic[R]):
    """Which records `JobStorageProvider.get_batch` is asked for.

    Attributes:
        match: a record may be returned if ``match(record)``: it is not complete, ``execute_after``
            is ``None`` or not after ``now``, and ``expire_on`` is ``None`` or after ``now``; and
            when the worker serves some queues only, its ``queue`` is one of them.
        limit: return at most so many. It allows for records that this worker has taken already,
            so it may be more than the worker has room for.
        now: the instant that counts, aware, in UTC. Use it instead of the clock.
        lease_until: until when a provider that `SupportsLeases` leases what it returns.
    """

    match: Match[R]
    limit: int
    now: datetime
    lease_until: datetime

    @classmethod
    def due(
        cls,
        now: datetime,
        limit: int,
        lease_until: datetime,
        queues: Sequence[str] | None = None,
    ) -> JobSearchParams[R]:
        """The search for what is due at ``now``, in ``queues`` or in any."""
        criteria: tuple[Criterion, ...] = (
            Criterion("is_complete", "==", False),
            Criterion("execute_after", "<=", now, or_none=True),
            Criterion("expire_on", ">", now, or_none=True),
        )
        if queues is not None:
            criteria += (Criterion("queue", "in", tuple(queues), absent=DEFAULT_QUEUE),)
        return cls(Match[R](now, criteria), limit, now, lease_until)


class JobStorageProvider(ABC, Generic[R]):
    """Keeps a user's records. Five methods; any of them may raise what it likes.

    An error is logged with the record's id and never ends the worker; each method says what
    follows from one.
    """

    @abstractmethod
    async def store_job(self, record: R) -> None:
        """Keep a new record. When this returns, the job is enqueued.

        An error reaches the caller of ``enqueue``, as the cause of a `StorageError` (an error of
        `trio_gusto` as it is); raise `DuplicateJob` for an id that exists.
        """

    @abstractmethod
    async def get_batch(self, params: JobSearchParams[R]) -> Sequence[R]:
        """Records that satisfy ``params.match``, at most ``params.limit``, in the order to start.

        Only look, unless you implement `SupportsLeases`: the worker may leave some alone, and asks
        again. Copies are as good as the originals. After an error the worker asks again in a
        second, and later as the errors go on.
        """

    @abstractmethod
    async def mark_job_as_complete(self, record: R) -> None:
        """The handler returned. ``record`` is the one from `get_batch`, its ``is_complete`` set.

        After an error it is called again, three times in all. If that does not help the record is
        no longer complete, and the job runs again when `get_batch` returns it.
        """

    @abstractmethod
    async def cancel_job(self, tracking_id: UUID) -> None:
        """Make sure that `get_batch` does not return this job any more.

        Called at once, for running jobs too, which are then cancelled. The id may be unknown. An
        error reaches the caller of ``cancel``.
        """

    @abstractmethod
    async def on_handler_execution_failure(self, record: R, error: BaseException) -> None:
        """The handler raised ``error`` (a ``TimeoutError`` if it ran too long). You decide.

        Called once for each attempt that failed, also for an attempt in which the handler raised
        `Fail` or `Retry`. Move ``execute_after`` to run the job later, set ``is_complete`` (or
        delete the record) to give up, or leave the record as it is to have it run again at once.
        Change ``record`` itself as well as what you store, so that the worker knows too. After an
        error the job is left alone for a second, then runs when `get_batch` returns it.
        """


@runtime_checkable
class SupportsStoreMany(Protocol[R_contra]):
    """For ``enqueue_many`` and whatever else stores several jobs at once."""

    async def store_jobs(self, records: Sequence[R_contra]) -> None:
        """Keep all of these new records, or none of them."""
        ...


@attrs.frozen
class JobFindParams(Generic[R]):
    """Which records `SupportsQueries.find_jobs` is asked for.

    Attributes:
        match: a predicate; return only records that satisfy it.
        limit: return at most so many.
        before: only records with a lower ``tracking_id``; ``None``: from the highest on.
    """

    match: Callable[[R], bool]
    limit: int
    before: UUID | None


@runtime_checkable
class SupportsQueries(Protocol[R]):
    """For looking at jobs that this process has not enqueued or run, for lists and for counts."""

    async def get_jobs(self, tracking_ids: Sequence[UUID]) -> Sequence[R]:
        """The records with these ids, in any order; unknown ids are left out."""
        ...

    async def find_jobs(self, params: JobFindParams[R]) -> Sequence[R]:
        """The records that satisfy ``params``, by descending ``tracking_id``: the newest first."""
        ...


@runtime_checkable
class SupportsLeases(Protocol):
    """For several worker processes on one store: a job belongs to one of them at a time.

    `get_batch` then leases what it returns until ``params.lease_until``, in the same transaction,
    and does not return what is leased. Ending a job, and a failed attempt, end its lease.
    """

    async def renew_leases(
        self, tracking_ids: Sequence[UUID], lease_until: datetime
    ) -> Collection[UUID]:
        """Move these leases to ``lease_until``; returns the ids that somebody else holds now."""
        ...

    async def release_lease(self, tracking_id: UUID) -> None:
        """End a lease: the worker gives the job back without having run it to an end."""
        ...


@runtime_checkable
class SupportsWake(Protocol):
    """For jobs that other processes store: without it they are found by the next safety poll."""

    async def wait_for_jobs(self) -> None:
        """Return when somebody else may have stored a job. Called, and cancelled, again and again."""
        ...
