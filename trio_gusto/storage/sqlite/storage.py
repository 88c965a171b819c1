"""`SqliteStorage`: the door to the room. It opens, closes, and sends work to the right thread.

Writes go to one connection in a thread of its own, questions to a second one in another, so that a
long question never delays a claim. With ``inline=True`` both are used in the event loop.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar, overload

import outcome
import trio

from ...model.errors import GustoError, OptionsError, StorageBusy, StorageError
from ..batch_messages import Batches, BatchesFound
from ..dependency_messages import DependentJobs, Dependents
from ..finding_messages import Find, Found, Get, Tallied, Tally
from ..lease_messages import CancelRequests, CancelsAsked, Renew, Renewed, Stranded, StrandedJobs
from ..messages import Query, QueryReply, Write, WriteReply
from ..news import News, news_of
from ..pause_messages import Pauses, PausesFound
from ..rate_messages import Buckets, BucketsFound
from ..report_messages import DossiersFound, LogFound, ReadDossiers, ReadLog
from ..retention_messages import Prune, Pruned
from ..run_messages import PastRuns, RunsFound
from ..schedule_messages import FindSchedules, Schedules
from ..storage import Answer, Storage
from .connection import Location, Synchronous
from .presence import IS_SUPPORTED
from .rows import UNREADABLE
from .session import Session
from .thread import DatabaseThread

T = TypeVar("T")

_RETRY = 0.02
"""Seconds between two tries at a lock, when there is no thread to wait in."""


class SqliteStorage(Storage):
    """Keeps jobs in one SQLite file, shared by any number of processes of one machine.

    Args:
        path: the file, made if it does not exist (its directory must); ``":memory:"`` for none.
        synchronous: ``"FULL"``: what is stored survives a loss of power. ``"NORMAL"``: it survives
            the death of the process, but a loss of power may take the last moments back.
        inline: work in the event loop instead of in threads. A lone job starts sooner, and
            virtual time stays exact, but every disk access holds up the loop.
        busy_timeout: seconds to wait while another process writes, before `StorageBusy`.
        watch_interval: seconds between two looks at whether another process has written.
        archive: jobs past their retention are moved to a file for each month in which jobs were
            made (``jobs-2026-11.db`` beside ``jobs.db``) instead of deleted, and found there.

    Raises:
        OptionsError: an option is out of range.

    Example::

        app = Gusto(SqliteStorage("jobs.db"))
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "FULL",
        inline: bool = False,
        busy_timeout: float = 5.0,
        watch_interval: float = 0.1,
        archive: bool = False,
    ) -> None:
        if synchronous not in ("FULL", "NORMAL"):
            raise OptionsError("synchronous", synchronous, 'use "FULL" or "NORMAL"')
        if not 0 <= busy_timeout <= 3600:
            raise OptionsError("busy_timeout", busy_timeout, "use 0 to 3600 seconds")
        if not 0.01 <= watch_interval <= 3600:
            raise OptionsError("watch_interval", watch_interval, "use 0.01 to 3600 seconds")
        self._location = Location(os.fspath(path), synchronous, busy_timeout, archive)
        if archive and self._location.is_memory:
            raise OptionsError("archive", archive, "a database in memory has no place for files")
        self._inline = inline
        self._interval = watch_interval
        self._opening = trio.Lock()
        self._session: Session | None = None
        self.remembers_presence = IS_SUPPORTED and not self._location.is_memory

    async def attach(self, node: str) -> None:
        async with self._opening:
            if self._session is None:
                self._session = await self._open()
            try:
                if self._session.presence is not None:
                    self._session.presence.announce(node)
            except BaseException:
                await self._close_if_unused()
                raise
            self._session.bells.hang(node)

    async def detach(self, node: str) -> None:
        # Shielded, or a cancelled node would stay announced; what it waits for is local and short.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 60):
            async with self._opening:
                if self._session is None:
                    return
                if self._session.presence is not None:
                    self._session.presence.withdraw(node)
                self._session.bells.take_down(node)
                self._session.bells.ring()
                await self._close_if_unused()

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        session = self._attached()
        replies = await self._write(session, partial(session.writer.apply, writes))
        _spread(session, writes, replies)
        return replies

    async def prune_apart(self, prune: Prune) -> Pruned | None:
        session = self._attached()
        if not session.has_archive:
            return None
        try:
            return await session.move_old(prune, partial(self._write, session))
        except sqlite3.Error as error:
            raise self._location.explain(error) from error

    async def _write(self, session: Session, work: Callable[[], T]) -> T:
        """Have ``work`` done where the writing connection is, and wait for a lock."""
        deadline = trio.current_time() + self._location.busy_timeout
        while True:
            try:
                return await session.writing.run(work)
            except sqlite3.Error as error:
                reason = self._location.explain(error)
                waited = not self._inline or trio.current_time() >= deadline
                if waited or not isinstance(reason, StorageBusy):
                    raise reason from error
            await trio.sleep(_RETRY)

    def submit(self, writes: Sequence[Write], answer: Answer) -> bool:
        session = self._attached()

        def deliver(result: outcome.Outcome[Sequence[WriteReply | GustoError]]) -> None:
            if isinstance(result, outcome.Error):
                answer(self._fault(result.error))
            else:
                replies = result.unwrap()
                _spread(session, writes, replies)
                answer(replies)

        try:
            session.writing.begin(partial(session.writer.apply, writes), deliver)
        except sqlite3.Error as error:
            raise self._location.explain(error) from error
        return True

    def _fault(self, error: BaseException) -> StorageError:
        if isinstance(error, sqlite3.Error):
            fault = self._location.explain(error)
        else:
            fault = StorageError(f"the storage broke: {error!r}")
        fault.__cause__ = error
        return fault

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
    async def read(self, query: Query) -> QueryReply:
        session = self._attached()
        try:
            return await session.ask(query)
        except sqlite3.Error as error:
            raise self._location.explain(error) from error
        except UNREADABLE as error:
            raise self._location.unreadable(error) from error

    async def wait_changed(self, node: str) -> News | None:
        return await self._attached().changed(node)

    def renew_blocking(self, renew: Renew) -> Renewed | None:
        session = self._session
        if session is None or not isinstance(session.writing, DatabaseThread):
            return None
        work = partial(session.writer.apply, [renew])
        try:
            replies = session.writing.run_blocking(work, self._location.busy_timeout + 1)
        except sqlite3.Error:
            return None
        reply = None if replies is None else replies[0]
        return reply if isinstance(reply, Renewed) else None

    def _attached(self) -> Session:
        if self._session is None:
            raise StorageError(
                f"no node is attached to {self._location.path}, so it is not open; "
                "call attach() first, and detach() last"
            )
        return self._session

    async def _open(self) -> Session:
        session = Session(self._location, inline=self._inline, interval=self._interval)
        try:
            await session.open()
        except BaseException:
            await session.close()
            raise
        return session

    async def _close_if_unused(self) -> None:
        if self._session is not None and not self._session.bells:
            session, self._session = self._session, None
            await session.close()


def _spread(
    session: Session, writes: Sequence[Write], replies: Sequence[WriteReply | GustoError]
) -> None:
    """Other nodes of this very object hear of it; those of other processes watch the file."""
    if len(session.bells) > 1:
        session.bells.ring(news_of(writes, replies))
