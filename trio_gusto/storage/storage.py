"""`Storage`: the abstract interface behind which jobs are kept.

`trio_gusto.testing.check_storage` is its conformance suite, for anybody's storage.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import overload

import trio

from ..model.errors import GustoError, StorageError
from .batch_messages import Batches, BatchesFound
from .dependency_messages import DependentJobs, Dependents
from .finding_messages import Find, Found, Get, Tallied, Tally
from .lease_messages import (
    CancelRequests,
    CancelsAsked,
    Renew,
    Renewed,
    Stranded,
    StrandedJobs,
)
from .messages import Query, QueryReply, Write, WriteReply
from .news import News
from .pause_messages import Pauses, PausesFound
from .rate_messages import Buckets, BucketsFound
from .report_messages import DossiersFound, LogFound, ReadDossiers, ReadLog
from .retention_messages import Prune, Pruned
from .run_messages import PastRuns, RunsFound
from .schedule_messages import FindSchedules, Schedules

Answer = Callable[[Sequence[WriteReply | GustoError] | StorageError], None]
"""Takes the replies to a group of writes, or why there are none."""


class Storage(ABC):
    """Keeps jobs, and answers the messages of `trio_gusto.storage.messages`.

    A storage is attached before its first message and detached after its last. Several nodes, in
    one process or in many, may be attached to what is the same storage underneath.
    """

    decides_retries = False
    """Whether the storage itself decides about retries, so that jobs may not bring their own."""

    keeps_reports = True
    """Whether it keeps progress, logs and dossiers of running jobs (`report_messages`)."""

    keeps_children = True
    """Whether jobs can be stored together with the success of another."""

    keeps_rates = True
    """Whether it keeps buckets of rate limits (`rate_messages`), and claims in the order of ageing."""

    remembers_presence = False
    """Whether a node that vanished is noticed by the storage before its leases have passed."""

    def take_after(self, storage: Storage) -> None:
        """Promise all of the above as ``storage`` does, for one that passes everything on to it."""
        self.decides_retries = storage.decides_retries
        self.keeps_reports = storage.keeps_reports
        self.keeps_children = storage.keeps_children
        self.keeps_rates = storage.keeps_rates
        self.remembers_presence = storage.remembers_presence

    @abstractmethod
    async def attach(self, node: str) -> None:
        """Open the storage if nobody has yet, and announce ``node``, a name never used before.

        Raises:
            StorageError: it cannot be opened; the message says why and what to do.
        """

    @abstractmethod
    async def detach(self, node: str) -> None:
        """Withdraw ``node``; close the storage when it was the last. Safe to call when cancelled."""

    @abstractmethod
    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        """Perform a group of writes in one transaction, in order; one reply for each.

        A write that cannot be performed gets an error as its reply and has no effect. When a caller is
        cancelled, all of the group has been done by then, or none of it ever will be.

        Raises:
            StorageBusy: somebody else held the storage for too long. Nothing was done; try again.
            StorageError: the storage failed. Nothing was done.
        """

    def submit(
        self,
        writes: Sequence[Write],  # noqa: ARG002 - for subclasses
        answer: Answer,  # noqa: ARG002
    ) -> bool:
        """Begin `apply` in the caller's own step, without a task that waits for it.

        Asked for only when nothing else is under way, so that a lone write has not to wait for its
        turn. A subclass that overrides only `apply`, to put something between, is asked through that.

        Args:
            writes: the group.
            answer: called once, in the event loop, with the replies, or with the error that `apply`
                would raise; before this returns, if nothing had to be waited for. It does not raise.

        Returns:
            ``False`` when the storage cannot: nothing was begun, and it is not asked again.

        Raises:
            StorageError: as `apply`; ``answer`` is not called then.
        """
        return False

    async def prune_apart(self, prune: Prune) -> Pruned | None:  # noqa: ARG002 - for subclasses
        """Perform a `Prune` by itself, beside the groups, because it takes long.

        A subclass that overrides only `apply`, to put something between, is asked through that.

        Returns:
            ``None`` when the storage has no such way: nothing was done, and it is applied like any
            other write.

        Raises:
            StorageBusy, StorageError: as `apply`.
        """
        return None

    @overload
    async def read(self, query: Get | Find) -> Found: ...
    @overload
    async def read(self, query: Tally) -> Tallied: ...
    @overload
    async def read(self, query: Stranded) -> StrandedJobs: ...
    @overload
    async def read(self, query: CancelRequests) -> CancelsAsked: ...
    @overload
    async def read(self, query: FindSchedules) -> Schedules: ...
    @overload
    async def read(self, query: Dependents) -> DependentJobs: ...
    @overload
    async def read(self, query: Batches) -> BatchesFound: ...
    @overload
    async def read(self, query: ReadLog) -> LogFound: ...
    @overload
    async def read(self, query: ReadDossiers) -> DossiersFound: ...
    @overload
    async def read(self, query: PastRuns) -> RunsFound: ...
    @overload
    async def read(self, query: Pauses) -> PausesFound: ...
    @overload
    async def read(self, query: Buckets) -> BucketsFound: ...
    @abstractmethod
    async def read(self, query: Query) -> QueryReply:
        """Answer one query from committed data.

        Raises:
            StorageError: the storage failed.
            NotSupported: the storage cannot answer such a query.
        """

    async def wait_changed(self, node: str) -> News | None:  # noqa: ARG002 - for subclasses
        """Return when others than ``node`` may have changed the storage since the last return.

        Called by one task for each node, again and again; what happens between two calls is not
        missed. The default never returns: nobody else can change anything.

        Returns:
            What has happened, at least what `news.news_of` says of all that others have written;
            ``None`` where that is not known, and then everybody looks.
        """
        await trio.sleep_forever()

    def renew_blocking(self, renew: Renew) -> Renewed | None:  # noqa: ARG002 - for subclasses
        """Renew leases from a thread, while the event loop is blocked.

        Returns:
            ``None`` when the storage cannot, or did not manage to; nothing was renewed then.
        """
        return None


class ImmediateStorage(Storage):
    """A storage that waits for nothing, and so performs a write at once.

    What a caller waits for is then performed in his own step, without an actor in between. A
    subclass that overrides `apply` to put something between is asked through that.
    """

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        return [self.perform(write) for write in writes]

    @abstractmethod
    def perform(self, write: Write) -> WriteReply | GustoError:
        """One write of `apply`."""
