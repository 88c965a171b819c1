"""The rows that a claim takes, as jobs."""

from __future__ import annotations

from collections.abc import Sequence

from ...model.job import ClaimedJob, Details, JobRequest
from ..messages import ClaimDue
from .names import Names
from .ready import DETAILS, REF_ID, Row
from .rows import EARLIEST, LATEST, MOST, details_of, id_of


def claimed_jobs(rows: Sequence[Row], names: Names, claim: ClaimDue) -> list[ClaimedJob]:
    """What ``claim`` has found, in the same order.

    Raises:
        ValueError, LookupError, TypeError, AttributeError, ArithmeticError: one of them cannot be read
            (`rows.UNREADABLE`); which, is not said.
    """
    seen: dict[str, Details] = {}
    return [_claimed(row, names, claim, seen) for row in rows]


def _claimed(row: Row, names: Names, claim: ClaimDue, seen: dict[str, Details]) -> ClaimedJob:
    if not _is_sound(*row):
        raise ValueError("a number in it is none that can stand there")
    text, ref_id = row[DETAILS], row[REF_ID]
    details = None
    if text is not None:
        # Jobs of one lane often have the same, and reading them costs as much as all the rest.
        details = seen.get(text)
        if details is None:
            details = details_of(text, ref_id)
            assert details is not None
            if ref_id is None and details.metadata is None and details.context is None:
                seen[text] = details
        elif ref_id is not None:
            details = details_of(text, ref_id)
    name, job_type, method_name = names.handler(row[6])
    request = JobRequest(
        id_of(bytes.fromhex(row[5])),
        name,
        row[7],
        row[8],
        row[9],
        row[10],
        row[11],
        row[12],
        row[13],
        row[14],
        row[15],
        details,
        job_type,
        method_name,
    )
    return ClaimedJob(request, row[3] + 1, row[4] + 1, row[1], claim.node, claim.now)


def _is_sound(  # as parameters the values cost least, and this is asked of every job
    _rank: int,
    due: int,
    _seq: int,
    attempt: int,
    version: int,
    _id: str,
    _handler: int,
    _args: str,
    created_at: int,
    max_attempts: int,
    timeout: int | None,
    execute_after: int | None,
    expire_on: int | None,
    _queue: str,
    priority: int,
    *_: object,
) -> bool:
    """Whether the numbers of a row are such as can stand there."""
    return (
        0 <= attempt < MOST
        and 0 <= version < MOST
        and 0 <= max_attempts < MOST
        and -MOST < priority < MOST
        and EARLIEST <= created_at <= LATEST
        and EARLIEST <= due <= LATEST
        and (timeout is None or 0 <= timeout < MOST)
        and (execute_after is None or EARLIEST <= execute_after <= LATEST)
        and (expire_on is None or EARLIEST <= expire_on <= LATEST)
    )
