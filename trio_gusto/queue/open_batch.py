"""A batch that is open: what takes jobs, and stores them together when its block ends."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

import attrs
import trio

from ..job_options import JobOptions
from ..model.batch import BatchRequest
from ..model.errors import BatchError
from ..model.ids import JobId
from ..model.job import Details, JobRequest
from ..model.lifecycle import admit
from ..model.states import State, Waiting
from ..options.values import texts
from ..storage.batch_messages import InsertBatch
from ..storage.messages import Insert
from .batch import Batch
from .call import Call, checked
from .conditions import On, condition_of, with_parents
from .ref import JobRef
from .signatures import AnyMethod, Method, R, Ts
from .staging import SLICE as STAGED_AT_ONCE
from .staging import Staging
from .unique import require_durable, require_own

if TYPE_CHECKING:
    from .jobqueue import JobQueue


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
