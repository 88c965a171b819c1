"""Due jobs whose rows nobody can read. They are failed for good, as are those whose arguments nobody can
decode, so that a claim does not come upon them again, and whoever waits for them is not left waiting.

Which rows those are a claim cannot say: it reads many as one text. So once it has failed, the rows that are due
are read one by one, in the order in which claims come to them. While all rows can be read, none of this is done.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from typing import Any

import orjson

from ...model.errors import StorageError
from ...model.happenings import Ending
from ...model.ids import JobId
from ...model.job import ClaimedJob, JobRequest
from ...model.lifecycle import settle
from ...model.outcomes import AttemptFailed
from ..messages import ClaimDue, Commit
from .names import Names
from .reading import lossy_texts, printable, shown_id
from .ready import LANE_READY, PLAIN_READY
from .rows import MOST, UNREADABLE, WHOLE_JOB, Row, require_counts, stored_job

logger = logging.getLogger("trio_gusto")

REASON = "its record cannot be read"
"""Why such a job is failed."""

_NO_LANE = "it is in a lane that is none"

_PAGE = 500
"""Rows that are read at a time, and jobs that are failed in one transaction at most."""

_DUE = (
    f"SELECT seq FROM job WHERE {PLAIN_READY} ORDER BY queue, priority DESC, due, seq",
    f"SELECT seq FROM job WHERE {LANE_READY} ORDER BY queue, priority DESC, due, seq",
    "SELECT seq FROM job WHERE state = 1 AND due <= ? ORDER BY due",
)
_THESE = "seq IN (SELECT value FROM json_each(?))"
_ROWS = f"{WHOLE_JOB} WHERE {_THESE}"
_LANES = f"SELECT seq, lane, room, details FROM job WHERE {_THESE} AND lane IS NOT NULL"
_LEASE = (
    "UPDATE job SET state = 3, attempt = ?, version = ?, node = ?, claimed_at = ?, lease_until = ?, "
    "result = NULL, reason = NULL WHERE seq = ?"
)


def lease_unreadable(
    connection: sqlite3.Connection, names: Names, claim: ClaimDue
) -> Sequence[Commit]:
    """Lease to ``claim`` the first of the jobs that it cannot read, and return what fails them."""
    for statement in _DUE:
        values = (claim.now,) if "?" in statement else ()
        due = [seq for (seq,) in connection.execute(statement, values).fetchall()]
        for first in range(0, len(due), _PAGE):
            page = (orjson.dumps(due[first : first + _PAGE]).decode(),)
            with lossy_texts(connection):
                rows = connection.execute(_ROWS, page).fetchall()
                lanes = connection.execute(_LANES, page).fetchall()
            faults = {seq: _NO_LANE for seq, *lane in lanes if not _is_lane(*lane)}
            faults |= {row[0]: fault for row in rows if (fault := fault_of(row)) is not None}
            if faults:
                return [
                    _failed(connection, names, claim, row, faults[row[0]])
                    for row in rows
                    if row[0] in faults
                ]
    return ()


def _is_lane(lane: object, room: object, details: object) -> bool:
    named = isinstance(lane, str) and lane.isprintable()
    return named and isinstance(room, int) and details is not None


def fault_of(row: Row) -> str | None:
    """Why a row of `WHOLE_JOB` cannot be read; ``None`` if it can."""
    try:
        stored_job(row, ())
    except UNREADABLE as error:
        return repr(error)
    return None


def _failed(
    connection: sqlite3.Connection, names: Names, claim: ClaimDue, row: Row, fault: str
) -> Commit:
    """The end of an attempt that is lost on the job in ``row``, as the law book has it."""
    seq, attempt, version = row[:3]
    job_id, name = row[12], printable(row[13])
    logger.error(
        "job %s (%s) is failed for good: %s (%s); `trio-gusto audit` tells more",
        *(shown_id(job_id), name, REASON, fault),
    )
    token, number = _next(version), _next(attempt)
    values = (number, token, names.node_number(claim.node), claim.now, claim.lease_until, seq)
    connection.execute(_LEASE, values)
    error = StorageError(
        f"the record of this job cannot be read ({fault}), so no worker could run it; see what "
        "`trio-gusto audit` says of it, put the row right, and retry the job by hand then"
    )
    outcome = AttemptFailed(error, final=True, reason=REASON)
    request = JobRequest(JobId(job_id), name, "", claim.now, number)
    claimed = ClaimedJob(request, number, token, claim.now, claim.node, claim.now)
    settlement = settle(claimed, Ending(outcome, claim.now, None))
    return Commit(
        *(request.id, token, settlement.state, settlement.attempt),
        record=settlement.record,
    )


def _next(count: Any) -> int:
    """One more than what a row says, if it says anything."""
    try:
        require_counts(count)
    except UNREADABLE:
        return MOST
    return int(count) + 1
