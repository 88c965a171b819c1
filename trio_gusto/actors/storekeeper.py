"""The storage actor: the only one who speaks to the storage's writing side.

Rules. What waits together commits together: everything in the mailbox becomes one `Storage.apply`,
one transaction. While that runs new letters gather; no letter ever waits for a timer, only, where
there are many, for a few turns of the loop in which its neighbours may still join it.

A fault of the storage is answered to callers at once: nothing of theirs was stored, and they can
decide. Letters that insist (outcomes) are kept and tried again with growing pauses, so that an
outage loses no outcome; their number is bounded by the leases held.
"""

from __future__ import annotations

import logging

import trio

from ..model.errors import StorageError
from .desk import StorageDesk, StoreLetter, closed

logger = logging.getLogger("trio_gusto")

FEW = 4
"""Jobs of the round before, up to which nobody is waited for, and lone callers may help themselves."""

TURNS = 4
"""Turns of the loop before a round, at most, for as long as each of them brings more jobs."""

ENOUGH = 64
"""Jobs after which a round waits for no more: it pays already, and the storage should not idle."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
"""Seconds between tries while the storage fails: doubled from the first to the longest."""


LONGEST_ROUND = 30.0
"""Seconds that the last group may take when this actor is stopped."""


class Storekeeper:
    """Groups the desk's letters and hands them to the storage."""

    def __init__(self, desk: StorageDesk) -> None:
        self._desk = desk

    @trio.lowlevel.enable_ki_protection
    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve letters until cancelled."""
        task_status.started()
        try:
            await self._serve()
        finally:
            # Shielded: what a lone caller handed in is answered while there is somebody to hear it.
            # A storage is given as long for it as for closing.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LONGEST_ROUND):
                await self._desk.submitted()

    async def _serve(self) -> None:
        desk = self._desk
        pause = FIRST_PAUSE
        while True:
            if desk.kept:
                letters, desk.kept = [*desk.kept, *desk.mailbox.take_waiting()], []
            else:
                letters = await desk.mailbox.take_all()
            desk.serving = True
            try:
                fault = await self._round(letters)
            except BaseException:
                self._put_back(letters)
                raise
            finally:
                desk.serving = False
                desk.served.set()
            if fault is None:
                pause = FIRST_PAUSE
                continue
            logger.error("the storage failed, next try in %.2f s: %s", pause, fault)
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _round(self, letters: list[StoreLetter]) -> StorageError | None:
        """One transaction. Returns the storage's fault if letters were kept for another try."""
        mailbox = self._desk.mailbox
        before, size = 0, _size(letters)
        turns = TURNS if self._desk.is_crowded else 0
        while turns and before < size < ENOUGH:
            await trio.lowlevel.checkpoint()
            letters += mailbox.take_waiting()
            before, size = size, _size(letters)
            turns -= 1
        self._desk.is_crowded = size > FEW
        letters += mailbox.take_last()
        if not letters:
            return None  # performed by who brought them
        try:
            replies = await self._desk.storage.apply([letter.seal() for letter in letters])
        except StorageError as fault:
            self._answer_fault(letters, fault)
            return fault if self._desk.kept else None
        except Exception as error:
            # A defect of the storage: callers must not hang, and the supervisor must hear of it.
            self._answer_fault(letters, StorageError(f"the storage broke: {error!r}"))
            letters.clear()
            raise
        for letter, reply in zip(letters, replies, strict=True):
            letter.deliver(reply)
        return None

    def _answer_fault(self, letters: list[StoreLetter], fault: StorageError) -> None:
        for letter in letters:
            if letter.insist:
                self._desk.kept.append(letter)
            else:
                letter.deliver(fault)

    def _put_back(self, letters: list[StoreLetter]) -> None:
        """Keep what insists when this actor itself is interrupted before the round was answered."""
        for letter in letters:
            if letter.insist:
                self._desk.kept.append(letter)
            else:
                letter.deliver(closed())


def _size(letters: list[StoreLetter]) -> int:
    """How many jobs they are about; letters that are not sealed may still grow."""
    return sum([letter.size for letter in letters])
