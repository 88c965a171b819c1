"""`JobQueue`: the producer's verbs. Builds requests, asks the storage, shows what is there.

Everything that can be wrong with a call is found here, at the caller; when `enqueue` returns, the
job is stored. It owns no I/O: writes go to the storekeeper's desk, queries to the storage.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Unpack, overload
from uuid import UUID

import trio

from ..actors.canceller import Canceller
from ..actors.desk import StorageDesk, StoreLetter
from ..actors.waiters import Waiters
from ..job_options import JobOptions
from ..model.errors import ArgumentError, GustoError, NotSupported
from ..model.facts import JobEnqueued
from ..model.ids import JobId, to_job_id, to_uuid
from ..model.instants import to_datetime, to_optional_datetime
from ..model.job import Attempt, Job, JobRequest
from ..model.lifecycle import RetriedByHand, admit, attempts_of, may
from ..model.pauses import StoredPause
from ..model.states import Cancelled, JobState, Ready, Scheduled, State
from ..serialization.views import attempt_view
from ..storage.messages import Commit, Committed, Get, Insert, Tally
from .batching import Batching, page_mark
from .call import Call, checked
from .continuing import Continuing
from .draft import Drafter
from .pausing import Pausing
from .reading import Reader
from .records import JobFilter, Page, QueueStats
from .ref import JobRef
from .schedules import ScheduleVerbs
from .signatures import AnyMethod, Method, R, Ts

TURN = 64
"""Jobs that may be stored without waiting, in memory, before the event loop gets its turn: a turn
for each would cost more than the job. Counted, not timed, so that runs can be repeated."""


class Ears:
    """Whom the queue tells of what it did, in this process. A producer has nobody to tell."""

    def ready(self) -> None:
        """There is a job that is due."""

    def due(self, instant: int) -> None:
        """A job falls due at ``instant``."""

    def expiring(self) -> None:
        """A job with an ``expire_on`` was stored."""

    def called_off(self, job_id: JobId, reason: str) -> None:
        """The cancellation of a processing job was asked for."""

    def paused(self, pauses: Sequence[StoredPause]) -> str | None:  # noqa: ARG002 - for subclasses
        """These pauses hold. Returns the node of the workers that have heard it, if there are any."""
        return None

    def rescheduled(self) -> None:
        """A schedule was registered, changed or removed."""

    def awaited(self, ended: Sequence[JobId]) -> None:
        """These jobs may have ended, and others wait for them."""


class JobQueue(ScheduleVerbs, Continuing, Batching, Pausing):
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
        self._canceller = Canceller(desk, waiters, drafter.clock, ears.called_off, ears.awaited)
        self._stored_at_once = 0

    # --- enqueue ---

    @overload
    async def enqueue(
        self, fn: Callable[[*Ts], Awaitable[R]], /, *args: *Ts, **options: Unpack[JobOptions]
    ) -> JobRef[R]: ...
    @overload
    async def enqueue(
        self,
        fn: Callable[[Any, *Ts], Coroutine[Any, Any, R]],
        /,
        *args: *Ts,
        **options: Unpack[JobOptions],
    ) -> JobRef[R]: ...
    @overload
    async def enqueue(
        self, fn: Callable[[*Ts], R], /, *args: *Ts, **options: Unpack[JobOptions]
    ) -> JobRef[R]: ...
    @overload
    async def enqueue(
        self, fn: Method[*Ts, R], /, *args: *Ts, **options: Unpack[JobOptions]
    ) -> JobRef[R]: ...
    @overload
    async def enqueue(
        self, fn: AnyMethod[*Ts, R], /, *args: *Ts, **options: Unpack[JobOptions]
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
            DuplicateJob: a job with this ``ref_id`` exists.
            StorageError: the storage failed; nothing was stored.
        """
        request = self._drafter.draft(fn, args, options)
        state = admit(request)
        letter = self._hand_in(Insert((request,), (state,)))
        if letter is not None:
            reply = await letter.answer()
            if isinstance(reply, GustoError):
                raise reply
        elif self._stored_at_once < TURN:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await self._give_turn()
        if request.expire_on is not None:
            self._ears.expiring()  # not sooner: a sweep reads what is committed
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
        letter = self._hand_in(Insert(requests, states))
        if letter is None:
            await self._give_turn()
        else:
            reply = await letter.answer()
            if isinstance(reply, GustoError):
                raise reply
        if any(request.expire_on is not None for request in requests):
            self._ears.expiring()
        if self._probe.listening:
            for request, state in zip(requests, states, strict=True):
                self._announce(request, state)
        return [JobRef(self, request.id) for request in requests]

    @trio.lowlevel.enable_ki_protection  # it runs in callers' tasks
    def _hand_in(self, insert: Insert) -> StoreLetter | None:
        """Store jobs now if that takes no waiting; else the letter whose answer tells the end."""
        desk = self._desk
        letter: StoreLetter | None = None
        is_lone = False
        reply = desk.perform(insert)
        if reply is None:
            is_lone = desk.is_at_rest()
            letter = desk.post(insert)
        elif isinstance(reply, GustoError):
            raise reply
        else:
            self._stored_at_once += len(insert.requests)
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

    def _announce_if_heard(self, request: JobRequest, state: State) -> None:
        if self._probe.listening:
            self._announce(request, state)

    def _announce(self, request: JobRequest, state: State) -> None:
        self._probe.announce(
            JobEnqueued(
                at=to_datetime(request.created_at),
                job_id=to_uuid(request.id),
                name=request.name,
                queue=request.queue,
                state=state.word,
            )
        )

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
        job_id = _id_of(job)
        try:
            return await self._canceller.cancel(job_id, reason)
        except NotSupported:
            return await self._cancel_unseen(job_id, reason)

    async def _cancel_unseen(self, job_id: JobId, reason: str) -> bool:
        """Cancel a job in a storage that cannot be asked for it; the storage knows what to do."""
        cancelled = Commit(job_id, 0, Cancelled(self._clock.instant(), reason), 0)
        return isinstance(await self._desk.ask(cancelled), Committed)

    async def retry(self, job: JobRef[Any] | Job | UUID) -> bool:
        """Run a failed, cancelled or expired job again, with all its attempts, now.

        Its recorded attempts stay; an ``expire_on`` it had holds no more.

        Returns:
            Whether the job will run again; ``False`` if it has not ended, or is completed.

        Raises:
            UnknownJob: there is no such job.
        """
        job_id = _id_of(job)
        while True:
            stored = await self.reader.known(job_id)
            if not may(stored.state, RetriedByHand):
                return False
            now = self._clock.instant()
            then = partial(self._ears.due, now)
            if await self._canceller.change(stored, RetriedByHand(now), then):
                return True

    # --- look ---

    def ref(self, job_id: UUID) -> JobRef[Any]:
        """The handle of a job by its id, in any process. Whether the job exists shows when asked."""
        return JobRef(self, to_job_id(job_id))

    async def get(self, job_id: UUID) -> Job | None:
        """A snapshot of a job, or ``None`` if there is none with this id."""
        stored = await self.reader.find(to_job_id(job_id))
        return None if stored is None else self.reader.view(stored)

    async def get_by_ref(self, ref_id: str) -> Job | None:
        """A snapshot of the job with the caller's own ``ref_id``, or ``None``."""
        found = await self._desk.read(Get(ref_id=ref_id))
        return self.reader.view(found.jobs[0]) if found.jobs else None

    async def find(
        self,
        filter: JobFilter | None = None,  # noqa: A002 - the word users know it by
        *,
        limit: int = 25,
        after: str | None = None,
    ) -> Page[Job]:
        """Jobs that satisfy ``filter``, newest first, ``limit`` of them at most.

        ``after`` is the ``next`` of the page before. Jobs stored meanwhile shift no page.

        Raises:
            ArgumentError: the filter, the limit or the page mark is not of its kind.
        """
        before = None if after is None else page_mark(after)
        query = (filter or JobFilter()).to_query(limit, before)
        jobs = (await self._desk.read(query)).jobs
        full = len(jobs) == limit
        mark = str(jobs[-1].sequence) if full else None
        return Page(items=tuple(self.reader.view(job) for job in jobs), next=mark)

    async def attempts(self, job: JobRef[Any] | Job | UUID) -> tuple[Attempt, ...]:
        """All attempts of a job, oldest first, the running one included.

        Raises:
            UnknownJob: there is no such job.
        """
        stored = await self.reader.known(_id_of(job))
        return tuple(attempt_view(record, stored) for record in attempts_of(stored))

    async def stats(self) -> QueueStats:
        """How many jobs there are, by state, queue and tenant."""
        tallied = await self._desk.read(Tally())
        by_state: dict[JobState, int] = {}
        by_queue: dict[str, dict[JobState, int]] = {}
        by_tenant: dict[str, dict[JobState, int]] = {}
        for (state, queue, tenant), count in tallied.counts.items():
            by_state[state] = by_state.get(state, 0) + count
            for table, key in ((by_queue, queue), (by_tenant, tenant)):
                row = table.setdefault(key, {})
                row[state] = row.get(state, 0) + count
        return QueueStats(
            by_state=by_state,
            by_queue=by_queue,
            by_tenant=by_tenant,
            oldest_ready_at=to_optional_datetime(tallied.oldest_ready),
        )


def _id_of(job: JobRef[Any] | Job | UUID) -> JobId:
    if isinstance(job, UUID):
        return to_job_id(job)
    if isinstance(job, JobRef | Job):
        return to_job_id(job.id)
    raise ArgumentError(f"{job!r} names no job; give a JobRef, a Job or its id (a UUID)")
