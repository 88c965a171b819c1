"""An agenda: jobs in the order of an instant.

Nothing is ever taken out of the middle. An entry holds as long as the job still has that instant;
one that holds no more is dropped when its turn comes, or when the agenda is tidied up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from ...model.job import StoredJob

Entry = tuple[int, int, StoredJob]
"""The instant, the job's sequence, and the job."""

SMALL = 1_000
"""An agenda of no more entries than this is never tidied up."""


class Agenda:
    """Jobs by ``instant_of``, the earliest first, and by sequence where that is the same.

    It is tidied up whenever it has doubled: what holds no more takes at most as much room as what
    does, and adding stays cheap.
    """

    __slots__ = ("_entries", "_instant_of", "_untidy_at")

    def __init__(self, instant_of: Callable[[StoredJob], int | None]) -> None:
        self._entries: list[Entry] = []
        self._instant_of = instant_of
        self._untidy_at = SMALL

    def __len__(self) -> int:
        """How many entries there are, with those that hold no more."""
        return len(self._entries)

    def add(self, job: StoredJob, instant: int) -> None:
        """Write ``job`` down at ``instant``; twice does no harm."""
        heappush(self._entries, (instant, job.sequence, job))
        if len(self._entries) > self._untidy_at:
            self._tidy_up()

    def first(self) -> Entry | None:
        """The first entry that holds."""
        entries = self._entries
        while entries:
            instant, _, job = entry = entries[0]
            if self._instant_of(job) == instant:
                return entry
            heappop(entries)
        return None

    def take(self, until: int) -> StoredJob | None:
        """Take out the first job whose instant is not after ``until``."""
        entries = self._entries
        while entries and entries[0][0] <= until:
            instant, _, job = heappop(entries)
            if self._instant_of(job) == instant:
                while entries and entries[0][2] is job:
                    heappop(entries)  # written down twice
                return job
        return None

    def _tidy_up(self) -> None:
        by_sequence = {
            entry[1]: entry for entry in self._entries if self._instant_of(entry[2]) == entry[0]
        }
        self._entries = list(by_sequence.values())
        heapify(self._entries)
        self._untidy_at = max(SMALL, 2 * len(self._entries))


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
