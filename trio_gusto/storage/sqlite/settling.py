"""What becomes of claimed jobs: completed by the dozen, or settled one by one; leases renewed."""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache

import orjson

from ...model.ids import JobId
from ..lease_messages import Renew, Renewed, RequestCancel
from ..messages import Commit, Committed, Complete, Conflict
from .dependencies import Dependencies
from .errors import StaleLease
from .heads import note_rows
from .inserting import chunks
from .leases import Leases
from .names import Names
from .pieces import touch
from .rows import ATTEMPT_COLUMNS, STATE_COLUMNS, attempt_values, state_values

_WAITING, _PROCESSING = 0, 3

# Texts are asked for as bytes: one that is no UTF-8 would have SQLite refuse whatever is in the group.
_FIND = (
    "SELECT seq, version, state, due, CAST(reason AS BLOB), lane IS NOT NULL FROM job WHERE id = ?"
)
_SETTLE = (
    f"UPDATE job SET ({STATE_COLUMNS}) = ({', '.join('?' * 9)}), version = version + 1, "
    "attempt = ?, expire_on = iif(?, NULL, expire_on) WHERE seq = ?"
)
_RECORD = f"INSERT INTO attempt (seq, {ATTEMPT_COLUMNS}) VALUES ({', '.join('?' * 9)})"

_REASON = "iif(reason IS NULL, NULL, hex(CAST(reason AS BLOB)))"
_HELD = (
    f"SELECT json_group_array(json_array(hex(id), version, seq, {_REASON})) FROM job "
    "WHERE state = 3 AND node = (SELECT node FROM node WHERE node_name = ?) AND lease_until > ?"
)
_RENEW = (
    "UPDATE job SET lease_until = max(lease_until, ?) WHERE seq IN (SELECT value FROM json_each(?))"
)
_REQUEST_CANCEL = (
    "UPDATE job SET reason = coalesce(reason, ?) WHERE id = ? AND version = ? AND state = 3"
)
_NOT_HELD: tuple[int | None, int, str | None] = (None, 0, None)
COMMITTED = Committed()
CONFLICT = Conflict()


def complete_all(
    connection: sqlite3.Connection, leases: Leases, complete: Complete
) -> Sequence[int] | None:
    """Complete all these jobs in as few statements as possible.

    Returns:
        Their rows; ``None``, and nothing was done, unless they all are claimed through this object,
        as they should be.

    Raises:
        StaleLease: one of them is no more. Some may be done, and the caller rolls back.
    """
    rows: list[tuple[object, ...]] = []
    seqs: list[int] = []
    all_empty = True
    find = leases.find
    for claimed, state in zip(complete.claims, complete.states, strict=True):
        lease = find(claimed.request.id)
        if lease is None:
            return None
        seq, job = lease
        if job is not claimed and job != claimed:
            return None
        if job.claimed_at != state.claimed_at or job.node != state.node:
            return None
        # The lease says the rest of what a completed row keeps, and is in the row already.
        result, error = state.result, state.result_error
        seqs.append(seq)
        rows.append((seq, job.token, state.started_at, state.ended_at, result, error))
        if result is not None or error is not None:
            all_empty = False
    width = 4 if all_empty else 6
    for first, size in chunks(len(rows)):
        values = [value for row in rows[first : first + size] for value in row[:width]]
        if connection.execute(_complete(size, width), values).rowcount != size:
            raise StaleLease
    leases.drop_all([claimed.request.id for claimed in complete.claims])
    return seqs


def settle(
    connection: sqlite3.Connection,
    names: Names,
    leases: Leases,
    dependencies: Dependencies,
    commit: Commit,
) -> Committed | Conflict:
    """Give one job its new state."""
    row = connection.execute(_FIND, (commit.job_id,)).fetchone()
    if row is None or row[1] != commit.version:
        return CONFLICT
    seq, _, number, due, reason, in_lane = row
    values = state_values(commit.state, due, names)
    if number == 3 and reason is not None and not commit.state.word.is_ended:
        return Conflict(_text(reason))
    connection.execute(_SETTLE, (*values, commit.attempt, commit.forget_expiry, seq))
    is_ended = commit.state.word.is_ended
    if number != _PROCESSING and (is_ended or number > _PROCESSING or values[0] == _PROCESSING):
        touch(connection, [seq])
    if commit.record is not None:
        connection.execute(_RECORD, (seq, *attempt_values(commit.record)))
    if in_lane:
        note_rows(connection, seq, seq)
    leases.drop(commit.job_id)
    if number == _WAITING:
        dependencies.leave(seq)
    if is_ended:
        awaited = dependencies.awaited([seq])
        if awaited:
            return Committed(awaited)
    return COMMITTED


def is_kept(connection: sqlite3.Connection, job_id: JobId) -> bool:
    """Whether the job is in this file."""
    return connection.execute(_FIND, (job_id,)).fetchone() is not None


def renew(connection: sqlite3.Connection, leases: Leases, ask: Renew) -> Renewed:
    """Move the leases that are still held."""
    held = {
        JobId(bytes.fromhex(id_)): (version, seq, reason)
        for id_, version, seq, reason in orjson.loads(
            connection.execute(_HELD, (ask.node, ask.now)).fetchone()[0]
        )
    }
    moved: list[int] = []
    lost: list[JobId] = []
    cancels: list[tuple[JobId, str]] = []
    for job_id, token in ask.leases:
        version, seq, reason = held.get(job_id, _NOT_HELD)
        if version != token:
            lost.append(job_id)
            leases.drop(job_id)
            continue
        moved.append(seq)
        if reason is not None:
            cancels.append((job_id, _text(bytes.fromhex(reason))))
    if moved:
        connection.execute(_RENEW, (ask.lease_until, orjson.dumps(moved).decode()))
    return Renewed(lost, cancels)


def request_cancel(connection: sqlite3.Connection, ask: RequestCancel) -> Committed | Conflict:
    """Write the reason down; the version stays, for it is the holder's token."""
    cursor = connection.execute(_REQUEST_CANCEL, (ask.reason, ask.job_id, ask.version))
    return COMMITTED if cursor.rowcount else CONFLICT


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


@cache
def _complete(size: int, width: int) -> str:
    """Rows of ``width`` 4 have no result and no error; with two parameters less they cost less."""
    row = f"({', '.join('?' * width)})"
    result = "done.column5, reason = done.column6" if width > 4 else "NULL, reason = NULL"
    return (
        "UPDATE job SET state = 4, version = version + 1, lease_until = NULL, "
        f"started_at = done.column3, ended_at = done.column4, result = {result} "
        f"FROM (VALUES {', '.join([row] * size)}) AS done "
        "WHERE job.seq = done.column1 AND job.version = done.column2 AND job.state = 3"
    )
