"""A claim that cannot take whatever is ready: jobs in lanes are, there are pauses or rates of queues, or the
order is another.

What is in no lane and not paused is found as ever. Jobs in lanes come from walks, one for each queue.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import takewhile

import orjson

from ...model.admission import Admission
from ...model.lanes import Lanes
from ...model.rates import Demand, KeyLimit
from ..messages import ClaimDue, ClaimReply
from ..rows import rate_from_json
from .ageing import Aged
from .rates import keep_buckets, rates_of
from .reading import fetched
from .ready import (
    ATTEMPT,
    CLAIMABLE,
    DETAILS,
    LANE,
    LANE_QUEUES,
    MAX_ATTEMPTS,
    NOT_PAUSED,
    NOT_SKIPPED,
    PLAIN_READY,
    QUEUE,
    READY_QUEUES,
    ROOM,
    ROW,
    SEQ,
    Candidate,
    Row,
    rows_of,
)
from .tenants import ByTenant, make_index
from .turns import FairShares, InLanes
from .walking import walk, walk_lines

_IN_NO_LANE = f"""
SELECT json_group_array({ROW}) FROM (
  SELECT best.* FROM json_each(?2) AS wanted, job AS best WHERE best.seq IN (
    SELECT seq FROM job WHERE queue = wanted.value AND {PLAIN_READY}
    AND {CLAIMABLE} AND {NOT_SKIPPED} AND {NOT_PAUSED} ORDER BY priority DESC, due, seq
    LIMIT ?3 + ?4
  )
  ORDER BY best.priority DESC, best.due, best.seq LIMIT ?3 OFFSET ?4
)
"""
_LEASED = (
    "SELECT lane, count(*) AS leases, count(room = 1 OR NULL) AS singles, "
    "count(room = 1 AND node = (SELECT node FROM node WHERE node_name = ?) OR NULL) AS own "
    "FROM job WHERE lane IS NOT NULL AND state = 3 GROUP BY lane"
)
_LEASED_AS_JSON = (
    f"SELECT json_group_array(json_array(lane, leases, singles, own)) FROM ({_LEASED})"
)
_PAUSES = "SELECT queue, tenant FROM pause"


class Selection:
    """Finds what one claim may take, queue by queue."""

    def __init__(self, connection: sqlite3.Connection, claim: ClaimDue, *, any_pause: bool) -> None:
        self._connection = connection
        self._claim = claim
        leased = _leased(connection, claim.node)
        lanes = Lanes.of(leased, claim.depth)
        lanes.closed.update(claim.closed_lanes)
        self._rates = rates_of(connection, claim)
        self._admission = Admission(lanes, self._rates, claim.queues)
        self._taken = Counter[str]()
        """How many jobs in no lane were taken, by queue."""
        self.in_lanes: set[int] = set()
        """The sequences of jobs in lanes that were taken."""
        self.demands: dict[int, Sequence[Demand]] = {}
        """What jobs that were taken take a token of, by sequence."""
        self._paused = set[str | None]()
        any_of_tenant = False
        if any_pause:
            pauses = fetched(connection, _PAUSES)
            self._paused.update(queue for queue, tenant in pauses if tenant is None)
            any_of_tenant = any(tenant is not None for _, tenant in pauses)
        self._skip = _json(claim.skip_names) if claim.skip_names or any_pause else None
        self._aged: Aged | None = None
        if claim.ageing is not None:
            self._aged = Aged(connection, claim, claim.ageing, self._skip)
        self._by_tenant: ByTenant | None = None
        """There where it matters whose jobs those in no lane are."""
        self._fair: FairShares | None = None
        if any_of_tenant or claim.tenant_weights is not None:
            make_index(connection)
            self._by_tenant = ByTenant(connection, claim)
            if claim.tenant_weights is not None:
                self._fair = FairShares(
                    connection,
                    claim,
                    self._by_tenant,
                    self._admits_plain,
                    self._admission.closed_queues,
                )

    def take(self, queue: str | None, limit: int) -> list[Row]:
        """Up to ``limit`` rows of a queue, or of all, in claim order, that were not taken yet."""
        if None in self._paused:
            return []
        take = self._take if self._fair is None else partial(self._take_fairly, self._fair)
        return self._admission.fill(limit, partial(take, queue))

    def _take(self, queue: str | None, limit: int) -> list[Row]:
        """The same, as far as to the first job for which its queue has no token any more."""
        plain = iter(self._in_no_lane(queue, limit))
        in_lanes = self._walk_lines(queue)
        row, line = next(plain, None), next(in_lanes, None)
        taken: list[Row] = []
        while len(taken) < limit:
            if line is not None and (row is None or self._is_before(line[0], row)):
                part = line
                if len(line) > 1:
                    part = line[: min(bisect(line, row or line[-1]), limit - len(taken))]
                admitted = self._admitted(part)
                taken += admitted
                if len(taken) == limit:
                    break  # a walk goes on only where it has to
                if len(admitted) == len(part):
                    line = line[len(part) :] or next(in_lanes, None)
                elif part[0][QUEUE] in self._admission.closed_queues:
                    break
                else:
                    line = next(in_lanes, None)
            elif row is not None:
                if not self._admits_plain(row):
                    break
                taken.append(row)
                if self._by_tenant is not None:
                    self._by_tenant.taken.add(row[SEQ])
                row = next(plain, None)
            else:
                break
        return taken

    def _take_fairly(self, fair: FairShares, queue: str | None, limit: int) -> list[Row]:
        """The same, so that tenants have their turns within each priority."""
        in_lanes = InLanes(self._walk(queue), self._admits)
        return fair.take(queue or "", self._open(queue, READY_QUEUES), in_lanes, limit)

    def remember(self, rows: Sequence[Row], reply: ClaimReply) -> None:
        """These rows were claimed: write down what is to be known at the next claim, and say when those may
        start that have to wait for a token."""
        if self._fair is not None:
            self._fair.remember(rows)
        if not self._rates.any_met:
            return
        spent = self._rates.spent(self.demands.get(row[SEQ], ()) for row in rows)
        if spent:
            keep_buckets(self._connection, spent, self._claim.now)
        if not reply.more:
            reply.next_due = self._rates.next_due(reply.next_due)

    def _walk_lines(self, queue: str | None) -> Iterator[Sequence[Candidate]]:
        """`_walk` without what was taken already; of one queue, jobs that are alike come together."""
        closed = self._admission.lanes.closed
        taken = frozenset(self.in_lanes)
        names = self._open(queue, LANE_QUEUES)
        if self._aged is None and len(names) == 1:
            lines = walk_lines(self._connection, self._claim, names[0], self._skip, closed)
        else:
            lines = ([candidate] for candidate in self._walk(queue))
        if not taken:
            return lines
        others = ([one for one in line if one[SEQ] not in taken] for line in lines)
        return filter(None, others)

    def _walk(self, queue: str | None) -> Iterator[Candidate]:
        """Jobs in lanes, in claim order; closed lanes are left out as far as they are known by then."""
        closed = self._admission.lanes.closed
        names = self._open(queue, LANE_QUEUES)
        if self._aged is not None:
            aged = [self._aged.walk(name, closed) for name in names]
            return merge(*aged, key=self._aged.place)
        walks = [walk(self._connection, self._claim, name, self._skip, closed) for name in names]
        return walks[0] if len(walks) == 1 else merge(*walks)

    def _is_before(self, one: Row, other: Row) -> bool:
        if self._aged is None:
            return one < other
        return self._aged.place(one) < self._aged.place(other)

    def _admitted(self, line: Sequence[Candidate]) -> Sequence[Candidate]:
        """Of jobs that are alike, those that are taken: the first ones, and together if none takes a token."""
        first = line[0]
        if len(line) == 1:
            return line if self._admits(first) else ()
        if self._rates.limits_queues or '"rate_key"' in first[DETAILS]:
            return [*takewhile(self._admits, line)]
        spends_last = first[ATTEMPT] + 1 >= first[MAX_ATTEMPTS]
        count = self._admission.lanes.admit(
            first[LANE], first[ROOM], len(line), spends_last=spends_last
        )
        admitted = line[:count]
        self.in_lanes.update([one[SEQ] for one in admitted])
        return admitted

    def _admits(self, candidate: Candidate) -> bool:
        seq = candidate[SEQ]
        if seq in self.in_lanes:  # taken as part of another share
            return False
        queue, details = candidate[QUEUE], candidate[DETAILS]
        limit = _key_limit(details) if '"rate_key"' in details else None
        spends_last = candidate[ATTEMPT] + 1 >= candidate[MAX_ATTEMPTS]
        if not self._admission.admit(
            queue, candidate[LANE], candidate[ROOM], limit, spends_last=spends_last
        ):
            return False
        self.in_lanes.add(seq)
        if limit is not None or self._rates.limits_queues:
            self._note_demands(seq, queue, limit)
        return True

    def _admits_plain(self, row: Row) -> bool:
        queue = row[QUEUE]
        if not self._admission.admit_plain(queue):
            return False
        self._taken[queue] += 1
        self._note_demands(row[SEQ], queue, None)
        return True

    def _note_demands(self, seq: int, queue: str, limit: KeyLimit | None) -> None:
        demands = self._rates.demands(queue, limit)
        if demands:
            self.demands[seq] = demands

    def _open(self, queue: str | None, ready_queues: str) -> list[str]:
        """The queues to look into: those that are not paused, and have tokens."""
        names: list[str] = (
            orjson.loads(self._connection.execute(ready_queues).fetchone()[0])
            if queue is None
            else [queue]
        )
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


def _leased(connection: sqlite3.Connection, node: str) -> Sequence[tuple[str, int, int, int]]:
    """Which lanes are leased, as `Lanes.of` takes it. What is no text is no lane."""
    try:
        found: list[tuple[str, int, int, int]] = orjson.loads(
            connection.execute(_LEASED_AS_JSON, (node,)).fetchone()[0]
        )
    except (sqlite3.OperationalError, ValueError):
        rows = fetched(connection, _LEASED, (node,))
        return [(lane, *counts) for lane, *counts in rows if isinstance(lane, str)]
    return found


def _key_limit(details: str) -> KeyLimit | None:
    """The rate key of a job and the limit of that, if it has one."""
    kept = orjson.loads(details)
    return (kept["rate_key"], rate_from_json(kept["rate_limit"])) if "rate_key" in kept else None


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(values).decode()
