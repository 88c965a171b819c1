"""The desk: where other actors hand in what is for the storage.

`StorageDesk` is the storekeeper's address. Asking waits for the reply, telling does not; reading
goes past the mailbox, since queries neither wait behind writes nor take part in their transactions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import trio

from ..model.errors import GustoError, StorageError
from ..storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Conflict,
    Insert,
    InsertBatch,
    Inserted,
    Prune,
    Pruned,
    Renew,
    Renewed,
    RequestCancel,
    Write,
    WriteReply,
)
from ..storage.storage import ImmediateStorage, Storage
from .mailbox import Letter, Mailbox

Reply = WriteReply | GustoError


class StoreLetter(Letter[Write, Reply]):
    """A write and the address for its reply."""

    __slots__ = ()


class StorageDesk:
    """Takes letters for the storekeeper.

    ``tell`` hands in a letter without waiting, ``read`` is the storage's own.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.read = storage.read
        self.mailbox = Mailbox[StoreLetter]()
        self.tell = self.mailbox.tell
        self.tell_last = self.mailbox.tell_last
        self.perform = _performing(storage)
        """Performs a write at once, if the storage can, and answers ``None`` if it cannot."""
        self.kept: list[StoreLetter] = []
        """Letters that insist, taken out of the mailbox but not done yet."""
        self.is_crowded = False
        """Whether the storekeeper's last round was about many jobs."""
        self.serving = False
        self.served = trio.Event()
        self._closed = False

    @overload
    async def ask(self, write: Insert | InsertBatch) -> Inserted: ...
    @overload
    async def ask(self, write: ClaimDue) -> ClaimReply: ...
    @overload
    async def ask(self, write: Commit | RequestCancel) -> Committed | Conflict: ...
    @overload
    async def ask(self, write: Renew) -> Renewed: ...
    @overload
    async def ask(self, write: Prune) -> Pruned: ...
    async def ask(self, write: Write) -> Any:
        """Have ``write`` performed and wait for its reply.

        Raises:
            GustoError: the write was refused, or the storage failed; it had no effect.
        """
        reply = self.perform(write)
        if reply is None:
            reply = await self.post(write).answer()
        else:
            await trio.lowlevel.checkpoint()
        if isinstance(reply, GustoError):
            raise reply
        return reply

    @trio.lowlevel.enable_ki_protection
    def post(self, write: Write) -> StoreLetter:
        """Hand in ``write`` now; the letter's ``answer`` waits for the reply, or the refusal.

        Raises:
            StorageError: the desk is closed.
        """
        if self._closed:
            raise closed()
        letter = StoreLetter(write)
        self.tell(letter)
        return letter

    def is_at_rest(self) -> bool:
        """Whether the storekeeper has nothing to do, and nobody was seen to come in a crowd."""
        return self.mailbox.is_attended() and not self.is_crowded

    @trio.lowlevel.enable_ki_protection
    def serve_yourself(self) -> None:
        """Perform what waits here and now, if the storage can; the storekeeper finds it done.

        To be called by who has just handed in what waits, and found the desk at rest. That is true
        once in a turn of the loop, so whoever comes in a crowd is served in a group all the same.
        """
        waiting, last = self.mailbox.take_waiting(), self.mailbox.take_last()
        letters = [*waiting, *last]
        try:
            replies = self.storage.apply_at_once([letter.seal() for letter in letters])
        except StorageError:
            replies = None  # the storekeeper meets it, too, and knows what to do
        if replies is None:
            self.mailbox.put_back(waiting, last)
            return
        for letter, reply in zip(letters, replies, strict=True):
            letter.deliver(reply)

    async def finish(self) -> None:
        """Wait until every letter so far has been dealt with."""
        while self.serving or self.kept or not self.mailbox.is_empty():
            self.served = trio.Event()
            await self.served.wait()

    def close(self) -> None:
        """Take no more letters, and leave nobody waiting for an answer that will not come."""
        self._closed = True
        self.perform = _refuse
        for letter in (*self.mailbox.take_waiting(), *self.mailbox.take_last()):
            if not letter.insist:
                letter.deliver(closed())


def _performing(storage: Storage) -> Callable[[Write], Reply | None]:
    if isinstance(storage, ImmediateStorage) and type(storage).apply is ImmediateStorage.apply:
        return storage.perform
    return _perform_nothing


def _perform_nothing(_write: Write) -> None:
    """Where a storage has to be waited for."""


def _refuse(_write: Write) -> StorageError:
    return closed()


def closed() -> StorageError:
    """What is answered to whoever comes too late."""
    return StorageError(
        "the queue is closed, so nothing can be stored any more; "
        "use it inside the block of app.running() or app.connected()"
    )
