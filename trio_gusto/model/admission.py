"""Which of the jobs that a claim meets, in claim order, it takes: those whose lane has room and whose buckets
have tokens.

A job that is refused is in nobody's way but of those behind it in its own lane. Where it is the bucket of its
queue that is empty, that queue is closed for the rest of the claim, as if it were paused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from .job import JobRequest
from .lanes import Lanes
from .rates import Demand, KeyLimit, Rates, of_queue

T = TypeVar("T")


def key_limit(request: JobRequest) -> KeyLimit | None:
    """The rate key of a job and the limit of that, if it has one."""
    details = request.details
    if details is None or details.rate_key is None or details.rate_limit is None:
        return None
    return details.rate_key, details.rate_limit


class Admission:
    """Lanes and buckets, while a claim is filled; ``shares`` are those of its queues, if not all are served."""

    def __init__(
        self,
        lanes: Lanes,
        rates: Rates | None,
        shares: Sequence[tuple[str, int]] | None = None,
    ) -> None:
        self.lanes = lanes
        self.closed_queues = set[str]() if rates is None else rates.closed_queues(shares)
        """Those whose bucket was found to be empty."""
        self.waiting_lanes: set[str] = set()
        """Those that are closed because their next job waits for a token."""
        self._rates = rates
        self._are_queues_limited = rates is not None and rates.limits_queues

    def fill(self, limit: int, take: Callable[[int], Sequence[T]]) -> list[T]:
        """Up to ``limit`` jobs, in claim order.

        ``take`` gives up to so many, and none behind the first for which its queue has no token any more;
        then it is asked again, for those of the other queues.
        """
        taken: list[T] = []
        while len(taken) < limit:
            closed = len(self.closed_queues)
            taken += take(limit - len(taken))
            if len(self.closed_queues) == closed:
                break
        return taken

    def admit(
        self, queue: str, lane: str, room: int, limit: KeyLimit | None, *, spends_last: bool
    ) -> bool:
        """Whether the next job of a lane is taken; if so, it counts.

        Behind another one it would not start at once, so no job is put there that takes a token.
        """
        if limit is None and not self._are_queues_limited:  # as nearly always
            return bool(self.lanes.admit(lane, room, spends_last=spends_last))
        if queue in self.closed_queues:
            return False
        demands = self._demands(queue, limit)
        if not demands:
            return bool(self.lanes.admit(lane, room, spends_last=spends_last))
        if not self.lanes.room_for(lane, room, spends_last=True):
            self.lanes.closed.add(lane)
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
