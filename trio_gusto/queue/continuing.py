"""`continue_with`: a job that waits for others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Unpack, overload
from uuid import UUID

from ..job_options import JobOptions
from ..model.errors import ArgumentError
from ..model.ids import JobId, to_job_id
from ..model.job import Job
from ..model.states import Waiting
from ..storage.messages import Insert
from .batch import Batch
from .conditions import On, condition_of, with_parents
from .part import QueuePart
from .ref import JobRef
from .signatures import AnyMethod, Method, R, Ts
from .storing import store
from .unique import require_durable

Parent = JobRef[Any] | Job | Batch | UUID
"""What names a job or batch that others wait for."""


class Continuing(QueuePart):
    """The part of `JobQueue` that registers continuations."""

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
        """Store a job that calls ``fn(*args)`` once its parents have ended.

        It is ``waiting`` until then, and never runs before. If its condition can hold no more it is
        ``cancelled`` as soon as that is known, and so are those that wait for it. Parents that have
        ended already count at once. What becomes of a parent later, by a retry by hand, changes
        nothing. Inside the handler ``current_job().parents`` has the parents with their results.

        Args:
            parents: one job or batch, or several: refs, jobs, batches or ids. A batch stands for all of
                its jobs, those that are appended until it has finished among them.
            fn: as in `enqueue`, like ``args`` and ``options``. An ``execute_after`` or ``expire_on``
                that is a duration counts from now, not from the release.
            on: ``"success"``: every parent completed; ``"failure"``: all ended, and at least one did
                not complete; ``"finish"``: all ended, however.

        Raises:
            UnknownJob: there is no such parent; nothing was stored.
            UnknownHandler, ArgumentError, OptionsError, DuplicateJob, StorageError: as `enqueue`.
            NotSupported: the storage keeps no continuations.

        >>> from trio_gusto import Gusto, current_job
        >>> app = Gusto()
        >>> @app.job
        ... async def add(a: int, b: int) -> int:
        ...     return a + b
        >>> @app.job
        ... async def total() -> object:
        ...     return sum(parent.result for parent in current_job().parents)
        >>> async def main() -> object:
        ...     async with app.running() as queue:
        ...         sums = [await queue.enqueue(add, n, n) for n in range(3)]
        ...         return await (await queue.continue_with(sums, total)).result()
        >>> import trio
        >>> trio.run(main)
        6
        """
        state = Waiting(parent_ids(parents), condition_of(on))
        request = with_parents(self._drafter.draft(fn, args, options), state.parents)
        require_durable(request, "a continuation")
        insert = Insert((request,), (state,))
        (job_id,) = await store(self._desk, self._waiters, self._ears, insert)
        if job_id == request.id:
            self._announce_if_heard(request, state)
        return JobRef(self, job_id)  # type: ignore[arg-type]  # it is the queue


def parent_ids(parents: Parent | Iterable[Parent]) -> tuple[JobId, ...]:
    """The ids of parents, each once, in order.

    Raises:
        ArgumentError: there is none, or something that names no job.
    """
    given = [parents] if isinstance(parents, UUID | JobRef | Job | Batch) else parents
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise _no_parent(parents)
    ids: dict[JobId, None] = {}
    for parent in given:
        if isinstance(parent, UUID):
            ids[to_job_id(parent)] = None
        elif isinstance(parent, JobRef | Job | Batch):
            ids[to_job_id(parent.id)] = None
        else:
            raise _no_parent(parent)
    if not ids:
        raise ArgumentError(
            "a continuation of no job would wait for nothing; name at least one parent, or enqueue it"
        )
    return tuple(ids)


def _no_parent(parent: object) -> ArgumentError:
    return ArgumentError(
        f"{parent!r} names no job, so nothing can wait for it; "
        "give a JobRef, a Job, a Batch or an id (a UUID), or several of them"
    )
