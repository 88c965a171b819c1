"""A claim in the storekeeper's mailbox: a blank that is filled in when it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import trio

from ..model.pauses import StoredPause
from ..storage.messages import ClaimDue
from .desk import Reply, StoreLetter


class Claimant(Protocol):
    """Whoever claims: the poller."""

    def claim(self) -> ClaimDue:
        """What to claim now."""

    def answered(self, claim: ClaimLetter, reply: Reply) -> None:
        """The storage has answered."""


class ClaimLetter(StoreLetter):
    """A claim. What it asks for is said when it goes to the storage, and covers all before it."""

    __slots__ = ("_claimant", "asked_at", "is_for_more", "is_sealed", "pauses", "told_at")

    def __init__(self, claimant: Claimant) -> None:
        self._claimant = claimant
        self.told_at = self.asked_at = trio.current_time()
        self.is_sealed = False
        self.pauses: Sequence[StoredPause] = ()
        """Those heard of while it was under way."""
        self.is_for_more = False
        """Whether there were more executors when it went."""

    def seal(self) -> ClaimDue:
        """The claim, as of now."""
        self.is_sealed = True
        self.asked_at = trio.current_time()
        return self._claimant.claim()

    def deliver(self, reply: Reply) -> None:
        """Hand the reply to who claims."""
        self._claimant.answered(self, reply)
