"""Batches: jobs that are stored together, counted together, and waited for as one."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, overload
from uuid import UUID

import attrs
import trio

from ..job_options import JobOptions
from ..model.batch import BatchRequest, BatchStatus, StoredBatch, status_of
from ..model.errors import BatchError
from ..model.ids import JobId, to_uuid
from ..model.instants import MICROSECONDS, to_duration
from ..model.job import Details, JobRequest, StoredJob
from ..model.lifecycle import admit
from ..model.states import JobState, State, Waiting
from ..options.values import texts
from ..storage.batch_messages import Batches, InsertBatch
from ..storage.finding_messages import Find
from ..storage.messages import Insert
from .call import Call, checked
from .conditions import On, condition_of, with_parents
from .ref import JobRef, unhappy
from .signatures import AnyMethod, Method, R, Ts
from .staging import SLICE as STAGED_AT_ONCE
from .staging import Staging
from .unique import require_durable, require_own

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


class OpenBatch(Batch):
    """What ``async with queue.batch() as batch`` gives: it takes jobs until the block ends."""

    __slots__ = ("_followers", "_is_new", "_is_open", "_reopen", "_staging", "_tags", "_tenant")

    def __init__(
        self,
        queue: JobQueue,
        batch_id: JobId,
        *,
        is_new: bool,
        tenant: str = "",
        tags: Iterable[str] = (),
        reopen: bool = False,
    ) -> None:
        super().__init__(queue, batch_id)
        self._tenant = tenant
        self._tags = texts("tags", tags)
        self._is_new = is_new
        self._is_open = False
        self._reopen = reopen
        self._staging = Staging(queue, batch_id)
        self._followers: list[tuple[JobRequest, State]] = []

    @overload
    def enqueue(
        self, fn: Callable[[*Ts], Awaitable[R]], /, *args: *Ts, **options: Unpack[JobOptions[R]]
    ) -> JobRef[R]: ...
    @overload
    def enqueue(
        self,
        fn: Callable[[Any, *Ts], Coroutine[Any, Any, R]],
        /,
        *args: *Ts,
        **options: Unpack[JobOptions[R]],
    ) -> JobRef[R]: ...
    @overload
    def enqueue(
        self, fn: Callable[[*Ts], R], /, *args: *Ts, **options: Unpack[JobOptions[R]]
    ) -> JobRef[R]: ...
    @overload
    def enqueue(
        self, fn: Method[*Ts, R], /, *args: *Ts, **options: Unpack[JobOptions[R]]
    ) -> JobRef[R]: ...
    @overload
    def enqueue(
        self, fn: AnyMethod[*Ts, R], /, *args: *Ts, **options: Unpack[JobOptions[R]]
    ) -> JobRef[R]: ...
    def enqueue(self, fn: Callable[..., Any], /, *args: object, **options: Any) -> JobRef[Any]:
        """Add a job; it is stored when the block ends. The same arguments as `JobQueue.enqueue`.

        It has the batch's tenant unless ``options`` name another, and the batch's tags.

        Raises:
            UnknownHandler, ArgumentError, OptionsError: as `JobQueue.enqueue`.
            BatchError: the block is not open.
        """
        request = self._draft(fn, args, options)
        details = request.details or Details()
        tags = tuple(dict.fromkeys((*details.tags, *self._tags)))
        details = attrs.evolve(details, batch=self._id, tags=tags)
        self._staging.held.append(attrs.evolve(request, details=details))
        return JobRef(self._queue, request.id)

    async def enqueue_many(self, calls: Iterable[Call[Any]] | AsyncIterable[Call[Any]], /) -> int:
        """Add any number of jobs, in bounded memory; they are stored when the block ends.

        The storage puts them by in slices while they come, where nobody sees them, and makes jobs of
        all of them at the end of the block. So an iterator may be longer than memory is large. It is
        all or nothing still: if one call is wrong, or this is cancelled, the block can store nothing
        any more, and what was put by is thrown away.

        Args:
            calls: as `call` makes them, of any iterable, synchronous or not.

        Returns:
            How many there were. (A `JobRef` for each would not be bounded; ``JobFilter(batch_id=...)``
            finds the jobs once they are stored.)

        Raises:
            UnknownHandler, ArgumentError, OptionsError: as `JobQueue.enqueue`.
            BatchError: the block is not open; or what was put by got lost.
            NotSupported: the storage keeps no batches.
            StorageError: the storage failed.

        >>> from trio_gusto import Gusto, call
        >>> app = Gusto()
        >>> @app.job
        ... async def greet(name: str) -> str:
        ...     return f"hello {name}"
        >>> async def guests():
        ...     for number in range(2000):
        ...         yield call(greet, f"guest {number}")
        >>> async def main() -> tuple[int, int]:
        ...     async with app.connected() as queue:
        ...         async with queue.batch() as batch:
        ...             count = await batch.enqueue_many(guests())
        ...         return count, (await batch.status()).ready
        >>> import trio
        >>> trio.run(main)
        (2000, 2000)
        """
        await trio.lowlevel.checkpoint()
        self._check_open()
        count = 0
        is_whole = False
        try:
            if isinstance(calls, AsyncIterable):
                async for call in calls:
                    count += 1
                    await self._pour(call)
            else:
                for call in calls:
                    count += 1
                    await self._pour(call)
            is_whole = True
        finally:
            if not is_whole:
                self._staging.is_incomplete = True
        return count

    async def _pour(self, call: Call[Any]) -> None:
        checked(call)
        self.enqueue(call.fn, *call.args, **call.options)
        while len(self._staging.held) >= STAGED_AT_ONCE:
            await self._staging.put_by()

    @overload
    def continue_with(
        self,
        fn: Callable[[*Ts], Awaitable[R]],
        /,
        *args: *Ts,
        on: On = "success",
        **options: Unpack[JobOptions[R]],
    ) -> JobRef[R]: ...
    @overload
    def continue_with(
        self,
        fn: Callable[[Any, *Ts], Coroutine[Any, Any, R]],
        /,
        *args: *Ts,
        on: On = "success",
        **options: Unpack[JobOptions[R]],
    ) -> JobRef[R]: ...
    @overload
    def continue_with(
        self,
        fn: Callable[[*Ts], R],
        /,
        *args: *Ts,
        on: On = "success",
        **options: Unpack[JobOptions[R]],
    ) -> JobRef[R]: ...
    @overload
    def continue_with(
        self,
        fn: Method[*Ts, R],
        /,
        *args: *Ts,
        on: On = "success",
        **options: Unpack[JobOptions[R]],
    ) -> JobRef[R]: ...
    @overload
    def continue_with(
        self,
        fn: AnyMethod[*Ts, R],
        /,
        *args: *Ts,
        on: On = "success",
        **options: Unpack[JobOptions[R]],
    ) -> JobRef[R]: ...
    def continue_with(
        self, fn: Callable[..., Any], /, *args: object, on: On = "success", **options: Any
    ) -> JobRef[Any]:
        """Add a job that waits for the whole batch; see `JobQueue.continue_with`.

        It is no member of the batch. It runs once, when all jobs have ended the way ``on`` wants,
        those appended until then among them.

        Raises:
            UnknownHandler, ArgumentError, OptionsError: as `JobQueue.enqueue`.
            BatchError: the block is not open.
        """
        state = Waiting((self._id,), condition_of(on))
        request = with_parents(self._draft(fn, args, options), state.parents)
        self._followers.append((request, state))
        return JobRef(self._queue, request.id)

    async def __aenter__(self) -> Self:
        if not self._is_new:
            batch = (await self._stored()).request
            self._tenant, self._tags = batch.tenant, batch.tags
        self._is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        is_stored = False
        try:
            if error is None:
                await self._store()
                is_stored = True
        finally:
            if not is_stored:
                await self._staging.discard()

    async def _store(self) -> None:
        staging = self._staging
        if staging.is_incomplete:
            raise BatchError.incomplete(self.id)
        members = [(request, admit(request)) for request in staging.held]
        jobs = [*members, *self._followers]
        insert = Insert([request for request, _ in jobs], [state for _, state in jobs])
        batch = BatchRequest(self._id, self._queue.instant(), self._tenant, self._tags)
        write = InsertBatch(
            batch, insert, self._is_new, self._reopen, staging.stage, staging.staged
        )
        await self._queue.store_batch(write, staging)

    def _draft(
        self, fn: Callable[..., Any], args: tuple[object, ...], options: dict[str, Any]
    ) -> JobRequest:
        self._check_open()
        if self._tenant:
            options = {"tenant": self._tenant, **options}
        request = self._queue.draft(fn, args, options)
        require_own(request, "a batch")
        require_durable(request, "a job of a batch")
        return request

    def _check_open(self) -> None:
        if not self._is_open:
            raise BatchError.closed(self.id)
