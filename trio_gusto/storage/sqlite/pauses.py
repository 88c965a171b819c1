"""Pauses: kept, lifted, asked about, and who has heard of them."""

from __future__ import annotations

import sqlite3

from ...model.pauses import StoredPause, unheard
from ..messages import Committed
from ..pause_messages import HeardPauses, LiftPauses, Pauses, PausesFound, PutPause
from .names import Names
from .reading import fetched
from .tenants import drop_index, make_index

_PUT = (
    "INSERT INTO pause (queue, tenant, reason, since) SELECT ?1, ?2, ?3, ?4 "
    "WHERE NOT EXISTS (SELECT 1 FROM pause WHERE queue IS ?1 AND tenant IS ?2)"
)
_LIFT = "DELETE FROM pause WHERE coalesce(?1, ?2) IS NULL OR (queue IS ?1 AND tenant IS ?2)"
_HEAR = (
    "INSERT INTO pause_heard (node, number) VALUES (?, ?) "
    "ON CONFLICT DO UPDATE SET number = max(number, excluded.number)"
)
_KEPT = "SELECT queue, tenant, reason, since, number FROM pause ORDER BY number"
_HEARD = "SELECT node_name, number FROM pause_heard JOIN node USING (node)"
_RUNNING = (
    "SELECT DISTINCT node_name, queue, tenant FROM job JOIN node USING (node) "
    "WHERE state = 3 AND lease_until > ?"
)

_COMMITTED = Committed()


def put_pause(connection: sqlite3.Connection, put: PutPause) -> Committed:
    """Keep a pause, unless there is one."""
    connection.execute(_PUT, (put.queue, put.tenant, put.reason, put.since))
    if put.tenant is not None:
        make_index(connection)
    return _COMMITTED


def lift_pauses(connection: sqlite3.Connection, lift: LiftPauses) -> Committed:
    """Forget a pause, or all of them."""
    connection.execute(_LIFT, (lift.queue, lift.tenant))
    drop_index(connection)
    return _COMMITTED


def hear_pauses(connection: sqlite3.Connection, names: Names, heard: HeardPauses) -> Committed:
    """A node has heard."""
    connection.execute(_HEAR, (names.node_number(heard.node), heard.number))
    return _COMMITTED


def kept_pauses(connection: sqlite3.Connection) -> tuple[StoredPause, ...]:
    """All of them, by number."""
    return tuple([StoredPause(*row) for row in fetched(connection, _KEPT)])


def find_pauses(connection: sqlite3.Connection, query: Pauses) -> PausesFound:
    """Answer a query."""
    pauses = kept_pauses(connection)
    if not pauses:
        return PausesFound(())
    running = connection.execute(_RUNNING, (query.now,)).fetchall()
    heard = dict(connection.execute(_HEARD).fetchall())
    return PausesFound(pauses, unheard(pauses, running, heard))
