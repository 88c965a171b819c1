"""A group of writes as one transaction.

Rule 1: the order of the group is kept; only neighbours of one kind are performed together.
Rule 2: a message that SQLite refuses is answered with its own error. The step it was part of is
        rolled back to its savepoint and done again, one message at a time.
Rule 3: any other failure rolls everything back, and then the file, this object and what it
        remembers are as they were.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import cast

from ...model.errors import ArgumentError, GustoError
from ..messages import (
    ClaimDue,
    Commit,
    Insert,
    Inserted,
    Prune,
    Renew,
    RequestCancel,
    Write,
    WriteReply,
)
from .claiming import claim_due, nothing_due
from .errors import MessageErrors
from .inserting import insert_jobs, refusal
from .leases import Leases
from .names import Names
from .settling import (
    COMMITTED,
    complete_all,
    is_plain_success,
    prune,
    renew,
    request_cancel,
    settle,
)

Reply = WriteReply | GustoError
Step = Callable[[Sequence[Write]], Sequence[Reply]]

_INSERTED = Inserted()


class Writer:
    """Performs writes on the one connection that may write."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._names = Names(connection)
        self._leases = Leases()
        self.wrote = False
        """Whether anything was committed since somebody last set this to false."""

    def apply(self, writes: Sequence[Write]) -> Sequence[Reply]:
        """Perform a group.

        Raises:
            sqlite3.Error: the storage failed; nothing was done.
        """
        return self._found_idle(writes) or self._transact(writes)

    def _found_idle(self, writes: Sequence[Write]) -> Sequence[Reply] | None:
        """The replies to claims that find nothing, for which nothing must be locked or written."""
        replies: list[Reply] = []
        for write in writes:
            reply = nothing_due(self.connection, write) if type(write) is ClaimDue else None
            if reply is None:
                return None
            replies.append(reply)
        return replies

    def _transact(self, writes: Sequence[Write]) -> Sequence[Reply]:
        replies: list[Reply] = []
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            for step, run in groupby(writes, self._step_for):
                replies += step(list(run))
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

    def _undo_step(self) -> None:
        self._names.forget()
        self.connection.execute("ROLLBACK TO step")

    def _step_for(self, write: Write) -> Step:
        if type(write) is Commit and is_plain_success(write):
            return self._complete
        if type(write) is Insert:
            return self._insert
        return self._one_by_one

    def _insert(self, run: Sequence[Write]) -> Sequence[Reply]:
        inserts = cast(Sequence[Insert], run)
        refused: Exception | None = None
        self.connection.execute("SAVEPOINT step")
        try:
            insert_jobs(self.connection, self._names, inserts)
        except MessageErrors as error:
            refused = error
            self._undo_step()
        self.connection.execute("RELEASE step")
        if refused is None:
            return [_INSERTED] * len(inserts)
        if len(inserts) == 1:
            return [refusal(self.connection, inserts[0], refused)]
        return [reply for insert in inserts for reply in self._insert([insert])]

    def _complete(self, run: Sequence[Write]) -> Sequence[Reply]:
        commits = cast(Sequence[Commit], run)
        self.connection.execute("SAVEPOINT step")
        try:
            done = complete_all(self.connection, self._leases, commits)
        except MessageErrors:
            done = False
        if not done:
            self._undo_step()
        self.connection.execute("RELEASE step")
        return [COMMITTED] * len(commits) if done else self._one_by_one(commits)

    def _one_by_one(self, run: Sequence[Write]) -> Sequence[Reply]:
        replies: list[Reply] = []
        for write in run:
            self.connection.execute("SAVEPOINT step")
            try:
                replies.append(self._perform(write))
            except MessageErrors as error:
                self._undo_step()
                replies.append(_unstorable(write, error))
            self.connection.execute("RELEASE step")
        return replies

    def _perform(self, write: Write) -> Reply:
        match write:
            case ClaimDue():
                return claim_due(self.connection, self._names, self._leases, write)
            case Commit():
                return settle(self.connection, self._names, self._leases, write)
            case Renew():
                return renew(self.connection, self._leases, write)
            case RequestCancel():
                return request_cancel(self.connection, write)
            case Prune():
                return prune(self.connection, write)
            case Insert():
                return self._insert([write])[0]


def _unstorable(write: Write, error: Exception) -> GustoError:
    return ArgumentError(
        f"SQLite cannot keep this {type(write).__name__} ({error}), and nothing of it was stored; "
        "use text that UTF-8 can encode, and integers of 64 bits"
    )
