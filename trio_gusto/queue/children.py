"""Jobs that a handler enqueues and that are stored with its success: `JobContext.queue`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Unpack, cast, overload

import trio

from ..actors.lease import Lease
from ..job_options import JobOptions
from ..model.errors import NoCurrentJob, NotSupported
from ..model.job import JobRequest
from ..model.lifecycle import admit
from ..model.states import State, Waiting
from .call import Call, checked
from .conditions import On, condition_of, with_parents
from .continuing import Parent, parent_ids
from .ref import JobRef
from .signatures import AnyMethod, Method, R, Ts
from .unique import require_durable

if TYPE_CHECKING:
    from .jobqueue import JobQueue


class JobChildren:
    """Takes jobs that are to be stored in the transaction of the attempt's success, and only then.

    They are kept in memory until the handler returns. If it fails, is cancelled, snoozes or loses its
    lease, they are forgotten, and the next attempt begins with none. What can be wrong with a call
    comes out at once, in the handler. What only the storage can refuse (a ``ref_id`` or
    ``unique_key`` that is taken, a parent that is gone) fails the job with that error, for good: its
    success is not stored without them. With ``on_conflict="return_existing"`` a job that another one stands
    in for is not stored, and the ref that was returned for it names nothing.

    A job here does not exist before the handler has returned, so nothing can be waited for inside it.
    """

    __slots__ = ("_lease", "_queue")

    def __init__(self, lease: Lease, queue: JobQueue) -> None:
        self._lease = lease
        self._queue = queue

    @overload
    async def enqueue(
        self, fn: Callable[[*Ts], Awaitable[R]], /, *args: *Ts, **options: Unpack[JobOptions[R]]
    ) -> JobRef[R]: ...
    @overload
    async def enqueue(
        self,
        fn: Callable[[Any, *Ts], Coroutine[Any, Any, R]],
        /,
        *args: *Ts,
        **options: Unpack[JobOptions[R]],
    ) -> JobRef[R]: ...
    @overload
    async def enqueue(
        self, fn: Callable[[*Ts], R], /, *args: *Ts, **options: Unpack[JobOptions[R]]
    ) -> JobRef[R]: ...
    @overload
    async def enqueue(
        self, fn: Method[*Ts, R], /, *args: *Ts, **options: Unpack[JobOptions[R]]
    ) -> JobRef[R]: ...
    @overload
    async def enqueue(
        self, fn: AnyMethod[*Ts, R], /, *args: *Ts, **options: Unpack[JobOptions[R]]
    ) -> JobRef[R]: ...
    async def enqueue(
        self, fn: Callable[..., Any], /, *args: object, **options: Any
    ) -> JobRef[Any]:
        """Have a job that calls ``fn(*args)`` stored with the success; see `JobQueue.enqueue`.

        From a handler in a worker thread, call it with ``trio.from_thread.run``.

        Raises:
            UnknownHandler, ArgumentError, OptionsError: as `JobQueue.enqueue`.
            NoCurrentJob: the handler has returned, or has lost its lease.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        request = self._queue.drafted(fn, args, options)
        return self._add([(request, admit(request))])[0]

    async def enqueue_many(self, calls: Iterable[Call[R]], /) -> list[JobRef[R]]:
        """Have many jobs stored with the success: all of them, or none.

        Raises:
            UnknownHandler, ArgumentError, OptionsError, NoCurrentJob: as `enqueue`; none of them is taken.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        requests = [
            self._queue.drafted(call.fn, call.args, call.options) for call in map(checked, calls)
        ]
        return self._add([(request, admit(request)) for request in requests])

    @overload
    async def continue_with(
        self,
        parents: Parent | Iterable[Parent],
        fn: Callable[[*Ts], Awaitable[R]],
        /,
        *args: *Ts,
        on: On = "success",
        **options: Unpack[JobOptions[R]],
    ) -> JobRef[R]: ...
    @overload
    async def continue_with(
        self,
        parents: Parent | Iterable[Parent],
        fn: Callable[[Any, *Ts], Coroutine[Any, Any, R]],
        /,
        *args: *Ts,
        on: On = "success",
        **options: Unpack[JobOptions[R]],
    ) -> JobRef[R]: ...
    @overload
    async def continue_with(
        self,
        parents: Parent | Iterable[Parent],
        fn: Callable[[*Ts], R],
        /,
        *args: *Ts,
        on: On = "success",
        **options: Unpack[JobOptions[R]],
    ) -> JobRef[R]: ...
    @overload
    async def continue_with(
        self,
        parents: Parent | Iterable[Parent],
        fn: Method[*Ts, R],
        /,
        *args: *Ts,
        on: On = "success",
        **options: Unpack[JobOptions[R]],
    ) -> JobRef[R]: ...
    @overload
    async def continue_with(
        self,
        parents: Parent | Iterable[Parent],
        fn: AnyMethod[*Ts, R],
        /,
        *args: *Ts,
        on: On = "success",
        **options: Unpack[JobOptions[R]],
    ) -> JobRef[R]: ...
    async def continue_with(
        self,
        parents: Parent | Iterable[Parent],
        fn: Callable[..., Any],
        /,
        *args: object,
        on: On = "success",
        **options: Any,
    ) -> JobRef[Any]:
        """Have a continuation stored with the success; its parents may be jobs that were added here before.

        Raises:
            UnknownHandler, ArgumentError, OptionsError, NoCurrentJob: as `enqueue`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        state = Waiting(parent_ids(parents), condition_of(on))
        request = with_parents(self._queue.drafted(fn, args, options), state.parents)
        return self._add([(request, state)])[0]

    def _add(self, jobs: list[tuple[JobRequest, State]]) -> list[JobRef[Any]]:
        for request, _ in jobs:
            require_durable(request, "a job that goes with the success of another")
        if self._lease.over or self._lease.cause is not None:
            raise NoCurrentJob
        if self._lease.children is None:
            self._lease.children = []
        self._lease.children += jobs
        return [JobRef(self._queue, request.id) for request, _ in jobs]


def children_of(lease: Lease, queue: object) -> JobChildren:
    """The jobs that the handler under a lease wants stored with its success.

    Raises:
        NotSupported: the storage cannot store them so.
    """
    parent = cast("JobQueue", queue)
    if not parent.keeps_children:
        raise NotSupported(
            "enqueueing with a job's success", "", "enqueue with the app's own queue instead"
        )
    return JobChildren(lease, parent)
