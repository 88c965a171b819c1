"""Claims: what is due becomes ready, and what is ready is leased.

One statement per step: SQLite takes and gives back the interpreter's lock around every step, and a
row at a time would have the loop and this thread fight for it. So rows travel as one JSON text.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence

import orjson

from ...model.lifecycle import within_reach
from ...model.rates import startable
from ..messages import ClaimDue, ClaimReply
from .decoding import claimed_jobs
from .errors import UnreadableRow, is_about_a_value
from .heads import forget_heads, note_due
from .leases import Leases
from .names import Names
from .pieces import touch
from .rates import rates_of
from .ready import (
    ATTEMPT,
    CLAIMABLE,
    FILLED_LANE_READY,
    LANE_READY,
    MAX_ATTEMPTS,
    NOT_SKIPPED,
    PLAIN_READY,
    READY_QUEUES,
    ROW,
    SEQ,
    Row,
    rows_of,
)
from .rows import UNREADABLE
from .selection import Selection

_CLAIMABLE = f"{PLAIN_READY} AND {CLAIMABLE}"

_FIRST_SCHEDULED = "SELECT min(due) FROM job WHERE state = 1 AND typeof(due) = 'integer'"
_LANES_READY = f"EXISTS (SELECT 1 FROM job WHERE {LANE_READY})"
_STANDING = f"SELECT ({_FIRST_SCHEDULED}), {_LANES_READY}, EXISTS (SELECT 1 FROM pause)"
_HELD = f"SELECT {_LANES_READY}, " + " OR ".join(
    f"EXISTS (SELECT 1 FROM job WHERE {ready} AND {CLAIMABLE})" for ready in FILLED_LANE_READY
)
_ANYTHING = (
    f"SELECT ({_FIRST_SCHEDULED}), EXISTS (SELECT 1 FROM job WHERE {_CLAIMABLE}), {_LANES_READY}"
)
_ANYTHING_IN = (
    f"SELECT ({_FIRST_SCHEDULED}), "
    f"EXISTS (SELECT 1 FROM json_each(?2), job WHERE queue = value AND {_CLAIMABLE}), "
    f"{_LANES_READY}"
)
_PROMOTE = "UPDATE job SET state = 2, version = version + 1 WHERE state = 1 AND due <= ?"


# A subquery that gives whole rows would copy each of their columns once more.
_TOP_THAT = (
    f"SELECT json_group_array({ROW}) FROM job WHERE seq IN (SELECT seq FROM job WHERE {{}} "
    "AND queue = ?2 ORDER BY priority DESC, due, seq LIMIT ?3 OFFSET ?4)"
)
_TOP = _TOP_THAT.format(_CLAIMABLE)
_TOP_NOT_SKIPPED = _TOP_THAT.format(f"{_CLAIMABLE} AND {NOT_SKIPPED}")

# The same from several queues at once: the first of each, and of those the first.
_TOP_OF_QUEUES = f"""
SELECT json_group_array({ROW}) FROM (
  SELECT best.* FROM json_each(?2) AS wanted, job AS best WHERE best.seq IN (
    SELECT seq FROM job WHERE queue = wanted.value AND {_CLAIMABLE} AND {NOT_SKIPPED}
    ORDER BY priority DESC, due, seq LIMIT ?3
  )
  ORDER BY best.priority DESC, best.due, best.seq LIMIT ?3 OFFSET ?4
)
"""

_LEASE = (
    "UPDATE job SET state = 3, attempt = attempt + 1, version = version + 1, node = ?, "
    "claimed_at = ?, lease_until = ? WHERE seq IN (SELECT value FROM json_each(?))"
)


def nothing_due(connection: sqlite3.Connection, claim: ClaimDue) -> ClaimReply | None:
    """The reply to a claim that finds nothing, found without a lock; ``None`` when there is work."""
    if claim.queues is None:
        found = connection.execute(_ANYTHING, (claim.now,))
    else:
        names = _json([name for name, _ in claim.queues])
        found = connection.execute(_ANYTHING_IN, (claim.now, names))
    scheduled, any_ready, any_in_lanes = found.fetchone()
    if any_ready or any_in_lanes or (scheduled is not None and scheduled <= claim.now):
        return None
    reply = ClaimReply([], claim.limit <= 0, scheduled)
    if claim.queue_rates is not None and not reply.more:
        rates = rates_of(connection, claim)
        rates.closed_queues(claim.queues)
        reply.next_due = rates.next_due(scheduled)
    return reply


def claim_due(
    connection: sqlite3.Connection, names: Names, leases: Leases, claim: ClaimDue
) -> ClaimReply:
    """Perform a claim inside a transaction.

    Raises:
        UnreadableRow: it came upon one. Some may be done, and the caller rolls back.
    """
    try:
        return _claim(connection, names, leases, claim)
    except UNREADABLE as error:
        raise UnreadableRow(repr(error)) from error
    except sqlite3.OperationalError as error:
        if is_about_a_value(error):
            raise UnreadableRow(str(error)) from error
        raise


def _claim(
    connection: sqlite3.Connection, names: Names, leases: Leases, claim: ClaimDue
) -> ClaimReply:
    scheduled, any_in_lanes, any_pause = connection.execute(_STANDING).fetchone()
    if scheduled is not None and scheduled <= claim.now:
        note_due(connection, claim.now)
        connection.execute(_PROMOTE, (claim.now,))
        scheduled, any_in_lanes, any_pause = connection.execute(_STANDING).fetchone()
    selection: Selection | None = None
    if any_in_lanes or any_pause or _has_rules(claim):
        selection = Selection(connection, claim, any_pause=bool(any_pause))
        rows = _shared_out(selection.take, claim)
    else:
        rows = _found(connection, claim)
    spent = ((row[ATTEMPT], row[MAX_ATTEMPTS]) for row in rows)
    reach = within_reach(spent, claim.free) if len(rows) > claim.free else len(rows)
    if selection is not None and selection.demands:
        reach = min(reach, startable([row[SEQ] in selection.demands for row in rows], claim.free))
    more = reach < len(rows) or reach >= claim.limit
    del rows[reach:]
    jobs = claimed_jobs(rows, names, claim)
    if rows:
        taken = _json([row[SEQ] for row in rows])
        node = names.node_number(claim.node)
        connection.execute(_LEASE, (node, claim.now, claim.lease_until, taken))
        touch(connection, [row[SEQ] for row in rows])
    leases.take_all([(row[SEQ], job) for row, job in zip(rows, jobs, strict=True)])
    reply = ClaimReply(jobs, more, scheduled)
    if selection is not None:
        selection.remember(rows, reply)
    if any_in_lanes:
        assert selection is not None
        any_left, held = connection.execute(_HELD, (claim.now,)).fetchone()
        if not any_left:
            forget_heads(connection)
        reply.held = bool(held)
        reply.in_lanes = not selection.in_lanes.isdisjoint(row[SEQ] for row in rows)
    return reply


def _has_rules(claim: ClaimDue) -> bool:
    """Whether the claim itself says that not everything is to be taken in the usual order."""
    return (
        claim.tenant_weights is not None
        or claim.queue_rates is not None
        or claim.ageing is not None
    )


def _found(connection: sqlite3.Connection, claim: ClaimDue) -> list[Row]:
    """Up to ``limit`` claimable rows, in claim order."""
    if claim.limit <= 0:
        return []
    if claim.queues is not None:
        taken = Counter[str]()

        def take(queue: str | None, limit: int) -> list[Row]:
            assert queue is not None
            part = _top_of(connection, claim, queue, limit, taken[queue])
            taken[queue] += len(part)
            return part

        return _shared_out(take, claim)
    names = orjson.loads(connection.execute(READY_QUEUES).fetchone()[0])
    if len(names) == 1:
        return _top_of(connection, claim, names[0], claim.limit, 0)
    if not names:
        return []
    values = (claim.now, _json(names), claim.limit, 0, _json(claim.skip_names))
    return rows_of(connection, _TOP_OF_QUEUES, values)


def _shared_out(take: Callable[[str | None, int], list[Row]], claim: ClaimDue) -> list[Row]:
    """Up to each queue's share first, then what is left from the same queues."""
    if claim.queues is None:
        return take(None, claim.limit)
    found: list[Row] = []
    sated: set[str] = set()
    for name, share in claim.queues:
        wanted = min(share, claim.limit - len(found))
        part = take(name, wanted)
        if len(part) < share:
            sated.add(name)  # it gave all that it had, or there is no room
        found += part
    for name, _ in claim.queues:
        if name not in sated:
            found += take(name, claim.limit - len(found))
    return found


def _top_of(
    connection: sqlite3.Connection, claim: ClaimDue, queue: str, limit: int, after: int
) -> list[Row]:
    if limit <= 0:
        return []
    if not claim.skip_names:
        return rows_of(connection, _TOP, (claim.now, queue, limit, after))
    values = (claim.now, queue, limit, after, _json(claim.skip_names))
    return rows_of(connection, _TOP_NOT_SKIPPED, values)


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(values).decode()
