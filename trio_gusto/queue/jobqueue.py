"""`JobQueue`: the producer's verbs. Builds requests, asks the storage, shows what is there.

Everything that can be wrong with a call is found here, at the caller; when `enqueue` returns, the
job is stored. It owns no I/O: writes go to the storekeeper's desk, queries to the storage.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from typing import Any, Unpack, overload
from uuid import UUID

import trio

from ..actors.canceller import Canceller
from ..actors.desk import Heed, StorageDesk, StoreLetter
from ..actors.probe import enqueued
from ..actors.waiters import Waiters
from ..job_options import JobOptions
from ..model.errors import GustoError, NotSupported, OptionsError
from ..model.ids import JobId, to_job_id
from ..model.job import Job, JobRequest
from ..model.lifecycle import admit
from ..model.states import Cancelled, Ready, Scheduled, State
from ..model.uniqueness import has_keys
from ..storage.beside import is_durable
from ..storage.finding_messages import Get
from ..storage.messages import Commit, Committed, Insert
from .batching import Batching
from .call import Call, checked
from .continuing import Continuing
from .draft import Drafter
from .ears import Ears
from .looking import Looking
from .pausing import Pausing
from .reading import Reader
from .ref import JobRef, id_of
from .retrying import Retrying
from .running import Running
from .scaling import Scaling
from .schedules import ScheduleVerbs
from .signatures import AnyMethod, Method, R, Ts
from .storing import store

TURN = 64
"""Jobs that may be stored without waiting, in memory, before the event loop gets its turn: a turn
for each would cost more than the job. Counted, not timed, so that runs can be repeated."""


class JobQueue(ScheduleVerbs, Running, Continuing, Batching, Retrying, Looking, Pausing, Scaling):
    """What `Gusto.running` and `Gusto.connected` give: enqueue, look, manage."""

    def __init__(
        self,
        desk: StorageDesk,
        waiters: Waiters,
        drafter: Drafter,
        ears: Ears,
        work_until_idle: Callable[[], Awaitable[None]],
        node: str,
    ) -> None:
        self._node = node
        self._desk = desk
        self._waiters = waiters
        self._drafter = drafter
        self.reader = Reader(desk, waiters, drafter.registry, drafter.codec)
        """What this queue and its refs look at jobs with; not for users."""
        self._ears = ears
        self.work_until_idle = work_until_idle
        """Run everything that is due, and what that makes due, then return (see
        `Gusto.run_until_idle`); with workers running already, wait until they have nothing to do."""
        self._probe = drafter.probe
        self._clock = drafter.clock
        self._canceller = Canceller(
            desk,
            waiters,
            drafter.clock,
            ears.called_off,
            ears.awaited,
            ears.ready,
            drafter.probe,
        )
        self._stored_at_once = 0
        self.keeps_children = desk.storage.keeps_children
        """Whether handlers may enqueue through `JobContext.queue`; not for users."""

    # --- enqueue ---

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
        """Store a job that calls ``fn(*args)``; when this returns, it survives a crash.

        Positional arguments belong to the function, keywords are options of the call;
        ``functools.partial`` carries keyword arguments of the function.

        Raises:
            UnknownHandler: ``fn`` is not declared with this app.
            ArgumentError: the arguments do not fit, or cannot be stored.
            OptionsError: an option is unknown or wrong.
            DuplicateJob: a job with this ``ref_id`` exists, or a live one with this ``unique_key``.
            StorageError: the storage failed; nothing was stored.
        """
        request = self._drafter.draft(fn, args, options)
        state = admit(request)
        if request.details is not None:
            if request.details.unique_key is not None:
                (ref,) = await self._store_unique([request], [state])
                return ref
            if not request.details.durable:
                self._desk.keep_in_memory()
        heed = None if request.expire_on is None else self._ears.heed_expiring
        letter = self._hand_in(Insert((request,), (state,)), heed)
        if letter is not None:
            reply = await letter.answer()
            if isinstance(reply, GustoError):
                raise reply
        elif self._stored_at_once < TURN:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await self._give_turn()
        if self._probe.listening:
            self._announce(request, state)
        return JobRef(self, request.id)

    async def enqueue_many(
        self, calls: Iterable[Call[R]] | AsyncIterable[Call[R]], /
    ) -> list[JobRef[R]]:
        """Store many jobs in one transaction: all of them, or none.

        Raises:
            ArgumentError, OptionsError, UnknownHandler, DuplicateJob: one of the calls is wrong;
                nothing was stored.
            StorageError: the storage failed; nothing was stored.
        """
        if isinstance(calls, AsyncIterable):
            requests = [self._draft(call) async for call in calls]
        else:
            requests = [self._draft(call) for call in calls]
        states = [admit(request) for request in requests]
        if not requests:
            return []
        self._require_one_place(requests)
        if has_keys(requests):
            return await self._store_unique(requests, states)
        is_expiring = any(request.expire_on is not None for request in requests)
        heed = self._ears.heed_expiring if is_expiring else None
        letter = self._hand_in(Insert(requests, states), heed)
        if letter is None:
            await self._give_turn()
        else:
            reply = await letter.answer()
            if isinstance(reply, GustoError):
                raise reply
        if self._probe.listening:
            for request, state in zip(requests, states, strict=True):
                self._announce(request, state)
        return [JobRef(self, request.id) for request in requests]

    def _require_one_place(self, requests: Sequence[JobRequest]) -> None:
        """All durable, or none."""
        places = {is_durable(request) for request in requests}
        if len(places) > 1:
            raise OptionsError(
                "durable",
                False,
                "these jobs are stored in one transaction; give it to all or to none",
            )
        if places == {False}:
            self._desk.keep_in_memory()

    async def _store_unique(
        self, requests: Sequence[JobRequest], states: Sequence[State]
    ) -> list[JobRef[Any]]:
        """The refs of the jobs that there are then: these, or those that had their keys."""
        insert = Insert(requests, states)
        ids = await store(self._desk, self._waiters, self._ears, insert)
        for job_id, request, state in zip(ids, requests, states, strict=True):
            if job_id == request.id:
                self._announce_if_heard(request, state)
        return [JobRef(self, job_id) for job_id in ids]

    @trio.lowlevel.enable_ki_protection  # it runs in callers' tasks
    def _hand_in(self, insert: Insert, heed: Heed | None) -> StoreLetter | None:
        """Store jobs now if that takes no waiting; else the letter whose answer tells the end."""
        desk = self._desk
        letter: StoreLetter | None = None
        is_lone = False
        reply = desk.perform(insert)
        if reply is None:
            is_lone = desk.is_at_rest()
            letter = desk.post(insert, heed)
        elif isinstance(reply, GustoError):
            raise reply
        else:
            self._stored_at_once += len(insert.requests)
            if heed is not None:
                heed(reply)
        try:
            # The poller hears of it now, so that its claim joins the same transaction.
            if not desk.mailbox.last:  # or its claim waits to be taken already, and covers this
                for state in insert.states:
                    if type(state) is Ready:
                        self._ears.ready()
                    elif type(state) is Scheduled:
                        self._ears.due(state.due)
        finally:
            if is_lone:
                desk.submit()
        return letter

    async def _give_turn(self) -> None:
        self._stored_at_once = 0
        await trio.lowlevel.checkpoint()

    def _draft(self, call: Call[Any]) -> JobRequest:
        checked(call)
        return self._drafter.draft(call.fn, call.args, call.options)

    def drafted(
        self, fn: Callable[..., Any], args: tuple[object, ...], options: Mapping[str, Any]
    ) -> JobRequest:
        """The request of a job that somebody else stores; not for users."""
        return self._drafter.draft(fn, args, options)

    def _announce_if_heard(self, request: JobRequest, state: State) -> None:
        if self._probe.listening:
            self._announce(request, state)

    def _announce(self, request: JobRequest, state: State) -> None:
        self._probe.announce(enqueued(request, state))

    # --- manage ---

    async def cancel(self, job: JobRef[Any] | Job | UUID, reason: str = "") -> bool:
        """Call a job off.

        A job that has not begun is ``cancelled`` when this returns. A running one is cancelled in
        its scope, at once in this process and within a second in others; it may still complete, if
        it was about to.

        Returns:
            Whether the job was called off; ``False`` if it has ended already.

        Raises:
            UnknownJob: there is no such job.
        """
        job_id = id_of(job)
        try:
            return await self._canceller.cancel(job_id, reason)
        except NotSupported:
            return await self._cancel_unseen(job_id, reason)

    async def _cancel_unseen(self, job_id: JobId, reason: str) -> bool:
        """Cancel a job in a storage that cannot be asked for it; the storage knows what to do."""
        cancelled = Commit(job_id, 0, Cancelled(self._clock.instant(), reason), 0)
        return isinstance(await self._desk.ask(cancelled), Committed)

    # --- look ---

    def ref(self, job_id: UUID) -> JobRef[Any]:
        """The handle of a job by its id, in any process. Whether the job exists shows when asked."""
        return JobRef(self, to_job_id(job_id))

    async def get(self, job: JobRef[Any] | Job | UUID) -> Job | None:
        """A snapshot of a job as it is now, or ``None`` if there is none with this id."""
        stored = await self.reader.find(id_of(job))
        return None if stored is None else self.reader.view(stored)

    async def get_by_ref(self, ref_id: str) -> Job | None:
        """A snapshot of the job with the caller's own ``ref_id``, or ``None``."""
        found = await self._desk.read(Get(ref_id=ref_id))
        return self.reader.view(found.jobs[0]) if found.jobs else None
