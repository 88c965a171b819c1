"""Outcomes on their way to the storage: letters that insist, until they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model.errors import GustoError
from ..model.outcomes import Outcome
from ..model.states import Completed
from ..storage.messages import Commit, Committed, Complete
from .desk import Reply, StoreLetter
from .lease import Lease

if TYPE_CHECKING:
    from .settler import Settler


class SettlementLetter(StoreLetter):
    """An outcome on its way to the storage; it insists, and calls the settler back."""

    __slots__ = ("_commit", "_settler", "lease", "now", "outcome", "state")

    insist = True

    def __init__(
        self, commit: Commit, settler: Settler, lease: Lease, outcome: Outcome, now: int
    ) -> None:
        self.message = self._commit = commit
        self.state = commit.state
        self.lease = lease
        self.outcome = outcome
        self.now = now
        self._settler = settler

    def deliver(self, reply: Reply) -> None:
        """Hand the reply to the settler."""
        children = self._commit.children
        if children is not None and isinstance(reply, GustoError):
            self._settler.refused(self.lease, self.now, reply)
            return
        if children is not None and isinstance(reply, Committed) and reply.inserted is not None:
            self._settler.on_children(children, reply.inserted)
        self._settler.recorded(self.lease, self.outcome, self.now, self.state, reply)


class SuccessLetter(StoreLetter):
    """The successes since the last letter of its kind was on its way; it insists, too."""

    __slots__ = ("_sealed", "_settler", "frees_lanes", "leases", "states")

    insist = True

    def __init__(self, settler: Settler) -> None:
        self.leases: list[Lease] = []
        self.states: list[Completed] = []
        self._settler = settler
        self._sealed: Complete | None = None
        self.frees_lanes = False
        """Whether it is worth while to claim for a lane when this is recorded."""

    @property
    def size(self) -> int:
        """How many successes it has taken up."""
        return len(self.leases)

    def seal(self) -> Complete:
        """The message; what succeeds from now on goes with another letter."""
        if self._sealed is None:
            self._settler.sealed()
            self._sealed = Complete([lease.claimed for lease in self.leases], self.states)
        return self._sealed

    def deliver(self, reply: Reply) -> None:
        """Hand the reply to the settler."""
        self._settler.succeeded(self, reply)
