"""An open file: its connections, its threads, and who is announced."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias, TypeVar

import trio

from ..bells import Bells
from ..messages import Query, QueryReply
from ..news import News
from ..retention_messages import Prune, Pruned
from .archive import Archive, Copied
from .archived import answer_with_archive
from .connection import Location, open_reader, open_writer
from .counts import Counted
from .months import Months
from .presence import IS_SUPPORTED, Presence
from .queries import answer
from .retention import copy
from .thread import DatabaseThread, InLoop
from .watch import Watch
from .writes import Writer

T = TypeVar("T")

Perform: TypeAlias = Callable[[Callable[[], T]], Awaitable[T]]

_SHORT_WAIT = 0.02
"""Seconds that a lock may hold up the event loop at a time, when there is no thread."""

_ARCHIVE_WAIT = 0.25
"""Seconds to wait for a lock on a month of the archive, whose jobs may as well be moved later."""


class Session:
    """One opening of the file, from the first node to the last."""

    def __init__(self, location: Location, *, inline: bool, interval: float) -> None:
        self._location = location
        self._interval = interval
        self._writer: Writer | None = None
        self._watch: Watch | None = None
        self._reader: sqlite3.Connection | None = None
        self._wait_for_lock = _SHORT_WAIT if inline else location.busy_timeout
        self._months: Months | None = None
        self._archive: Archive | None = None
        if location.archive:
            self._months = Months(location.path, _ARCHIVE_WAIT)
            self._archive = Archive(self._months)
        self._is_closing = False
        self.bells = Bells()
        self._token = trio.lowlevel.current_trio_token()
        self.presence = None
        if IS_SUPPORTED and not location.is_memory:
            self.presence = Presence(location.path)
        self.writing = InLoop() if inline else DatabaseThread("gusto-sqlite-writer", self._between)
        # Without a file there is but one connection, and it must not leave its thread.
        self._reading = self.writing
        if not inline and not location.is_memory:
            self._reading = DatabaseThread("gusto-sqlite-reader")
        self._copying = InLoop() if inline else DatabaseThread("gusto-sqlite-archive")
        self._copier: sqlite3.Connection | None = None
        self._moving = trio.Lock()

    async def open(self) -> None:
        """Open the file for writing; for reading it is opened at the first question.

        Raises:
            StorageError: it cannot be opened.
        """
        await self.writing.run(self._open_writer)

    async def close(self) -> None:
        """Close what is open, and end the threads. Safe to call when cancelled."""
        self._is_closing = True
        if self._reader is not None:
            self._reader.interrupt()  # nobody waits for its answers any more
        if self._reading is not self.writing:
            await self._reading.close(self._close_reader)
        await self._copying.close(self._close_copier)
        await self.writing.close(self._close_writer)

    async def ask(self, query: Query) -> QueryReply:
        """Answer a question where the reading connection lives."""
        reply = await self._reading.run(partial(self._answer, query), question=True)
        if isinstance(reply, Counted):
            await self._keep(reply)
            return reply.tallied
        return reply

    async def _keep(self, counted: Counted) -> None:
        """Write down what was counted; when that fails, it is counted again the next time."""
        try:
            for pieces in counted.slices():
                if self._is_closing:
                    return
                await self.writing.run(partial(self.writer.keep_counts, pieces))
        except sqlite3.Error:
            pass  # the answer is known, and whoever writes next meets the fault, and is told

    @property
    def has_archive(self) -> bool:
        """Whether old jobs are moved, and not deleted."""
        return self._archive is not None

    async def move_old(self, ask: Prune, write: Perform[Pruned]) -> Pruned:
        """Perform a `Prune`: copy old jobs beside what others write, and delete them then.

        ``write`` has work done where the writing connection lives.
        """
        async with self._moving:  # of two nodes here, one would copy what the other has copied
            found = await self._copying.run(partial(self._copy_old, ask), question=True)
            return await write(partial(self.writer.delete_copied, ask, found))

    async def changed(self, node: str) -> News:
        """Return when others than ``node`` may have written since this last returned."""
        if self._location.is_memory:
            return await self.bells.heard(node)  # only through this object can anybody
        self.watch.wanted_by += 1
        try:
            if isinstance(self.writing, DatabaseThread):
                self.writing.wake()
                return await self.bells.heard(node)
            return await self._look_until_heard(node)
        finally:
            self.watch.wanted_by -= 1

    async def _look_until_heard(self, node: str) -> News:
        while True:
            if self.watch.has_changed():
                self.bells.ring()
            with trio.move_on_after(self._interval):
                return await self.bells.heard(node)

    @property
    def writer(self) -> Writer:
        """What performs writes; to be used where `writing` runs things."""
        assert self._writer is not None
        return self._writer

    @property
    def watch(self) -> Watch:
        """What notices others' commits."""
        assert self._watch is not None
        return self._watch

    def _open_writer(self) -> None:
        connection = open_writer(self._location, wait=self._wait_for_lock)
        self._writer = Writer(connection, self._archive)
        self._watch = Watch(self._writer, self._interval, self._notice)

    def _between(self, idle: bool) -> float | None:  # noqa: FBT001 - called by the thread alone
        return None if self._watch is None else self._watch.between(idle)

    def _notice(self) -> None:
        """Called in the writer's thread."""
        try:
            self._token.run_sync_soon(self.bells.ring)
        except trio.RunFinishedError:
            pass  # the loop was torn down, and nobody waits any more

    def _answer(self, query: Query) -> QueryReply | Counted:
        connection = self.writer.connection
        if not self._location.is_memory:
            if self._reader is None:
                self._reader = open_reader(self._location)
            connection = self._reader
        if self._months is not None:
            return answer_with_archive(connection, query, self._is_gone, self._months)
        return answer(connection, query, self._is_gone)

    def _copy_old(self, ask: Prune) -> tuple[Copied, Pruned]:
        assert self._archive is not None
        if self._copier is None:
            self._copier = open_reader(self._location)
        return copy(self._copier, self._archive, ask)

    def _is_gone(self, node: str) -> bool | None:
        return None if self.presence is None else self.presence.is_gone(node)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _close_copier(self) -> None:
        if self._copier is not None:
            self._copier.close()
            self._copier = None

    def _close_writer(self) -> None:
        self._close_reader()  # in the event loop there is no other to do it
        if self._writer is not None:
            self._writer.connection.close()
