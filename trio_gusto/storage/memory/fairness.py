"""A claim in which tenants take turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heapreplace

from ...model.fairness import Turns
from ...model.job import JobRequest, StoredJob
from ...model.lanes import Lanes, room_of
from .agenda import Agenda
from .lanes import Heads, Line, Place
from .selection import PlainKey, is_over, tenant_of

Entry = tuple[int, int, int, str, "Agenda | None"]
"""The pass of a tenant, the due instant and sequence of its first job, its name, and where it stands:
``None`` stands for the line of all jobs in lanes."""


class FairShares:
    """Takes jobs out of one queue, or all, so that tenants have their turns."""

    def __init__(
        self, turns: dict[tuple[str, int], Turns], scope: str, weights: Mapping[str, int]
    ) -> None:
        self._turns = turns
        self._scope = scope
        self._weights = weights

    def take(
        self,
        agendas: Mapping[PlainKey, Agenda],
        heads: Heads,
        now: int,
        limit: int,
        lanes: Lanes,
        is_wanted: Callable[[JobRequest], bool],
    ) -> tuple[list[StoredJob], list[StoredJob]]:
        """As `selection.take_selected`."""
        taken: list[StoredJob] = []
        passed_over: list[StoredJob] = []
        ranks = sorted({key[0] for key in agendas})
        while len(taken) < limit:
            head = heads.first()
            at_hand = [*ranks[:1], *([] if head is None else [head[0][0]])]
            if not at_hand:
                break
            rank = min(at_hand)
            ranks = [each for each in ranks if each > rank]
            turns = self._turns_of(rank)
            sources = [
                (tenant_of(key), agenda) for key, agenda in agendas.items() if key[0] == rank
            ]
            one = _Rank(rank, turns, sources, heads, now)
            while len(taken) < limit and (entry := one.first()) is not None:
                _, _, _, tenant, agenda = entry
                if agenda is not None:
                    job = agenda.take(now)
                    assert job is not None
                    if not is_over(job, now):
                        if is_wanted(job.request):
                            taken.append(job)
                            turns.serve(tenant)
                        else:
                            passed_over.append(job)
                else:
                    found = heads.first()
                    assert found is not None
                    if _take_in_lane(found, heads, lanes, now, is_wanted, passed_over):
                        taken.append(found[1])
                        turns.serve(tenant)
                one.correct()
        heads.close()
        return taken, passed_over

    def _turns_of(self, rank: int) -> Turns:
        """With the weights of this claim, which another node may see otherwise."""
        kept = self._turns.get((self._scope, rank))
        turns = (
            Turns(self._weights)
            if kept is None
            else Turns(self._weights, kept.now, kept.ahead().items())
        )
        self._turns[self._scope, rank] = turns
        return turns


class _Rank:
    """The tenants that have something ready at one priority, by whose turn it is."""

    def __init__(
        self,
        rank: int,
        turns: Turns,
        sources: list[tuple[str, Agenda]],
        heads: Heads,
        now: int,
    ) -> None:
        self._rank = rank
        self._turns = turns
        self._heads = heads
        self._now = now
        entries = [self._entry(tenant, agenda) for tenant, agenda in sources]
        self._heap = [entry for entry in (*entries, self._in_lanes()) if entry is not None]
        heapify(self._heap)

    def first(self) -> Entry | None:
        """Whose turn it is, and what of his is first."""
        while self._heap:
            entry = self._heap[0]
            if entry[0] == self._turns.place(entry[3]):
                return entry
            self.correct()  # its tenant was served out of another queue meanwhile
        return None

    def correct(self) -> None:
        """The first has changed."""
        _, _, _, tenant, agenda = self._heap[0]
        entry = self._in_lanes() if agenda is None else self._entry(tenant, agenda)
        if entry is None:
            heappop(self._heap)
        else:
            heapreplace(self._heap, entry)

    def _entry(self, tenant: str, agenda: Agenda) -> Entry | None:
        first = agenda.first()
        if first is None or first[0] > self._now:
            return None
        return self._turns.place(tenant), first[0], first[1], tenant, agenda

    def _in_lanes(self) -> Entry | None:
        found = self._heads.first()
        if found is None or found[0][0] != self._rank:
            return None
        (_, due, sequence), job, _ = found
        tenant = job.request.tenant
        return self._turns.place(tenant), due, sequence, tenant, None


def _take_in_lane(
    found: tuple[Place, StoredJob, Line],
    heads: Heads,
    lanes: Lanes,
    now: int,
    is_wanted: Callable[[JobRequest], bool],
    passed_over: list[StoredJob],
) -> bool:
    """Whether the first job in a lane may be taken; in any case it is passed."""
    place, job, line = found
    request = job.request
    if is_over(job, now):
        heads.take(place, line)
        return False
    if not is_wanted(request):
        heads.take(place, line)
        passed_over.append(job)
        return False
    spends_last = job.attempt + 1 >= request.max_attempts
    if lanes.admit(line.lane, room_of(request), spends_last=spends_last):
        heads.take(place, line, parks=line.lane in lanes.closed)
        return True
    heads.park(line)
    return False
