"""A group of writes as one transaction.

Rule 1: the order of the group is kept; only neighbours of one kind are performed together, and
        `steps` says where the order cannot be told.
Rule 2: a message that SQLite refuses is answered with its own error. That is rare, so a group is
        performed without protection at first, and when something is refused undone and performed
        again, protected step by step.
Rule 3: any other failure rolls everything back, and then the file, this object and what it
        remembers are as they were.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar, cast

from ..messages import ClaimDue, Write
from ..retention_messages import Prune, Pruned
from .archive import Archive, Copied
from .claiming import nothing_due
from .errors import MessageErrors
from .leases import Leases
from .names import Names
from .pieces import Piece, keep
from .steps import Reply, Steps

A = TypeVar("A")
T = TypeVar("T")


class Writer:
    """Performs writes on the one connection that may write."""

    def __init__(self, connection: sqlite3.Connection, archive: Archive | None = None) -> None:
        self.connection = connection
        self._names = Names(connection)
        self._leases = Leases()
        self._steps = Steps(connection, self._names, self._leases, archive)
        self.wrote = False
        """Whether anything was committed since somebody last set this to false."""

    def apply(self, writes: Sequence[Write]) -> Sequence[Reply]:
        """Perform a group.

        Raises:
            sqlite3.Error: the storage failed; nothing was done.
        """
        replies = self._found_idle(writes)
        if replies is not None:
            return replies
        try:
            return self._transact(self._steps.quickly, writes)
        except MessageErrors:
            return self._transact(self._steps.carefully, writes)

    def delete_copied(self, ask: Prune, found: tuple[Copied, Pruned]) -> Pruned:
        """Delete what the archive has by now.

        Raises:
            sqlite3.Error: the storage failed; nothing was done.
        """
        return self._transact(partial(self._steps.delete_copied, ask), found)

    def _found_idle(self, writes: Sequence[Write]) -> Sequence[Reply] | None:
        """The replies to claims that find nothing, for which nothing must be locked or written."""
        replies: list[Reply] = []
        for write in writes:
            if type(write) is not ClaimDue:
                return None
        for claim in cast(Sequence[ClaimDue], writes):
            reply = nothing_due(self.connection, claim)
            if reply is None:
                return None
            replies.append(reply)
        return replies

    def keep_counts(self, pieces: Sequence[Piece]) -> None:
        """Write down what the reader has counted.

        Raises:
            sqlite3.Error: the storage failed; nothing was done.
        """
        self._transact(partial(keep, self.connection), pieces)

    def _transact(self, perform: Callable[[A], T], what: A) -> T:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            replies = perform(what)
            self.connection.execute("COMMIT")
        except BaseException:
            self._leases.undo()
            self._names.forget()
            self._roll_back()
            raise
        self._leases.keep()
        self.wrote = True
        return replies

    def _roll_back(self) -> None:
        # SQLite has done it already after some errors: a full disk, an I/O error.
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
