"""Ready jobs tenant by tenant: where tenants take turns, or some of them are paused.

They are found by an index that is there only where it is needed: a node whose tenants take turns makes it
with its first claim, and so does the pause of a tenant. Whoever needs neither pays nothing for it.
It stands in order of tenant and due instant, so the first jobs of each tenant are one step away, however many
jobs of others stand before them. One statement takes that step for every tenant of a queue and priority;
then only those are looked at again of whom something may be taken.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge, nsmallest
from itertools import islice
from typing import Any

import orjson

from ..messages import ClaimDue
from .ready import (
    CLAIMABLE,
    NOT_SKIPPED,
    PLAIN_READY,
    READY_PRIORITIES,
    ROW,
    SEQ,
    TENANT,
    Row,
    rows_of,
)

_MAKE = (
    "CREATE INDEX IF NOT EXISTS job_ready_tenant ON job (queue, priority DESC, tenant, due) "
    f"WHERE {PLAIN_READY}"
)
_DROP = (
    "SELECT 1 FROM sqlite_master WHERE name = 'job_ready_tenant' "
    "AND NOT EXISTS (SELECT 1 FROM pause WHERE tenant IS NOT NULL) "
    "AND NOT EXISTS (SELECT 1 FROM turn_time)"
)
_READY = f"{PLAIN_READY} AND queue = ?2"
_PAUSED = "(SELECT tenant FROM pause WHERE tenant IS NOT NULL AND (queue IS NULL OR queue = ?2))"
_OF_TENANT = (
    f"FROM job INDEXED BY job_ready_tenant WHERE {_READY} AND priority = ?3 AND tenant = {{}} "
    f"AND {CLAIMABLE} AND {NOT_SKIPPED} ORDER BY due, seq"
)
_HEADS = f"""
WITH RECURSIVE ready(found) AS (
  SELECT min(tenant) FROM job INDEXED BY job_ready_tenant WHERE {_READY} AND priority = ?3
  UNION ALL
  SELECT (
    SELECT min(tenant) FROM job INDEXED BY job_ready_tenant
    WHERE {_READY} AND priority = ?3 AND tenant > ready.found
  ) FROM ready WHERE ready.found IS NOT NULL
)
SELECT json_group_array(json(head)) FROM (
  SELECT (
    SELECT json_array(due, seq, tenant) {_OF_TENANT.format("found")} LIMIT 1
  ) AS head FROM ready
  WHERE found IS NOT NULL AND found NOT IN {_PAUSED}
) WHERE head IS NOT NULL
"""
_FIRST_OF_MANY = f"""
SELECT json_group_array({ROW}) FROM (
  SELECT best.* FROM json_each(?4) AS wanted, job AS best
  WHERE best.seq IN (SELECT seq {_OF_TENANT.format("wanted.value")} LIMIT ?6)
)
"""
_NEXT = f"""
SELECT json_group_array({ROW}) FROM (
  SELECT * {_OF_TENANT.format("?4")} LIMIT ?6 OFFSET ?7
)
"""
_NEAR = f"""
WITH near AS MATERIALIZED (
  SELECT seq, priority, due, tenant FROM job INDEXED BY job_ready
  WHERE {_READY} AND {CLAIMABLE} AND {NOT_SKIPPED} ORDER BY priority DESC, due, seq LIMIT ?3
)
SELECT json_array((SELECT count(*) FROM near), json_group_array({ROW})) FROM job WHERE seq IN (
  SELECT seq FROM near WHERE tenant NOT IN {_PAUSED}
  ORDER BY priority DESC, due, seq LIMIT ?6
)
"""

_ANY_NEAR = f"""
SELECT count(*), ifnull(sum(tenant NOT IN {_PAUSED}), 0) FROM (
  SELECT tenant FROM job INDEXED BY job_ready
  WHERE {_READY} AND {CLAIMABLE} AND {NOT_SKIPPED} ORDER BY priority DESC, due, seq LIMIT ?3
)
"""

PIECE = 16
"""So many of the first rows in plain order are looked at to see whether to go on like this."""


def make_index(connection: sqlite3.Connection) -> None:
    """See that the ready jobs of each tenant are found quickly."""
    connection.execute(_MAKE)


def drop_index(connection: sqlite3.Connection) -> None:
    """Drop that again where no tenant is paused, nor has ever had a turn."""
    if connection.execute(_DROP).fetchone() is not None:
        connection.execute("DROP INDEX job_ready_tenant")


Head = tuple[int, int, str]
"""The due instant and the sequence of a tenant's first job, and its name."""


class Stream:
    """The ready jobs of one tenant in one queue at one priority, in order.

    Its first ``size`` rows are known, or all of them, if there are fewer.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        values: tuple[object, ...],
        tenant: str,
        rows: list[Row],
        size: int,
    ) -> None:
        self.tenant = tenant
        self._connection = connection
        self._values = values
        self._rows = rows[::-1]
        self._read = len(rows)
        self._size = size
        self._is_all = len(rows) < size

    def first(self) -> Row | None:
        """The next job, if there is one."""
        if not self._rows and not self._is_all:
            rows = rows_of(self._connection, _NEXT, (*self._values, self._size, self._read))
            self._read += len(rows)
            self._is_all = len(rows) < self._size
            self._rows = rows[::-1]
        return self._rows[-1] if self._rows else None

    def take(self) -> Row:
        """That job."""
        return self._rows.pop()

    def __iter__(self) -> Iterator[Row]:
        while self.first() is not None:
            yield self.take()


class ByTenant:
    """Finds the ready jobs of a claim that are in no lane, for tenants that are not paused."""

    def __init__(self, connection: sqlite3.Connection, claim: ClaimDue) -> None:
        self._connection = connection
        self._now = claim.now
        self._skip = _json(claim.skip_names)
        self.taken: set[int] = set()
        """Sequences of jobs that were taken for another share of the claim."""

    def in_order(self, queues: Sequence[str], limit: int) -> Iterator[Row]:
        """Up to ``limit`` of them in claim order."""
        return merge(*[self._first_of(queue, limit) for queue in queues])

    def ranks(self, queues: Iterable[str]) -> Sequence[int]:
        """The priorities at which something is ready, highest first."""
        found: set[int] = set()
        for queue in queues:
            found.update(self._list(READY_PRIORITIES, (self._now, queue)))
        return sorted(found, reverse=True)

    def heads(self, queue: str, rank: int) -> Sequence[Head]:
        """Where the jobs of each tenant begin."""
        values = (self._now, queue, rank, None, self._skip)
        return [(due, seq, tenant) for due, seq, tenant in self._list(_HEADS, values)]

    def streams(self, queue: str, rank: int, tenants: Sequence[str], want: int) -> Sequence[Stream]:
        """One for each of these tenants, from whom ``want`` jobs are wanted altogether."""
        if not tenants:
            return []
        size = want // len(tenants) + 2
        place = (self._now, queue, rank)
        by_tenant: dict[str, list[Row]] = {tenant: [] for tenant in tenants}
        values = (*place, _json(tenants), self._skip, size)
        for row in rows_of(self._connection, _FIRST_OF_MANY, values):
            by_tenant[row[TENANT]].append(row)
        return [
            Stream(self._connection, (*place, tenant, self._skip), tenant, rows, size)
            for tenant, rows in by_tenant.items()
        ]

    def _first_of(self, queue: str, limit: int) -> list[Row]:
        """The first of one queue: mostly those that stand first anyway."""
        want = limit + len(self.taken)
        values = (self._now, queue, PIECE, None, self._skip)
        met, wanted = self._connection.execute(_ANY_NEAR, values).fetchone()
        if wanted or met < PIECE:
            look = 2 * want + PIECE
            values = (self._now, queue, look, None, self._skip)
            met, rows = self._list(_NEAR, (*values, want))
            if met < look or len(rows) >= want:
                rows.sort()
                return self._left(rows, limit)
        return self._left(self._by_heads(queue, want), limit)

    def _by_heads(self, queue: str, want: int) -> Iterator[Row]:
        """At least the first ``want`` of one queue, if there are as many."""
        for rank in self.ranks([queue]):
            first = [tenant for *_, tenant in nsmallest(want, self.heads(queue, rank))]
            yield from merge(*self.streams(queue, rank, first, want))

    def _left(self, rows: Iterable[Row], limit: int) -> list[Row]:
        """The first ``limit`` that were not taken for another share."""
        return list(islice((row for row in rows if row[SEQ] not in self.taken), limit))

    def _list(self, statement: str, values: tuple[object, ...]) -> list[Any]:
        found: list[Any] = orjson.loads(self._connection.execute(statement, values).fetchone()[0])
        return found


def _json(values: object) -> str:
    return orjson.dumps(values).decode()
