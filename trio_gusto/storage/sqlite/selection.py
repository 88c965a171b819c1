"""A claim that cannot take whatever is ready: jobs wait for their named worker or for tokens, there are
pauses, or the order is that of ageing.

What waits for nobody is found as ever. Of each named worker that is free the first job is looked up in an
index of its own, one step for each worker, however many jobs wait behind it; and so of each rate key.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from heapq import merge

import orjson

from ...model.admission import Admission
from ...model.lanes import Lanes
from ...model.order import Place, place
from ...model.rates import Demand, RateLimit, Rates, of_key
from ..messages import ClaimDue, ClaimReply
from ..rows import rate_from_json
from .lines import FIRST_OF_WORKERS_BY_PRIORITY, READY_WORKERS, Lines
from .pauses import kept_pauses
from .rates import find_bucket, keep_buckets
from .ready import PLAIN_READY, READY_QUEUES, ROW, TAKEABLE, WORKER_READY, Row, rows_of

_ORDER = "priority DESC, due, seq"

_OF_NOBODY = f"""
SELECT json_group_array({ROW}) FROM (
  SELECT best.* FROM json_each(?2) AS wanted, job AS best WHERE best.seq IN (
    SELECT seq FROM job WHERE queue = wanted.value AND {PLAIN_READY}
    AND {TAKEABLE} ORDER BY {_ORDER} LIMIT ?3 + ?4
  )
  ORDER BY best.priority DESC, best.due, best.seq LIMIT ?3 OFFSET ?4
)
"""

_FIRST_OF_WORKERS = f"""
{READY_WORKERS}
SELECT json_group_array(json_array({ROW}, worker)) FROM (
  SELECT head.* FROM ready JOIN job AS head ON head.seq = (
    SELECT seq FROM job WHERE worker = ready.worker AND {WORKER_READY} AND {TAKEABLE}
    AND (?2 IS NULL OR queue = ?2) AND queue NOT IN (SELECT value FROM json_each(?6))
    ORDER BY {_ORDER} LIMIT 1
  )
)
"""

_AT_WORK = "SELECT DISTINCT worker FROM job WHERE worker IS NOT NULL AND state < 4 AND state = 3"

Candidate = tuple[Row, str | None, str | None, RateLimit | None]
"""A row, and its named worker, its rate key and the limit of that, if any."""


class Selection:
    """Finds what one claim may take, queue by queue."""

    def __init__(
        self, connection: sqlite3.Connection, claim: ClaimDue, *, any_limited: bool
    ) -> None:
        self._connection = connection
        self._claim = claim
        self._skip = _json(claim.skip_names)
        self._any_limited = any_limited
        self._lines = Lines(connection, claim)
        self._taken = Counter[str | None]()
        """How many jobs that wait for nobody were taken, by queue."""
        self._taken_of_line = Counter[tuple[str, str, int | None]]()
        self._rates = rates_of(connection, claim)
        lanes = Lanes(worker for (worker,) in connection.execute(_AT_WORK).fetchall())
        self._admission = Admission(lanes, self._rates)
        self._paused = {pause.queue for pause in kept_pauses(connection) if pause.tenant is None}
        self._closed = closed_queues(self._rates, claim)
        self.limited: dict[int, Sequence[Demand]] = {}
        """What jobs that were taken take a token of, by sequence."""

    def take(self, queue: str | None, limit: int) -> list[Row]:
        """Up to ``limit`` rows of a queue, or of all, in claim order, that were not taken yet."""
        if limit <= 0 or None in self._paused or queue in self._closed:
            return []
        taken: list[Row] = []
        sources = (
            self._of_nobody(queue, limit),
            self._first_of_workers(queue),
            *(self._of_keys(queue, limit) if self._any_limited else ()),
        )
        for row, worker, key, rate_limit in merge(*sources, key=self._place):
            if self._admission.admit(row[13], worker, key, rate_limit):
                demands = self._rates.demands(row[13], key, rate_limit)
                if demands:
                    self.limited[row[2]] = demands
                self._count(queue, row, worker, key)
                taken.append(row)
                if len(taken) == limit:
                    break
        return taken

    def spend(self, reply: ClaimReply, rows: Iterable[Row]) -> None:
        """These were claimed: take their tokens, and say when others may start."""
        spent = self._rates.spent(self.limited.get(row[2], ()) for row in rows)
        if spent:
            keep_buckets(self._connection, spent, self._claim.now)
        reply.more |= self._rates.worth_another
        if not reply.more:
            reply.next_due = self._rates.next_due(reply.next_due)

    def _place(self, candidate: Candidate) -> Place:
        rank, due, seq = candidate[0][:3]
        return place(rank, due, seq, self._claim.ageing)

    def _count(self, queue: str | None, row: Row, worker: str | None, key: str | None) -> None:
        if worker is not None:
            return
        if key is not None:
            self._taken_of_line[self._line(row, key)] += 1
        else:
            self._taken[queue if self._rates.queue_tokens(row[13]) is None else row[13]] += 1

    def _line(self, row: Row, key: str) -> tuple[str, str, int | None]:
        return key, row[13], None if self._claim.ageing is None else row[14]

    # --- where they come from, each in claim order ---

    def _of_nobody(self, queue: str | None, limit: int) -> Iterator[Candidate]:
        names: list[str] = [] if queue is None else [queue]
        if queue is None:
            names = orjson.loads(self._connection.execute(READY_QUEUES).fetchone()[0])
        shut = self._paused | self._closed
        names = [name for name in names if name not in shut]
        tokens = {name: self._rates.queue_tokens(name) for name in names}
        unlimited = [name for name in names if tokens[name] is None]
        rows = self._plain(unlimited, limit, self._taken[queue]) if unlimited else []
        for name in names:
            left = tokens[name]
            if left is not None:  # one more than may start tells whether any is left behind
                rows += self._plain([name], min(limit, left + 1), self._taken[name])
        candidates: list[Candidate] = [(row, None, None, None) for row in rows]
        return iter(sorted(candidates, key=self._place))

    def _plain(self, names: Collection[str], limit: int, offset: int) -> list[Row]:
        queues = _json(list(names))
        if self._claim.ageing is not None:
            return self._lines.plain(queues, limit, offset)
        values = (self._claim.now, queues, limit, offset, self._skip)
        return rows_of(self._connection, _OF_NOBODY, values)

    def _first_of_workers(self, queue: str | None) -> Iterator[Candidate]:
        """The first job of each named worker that is free."""
        is_aged = self._claim.ageing is not None
        statement = FIRST_OF_WORKERS_BY_PRIORITY if is_aged else _FIRST_OF_WORKERS
        values = (self._claim.now, queue, None, None, self._skip, _json(list(self._closed)))
        found = orjson.loads(self._connection.execute(statement, values).fetchone()[0])
        heads = sorted(((row, worker, *_rate_of(row)) for row, worker in found), key=self._place)
        met: set[str] = set()
        for head in heads:
            assert head[1] is not None
            if head[1] not in met and self._admission.lanes.is_free(head[1]):
                met.add(head[1])
                yield head

    def _of_keys(self, queue: str | None, limit: int) -> Iterator[Iterator[Candidate]]:
        """The jobs of each rate key of whose bucket it is not known that it is empty."""
        heads, opens_at = self._lines.heads(queue, _json([*self._closed, *self._paused]))
        if opens_at is not None:
            self._rates.note(opens_at)
        return map(partial(self._of_key, limit), heads)

    def _of_key(self, limit: int, head: Row) -> Iterator[Candidate]:
        """One by one, since its bucket may soon be empty."""
        key, rate_limit = _rate_of(head)
        assert key is not None
        assert rate_limit is not None
        line = self._line(head, key)
        if not self._taken_of_line[line]:
            yield head, None, key, rate_limit
        while self._admission.is_open(head[13], None, key):
            size = min(limit, self._rates.tokens(of_key(key), rate_limit) + 1)
            rows = self._lines.behind(head, key, size, self._taken_of_line[line])
            for row in rows:
                yield row, None, *_rate_of(row)
            if len(rows) < size:
                return


def rates_of(connection: sqlite3.Connection, claim: ClaimDue) -> Rates:
    """The buckets, for one claim."""
    return Rates(partial(find_bucket, connection), claim.now, claim.queue_rates)


def closed_queues(rates: Rates, claim: ClaimDue) -> set[str]:
    """Queues of which no job may start now."""
    return rates.closed_queues(None if claim.queues is None else [name for name, _ in claim.queues])


def _rate_of(row: Row) -> tuple[str | None, RateLimit | None]:
    details = row[17]
    if details is None or '"rate_key"' not in details:
        return None, None
    kept = orjson.loads(details)
    if "rate_key" not in kept:
        return None, None
    return kept["rate_key"], rate_from_json(kept["rate_limit"])


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(values).decode()
