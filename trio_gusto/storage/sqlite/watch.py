"""What the writer does when nobody asks it for anything: it looks whether others have written, and
moves the log into the file once writing has stopped.

Looking reads one number, which SQLite changes when another connection commits. An idle system
writes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from time import monotonic

from .writes import Writer

_QUIET = 1.0
"""Seconds without a write after which the log is moved into the file."""


class Watch:
    """Looks every ``interval`` seconds while somebody wants it, and calls ``tell`` on a change."""

    def __init__(self, writer: Writer, interval: float, tell: Callable[[], None]) -> None:
        self._writer = writer
        self._interval = interval
        self._tell = tell
        self._version = self._data_version()
        self._next_look = 0.0
        self._quiet_since = 0.0
        self.wanted_by = 0
        """How many nodes wait for a change."""

    def has_changed(self) -> bool:
        """Whether somebody else has committed since this was last asked."""
        version = self._data_version()
        changed = version != self._version
        self._version = version
        return changed

    def between(self, idle: bool) -> float | None:  # noqa: FBT001 - called by the thread alone
        """Do what is due; answers in how many seconds there is more. Never raises."""
        now = monotonic()
        if not idle:
            self._quiet_since = now
        try:
            self._look(now)
            self._checkpoint(now)
        except sqlite3.Error:
            pass  # whoever writes or reads next meets it, and is told
        waits: list[float] = []
        if self.wanted_by:
            waits.append(self._next_look - now)
        if self._writer.wrote:
            waits.append(self._quiet_since + _QUIET - now)
        return max(0.001, min(waits)) if waits else None

    def _look(self, now: float) -> None:
        if self.wanted_by and now >= self._next_look:
            self._next_look = now + self._interval
            if self.has_changed():
                self._tell()

    def _checkpoint(self, now: float) -> None:
        if self._writer.wrote and now >= self._quiet_since + _QUIET:
            self._writer.wrote = False
            self._writer.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _data_version(self) -> int:
        version: int = self._writer.connection.execute("PRAGMA data_version").fetchone()[0]
        return version
