"""A claim that cannot take whatever is ready: jobs in lanes are, there are pauses or rates of queues, or the
order is another.

What is in no lane and not paused is found as ever. Jobs in lanes come from walks, one for each queue.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge

import orjson

from ...model.admission import Admission
from ...model.lanes import Lanes
from ...model.rates import Demand, KeyLimit, Rates
from ..messages import ClaimDue, ClaimReply
from ..rows import rate_from_json
from .ageing import Aged
from .rates import keep_buckets, rates_of
from .ready import (
    CLAIMABLE,
    LANE_QUEUES,
    NOT_PAUSED,
    NOT_SKIPPED,
    READY_QUEUES,
    ROW,
    Candidate,
    Row,
    rows_of,
)
from .tenants import ByTenant, make_index
from .turns import FairShares, InLanes
from .walking import walk

_IN_NO_LANE = f"""
SELECT json_group_array({ROW}) FROM (
  SELECT best.* FROM json_each(?2) AS wanted, job AS best WHERE best.seq IN (
    SELECT seq FROM job WHERE queue = wanted.value AND state = 2 AND lane IS NULL
    AND {CLAIMABLE} AND {NOT_SKIPPED} AND {NOT_PAUSED} ORDER BY priority DESC, due, seq
    LIMIT ?3 + ?4
  )
  ORDER BY best.priority DESC, best.due, best.seq LIMIT ?3 OFFSET ?4
)
"""
_THESE = f"SELECT json_group_array({ROW}) FROM job WHERE seq IN (SELECT value FROM json_each(?))"
_LEASED = (
    "SELECT json_group_array(json_array(lane, leases, singles, own)) FROM ("
    "SELECT lane, count(*) AS leases, count(room = 1 OR NULL) AS singles, "
    "count(room = 1 AND node = (SELECT node FROM node WHERE node_name = ?) OR NULL) AS own "
    "FROM job WHERE lane IS NOT NULL AND state = 3 GROUP BY lane)"
)
_PAUSES = (
    "SELECT json_group_array(queue) FILTER (WHERE tenant IS NULL), count(tenant) > 0 FROM pause"
)


class Selection:
    """Finds what one claim may take, queue by queue."""

    def __init__(self, connection: sqlite3.Connection, claim: ClaimDue) -> None:
        self._connection = connection
        self._claim = claim
        self._skip = _json(claim.skip_names)
        leased = orjson.loads(connection.execute(_LEASED, (claim.node,)).fetchone()[0])
        lanes = Lanes.of(leased, claim.depth)
        lanes.closed.update(claim.closed_lanes)
        self._rates = rates_of(connection, claim)
        self._admission = Admission(lanes, self._rates)
        self._taken = Counter[str]()
        """How many jobs in no lane were taken, by queue."""
        self.in_lanes: set[int] = set()
        """The sequences of jobs in lanes that were taken."""
        self.demands: dict[int, Sequence[Demand]] = {}
        """What jobs that were taken take a token of, by sequence."""
        closed, any_of_tenant = connection.execute(_PAUSES).fetchone()
        self._paused: set[str | None] = set(orjson.loads(closed))
        self._admission.closed_queues |= closed_queues(self._rates, claim)
        self._aged = None if claim.ageing is None else Aged(connection, claim, claim.ageing)
        self._by_tenant: ByTenant | None = None
        """There where it matters whose jobs those in no lane are."""
        self._fair: FairShares | None = None
        if any_of_tenant or claim.tenant_weights is not None:
            make_index(connection)
            self._by_tenant = ByTenant(connection, claim)
            if claim.tenant_weights is not None:
                self._fair = FairShares(connection, claim, self._by_tenant)

    def take(self, queue: str | None, limit: int) -> list[Row]:
        """Up to ``limit`` rows of a queue, or of all, in claim order, that were not taken yet."""
        taken: list[Row] = []
        while len(taken) < limit and None not in self._paused:
            closed = len(self._admission.closed_queues)
            wanted = limit - len(taken)
            if self._fair is not None:
                taken += self._take_fairly(self._fair, queue, wanted)
            else:
                taken += self._take(queue, wanted)
            if len(self._admission.closed_queues) == closed:
                break
        return taken

    def _take(self, queue: str | None, limit: int) -> list[Row]:
        """The same, as far as to the first job for which its queue has no token any more."""
        plain = iter(self._in_no_lane(queue, limit))
        in_lanes = self._walk(queue)
        row, candidate = next(plain, None), next(in_lanes, None)
        taken: list[Row] = []
        chosen: list[int] = []
        while limit and (row is not None or candidate is not None):
            if candidate is None or (row is not None and self._is_before(row, candidate)):
                assert row is not None
                if not self._admits_plain(row):
                    break
                taken.append(row)
                if self._by_tenant is not None:
                    self._by_tenant.taken.add(row[2])
                row = next(plain, None)
            elif self._admits(candidate):
                chosen.append(candidate[2])
                candidate = next(in_lanes, None) if limit > 1 else None
            elif candidate[6] in self._admission.closed_queues:
                break
            else:
                candidate = next(in_lanes, None)
                continue
            limit -= 1
        if chosen:
            self.in_lanes.update(chosen)
            taken += rows_of(self._connection, _THESE, (_json(chosen),))
            taken.sort(key=None if self._aged is None else self._aged.place)
        return taken

    def _take_fairly(self, fair: FairShares, queue: str | None, limit: int) -> list[Row]:
        """The same, so that tenants have their turns within each priority."""
        closed_queues = self._admission.closed_queues
        in_lanes = InLanes(self._connection, self._walk(queue), self._admits, closed_queues)
        names = self._open(queue, READY_QUEUES)
        taken = fair.take(queue or "", names, in_lanes, self._admits_plain, limit)
        chosen = [seq for seq in taken if isinstance(seq, int)]
        self.in_lanes.update(chosen)
        rows = rows_of(self._connection, _THESE, (_json(chosen),)) if chosen else []
        by_seq = {row[2]: row for row in rows}
        return [by_seq[one] if isinstance(one, int) else one for one in taken]

    def remember(self, rows: Sequence[Row], reply: ClaimReply) -> None:
        """These rows were claimed: write down what is to be known at the next claim, and say when those may
        start that have to wait for a token."""
        if self._fair is not None:
            self._fair.remember(rows)
        if not self._rates.any_met:
            return
        spent = self._rates.spent(self.demands.get(row[2], ()) for row in rows)
        if spent:
            keep_buckets(self._connection, spent, self._claim.now)
        if not reply.more:
            reply.next_due = self._rates.next_due(reply.next_due)

    def _walk(self, queue: str | None) -> Iterator[Candidate]:
        """Jobs in lanes, in claim order; closed lanes are left out as far as they are known by then."""
        closed = self._admission.lanes.closed
        names = self._open(queue, LANE_QUEUES)
        if self._aged is not None:
            aged = [self._aged.walk(name, closed) for name in names]
            return merge(*aged, key=self._aged.place)
        walks = [walk(self._connection, self._claim, name, closed) for name in names]
        return walks[0] if len(walks) == 1 else merge(*walks)

    def _is_before(self, row: Row, candidate: Candidate) -> bool:
        if self._aged is None:
            return row < candidate
        return self._aged.place(row) < self._aged.place(candidate)

    def _admits(self, candidate: Candidate) -> bool:
        seq, lane, room, spends_last, queue, rate = candidate[2:8]
        if seq in self.in_lanes:  # taken as part of another share
            return False
        limit: KeyLimit | None = None if rate is None else (rate[0], rate_from_json(rate[1]))
        if not self._admission.admit(queue, lane, room, limit, spends_last=bool(spends_last)):
            return False
        self._note_demands(seq, queue, limit)
        return True

    def _admits_plain(self, row: Row) -> bool:
        if not self._admission.admit_plain(row[13]):
            return False
        self._taken[row[13]] += 1
        self._note_demands(row[2], row[13], None)
        return True

    def _note_demands(self, seq: int, queue: str, limit: KeyLimit | None) -> None:
        demands = self._rates.demands(queue, limit)
        if demands:
            self.demands[seq] = demands

    def _open(self, queue: str | None, ready_queues: str) -> list[str]:
        """The queues to look into: those that are not paused, and have tokens."""
        names: list[str] = [] if queue is None else [queue]
        if queue is None:
            names = orjson.loads(self._connection.execute(ready_queues).fetchone()[0])
        closed = self._paused | self._admission.closed_queues
        return [name for name in names if name not in closed]

    def _in_no_lane(self, queue: str | None, limit: int) -> Iterable[Row]:
        names = self._open(queue, READY_QUEUES)
        if not names:
            return ()
        if self._aged is not None:
            return self._aged.in_no_lane(names, limit, self._taken)
        if self._by_tenant is not None:
            return self._by_tenant.in_order(names, limit)
        met = sum(self._taken[name] for name in names)
        values = (self._claim.now, _json(names), limit, met, self._skip)
        return rows_of(self._connection, _IN_NO_LANE, values)


def closed_queues(rates: Rates, claim: ClaimDue) -> set[str]:
    """Queues of which no job may start now."""
    return rates.closed_queues(None if claim.queues is None else [name for name, _ in claim.queues])


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(values).decode()
