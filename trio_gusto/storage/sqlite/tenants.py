"""Ready jobs tenant by tenant: where tenants take turns, or some of them are paused.

They are found by an index that is there only where it is needed: a node whose tenants take turns makes it
with its first claim, and so does the pause of a tenant. Whoever needs neither pays nothing for it.
It stands in order of tenant and due instant, so the first jobs of each tenant are one step away, however many
jobs of others stand before them.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heappop, heappush, heapreplace, merge
from typing import Any

import orjson

from ...model.fairness import Turns
from ...model.pauses import StoredPause
from ..messages import ClaimDue
from .ready import CLAIMABLE, NOT_SKIPPED, ROW, Candidate, Row, rows_of

_MAKE = (
    "CREATE INDEX IF NOT EXISTS job_ready_tenant ON job (queue, priority DESC, tenant, due) "
    "WHERE state = 2 AND lane IS NULL"
)
_DROP = (
    "SELECT 1 FROM sqlite_master WHERE name = 'job_ready_tenant' "
    "AND NOT EXISTS (SELECT 1 FROM pause WHERE tenant IS NOT NULL)"
)
_READY = "state = 2 AND lane IS NULL AND queue = ?1"
_PRIORITIES = f"""
WITH RECURSIVE ready(found) AS (
  SELECT max(priority) FROM job INDEXED BY job_ready WHERE {_READY}
  UNION ALL
  SELECT (
    SELECT max(priority) FROM job INDEXED BY job_ready WHERE {_READY} AND priority < ready.found
  ) FROM ready WHERE ready.found IS NOT NULL
)
SELECT json_group_array(found) FROM ready WHERE found IS NOT NULL
"""
_OF_RANK = f"{_READY} AND priority = ?2"
_TENANTS = f"""
WITH RECURSIVE ready(found) AS (
  SELECT min(tenant) FROM job INDEXED BY job_ready_tenant WHERE {_OF_RANK}
  UNION ALL
  SELECT (
    SELECT min(tenant) FROM job INDEXED BY job_ready_tenant WHERE {_OF_RANK} AND tenant > ready.found
  ) FROM ready WHERE ready.found IS NOT NULL
)
SELECT json_group_array(found) FROM ready WHERE found IS NOT NULL
"""
_FIRST = (
    f"SELECT json_group_array({ROW}) FROM (SELECT * FROM job INDEXED BY job_ready_tenant "
    "WHERE state = 2 AND lane IS NULL AND queue = ?2 AND priority = ?3 AND tenant = ?4 "
    f"AND {CLAIMABLE} AND {NOT_SKIPPED} ORDER BY due, seq LIMIT ?6 OFFSET ?7)"
)
_TENANT_OF = "SELECT tenant FROM job WHERE seq = ?"
_TIME = "SELECT now FROM turn_time WHERE scope = ? AND priority = ?"
_PASSES = "SELECT tenant, pass FROM turn WHERE scope = ? AND priority = ?"
_SET_TIME = (
    "INSERT INTO turn_time (scope, priority, now) VALUES (?, ?, ?) "
    "ON CONFLICT DO UPDATE SET now = excluded.now"
)
_FORGET = "DELETE FROM turn WHERE scope = ? AND priority = ?"
_SET_TURN = "INSERT INTO turn (scope, priority, tenant, pass) VALUES (?, ?, ?, ?)"

LEAST = 4
"""Rows of a tenant that are read at once, at least."""


def make_index(connection: sqlite3.Connection) -> None:
    """See that the ready jobs of each tenant are found quickly."""
    connection.execute(_MAKE)


def drop_index(connection: sqlite3.Connection) -> None:
    """The last pause of a tenant is lifted: a node whose tenants take turns makes the index again."""
    if connection.execute(_DROP).fetchone() is not None:
        connection.execute("DROP INDEX job_ready_tenant")


class Stream:
    """The ready jobs of one tenant in one queue at one priority, in order."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        claim: ClaimDue,
        place: tuple[str, int, str],
        size: int,
    ) -> None:
        self.tenant = place[2]
        self._connection = connection
        self._values = (claim.now, *place, orjson.dumps(claim.skip_names).decode(), size)
        self._size = size
        self._rows: list[Row] = []
        self._read = 0
        self._is_all = False

    def first(self) -> Row | None:
        """The next job, if there is one."""
        if not self._rows and not self._is_all:
            self._rows = rows_of(self._connection, _FIRST, (*self._values, self._read))
            self._read += len(self._rows)
            self._is_all = len(self._rows) < self._size
            self._rows.reverse()
        return self._rows[-1] if self._rows else None

    def take(self) -> Row:
        """That job."""
        return self._rows.pop()

    def __iter__(self) -> Iterator[Row]:
        while self.first() is not None:
            yield self.take()


class ByTenant:
    """Finds the ready jobs of a claim that are in no lane, for tenants that are not paused."""

    def __init__(
        self, connection: sqlite3.Connection, claim: ClaimDue, pauses: Sequence[StoredPause]
    ) -> None:
        self._connection = connection
        self._claim = claim
        self._pauses = [pause for pause in pauses if pause.tenant is not None]
        self.taken: set[int] = set()
        """Sequences of jobs that were taken for another share of the claim."""

    def ranks(self, queues: Sequence[str]) -> Sequence[int]:
        """The priorities at which something is ready, highest first."""
        found: set[int] = set()
        for queue in queues:
            found.update(self._list(_PRIORITIES, queue))
        return sorted(found, reverse=True)

    def streams(self, queues: Sequence[str], rank: int, limit: int) -> Sequence[Stream]:
        """One for each tenant in each queue."""
        places = [
            (queue, rank, tenant)
            for queue in queues
            for tenant in self._list(_TENANTS, queue, rank)
            if not any(pause.covers(queue, tenant) for pause in self._pauses)
        ]
        size = max(LEAST, limit // max(1, len(places)) + 1)
        return [Stream(self._connection, self._claim, place, size) for place in places]

    def in_order(self, queues: Sequence[str], limit: int) -> Iterator[Row]:
        """In claim order."""
        for rank in self.ranks(queues):
            for row in merge(*self.streams(queues, rank, limit)):
                if row[2] not in self.taken:
                    yield row

    def _list(self, statement: str, *values: object) -> Sequence[Any]:
        found: Sequence[Any] = orjson.loads(
            self._connection.execute(statement, values).fetchone()[0]
        )
        return found


class FairShares:
    """Takes jobs so that tenants have their turns, and remembers whose turn it is."""

    def __init__(self, connection: sqlite3.Connection, weights: Mapping[str, int]) -> None:
        self._connection = connection
        self._weights = weights
        self._turns: dict[tuple[str, int], Turns] = {}

    def take(
        self,
        scope: str,
        rank: int,
        streams: Sequence[Stream],
        in_lanes: InLanes,
        limit: int,
        skip: set[int],
    ) -> list[Row | int]:
        """Up to ``limit`` jobs of one priority: rows, and sequences of those in lanes."""
        turns = self._turns_of(scope, rank)
        heap: list[tuple[int, int, int, int]] = []
        sources: list[Stream | InLanes] = [*streams, in_lanes]

        def enter(number: int, put: Callable[..., object]) -> bool:
            source = sources[number]
            first = source.first(rank) if isinstance(source, InLanes) else source.first()
            if first is None:
                return False
            put(heap, (turns.place(source.tenant), first[1], first[2], number))
            return True

        for number in range(len(sources)):
            enter(number, heappush)
        taken: list[Row | int] = []
        while heap and len(taken) < limit:
            place, _, seq, number = heap[0]
            source = sources[number]
            if place == turns.place(source.tenant):
                if isinstance(source, InLanes):
                    if source.take():
                        taken.append(seq)
                        turns.serve(source.tenant)
                else:
                    row = source.take()
                    if seq not in skip:
                        skip.add(seq)
                        taken.append(row)
                        turns.serve(source.tenant)
            # Otherwise its tenant was served out of another queue meanwhile.
            if not enter(number, heapreplace):
                heappop(heap)
        return taken

    def remember(self) -> None:
        """Write down whose turn it is."""
        for (scope, rank), turns in self._turns.items():
            self._connection.execute(_SET_TIME, (scope, rank, turns.now))
            self._connection.execute(_FORGET, (scope, rank))
            rows = [(scope, rank, tenant, place) for tenant, place in turns.ahead().items()]
            self._connection.executemany(_SET_TURN, rows)

    def _turns_of(self, scope: str, rank: int) -> Turns:
        turns = self._turns.get((scope, rank))
        if turns is None:
            found = self._connection.execute(_TIME, (scope, rank)).fetchone()
            passes = self._connection.execute(_PASSES, (scope, rank)).fetchall()
            turns = Turns(self._weights, 0 if found is None else found[0], passes)
            self._turns[scope, rank] = turns
        return turns


class InLanes:
    """Jobs in lanes, in claim order: one line for all tenants."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        candidates: Iterator[Candidate],
        admits: Callable[[Candidate], bool],
    ) -> None:
        self.tenant = ""
        self._connection = connection
        self._candidates = candidates
        self._admits = admits
        self._head = next(candidates, None)

    def first(self, rank: int) -> Candidate | None:
        """The next job, if there is one at this priority."""
        head = self._head
        if head is None or head[0] != -rank:
            return None
        (self.tenant,) = self._connection.execute(_TENANT_OF, (head[2],)).fetchone()
        return head

    def rank(self) -> int | None:
        """The priority of the next job, if there is one."""
        return None if self._head is None else -self._head[0]

    def take(self) -> bool:
        """Whether that job may be taken; in any case it is passed."""
        head, self._head = self._head, None
        assert head is not None
        admitted = self._admits(head)
        self._head = next(self._candidates, None)
        return admitted
