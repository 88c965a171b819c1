"""Claims in which tenants take turns, and what is remembered of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from heapq import heapify, heappop, heapreplace

from ...model.admission import Admission
from ...model.fairness import Turns
from ...model.job import JobRequest, StoredJob
from ...model.order import Place
from ..messages import ClaimDue
from .agenda import Agenda
from .lanes import Heads, Line
from .pauses import PauseShelf
from .selection import PlainKey, admits, is_over

Scope = tuple[str, int]
"""A queue (an empty name stands for all) and a negated priority."""

Entry = tuple[int, int, int, str, "Agenda | None"]
"""The pass of a tenant, the due instant and sequence of its first job, its name, and where that job stands:
``None`` stands for the line of all jobs in lanes."""


Head = tuple[Place, StoredJob, Line]
"""The first job in a lane that may be taken, its place and line."""


class TurnShelf:
    """Whose turn it is."""

    def __init__(self) -> None:
        self._now: dict[Scope, int] = {}
        self._ahead: defaultdict[Scope, dict[str, int]] = defaultdict(dict)

    def turns(self, scope: Scope, weights: Mapping[str, int]) -> Turns:
        """As it is now, for somebody who gives tenants these weights."""
        return Turns(weights, self._now.get(scope, 0), self._ahead[scope].items())

    def remember(self, claim: ClaimDue, jobs: Sequence[StoredJob]) -> None:
        """These jobs were claimed, in this order."""
        assert claim.tenant_weights is not None
        served: defaultdict[Scope, list[str]] = defaultdict(list)
        for job in jobs:
            request = job.request
            name = "" if claim.queues is None else request.queue
            served[name, -request.priority].append(request.tenant)
        for scope, tenants in served.items():
            turns = self.turns(scope, claim.tenant_weights)
            turns.replay(tenants)
            self._now[scope] = turns.now
            self._ahead[scope] = dict(turns.ahead())


class FairShares:
    """Takes jobs for one claim so that tenants have their turns."""

    def __init__(self, shelf: TurnShelf, claim: ClaimDue) -> None:
        assert claim.tenant_weights is not None
        self.now = claim.now
        self._shelf = shelf
        self._weights = claim.tenant_weights
        self._skip = claim.skip_names
        self._turns: dict[Scope, Turns] = {}

    def take(
        self,
        name: str,
        agendas: Mapping[PlainKey, Agenda],
        heads: Heads,
        limit: int,
        admission: Admission,
        pauses: PauseShelf,
    ) -> tuple[list[StoredJob], list[StoredJob]]:
        """As `selection.take_selected`; ``name`` is that of the queue, or of all."""
        taken: list[StoredJob] = []
        passed_over: list[StoredJob] = []
        ranks: Collection[int] = {key[0] for key in agendas}

        def is_wanted(request: JobRequest) -> bool:
            return request.name not in self._skip and not pauses.cover(
                request.queue, request.tenant
            )

        def first_in_lanes() -> Head | None:
            """What cannot be taken stands before nobody: it would be there in its tenant's turn."""
            while (found := heads.first()) is not None:
                _, job, line = found
                if line.lane in admission.lanes.closed:
                    heads.park(line, is_for_now=line.lane in admission.waiting_lanes)
                    continue
                if not is_over(job, self.now):
                    if is_wanted(job.request):
                        return found
                    passed_over.append(job)
                heads.take(job, line)
            return None

        closed = len(admission.closed_queues)
        while len(taken) < limit and len(admission.closed_queues) == closed:
            head = first_in_lanes()
            at_hand = ranks if head is None else [*ranks, head[0][0]]
            if not at_hand:
                break
            rank = min(at_hand)
            ranks = [each for each in ranks if each > rank]
            turns = self._turns_of((name, rank))
            line = _Rank(rank, turns, agendas, first_in_lanes, self.now)
            while len(taken) < limit and (entry := line.first()) is not None:
                *_, tenant, agenda = entry
                job = (
                    agenda.take(self.now)
                    if agenda is not None
                    else self._take_in_lane(heads, admission)
                )
                if job is not None and not is_over(job, self.now):
                    request = job.request
                    if is_wanted(request) and (
                        agenda is None or admission.admit_plain(request.queue)
                    ):
                        taken.append(job)
                        turns.serve(tenant)
                    else:
                        passed_over.append(job)
                if len(admission.closed_queues) > closed:
                    break
                line.correct()
        heads.close()
        return taken, passed_over

    @staticmethod
    def _take_in_lane(heads: Heads, admission: Admission) -> StoredJob | None:
        """The first job in a lane, if it may be taken."""
        found = heads.first()
        assert found is not None
        _, job, line = found
        return job if admits(admission, heads, job, line) else None

    def _turns_of(self, scope: Scope) -> Turns:
        """Whose turn it is in this claim; what is behind its reach will not have been taken."""
        turns = self._turns.get(scope)
        if turns is None:
            turns = self._turns[scope] = self._shelf.turns(scope, self._weights)
        return turns


class _Rank:
    """The tenants that have something ready at one priority, by whose turn it is."""

    def __init__(
        self,
        rank: int,
        turns: Turns,
        agendas: Mapping[PlainKey, Agenda],
        first_in_lanes: Callable[[], Head | None],
        now: int,
    ) -> None:
        self._rank = rank
        self._turns = turns
        self._first_in_lanes = first_in_lanes
        self._now = now
        self._heap: list[Entry] = []
        for key, agenda in agendas.items():
            tenant = key[2]
            if key[0] == rank and tenant is not None:
                first = agenda.first()
                if first is not None:
                    self._heap.append((turns.place(tenant), first[0], first[1], tenant, agenda))
        in_lanes = self._in_lanes()
        if in_lanes is not None:
            self._heap.append(in_lanes)
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
        *_, tenant, agenda = self._heap[0]
        entry: Entry | None = None
        if agenda is None:
            entry = self._in_lanes()
        else:
            first = agenda.first()
            if first is not None and first[0] <= self._now:
                place = self._turns.place(tenant)
                entry = (place, first[0], first[1], tenant, agenda)
        if entry is None:
            heappop(self._heap)
        else:
            heapreplace(self._heap, entry)

    def _in_lanes(self) -> Entry | None:
        found = self._first_in_lanes()
        if found is None or found[0][0] != self._rank:
            return None
        (_, due, sequence), job, _ = found
        tenant = job.request.tenant
        return self._turns.place(tenant), due, sequence, tenant, None
