"""Ready jobs in lines: those of one rate key in one queue; and, in the order of ageing, of one priority each.

Which lines there are is found by one step into the index for each, however long they are. Ageing needs no
index of its own: within one priority its order is that of the due instants, so what comes first stands at the
head of one of the lines.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3

import orjson

from ...model.order import place
from ..messages import ClaimDue
from .ready import LIMITED_READY, PLAIN_READY, ROW, TAKEABLE, WORKER_READY, Row, rows_of

_IN_ORDER = "priority DESC, due, seq"


def _priorities(seed: str, columns: str, ready: str, same: str) -> str:
    """A table ``line`` with a row for each priority of what a table ``seed`` lists."""
    first = f"SELECT priority FROM job WHERE {ready} AND {same}"
    return f"""
    line({columns}, priority) AS (
      SELECT {columns}, ({first.format("seed")} ORDER BY priority DESC LIMIT 1) FROM {seed} AS seed
      UNION ALL
      SELECT {columns}, (
        {first.format("line")} AND priority < line.priority ORDER BY priority DESC LIMIT 1
      ) FROM line WHERE priority IS NOT NULL
    )
    """


_PLAIN = f"""
WITH RECURSIVE wanted(queue) AS (SELECT value FROM json_each(?2)),
{_priorities("wanted", "queue", PLAIN_READY, "job.queue = {0}.queue")}
SELECT json_group_array(json_array(-priority, due, seq)) FROM (
  SELECT best.* FROM line JOIN job AS best ON best.seq IN (
    SELECT seq FROM job WHERE {PLAIN_READY} AND queue = line.queue AND priority = line.priority
    AND {TAKEABLE} ORDER BY due, seq LIMIT ?3
  )
)
"""
_THESE = f"SELECT json_group_array({ROW}) FROM job WHERE seq IN (SELECT value FROM json_each(?))"

READY_WORKERS = f"""
WITH RECURSIVE ready(worker) AS (
  SELECT min(worker) FROM job WHERE {WORKER_READY}
  UNION ALL
  SELECT (SELECT min(worker) FROM job WHERE {WORKER_READY} AND worker > ready.worker) FROM ready
  WHERE ready.worker IS NOT NULL
)
"""
FIRST_OF_WORKERS_BY_PRIORITY = f"""
{READY_WORKERS},
{_priorities("ready", "worker", WORKER_READY, "job.worker = {0}.worker")}
SELECT json_group_array(json_array({ROW}, worker)) FROM (
  SELECT head.* FROM line JOIN job AS head ON head.seq = (
    SELECT seq FROM job WHERE worker = line.worker AND {WORKER_READY} AND priority = line.priority
    AND {TAKEABLE} AND (?2 IS NULL OR queue = ?2)
    AND queue NOT IN (SELECT value FROM json_each(?6)) ORDER BY due, seq LIMIT 1
  )
)
"""

# SQLite finds the place for either of these, and for no single condition that means both.
_AFTER = f"SELECT seq FROM job WHERE {LIMITED_READY} AND"
_KEYS = f"""
WITH RECURSIVE found(rate, queue) AS (
  SELECT * FROM (SELECT rate, queue FROM job WHERE {LIMITED_READY} ORDER BY rate, queue LIMIT 1)
  UNION ALL
  SELECT following.rate, following.queue FROM found JOIN job AS following ON following.seq = (
    SELECT coalesce(
      ({_AFTER} rate = found.rate AND queue > found.queue ORDER BY queue LIMIT 1),
      ({_AFTER} rate > found.rate ORDER BY rate, queue LIMIT 1)
    )
  )
), open(rate, queue) AS (
  SELECT rate, queue FROM found WHERE (?2 IS NULL OR queue = ?2)
  AND queue NOT IN (SELECT value FROM json_each(?6))
)
"""
_OF_LINE = f"SELECT seq FROM job WHERE {LIMITED_READY} AND {TAKEABLE} AND"
_HEADS = """
SELECT json_group_array({0}) FILTER (WHERE opens_at IS NULL), min(opens_at) FROM (
  SELECT head.*, CASE WHEN last <= ?1 AND ?1 < opens_at AND rate_limit = details ->> '$.rate_limit'
    AND head.queue NOT IN (SELECT value FROM json_each(?7)) THEN opens_at END AS opens_at
  FROM {1} JOIN job AS head ON head.seq = ({2} ORDER BY {3} LIMIT 1)
  LEFT JOIN bucket ON name = 'key ' || head.rate
)
"""
_OF_OPEN = f"{_OF_LINE} rate = open.rate AND queue = open.queue"
_HEADS_OF_KEYS = f"{_KEYS} {_HEADS.format(ROW, 'open', _OF_OPEN, _IN_ORDER)}"
_HEADS_BY_PRIORITY = f"""
{_KEYS},
{_priorities("open", "rate, queue", LIMITED_READY, "job.rate = {0}.rate AND job.queue = {0}.queue")}
SELECT json_group_array({ROW}), NULL FROM (
  SELECT head.* FROM line JOIN job AS head ON head.seq = (
    {_OF_LINE} rate = line.rate AND queue = line.queue AND priority = line.priority
    ORDER BY due, seq LIMIT 1
  )
)
"""
_NEXT = f"""
SELECT json_group_array({ROW}) FROM (
  SELECT * FROM job WHERE seq IN (
    {_OF_LINE} queue = ?2 AND rate = ?6 AND {{}} ORDER BY {_IN_ORDER} LIMIT ?3 OFFSET ?4
  )
)
"""
_NEXT_OF_KEY, _NEXT_BY_PRIORITY = _NEXT.format("TRUE"), _NEXT.format("priority = ?7")


class Lines:
    """The lines, for one claim."""

    def __init__(self, connection: sqlite3.Connection, claim: ClaimDue) -> None:
        self._connection = connection
        self._now = claim.now
        self._ageing = claim.ageing
        self._limited = orjson.dumps([*(claim.queue_rates or ())]).decode()
        self._skip = orjson.dumps(claim.skip_names).decode()

    def plain(self, queues: str, limit: int, offset: int) -> list[Row]:
        """Of jobs that wait for nobody, those from ``offset`` on in the order of ageing."""
        values = (self._now, queues, limit + offset, None, self._skip)
        found: list[list[int]] = orjson.loads(
            self._connection.execute(_PLAIN, values).fetchone()[0]
        )
        found.sort(key=lambda head: place(head[0], head[1], head[2], self._ageing))
        chosen = orjson.dumps([head[2] for head in found[offset : offset + limit]]).decode()
        return rows_of(self._connection, _THESE, (chosen,))

    def heads(self, queue: str | None, closed: str) -> tuple[list[Row], int | None]:
        """The first jobs of rate keys, but for those whose buckets are known to be empty; of these, the
        instant at which the first has a token."""
        values = (self._now, queue, None, None, self._skip, closed)
        if self._ageing is not None:
            cursor = self._connection.execute(_HEADS_BY_PRIORITY, values)
        else:
            cursor = self._connection.execute(_HEADS_OF_KEYS, (*values, self._limited))
        found, opens_at = cursor.fetchone()
        return orjson.loads(found), opens_at

    def behind(self, head: Row, key: str, limit: int, offset: int) -> list[Row]:
        """The next jobs of the line that ``head`` is the first of."""
        values = (self._now, head[13], limit, offset, self._skip, key)
        if self._ageing is None:
            return rows_of(self._connection, _NEXT_OF_KEY, values)
        return rows_of(self._connection, _NEXT_BY_PRIORITY, (*values, head[14]))
