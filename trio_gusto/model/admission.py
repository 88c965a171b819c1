"""Which of the jobs that a claim meets, in claim order, it takes: those whose lane is free and whose buckets
have tokens.

A job that is refused is in nobody's way but of those behind it in its own line: of its named worker, or of
its rate key in its queue. Lines that were closed stay so for the rest of the claim.
"""

from __future__ import annotations

from .lanes import Lanes
from .rates import RateLimit, Rates, of_queue


class Admission:
    """Lanes and buckets, while a claim is filled."""

    def __init__(self, lanes: Lanes, rates: Rates) -> None:
        self.lanes = lanes
        self.rates = rates
        self.closed_queues: set[str] = set()
        """Those whose bucket was found to be empty."""
        self._closed_keys: set[tuple[str | None, str]] = set()

    def is_open(self, queue: str, worker: str | None, key: str | None) -> bool:
        """Whether the next job of a line may be taken, as far as that is known."""
        if worker is not None:
            return self.lanes.is_free(worker)
        return queue not in self.closed_queues and (key, queue) not in self._closed_keys

    def admit(
        self, queue: str, worker: str | None, key: str | None, limit: RateLimit | None
    ) -> bool:
        """Whether the next job of a line is taken; if so, it counts."""
        if not self.is_open(queue, worker, key):
            return False
        demands = self.rates.demands(queue, key, limit)
        refused = self.rates.refusal(demands)
        if refused is None:
            self.rates.take(demands)
            return self.lanes.admit(worker)
        if refused == of_queue(queue):
            self.closed_queues.add(queue)
            self.rates.worth_another |= worker is not None
        if worker is not None:
            self.lanes.admit(worker)  # it has had its turn
        elif key is not None:
            self._closed_keys.add((key, queue))
        return False
