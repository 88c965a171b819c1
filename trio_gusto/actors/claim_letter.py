"""A claim in the storekeeper's mailbox: a blank that is filled in when it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from ..model.pauses import StoredPause
from ..storage.messages import ClaimDue
from .desk import Reply, StoreLetter

if TYPE_CHECKING:
    from .poller import Poller


class ClaimLetter(StoreLetter):
    """A claim. What it asks for is said when it goes to the storage, and covers all before it."""

    __slots__ = ("_poller", "asked_at", "is_for_more", "is_sealed", "pauses", "told_at")

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
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
        return self._poller.claim()

    def deliver(self, reply: Reply) -> None:
        """Hand the reply to the poller."""
        self._poller.answered(self, reply)
