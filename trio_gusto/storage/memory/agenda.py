"""An agenda: jobs in the order of an instant.

Nothing is ever taken out of the middle. An entry holds as long as the job still has that instant;
one that holds no more is a stray, and is dropped when its turn comes, or when there are too many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from ...model.job import StoredJob
from ...model.states import Ready

Entry = tuple[int, int, StoredJob]
"""The instant, the job's sequence, and the job."""

FEW = 1_000
"""So many strays are always put up with."""


class Agenda:
    """Jobs by ``instant_of``, the earliest first, and by sequence where that is the same.

    Most entries come in order, and stand in a line (instants and jobs apart, since a pair for each
    would be one more object for the garbage collector to look at); a heap holds those that come
    before the end of the line. When three quarters of all entries are strays it is tidied up.
    """

    __slots__ = ("_early", "_instant_of", "_instants", "_jobs", "_strays")

    def __init__(self, instant_of: Callable[[StoredJob], int | None]) -> None:
        self._instants: deque[int] = deque()
        self._jobs: deque[StoredJob] = deque()
        self._early: list[Entry] = []
        self._instant_of = instant_of
        self._strays = 0

    def __len__(self) -> int:
        """How many entries there are, strays included."""
        return len(self._jobs) + len(self._early)

    def __bool__(self) -> bool:
        """True, also when it is empty."""
        return True

    def add(self, job: StoredJob, instant: int) -> None:
        """Write ``job`` down at ``instant``; twice does no harm."""
        instants = self._instants
        if (
            not instants
            or instants[-1] < instant
            or (instants[-1] == instant and self._jobs[-1].sequence <= job.sequence)
        ):
            instants.append(instant)
            self._jobs.append(job)
        else:
            heappush(self._early, (instant, job.sequence, job))

    def lose(self, job: StoredJob) -> None:
        """The entry of ``job`` becomes a stray, also if the job still looks as if it stood here."""
        self._strays += 1
        if self._strays > FEW and self._strays * 4 > len(self) * 3:
            self._tidy_up(job)

    def first(self) -> Entry | None:
        """The first entry that holds."""
        while (entry := self._head()) is not None:
            if not self._strays or self._instant_of(entry[2]) == entry[0]:
                return entry
            self._strays -= 1
            self._drop(entry)
        return None

    def take(self, until: int) -> StoredJob | None:
        """Take out the first job whose instant is not after ``until``."""
        taken = self.take_up_to(1, until)
        return taken[0] if taken else None

    def drop_first(self) -> None:
        """Take out the job that `first` has just given."""
        if self._early:
            entry = self._head()
            assert entry is not None
            self._drop(entry)
            job = entry[2]
        else:
            self._instants.popleft()
            job = self._jobs.popleft()
        if self._jobs:
            self._drop_twin(job)

    def take_up_to(self, most: int, until: int) -> list[StoredJob]:
        """Take out the first jobs, ``most`` of them, whose instants are not after ``until``."""
        instants, jobs, instant_of = self._instants, self._jobs, self._instant_of
        taken: list[StoredJob] = []
        last: StoredJob | None = None
        while most:
            if self._early:
                entry = self._head()
                if entry is None or entry[0] > until:
                    break
                self._drop(entry)
                instant, _, job = entry
            elif instants and instants[0] <= until:
                instant, job = instants.popleft(), jobs.popleft()
            else:
                break
            if self._strays and instant_of(job) != instant:
                self._strays -= 1
            elif job is not last:  # written down twice, a job stands beside itself
                taken.append(job)
                last = job
                most -= 1
        if last is not None:
            self._drop_twin(last)
        return taken

    def jobs(self) -> Sequence[StoredJob]:
        """All that are in it."""
        return [job for instant, _, job in self._entries() if self._instant_of(job) == instant]

    def _entries(self) -> list[Entry]:
        """All of them, in no order, and strays too."""
        line = zip(self._instants, self._jobs, strict=True)
        return [*((instant, job.sequence, job) for instant, job in line), *self._early]

    def _drop_twin(self, job: StoredJob) -> None:
        while (twin := self._head()) is not None and twin[2] is job:
            self._drop(twin)

    def _head(self) -> Entry | None:
        early = self._early
        if not self._jobs:
            return None  # those that came early stood before the end of the line, and have gone before it
        job = self._jobs[0]
        entry = (self._instants[0], job.sequence, job)
        return early[0] if early and early[0] < entry else entry

    def _drop(self, head: Entry) -> None:
        if self._early and self._early[0] is head:
            heappop(self._early)
        else:
            self._instants.popleft()
            self._jobs.popleft()

    def _tidy_up(self, lost: StoredJob) -> None:
        by_sequence = {
            entry[1]: entry
            for entry in self._entries()
            if entry[2] is not lost and self._instant_of(entry[2]) == entry[0]
        }
        in_order = sorted(by_sequence.values())
        self._instants = deque([entry[0] for entry in in_order])
        self._jobs = deque([entry[2] for entry in in_order])
        self._early = []
        self._strays = 0


def take_in_one_order(agendas: Sequence[Agenda], most: int, until: int) -> list[StoredJob]:
    """Take ``most`` jobs whose instants are not after ``until`` out of several agendas, in one
    order."""
    if len(agendas) == 1:
        return agendas[0].take_up_to(most, until)
    taken: list[StoredJob] = []
    heads = [
        (first, number, agenda)  # a job may be written down in two of them
        for number, agenda in enumerate(agendas)
        if (first := agenda.first()) is not None
    ]
    heapify(heads)
    while heads and len(taken) < most:
        _, number, agenda = heads[0]
        job = agenda.take(until)
        if job is None:
            break
        if not taken or taken[-1] is not job:
            taken.append(job)
        first = agenda.first()
        if first is None:
            heappop(heads)
        else:
            heapreplace(heads, (first, number, agenda))
    return taken


def ready_since(job: StoredJob) -> int | None:
    """Where a job stands in an agenda of ready ones; ``None`` when it belongs there no more."""
    state = job.state
    return state.due if type(state) is Ready else None
