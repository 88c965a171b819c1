"""Claims in which tenants take turns, and what is remembered of them."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heapreplace

from ...model.fairness import Turns
from ..messages import ClaimDue
from .ready import PRIORITY, QUEUE, SEQ, TENANT, Candidate, Row
from .tenants import ByTenant, Stream

_TIME = "SELECT now FROM turn_time WHERE scope = ? AND priority = ?"
_PASSES = "SELECT tenant, pass FROM turn WHERE scope = ? AND priority = ?"
_SET_TIME = (
    "INSERT INTO turn_time (scope, priority, now) VALUES (?, ?, ?) "
    "ON CONFLICT DO UPDATE SET now = excluded.now"
)
_FORGET = "DELETE FROM turn WHERE scope = ? AND priority = ? AND pass <= ?"
_ADVANCE = (
    "INSERT INTO turn (scope, priority, tenant, pass) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET pass = excluded.pass"
)


class InLanes:
    """Jobs in lanes, in claim order: one line for all tenants."""

    tenant: str
    """Whose the job is that `first` has found."""

    def __init__(
        self,
        candidates: Iterator[Candidate],
        admits: Callable[[Candidate], bool],
    ) -> None:
        self._candidates = candidates
        self._admits = admits
        self._head = next(candidates, None)

    def first(self, rank: int) -> Candidate | None:
        """The next job, if there is one at this priority."""
        head = self._head
        if head is None or head[0] != -rank:
            return None
        self.tenant = head[TENANT]
        return head

    def rank(self) -> int | None:
        """The priority of the next job, if there is one."""
        return None if self._head is None else -self._head[0]

    def take(self) -> Row | None:
        """That job, if it may be taken; in any case it is passed."""
        head, self._head = self._head, None
        assert head is not None
        admitted = self._admits(head)
        self._head = next(self._candidates, None)
        return head if admitted else None


class FairShares:
    """Takes jobs so that tenants have their turns, and remembers whose turn it is."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        claim: ClaimDue,
        by_tenant: ByTenant,
        admits: Callable[[Row], bool],
        closed_queues: Collection[str],
    ) -> None:
        assert claim.tenant_weights is not None
        self._connection = connection
        self._has_scopes = claim.queues is not None
        self._weights = claim.tenant_weights
        self._by_tenant = by_tenant
        self._turns: dict[tuple[str, int], Turns] = {}
        self._admits = admits
        self._closed_queues = closed_queues
        """Those that have no token; there may be more of them after each job."""

    def take(self, scope: str, queues: Sequence[str], in_lanes: InLanes, limit: int) -> list[Row]:
        """Up to ``limit`` jobs out of these queues, and none behind one for which its queue has no token."""
        ranks = list(self._by_tenant.ranks(queues))
        taken: list[Row] = []
        closed = len(self._closed_queues)
        while len(taken) < limit and len(self._closed_queues) == closed:
            top = in_lanes.rank()
            at_hand = ranks if top is None else [*ranks, top]
            if not at_hand:
                break
            rank = max(at_hand)
            ranks = [each for each in ranks if each < rank]
            turns = self._turns_of(scope, rank)
            want = limit - len(taken)
            streams = self._streams(turns, queues, rank, want)
            taken += self._take_of(turns, streams, in_lanes, rank, want)
        return taken

    def remember(self, rows: Sequence[Row]) -> None:
        """These rows were claimed, in this order. Write down whose turn it is now."""
        served: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
        for row in rows:
            served[row[QUEUE] if self._has_scopes else "", row[PRIORITY]].append(row[TENANT])
        for (scope, rank), tenants in served.items():
            turns = self._kept(scope, rank)
            ahead = turns.replay(tenants)
            self._connection.execute(_SET_TIME, (scope, rank, turns.now))
            self._connection.execute(_FORGET, (scope, rank, turns.now))
            self._connection.executemany(
                _ADVANCE, [(scope, rank, tenant, place) for tenant, place in ahead.items()]
            )

    def _streams(
        self, turns: Turns, queues: Sequence[str], rank: int, want: int
    ) -> Sequence[Stream]:
        """Of as many tenants as can have a turn, those whose turns are next."""
        want += len(self._by_tenant.taken)
        found = sorted(
            (turns.place(tenant), due, seq, tenant, queue)
            for queue in queues
            for due, seq, tenant in self._by_tenant.heads(queue, rank)
        )
        next_ones = set([*dict.fromkeys(tenant for *_, tenant, _ in found)][:want])
        of_queue: defaultdict[str, list[str]] = defaultdict(list)
        for *_, tenant, queue in found:
            if tenant in next_ones:
                of_queue[queue].append(tenant)
        return [
            stream
            for queue, tenants in of_queue.items()
            for stream in self._by_tenant.streams(queue, rank, tenants, want)
        ]

    def _take_of(
        self,
        turns: Turns,
        streams: Sequence[Stream],
        in_lanes: InLanes,
        rank: int,
        limit: int,
    ) -> list[Row]:
        closed = len(self._closed_queues)
        sources: list[Stream | InLanes] = [*streams, in_lanes]

        def entry(number: int) -> tuple[int, int, int, int] | None:
            source = sources[number]
            first = source.first(rank) if isinstance(source, InLanes) else source.first()
            if first is None:
                return None
            return turns.place(source.tenant), first[1], first[2], number

        heap = [found for number in range(len(sources)) if (found := entry(number)) is not None]
        heapify(heap)
        taken: list[Row] = []
        while heap and len(taken) < limit and len(self._closed_queues) == closed:
            place, _, _, number = heap[0]
            source = sources[number]
            if place == turns.place(source.tenant):
                row = source.take()
                if row is not None and (source is in_lanes or self._takes(row)):
                    taken.append(row)
                    turns.serve(source.tenant)
            # Otherwise its tenant was served out of another queue meanwhile.
            following = entry(number)
            if following is None:
                heappop(heap)
            else:
                heapreplace(heap, following)
        return taken

    def _takes(self, row: Row) -> bool:
        """Whether a job in no lane is taken, which was not taken for another share of the claim."""
        met = self._by_tenant.taken
        if row[SEQ] in met or not self._admits(row):
            return False
        met.add(row[SEQ])
        return True

    def _turns_of(self, scope: str, rank: int) -> Turns:
        """Whose turn it is in this claim; what is behind its reach will not have been taken."""
        turns = self._turns.get((scope, rank))
        if turns is None:
            turns = self._turns[scope, rank] = self._kept(scope, rank)
        return turns

    def _kept(self, scope: str, rank: int) -> Turns:
        found = self._connection.execute(_TIME, (scope, rank)).fetchone()
        passes = self._connection.execute(_PASSES, (scope, rank)).fetchall()
        weights: Mapping[str, int] = self._weights
        return Turns(weights, 0 if found is None else found[0], passes)
