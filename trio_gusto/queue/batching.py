"""The part of `JobQueue` that opens, finds and calls off batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import trio

from ..actors.canceller import calling_off
from ..model.batch import BatchStatus, status_of
from ..model.errors import ArgumentError, GustoError
from ..model.ids import JobId, to_job_id, to_uuid
from ..model.job import JobRequest, StoredJob
from ..model.states import Ready, Scheduled
from ..storage.batch_messages import Batches, Discard, InsertBatch, Stage
from ..storage.messages import Committed, Insert, Inserted
from .batch import Batch
from .open_batch import OpenBatch
from .part import QueuePart
from .records import LARGEST_PAGE, Page
from .staging import SLICE, Staging

if TYPE_CHECKING:
    from .jobqueue import JobQueue


class Batching(QueuePart):
    """Batches; mixed into `JobQueue`."""

    def batch(self, *, tenant: str = "", tags: Iterable[str] = ()) -> OpenBatch:
        """A new batch: ``async with queue.batch() as batch``.

        Inside the block ``batch.enqueue`` and ``batch.continue_with`` add jobs. The end of the block
        stores all of them in one transaction; an exception stores nothing. A batch without jobs is
        finished at once.

        Raises (at the end of the block):
            DuplicateJob: a ``ref_id`` exists; nothing was stored.
            NotSupported: the storage keeps no batches.
            StorageError: the storage failed; nothing was stored.
        """
        return OpenBatch(
            self._itself(), self._drafter.new_id(), is_new=True, tenant=tenant, tags=tags
        )

    def append_to(self, batch_id: UUID, *, reopen: bool = False) -> OpenBatch:
        """Add jobs to a batch that is stored: ``async with queue.append_to(batch.id) as more``.

        Continuations that wait for the batch wait for the new jobs too. What has been released runs
        no second time; continuations of the new block wait for the batch to finish again.

        Args:
            batch_id: its id.
            reopen: append even if the batch is finished.

        Raises (at the beginning and end of the block):
            BatchError: there is no such batch, or it is finished; nothing was stored.
        """
        return OpenBatch(self._itself(), to_job_id(batch_id), is_new=False, reopen=reopen)

    def batch_ref(self, batch_id: UUID) -> Batch:
        """The handle of a batch by its id, in any process."""
        return Batch(self._itself(), to_job_id(batch_id))

    async def batches(
        self, *, tenant: str | None = None, limit: int = 25, after: str | None = None
    ) -> Page[BatchStatus]:
        """Batches, of one tenant or of all, newest first, ``limit`` of them at most.

        ``after`` is the ``next`` of the page before. Jobs that were deleted, or moved to an archive
        (``SqliteStorage(archive=True)``), are not counted, and a batch of which none is left is not
        shown any more.

        Raises:
            ArgumentError: the limit or the page mark is not of its kind.
        """
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_PAGE:
            raise ArgumentError(
                f"a page cannot have {limit!r} batches; give a limit between 1 and {LARGEST_PAGE}"
            )
        before = None if after is None else page_mark(after)
        found = (await self._desk.read(Batches(limit, before, tenant))).batches
        mark = str(found[-1].sequence) if len(found) == limit else None
        return Page(items=tuple(map(status_of, found)), next=mark)

    # --- for `Batch` ---

    def instant(self) -> int:
        """Now."""
        return self._clock.instant()

    def draft(
        self, fn: Callable[..., Any], args: tuple[object, ...], options: dict[str, Any]
    ) -> JobRequest:
        """The request for a call."""
        return self._drafter.draft(fn, args, options)

    def new_id(self) -> JobId:
        """An id for something that is no job."""
        return self._drafter.new_id()

    def is_heard(self) -> bool:
        """Whether somebody wants to be told of every job."""
        return self._drafter.probe.listening

    async def put_by(self, stage: JobId, batch: JobId, position: int, jobs: Insert) -> None:
        """Have the storage put jobs by for a batch."""
        now = self._clock.instant()
        await self._desk.ask(Stage(stage, batch, self._node, now, position, jobs))

    async def discard(self, stage: JobId, limit: int) -> int:
        """Throw away some of what was put by; how many there were."""
        return (await self._desk.ask(Discard(stage, limit))).count

    async def store_batch(self, write: InsertBatch, staging: Staging) -> None:
        """Store a batch with its jobs, and have them noticed."""

        def heed(reply: object) -> None:
            if isinstance(reply, Inserted):
                self._notice(write, staging)

        await self._desk.ask(write, heed)
        for count, fact in enumerate(staging.facts(), 1):
            self._drafter.probe.announce(fact)
            if count % SLICE == 0:
                await trio.lowlevel.checkpoint()
        for request, state in zip(write.jobs.requests, write.jobs.states, strict=True):
            self._announce_if_heard(request, state)

    def _notice(self, write: InsertBatch, staging: Staging) -> None:
        """Whoever stored the batch may be gone by now."""
        self._ears.awaited([write.batch.id])  # it may be finished, or empty
        dues = [state.due for state in write.jobs.states if isinstance(state, Ready | Scheduled)]
        if staging.earliest is not None:
            dues.append(staging.earliest)
        if dues:
            self._ears.due(min(dues))
        if staging.is_expiring or any(
            request.expire_on is not None for request in write.jobs.requests
        ):
            self._ears.expiring()

    async def call_off(self, jobs: Sequence[StoredJob], reason: str) -> int:
        """Call off jobs in one transaction, and those that have changed meanwhile one by one.

        Callbacks that they wait for go with them.
        """
        now = self._clock.instant()
        callbacks = await self._canceller.callbacks_of(jobs)
        both = [*jobs, *callbacks]
        letters = [self._desk.post(calling_off(job, now, reason)) for job in both]
        awaited: dict[JobId, None] = {}
        called_off = 0
        for position, (letter, job) in enumerate(zip(letters, both, strict=True)):
            reply = await letter.answer()
            if isinstance(reply, GustoError):
                raise reply
            is_asked_for = position < len(jobs)
            if not isinstance(reply, Committed):
                if is_asked_for:
                    called_off += await self.cancel(to_uuid(job.request.id), reason)
                else:
                    await self._canceller.cancel_callback(job, reason)
                continue
            called_off += is_asked_for
            awaited.update(dict.fromkeys(reply.awaited))
            self._canceller.tell_called_off(job, now, reason)
        if awaited:
            self._ears.awaited(tuple(awaited))
        return called_off

    def _itself(self) -> JobQueue:
        return cast("JobQueue", self)


def page_mark(after: str) -> int:
    """The sequence that a page mark stands for.

    Raises:
        ArgumentError: it is no page mark.
    """
    try:
        return int(after)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"{after!r} is no page mark; give the `next` of the page before, as it is"
        ) from None
