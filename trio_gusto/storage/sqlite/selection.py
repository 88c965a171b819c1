"""A claim that cannot take whatever is ready: jobs in lanes are, or there are pauses.

What is in no lane and not paused is found as ever. Jobs in lanes come from walks, one for each queue.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from heapq import merge

import orjson

from ...model.lanes import Lanes
from ..messages import ClaimDue
from .ready import (
    CLAIMABLE,
    LANE,
    LANE_QUEUES,
    NOT_PAUSED,
    NOT_SKIPPED,
    READY_QUEUES,
    ROOM,
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
_LEASED = (
    "SELECT json_group_array(json_array(lane, leases, singles, own)) FROM ("
    "SELECT lane, count(*) AS leases, count(room = 1 OR NULL) AS singles, "
    "count(room = 1 AND node = (SELECT node FROM node WHERE node_name = ?) OR NULL) AS own "
    "FROM job WHERE lane IS NOT NULL AND state = 3 GROUP BY lane)"
)
_PAUSES = (
    "SELECT json_group_array(queue) FILTER (WHERE tenant IS NULL), count(tenant) > 0, count(*) > 0 "
    "FROM pause"
)


class Selection:
    """Finds what one claim may take, queue by queue."""

    def __init__(self, connection: sqlite3.Connection, claim: ClaimDue) -> None:
        self._connection = connection
        self._claim = claim
        leased = orjson.loads(connection.execute(_LEASED, (claim.node,)).fetchone()[0])
        self._lanes = Lanes.of(leased, claim.depth)
        self._lanes.closed.update(claim.closed_lanes)
        self._taken = Counter[str | None]()
        """How many jobs in no lane were taken, by queue."""
        self.in_lanes: set[int] = set()
        """The sequences of jobs in lanes that were taken."""
        closed, any_of_tenant, any_pause = connection.execute(_PAUSES).fetchone()
        self._closed: Collection[str | None] = orjson.loads(closed)
        self._skip = _json(claim.skip_names) if claim.skip_names or any_pause else None
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
        if limit <= 0 or None in self._closed:
            return []
        if self._fair is not None:
            return self._take_fairly(self._fair, queue, limit)
        plain = iter(self._in_no_lane(queue, limit))
        in_lanes = self._walk(queue)
        row, candidate = next(plain, None), next(in_lanes, None)
        taken: list[Row] = []
        while len(taken) < limit:
            if candidate is not None and (row is None or candidate < row):
                if self._admits(candidate):
                    taken.append(candidate)
                    if len(taken) == limit:
                        break  # a walk goes on only where it has to
                candidate = next(in_lanes, None)
            elif row is not None:
                taken.append(row)
                self._taken[queue] += 1
                if self._by_tenant is not None:
                    self._by_tenant.taken.add(row[2])
                row = next(plain, None)
            else:
                break
        return taken

    def _take_fairly(self, fair: FairShares, queue: str | None, limit: int) -> list[Row]:
        """The same, so that tenants have their turns within each priority."""
        in_lanes = InLanes(self._walk(queue), self._admits)
        return fair.take(queue or "", self._open(queue, READY_QUEUES), in_lanes, limit)

    def remember(self, rows: Sequence[Row]) -> None:
        """These rows were claimed: write down what is to be known at the next claim."""
        if self._fair is not None:
            self._fair.remember(rows)

    def _walk(self, queue: str | None) -> Iterator[Candidate]:
        """Jobs in lanes, in claim order; closed lanes are left out as far as they are known by then."""
        closed = self._lanes.closed
        walks = [
            walk(self._connection, self._claim, name, self._skip, closed)
            for name in self._open(queue, LANE_QUEUES)
        ]
        return walks[0] if len(walks) == 1 else merge(*walks)

    def _admits(self, candidate: Candidate) -> bool:
        seq = candidate[2]
        if seq in self.in_lanes:  # taken as part of another share
            return False
        spends_last = candidate[3] + 1 >= candidate[9]
        admitted = self._lanes.admit(candidate[LANE], candidate[ROOM], spends_last=spends_last)
        if admitted:
            self.in_lanes.add(seq)
        return admitted

    def _open(self, queue: str | None, ready_queues: str) -> list[str]:
        """The queues to look into: those that are not paused."""
        names: list[str] = [] if queue is None else [queue]
        if queue is None:
            names = orjson.loads(self._connection.execute(ready_queues).fetchone()[0])
        return [name for name in names if name not in self._closed]

    def _in_no_lane(self, queue: str | None, limit: int) -> Iterable[Row]:
        if self._by_tenant is not None:
            return self._by_tenant.in_order(self._open(queue, READY_QUEUES), limit)
        names = self._open(queue, READY_QUEUES)
        if not names:
            return ()
        values = (self._claim.now, _json(names), limit, self._taken[queue], self._skip)
        return rows_of(self._connection, _IN_NO_LANE, values)


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(values).decode()
