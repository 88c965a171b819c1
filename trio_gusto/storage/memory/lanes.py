"""Ready jobs in lanes: the first of each lane in a heap, so that those behind are in nobody's way.

The entry of a line in the heap is a lower bound, and is corrected when its turn comes. A line whose next
job may not be taken has none: it is parked until a lease in its lane is let go of, a job in it is ready no more,
or its node claims again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from heapq import heappop, heappush, heapreplace
from itertools import count

from ...model.job import StoredJob
from ...model.lanes import Lanes, Occupancy, can_be_full, room_of
from ...model.order import Place, place
from .agenda import Agenda, ready_since

Entry = tuple[int, int, int, int, "Line"]
"""A place, a number that makes it unique, and the line."""


class Line:
    """The ready jobs of one lane in one queue."""

    __slots__ = ("ageing", "agendas", "entry", "lane", "queue")

    def __init__(self, queue: str, lane: str, ageing: int | None) -> None:
        self.ageing = ageing
        self.queue = queue
        self.lane = lane
        self.agendas: dict[int, Agenda] = {}
        """By the negated priority."""
        self.entry: Entry | None = None

    def first(self, until: int | None = None) -> tuple[Place, StoredJob] | None:
        """Its first job, of those due by ``until``, and where that stands."""
        if self.ageing is not None:
            return self._first_aged(self.ageing, until)
        for rank in sorted(self.agendas):
            first = self.agendas[rank].first()
            if first is None:
                del self.agendas[rank]
            elif until is None or first[0] <= until:
                return (rank, first[0], first[1]), first[2]
        return None

    def _first_aged(self, ageing: int, until: int | None) -> tuple[Place, StoredJob] | None:
        """The first job in the order of ageing."""
        return min(
            (
                (place(rank, first[0], first[1], ageing), first[2])
                for rank, agenda in self.agendas.items()
                if (first := agenda.first()) is not None and (until is None or first[0] <= until)
            ),
            default=None,
        )


class LaneShelf:
    """All lines, and the leases in each lane."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[str, Line]] = {}
        """By lane, and then by queue."""
        self._heaps: defaultdict[str, list[Entry]] = defaultdict(list)
        self._leases: dict[str, dict[tuple[str, int], int]] = {}
        """How many there are, by lane, and then by node and room."""
        self._held: defaultdict[str, set[str]] = defaultdict(set)
        """The lanes of which each node holds jobs that run alone."""
        self._shut: set[str] = set()
        self._split: set[str] = set()
        """Lanes with lines in several queues."""
        self._ageing: int | None = None
        self._number = count()

    def order_by(self, ageing: int | None) -> None:
        """Let lines stand in claim order, or in that of ageing by this span."""
        if ageing == self._ageing:
            return
        self._ageing = ageing
        self._heaps.clear()
        for line in [line for lines in self._lines.values() for line in lines.values()]:
            line.ageing = ageing
            line.entry = None
            self.restore(line)

    def __bool__(self) -> bool:
        """Whether a job may be ready in any lane."""
        return bool(self._lines)

    def count(self) -> int:
        """How many jobs are ready; some more, perhaps, that are not any longer."""
        agendas = (
            line.agendas.values() for lines in self._lines.values() for line in lines.values()
        )
        return sum(len(agenda) for each in agendas for agenda in each)

    def shut(self, lanes: Collection[str]) -> None:
        """These lanes are at work elsewhere; those that were, and are not any more, go on."""
        for lane in self._shut.difference(lanes):
            self._unpark(lane)
        self._shut = set(lanes)

    def add(self, job: StoredJob, lane: str, due: int) -> None:
        """Write a ready job down."""
        request = job.request
        lines = self._lines.setdefault(lane, {})
        line = lines.get(request.queue)
        if line is None:
            line = lines[request.queue] = Line(request.queue, lane, self._ageing)
            if len(lines) > 1:
                self._split.add(lane)
        agenda = line.agendas.get(-request.priority)
        if agenda is None:
            agenda = line.agendas[-request.priority] = Agenda(ready_since)
        agenda.add(job, due)
        at = place(-request.priority, due, job.sequence, self._ageing)
        if line.entry is None:
            first = line.first()
            if first is not None and first[1] is job:
                self._enter(line, at)
        elif at < line.entry[:3]:
            self._enter(line, at)

    def lose(self, job: StoredJob, lane: str) -> None:
        """A job that was added is ready no more."""
        line = self._lines.get(lane, {}).get(job.request.queue)
        agenda = None if line is None else line.agendas.get(-job.request.priority)
        if agenda is not None:
            agenda.lose(job)
            self._unpark(lane)  # those behind it may be taken

    def any_claimable(self, now: int) -> bool:
        """Whether the due instant and the ``expire_on`` of any job allow a claim where leases can be what
        it waits for."""
        for lane, lines in self._lines.items():
            for line in lines.values() if can_be_full(lane) else ():
                while (first := line.first(now)) is not None:
                    request = first[1].request
                    if request.expire_on is None or request.expire_on > now:
                        return True
                    line.agendas[-request.priority].take(now)  # it is written down as overdue
        return False

    # --- leases ---

    def lease(self, job: StoredJob, lane: str, node: str) -> None:
        """A job was leased to a node."""
        holder = node, room_of(job.request)
        leases = self._leases.get(lane)
        if leases is None:
            self._leases[lane] = {holder: 1}
        else:
            leases[holder] = leases.get(holder, 0) + 1
        if holder[1] == 1:
            self._held[node].add(lane)

    def free(self, job: StoredJob, lane: str, node: str) -> None:
        """A lease is no more."""
        holder = node, room_of(job.request)
        leases = self._leases[lane]
        leases[holder] -= 1
        if not leases[holder]:
            del leases[holder]
            if holder[1] == 1:
                self._held[node].discard(lane)
                if not self._held[node]:
                    del self._held[node]
            if not leases:
                del self._leases[lane]
        self._unpark(lane)

    def lanes(self, node: str, depth: int) -> Lanes:
        """What is leased, as a claim of this node sees it."""
        for lane in tuple(self._split):
            self._unpark(lane)  # which of its lines a claim meets depends on the queues it is for
        if depth > 1 and node in self._held:
            for lane in self._held[node]:
                if self._leases[lane][node, 1] < depth:
                    self._unpark(lane)

        def find(lane: str) -> Occupancy | None:
            leases = self._leases.get(lane)
            if leases is None:
                return None
            occupancy = Occupancy()
            for (holder, room), number in leases.items():
                occupancy.add(room, number, is_own=holder == node)
            return occupancy

        return Lanes(find, depth)

    def heads(self, queues: Collection[str] | None, closed: Collection[str], now: int) -> Heads:
        """The first jobs of these queues, or of all, but for those closed."""
        names = self._heaps if queues is None else queues
        heaps = [self._heaps[name] for name in names if name in self._heaps and name not in closed]
        return Heads(self, heaps, now)

    # --- the heaps ---

    def _unpark(self, lane: str) -> None:
        for line in tuple(self._lines.get(lane, {}).values()):
            if line.entry is None:
                self.restore(line)

    def _enter(self, line: Line, at: Place) -> None:
        line.entry = (*at, next(self._number), line)
        heappush(self._heaps[line.queue], line.entry)

    def replace(self, heap: list[Entry], line: Line, at: Place | None) -> None:
        """Correct the entry of a line, which is the first of its heap; without a place, strike it out."""
        if at is None:
            heappop(heap)
            line.entry = None
        else:
            line.entry = (*at, next(self._number), line)
            heapreplace(heap, line.entry)

    def restore(self, line: Line) -> None:
        """Enter a line at its first job again, whenever that is due; drop one that is empty."""
        first = line.first()
        if first is not None:
            if line.entry is None or first[0] < line.entry[:3]:
                self._enter(line, first[0])
            return
        lines = self._lines.get(line.lane, {})
        if lines.get(line.queue) is line:
            del lines[line.queue]
            if len(lines) < 2:
                self._split.discard(line.lane)
            if not lines:
                del self._lines[line.lane]


class Heads:
    """What one claim meets, in claim order."""

    def __init__(self, shelf: LaneShelf, heaps: list[list[Entry]], now: int) -> None:
        self._shelf = shelf
        self._heaps = heaps
        self._now = now
        self._heap: list[Entry] = []
        self._early: list[Line] = []
        """Lines whose first job is not due: the clock stepped back."""

    def first(self) -> tuple[Place, StoredJob, Line] | None:
        """The first job, and its place and line."""
        if len(self._heaps) == 1:
            self._heap = self._heaps[0]
            return self._first_of(self._heap)
        best: tuple[Place, StoredJob, Line] | None = None
        for heap in self._heaps:
            found = self._first_of(heap)
            if found is not None and (best is None or found[0] < best[0]):
                best, self._heap = found, heap
        return best

    def _first_of(self, heap: list[Entry]) -> tuple[Place, StoredJob, Line] | None:
        while heap:
            entry = heap[0]
            line = entry[4]
            if line.entry is not entry:
                heappop(heap)
                continue
            first = line.first(self._now)
            if first is None:
                self._shelf.replace(heap, line, None)
                self._early.append(line)
                continue
            at, job = first
            if at == entry[:3]:
                return at, job, line
            if at[0] != entry[0]:
                self._early.append(line)
            self._shelf.replace(heap, line, at)
        return None

    def take(self, job: StoredJob, line: Line, *, parks: bool = False) -> None:
        """Take the first job out of its line, and park that if no other may be taken of it."""
        line.agendas[-job.request.priority].drop_first()
        if parks:
            heappop(self._heap)
            line.entry = None
            return
        following = line.first(self._now)
        self._shelf.replace(self._heap, line, None if following is None else following[0])
        if following is None:
            self._early.append(line)

    def park(self, line: Line, *, is_for_now: bool) -> None:
        """Leave the line alone until something changes in its lane; or until the claim is filled."""
        self._shelf.replace(self._heap, line, None)
        if is_for_now:
            self._early.append(line)

    def close(self) -> None:
        """The claim is filled: see to the lines that were left out, or are empty."""
        for line in self._early:
            self._shelf.restore(line)
