"""An agenda: jobs in the order of an instant.

Nothing is ever taken out of the middle. An entry holds as long as the job still has that instant;
one that holds no more is dropped when its turn comes, or when the agenda is tidied up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from ...model.job import StoredJob

Entry = tuple[int, int, StoredJob]
"""The instant, the job's sequence, and the job."""

SMALL = 1_000
"""An agenda of no more entries than this is never tidied up."""


class Agenda:
    """Jobs by ``instant_of``, the earliest first, and by sequence where that is the same.

    Most entries come in order, and stand in a line; a heap holds those that come before the end of
    the line. Whenever the agenda has grown fourfold it is tidied up: what holds no more takes at
    most three times as much room as what does, and adding stays cheap.
    """

    __slots__ = ("_early", "_instant_of", "_line", "_untidy_at")

    def __init__(self, instant_of: Callable[[StoredJob], int | None]) -> None:
        self._line: deque[Entry] = deque()
        self._early: list[Entry] = []
        self._instant_of = instant_of
        self._untidy_at = SMALL

    def __len__(self) -> int:
        """How many entries there are, with those that hold no more."""
        return len(self._line) + len(self._early)

    def add(self, job: StoredJob, instant: int) -> None:
        """Write ``job`` down at ``instant``; twice does no harm."""
        line = self._line
        entry = (instant, job.sequence, job)
        if not line or line[-1] <= entry:
            line.append(entry)
        else:
            heappush(self._early, entry)
        if len(line) + len(self._early) > self._untidy_at:
            self._tidy_up()

    def first(self) -> Entry | None:
        """The first entry that holds."""
        while (entry := self._head()) is not None:
            if self._instant_of(entry[2]) == entry[0]:
                return entry
            self._drop(entry)
        return None

    def take(self, until: int) -> StoredJob | None:
        """Take out the first job whose instant is not after ``until``."""
        while (entry := self._head()) is not None and entry[0] <= until:
            self._drop(entry)
            job = entry[2]
            if self._instant_of(job) == entry[0]:
                while (twin := self._head()) is not None and twin[2] is job:
                    self._drop(twin)  # written down twice
                return job
        return None

    def _head(self) -> Entry | None:
        line, early = self._line, self._early
        if early and (not line or early[0] < line[0]):
            return early[0]
        return line[0] if line else None

    def _drop(self, head: Entry) -> None:
        if self._line and self._line[0] is head:
            self._line.popleft()
        else:
            heappop(self._early)

    def _tidy_up(self) -> None:
        entries = (*self._line, *self._early)
        by_sequence = {
            entry[1]: entry for entry in entries if self._instant_of(entry[2]) == entry[0]
        }
        self._line = deque(sorted(by_sequence.values()))
        self._early = []
        self._untidy_at = max(SMALL, 4 * len(self._line))


def in_one_order(agendas: Sequence[Agenda], until: int) -> Iterator[StoredJob]:
    """Take the jobs whose instant is not after ``until`` out of several agendas, in one order.

    What is not asked for is not taken.
    """
    heads = [(first, agenda) for agenda in agendas if (first := agenda.first()) is not None]
    heapify(heads)
    while heads:
        agenda = heads[0][1]
        job = agenda.take(until)
        if job is None:
            return
        yield job
        if len(heads) == 1:
            continue
        first = agenda.first()
        if first is None:
            heappop(heads)
        else:
            heapreplace(heads, (first, agenda))
