"""A line: leases of which one at a time may be with an executor of this node.

Two kinds need one. Jobs that run alone in their lane are leased in a row, so that no round of the storage
lies between two of them. And a job that was won back waits for its lost attempt to end here.

Rule: the next one goes on when the handler of the one before has ended, or when that will never be entered.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .lease import Lease


class Line:
    """The lease in front, which an executor may take, and those behind it, in order."""

    __slots__ = ("front", "lane", "low_water", "waiting")

    def __init__(self, front: Lease, lane: str | None = None) -> None:
        self.front: Lease | None = front
        self.lane = lane
        """The lane whose jobs stand here; ``None`` for a job that was won back."""
        self.waiting: deque[Lease] = deque()
        self.low_water = 0
        """When so few wait, it is time to claim more of the lane."""

    def join(self, lease: Lease) -> None:
        """Let ``lease`` wait until those before it are gone."""
        lease.line = self
        lease.is_behind = True
        self.waiting.append(lease)

    def leave(self, lease: Lease) -> Lease | None:
        """``lease`` has ended, or never begins. Returns whose turn it is now, if that is another's."""
        if self.front is lease:
            self.front = self.waiting.popleft() if self.waiting else None
            return self.front
        if lease in self.waiting:
            self.waiting.remove(lease)
        return None
