"""Quarantine: a job whose processes die is not run for ever.

Rule 1: what counts is in the records: attempts that were lost, one after the other. An attempt that ended in
        any other way begins the count anew, except one that was given back before its handler was
        entered, which says nothing of the handler. So does a retry by hand: numbers begin at 1 then.
Rule 2: jobs that ran beside the culprit are lost with it. From the second time on each waits for a while of
        its own before it runs again, so that they do not meet a second time.
"""

from __future__ import annotations

from .ids import JobId
from .instants import MICROSECONDS
from .job import StoredJob
from .outcomes import AttemptOutcome, Lost

SPREAD = 5 * MICROSECONDS
"""Over how many microseconds jobs are spread that were lost together."""

_REASON = "quarantined: lost with its node "


def lost_in_a_row(job: StoredJob) -> int:
    """How many attempts in a row are lost if the one that runs is; ``job`` has its whole history."""
    count, number = 1, job.attempt
    for record in reversed(job.history):
        if record.outcome is AttemptOutcome.RELEASED and record.started_at is None:
            continue
        number -= 1
        if record.outcome is not AttemptOutcome.LOST or record.number != number:
            break
        count += 1
    return count


def loss_of(job: StoredJob, quarantine_after: int | None) -> Lost:
    """The outcome of the attempt that runs, which nobody answers for any more."""
    return Lost(lost_in_a_row(job), quarantine_after)


def reason(lost: Lost) -> str:
    """Why a job is failed that is in quarantine."""
    times = "time" if lost.in_a_row == 1 else "times in a row"
    return f"{_REASON}{lost.in_a_row} {times}"


def is_quarantined(why: str) -> bool:
    """Whether a job that failed for this reason is in quarantine."""
    return why.startswith(_REASON)


def pause_after(lost: Lost, job_id: JobId) -> int:
    """Microseconds until a job that was lost may run again: drawn from its id, the same every time."""
    if lost.quarantine_after is None or lost.in_a_row == 1:
        return 0
    return int.from_bytes(job_id[-4:]) * SPREAD >> 32
