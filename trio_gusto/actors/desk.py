"""The desk: where other actors hand in what is for the storage.

`StorageDesk` is the storekeeper's address. Asking waits for the reply, telling does not; reading
goes past the mailbox, since queries neither wait behind writes nor take part in their transactions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, overload

import trio

from ..model.errors import GustoError, StorageError
from ..model.ids import JobId
from ..storage.batch_messages import Discard, Discarded, InsertBatch, Stage, Staged
from ..storage.beside import Beside, Transient
from ..storage.lease_messages import Renew, Renewed, RequestCancel
from ..storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Conflict,
    Insert,
    Inserted,
    Write,
    WriteReply,
)
from ..storage.pause_messages import LiftPauses, PutPause
from ..storage.retention_messages import Prune, Pruned
from ..storage.schedule_messages import PutSchedule
from ..storage.storage import ImmediateStorage, Storage
from .mailbox import Letter, Mailbox

logger = logging.getLogger("trio_gusto")

Reply = WriteReply | GustoError
Heed = Callable[[Reply], None]


class StoreLetter(Letter[Write, Reply]):
    """A write and the address for its reply."""

    __slots__ = ()


class HeededLetter(StoreLetter):
    """A write whose reply ``heed`` is called with, also when its sender does not wait any more."""

    __slots__ = ("_heed",)

    def __init__(self, message: Write, heed: Heed) -> None:
        super().__init__(message)
        self._heed = heed

    def deliver(self, reply: Reply) -> None:
        """Hand over the reply, and see to what follows from it."""
        super().deliver(reply)
        self._heed(reply)


class StorageDesk:
    """Takes letters for the storekeeper.

    ``tell`` hands in a letter without waiting, ``read`` is the storage's own.
    """

    def __init__(self, storage: Storage, memory: Transient | None = None) -> None:
        self._memory = Transient() if memory is None else memory
        self.storage = Beside(storage, self._memory) if self._memory.live() else storage
        self.read = self.storage.read
        self.mailbox = Mailbox[StoreLetter]()
        self.tell = self.mailbox.tell
        self.tell_last = self.mailbox.tell_last
        self.perform = _performing(self.storage)
        """Performs a write at once, if the storage can, and answers ``None`` if it cannot."""
        self._submits = _has_own("submit", self.storage)
        """Whether the storage may be handed groups in their callers' steps."""
        self._prunes_apart = _has_own("prune_apart", self.storage)
        self.kept: list[StoreLetter] = []
        """Letters that insist, taken out of the mailbox but not done yet."""
        self.is_crowded = False
        """Whether the storekeeper's last round was about many jobs."""
        self.is_submitted = False
        """Whether a lone caller's letters are with the storage."""
        self.serving = False
        self.served = trio.Event()
        self._closed = False

    @overload
    async def ask(self, write: Insert | InsertBatch, heed: Heed | None = ...) -> Inserted: ...
    @overload
    async def ask(self, write: ClaimDue) -> ClaimReply: ...
    @overload
    async def ask(
        self, write: Commit | RequestCancel | PutSchedule, heed: Heed = ...
    ) -> Committed | Conflict: ...
    @overload
    async def ask(self, write: PutPause | LiftPauses) -> Committed: ...
    @overload
    async def ask(self, write: Renew) -> Renewed: ...
    @overload
    async def ask(self, write: Prune) -> Pruned: ...
    @overload
    async def ask(self, write: Stage) -> Staged: ...
    @overload
    async def ask(self, write: Discard) -> Discarded: ...
    async def ask(self, write: Write, heed: Heed | None = None) -> Any:
        """Have ``write`` performed and wait for its reply.

        ``heed`` is called with the reply, too, even if the caller is cancelled and does not get it.

        Raises:
            GustoError: the write was refused, or the storage failed; it had no effect.
        """
        reply = self._hand_in(write, heed)
        if isinstance(reply, StoreLetter):
            reply = await reply.answer()
        else:
            try:
                await trio.lowlevel.checkpoint()
            finally:
                if heed is not None:
                    heed(reply)
        if isinstance(reply, GustoError):
            raise reply
        return reply

    async def prune(self, prune: Prune) -> Pruned:
        """Have ``prune`` performed: beside the groups, if the storage has a way for that.

        Raises:
            GustoError: the storage failed.
        """
        apart = await self.storage.prune_apart(prune) if self._prunes_apart else None
        return await self.ask(prune) if apart is None else apart

    @trio.lowlevel.enable_ki_protection  # callers ask, too, and the storage is not to be torn
    def _hand_in(self, write: Write, heed: Heed | None) -> Reply | StoreLetter:
        reply = self.perform(write)
        return self.post(write, heed) if reply is None else reply

    @trio.lowlevel.enable_ki_protection
    def post(self, write: Write, heed: Heed | None = None) -> StoreLetter:
        """Hand in ``write`` now; the letter's ``answer`` waits for the reply, or the refusal.

        Raises:
            StorageError: the desk is closed.
        """
        if self._closed:
            raise closed()
        letter = StoreLetter(write) if heed is None else HeededLetter(write, heed)
        self.tell(letter)
        return letter

    def keep_in_memory(self) -> None:
        """From now on jobs may be in memory, too, beside those of the storage."""
        if not isinstance(self.storage, Beside):
            self.storage = Beside(self.storage, self._memory)
            self.read = self.storage.read
            self.perform, self._submits = _perform_nothing, False

    def forget(self, job_id: JobId) -> None:
        """Keep a job in memory no longer that has ended."""
        self._memory.forget(job_id)

    def left_in_memory(self) -> int:
        """How many jobs in memory have not ended."""
        return self._memory.live()

    @property
    def is_closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self._closed

    def is_at_rest(self) -> bool:
        """Whether whoever comes now may `submit` what he hands in.

        That is when the storage can, has nothing else to do, and nobody was seen to come in a crowd.
        It is true once in a turn of the loop, so a crowd is served in a group all the same. The
        storekeeper is left asleep until then.
        """
        mailbox = self.mailbox
        is_busy = self.is_submitted or self.is_crowded or not mailbox.is_attended()
        if is_busy or self._closed or not self._submits:
            return False
        mailbox.hush()
        return True

    @trio.lowlevel.enable_ki_protection
    def submit(self) -> None:
        """Have the storage begin with what was handed in since the desk was found at rest.

        There is no outcome in it, which would have to be kept. If the storage cannot, it is left to
        the storekeeper.
        """
        waiting, last = self.mailbox.take_waiting(), self.mailbox.take_last()
        letters = [*waiting, *last]

        def answer(replies: Sequence[Reply] | StorageError) -> None:
            self.is_submitted = False
            self.served.set()
            if isinstance(replies, StorageError):
                replies = [replies] * len(letters)
            try:
                for letter, reply in zip(letters, replies, strict=True):
                    letter.deliver(reply)
            except Exception:
                # A defect of ours; there is no task here in which the supervisor could hear of it.
                logger.exception("a reply of the storage could not be delivered")

        self.is_submitted = True
        try:
            self._submits = self.storage.submit([letter.seal() for letter in letters], answer)
        except Exception:  # noqa: BLE001 - whatever it is, the storekeeper meets it, too, and deals with it
            begun = False
        else:
            begun = self._submits
        if not begun:
            self.is_submitted = False
            self.mailbox.put_back(waiting, last)
        # What is done at once would be so for all of a crowd: the next of this turn finds him awake.
        self.mailbox.unhush(wake=not self.is_submitted)

    async def submitted(self) -> None:
        """Wait until no lone caller's letters are with the storage."""
        while self.is_submitted:
            await self._news()

    async def finish(self) -> None:
        """Wait until every letter so far has been dealt with."""
        while self.serving or self.is_submitted or self.kept or not self.mailbox.is_empty():
            await self._news()

    async def _news(self) -> None:
        if self.served.is_set():  # or others wait for it already
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


def _has_own(method: str, storage: Storage) -> bool:
    """Whether ``method`` is no older than ``apply``, so that what overrides this is asked."""
    kinds = type(storage).__mro__
    newest = next(kind for kind in kinds if method in vars(kind) or "apply" in vars(kind))
    return newest is not Storage and method in vars(newest)


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
