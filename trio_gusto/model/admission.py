"""Which of the jobs that a claim meets, in claim order, it takes: those whose lane has room and whose buckets
have tokens.

A job that is refused is in nobody's way but of those behind it in its own lane. Where it is the bucket of its
queue that is empty, that queue is closed for the rest of the claim, as if it were paused.
"""

from __future__ import annotations

from collections.abc import Sequence

from .lanes import Lanes
from .rates import Demand, KeyLimit, Rates, of_queue


class Admission:
    """Lanes and buckets, while a claim is filled."""

    def __init__(self, lanes: Lanes, rates: Rates | None) -> None:
        self.lanes = lanes
        self.closed_queues: set[str] = set()
        """Those whose bucket was found to be empty."""
        self.waiting_lanes: set[str] = set()
        """Those that are closed because their next job waits for a token."""
        self._rates = rates

    def admit(
        self, queue: str, lane: str, room: int, limit: KeyLimit | None, *, spends_last: bool
    ) -> bool:
        """Whether the next job of a lane is taken; if so, it counts.

        Behind another one it would not start at once, so no job is put there that takes a token.
        """
        if queue in self.closed_queues:
            return False
        demands = self._demands(queue, limit)
        if not demands:
            return self.lanes.admit(lane, room, spends_last=spends_last)
        if not self.lanes.has_room(lane, room, spends_last=True):
            return False
        if (refused := self._refusal(demands)) is not None:
            if refused == of_queue(queue):
                self.closed_queues.add(queue)
            else:
                self.lanes.closed.add(lane)
                self.waiting_lanes.add(lane)
            return False
        self.lanes.take(lane, room)
        return True

    def admit_plain(self, queue: str) -> bool:
        """Whether the next job of a queue that is in no lane is taken; if so, it counts."""
        demands = self._demands(queue, None)
        if demands and self._refusal(demands) is not None:
            self.closed_queues.add(queue)
            return False
        return True

    def _demands(self, queue: str, limit: KeyLimit | None) -> Sequence[Demand]:
        return () if self._rates is None else self._rates.demands(queue, limit)

    def _refusal(self, demands: Sequence[Demand]) -> str | None:
        """The bucket that has no token; if all have one, it is taken."""
        assert self._rates is not None
        refused = self._rates.refusal(demands)
        if refused is None:
            self._rates.take(demands)
        return refused
