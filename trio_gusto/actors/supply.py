"""How much the poller claims, from which queues, and in what order that is handed on.

Rule: a node holds as many jobs as it has executors plus a prefetch: as many as these finish during one
round of the storage, which is none when jobs are slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ..model import queues
from ..model.instants import MICROSECONDS
from ..model.job import ClaimedJob
from ..options import Options
from .roster import Roster

MOST_AHEAD = 1024
"""Jobs that are held beyond the number of executors, at most."""


class Supply:
    """Measures out the claims of one poller."""

    __slots__ = ("_is_gated", "_notch", "_options", "_roster", "_shared_out", "round_seconds")

    def __init__(self, roster: Roster, options: Options, *, is_gated: bool) -> None:
        self._roster = roster
        self._options = options
        self._is_gated = is_gated
        """Whether barriers stand between a claim and its executors."""
        self._shared_out = 0
        self._notch = 0
        self.round_seconds = 0.002
        """How long a round of the storage takes, averaged over the recent ones."""

    def room(self) -> int:
        """How many jobs to claim now; none while the backlog is more than half full."""
        roster = self._roster
        ahead = self._ahead(roster.concurrency)
        waiting = len(roster.backlog)
        if roster.lines and not roster.backlog.idle:
            waiting += self._waiting_in_lines(ahead)
        roster.backlog.low_water = ahead // 2
        if waiting > ahead // 2:
            return 0
        wanted = roster.backlog.idle + ahead - waiting
        # Outcomes that the storage has not taken yet must not pile up without end either.
        most = 2 * roster.concurrency + 4 * ahead - len(roster.leases)
        return max(0, min(wanted, most, max(self._options.batch_size, ahead)))

    def _waiting_in_lines(self, ahead: int) -> int:
        """Of the jobs ``ahead`` those that stand in lanes; one executor serves one line, and needs its share only."""
        executors = self._roster.concurrency
        lines = islice(self._roster.lines.values(), executors)
        return sum(min(len(line.waiting), ahead // executors) for line in lines)

    def _ahead(self, executors: int) -> int:
        """Jobs to hold beyond the number of executors: what these finish during one round."""
        if self._options.prefetch is not None:
            return self._options.prefetch
        mean = self._roster.mean_duration
        if mean is None:
            return 0
        finished = executors * self.round_seconds * MICROSECONDS / max(mean, 1.0)
        return min(MOST_AHEAD, int(2 * finished))

    def depth(self) -> int:
        """How many jobs that run alone in one lane to hold: one, and what one executor finishes in a
        round; as many again may have ended without the storage knowing yet.

        Barriers stand between a claim and its executors, and a line would hand jobs past them.
        """
        if self._is_gated:
            return 1
        return 1 + (self._options.prefetch or 2 * self._ahead(1))

    def queues(self, limit: int) -> tuple[tuple[str, int], ...] | None:
        """Of which queues to claim ``limit`` jobs, and how many of each first; ``None``: of all in one order."""
        weights = self._options.queue_weights
        if weights is None:
            return None
        if self._options.queue_order == "strict":
            return tuple(queues.strict(tuple(weights), limit))
        self._notch = self._shared_out
        self._shared_out += limit
        return tuple(queues.shares(weights, limit, self._notch))

    def in_turn(self, jobs: Sequence[ClaimedJob]) -> Sequence[ClaimedJob]:
        """Jobs of weighted queues take turns within one claim too, however large it is."""
        weights = self._options.queue_weights
        if weights is None or self._options.queue_order == "strict":
            return jobs
        order = queues.turns([job.request.queue for job in jobs], weights, self._notch)
        return [jobs[position] for position in order]
