"""`run`: a handler's very result, without a job that stays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Unpack, overload

import attrs
import trio

from ..actors.context import is_in_job
from ..job_options import JobOptions
from ..model.errors import GustoError, JobCancelled, NotSupported, OptionsError, UnknownJob
from ..model.ids import JobId, to_uuid
from ..model.job import Details, Errand, JobRequest, StoredJob
from ..model.lifecycle import admit
from ..model.outcomes import AttemptOutcome
from ..model.states import Completed
from ..storage.messages import Insert
from .part import QueuePart
from .ref import unhappy
from .signatures import AnyMethod, Method, R, Ts

if TYPE_CHECKING:
    from ..actors.desk import Heed, StoreLetter

PATIENCE = 60.0
"""Seconds that a handler has to come to an end when whoever waits for it is cancelled."""

OF_STORED_JOBS = ("unique_key", "on_conflict", "ref_id", "callback", "durable")


class Running(QueuePart):
    """The part of `JobQueue` that runs calls which are not stored."""

    @overload
    async def run(
        self, fn: Callable[[*Ts], Awaitable[R]], /, *args: *Ts, **options: Unpack[JobOptions[R]]
    ) -> R: ...
    @overload
    async def run(
        self,
        fn: Callable[[Any, *Ts], Coroutine[Any, Any, R]],
        /,
        *args: *Ts,
        **options: Unpack[JobOptions[R]],
    ) -> R: ...
    @overload
    async def run(
        self, fn: Callable[[*Ts], R], /, *args: *Ts, **options: Unpack[JobOptions[R]]
    ) -> R: ...
    @overload
    async def run(
        self, fn: Method[*Ts, R], /, *args: *Ts, **options: Unpack[JobOptions[R]]
    ) -> R: ...
    @overload
    async def run(
        self, fn: AnyMethod[*Ts, R], /, *args: *Ts, **options: Unpack[JobOptions[R]]
    ) -> R: ...
    async def run(self, fn: Callable[..., Any], /, *args: object, **options: Any) -> Any:
        """Run ``fn(*args)`` on this app's executors, and return what it returns.

        It runs like a job, within the same limits, pauses and named workers, and in the order of its
        ``priority``, but nothing is stored, and nothing of it is left. There is one attempt unless
        ``max_attempts`` says more. The result is the handler's own object and need not be storable; its
        arguments are checked and copied as those of any job. Cancelling the caller cancels the handler, and
        waits until that has ended.

        Raises:
            UnknownHandler, ArgumentError, OptionsError: as `enqueue`. An option that only a stored job
                can have is an OptionsError, too.
            NotSupported: this queue runs no jobs, or the call is made inside a job, which would hold an
                executor while it waits for another.
            JobCancelled: it was called off, or the app stopped before it had run.
            JobExpired: it was not started by its ``expire_on``.
            trio.TooSlowError: its last attempt took longer than its ``timeout``.
            Exception: whatever the handler has raised in its last attempt.

        >>> from trio_gusto import Gusto
        >>> app = Gusto()
        >>> @app.job
        ... async def double(number: int) -> int:
        ...     return 2 * number
        >>> async def main() -> int:
        ...     async with app.running() as queue:
        ...         return await queue.run(double, 21)
        >>> import trio
        >>> trio.run(main)
        42
        """
        self._require_workers()
        errand = Errand()
        request = self._errand(fn, args, options, errand)
        self._desk.keep_in_memory()
        state = admit(request)
        with self._waiters.waiting(request.id) as waiter:
            heed = None if request.expire_on is None else self._ears.heed_expiring
            letter = self._hand_in(Insert((request,), (state,)), heed)
            try:
                if letter is not None and isinstance(reply := await letter.answer(), GustoError):
                    raise reply
                stored = await self._until_ended(request.id, waiter.wait)
            except trio.Cancelled:
                # Shielded: no handler runs on without the one who asked for it. It has a while to end.
                with trio.CancelScope(shield=True, deadline=trio.current_time() + PATIENCE):
                    await self._end(request.id, waiter.wait)
                raise
            finally:
                self._desk.forget(request.id)
        return self._outcome(stored, errand)

    def _require_workers(self) -> None:
        if is_in_job():
            raise NotSupported(
                "queue.run inside a job", "", "call the function itself, or enqueue a continuation"
            )
        if self._ears.offer("", "") is None:
            raise NotSupported(
                "queue.run on a queue that runs no jobs", "", "use the queue of app.running()"
            )

    def _errand(
        self,
        fn: Callable[..., Any],
        args: tuple[object, ...],
        options: dict[str, Any],
        errand: Errand,
    ) -> JobRequest:
        for key in OF_STORED_JOBS:
            if key in options:
                raise OptionsError(key, options[key], "nothing is stored by run; use enqueue")
        own = {"max_attempts": 1, **options, "unique_key": None, "callback": None}
        request = self._drafter.draft(fn, args, own)
        details = attrs.evolve(request.details or Details(), durable=False, errand=errand)
        return attrs.evolve(request, details=details)

    async def _until_ended(self, job_id: JobId, called: Callable[[], Awaitable[None]]) -> StoredJob:
        while True:
            stored = await self.reader.known(job_id)
            if stored.state.word.is_ended:
                return stored
            if self._desk.is_closed:
                raise JobCancelled(to_uuid(job_id), "the app stopped before it had run")
            await called()

    async def _end(self, job_id: JobId, called: Callable[[], Awaitable[None]]) -> None:
        try:
            await self.cancel(to_uuid(job_id), "whoever waited for it was cancelled")
            await self._until_ended(job_id, called)
        except (UnknownJob, JobCancelled):
            pass  # it was never handed in, or the app has stopped

    def _outcome(self, stored: StoredJob, errand: Errand) -> object:
        if isinstance(stored.state, Completed):
            return errand.result
        if stored.history and stored.history[-1].outcome is AttemptOutcome.TIMED_OUT:
            raise trio.TooSlowError from errand.error
        error = errand.error
        if error is not None and not isinstance(error, trio.Cancelled):
            raise error
        raise unhappy(self.reader.view(stored))

    if TYPE_CHECKING:

        def _hand_in(self, insert: Insert, heed: Heed | None) -> StoreLetter | None: ...
