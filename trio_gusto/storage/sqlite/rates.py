"""The buckets of rate limits: read, written by claims, and dropped when they are full again."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import partial

import orjson

from ...model.rates import Bucket, Rates
from ..messages import ClaimDue
from ..rate_messages import Buckets, BucketsFound
from ..rows import rate_from_json, rate_to_json
from .rows import UNREADABLE

_FIND = "SELECT since, starts, last, rate_limit FROM bucket WHERE name = ?"
_KEEP = (
    "INSERT INTO bucket (name, since, starts, last, rate_limit, full_at) "
    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET since = excluded.since, "
    "starts = excluded.starts, last = excluded.last, rate_limit = excluded.rate_limit, "
    "full_at = excluded.full_at"
)
_DROP_FULL = "DELETE FROM bucket WHERE full_at <= ?"

_LATEST = 2**63 - 1


def rates_of(connection: sqlite3.Connection, claim: ClaimDue) -> Rates:
    """The buckets, for one claim."""
    return Rates(partial(find_bucket, connection), claim.now, claim.queue_rates)


def find_bucket(connection: sqlite3.Connection, name: str) -> Bucket | None:
    """A bucket that may not be full."""
    row = connection.execute(_FIND, (name,)).fetchone()
    if row is None:
        return None
    since, starts, last, limit = row
    try:
        return Bucket(since, starts, last, rate_from_json(orjson.loads(limit)))
    except UNREADABLE:
        return None  # it is as if it were full, and the next start writes it anew


def keep_buckets(connection: sqlite3.Connection, buckets: Mapping[str, Bucket], now: int) -> None:
    """Write down what a claim has taken from, and drop what is full."""
    for name, bucket in buckets.items():
        values = (name, bucket.since, bucket.starts, bucket.last)
        # A bucket that never fills, by the clock, is full at the end of time.
        full_at = min(bucket.full_at, _LATEST)
        limit = orjson.dumps(rate_to_json(bucket.limit)).decode()
        connection.execute(_KEEP, (*values, limit, full_at))
    connection.execute(_DROP_FULL, (now,))


def find_buckets(connection: sqlite3.Connection, query: Buckets) -> BucketsFound:
    """Answer a query."""
    found = {name: find_bucket(connection, name) for name in query.names}
    return BucketsFound(
        {name: each for name, each in found.items() if each and each.full_at > query.now}
    )
