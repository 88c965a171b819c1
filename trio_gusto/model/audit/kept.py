"""What is in a row: the data of its state, what is there twice, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator

from ..lanes import lane_of, room_of
from ..states import JobState
from .findings import Fault, Invariant
from .records import RecordedJob
from .words import named

_ENDED = ("ended_at", "reason")
_MUST: dict[JobState, tuple[str, ...]] = {
    JobState.WAITING: (),
    JobState.SCHEDULED: (),
    JobState.READY: (),
    JobState.PROCESSING: ("node", "claimed_at", "lease_until"),
    JobState.COMPLETED: ("node", "claimed_at", "started_at", "ended_at"),
    JobState.FAILED: _ENDED,
    JobState.CANCELLED: _ENDED,
    JobState.SKIPPED: _ENDED,
    JobState.EXPIRED: _ENDED,
}
"""What a state owns."""

_MAY: dict[JobState, tuple[str, ...]] = {
    JobState.WAITING: ("result", "reason"),
    JobState.PROCESSING: ("reason",),
    JobState.COMPLETED: ("result", "reason"),
}
"""What it may own besides."""

_OF_CALLBACK = ("node", "claimed_at", "started_at", "reason")
_COLUMNS = ("node", "claimed_at", "lease_until", "started_at", "ended_at", "result", "reason")


def state_data_faults(job: RecordedJob) -> Iterator[Fault]:
    """A column that a state has not is empty, and one that it has is not."""
    must = _MUST[job.state] if job.callback is None else _OF_CALLBACK
    may = _MAY.get(job.state, ())
    there = {name for name in _COLUMNS if getattr(job, name) is not None}
    legal = f"a job that is {job.state.value} has {', '.join(must) or 'none of these'}"
    missing = [name for name in must if name not in there]
    if missing:
        yield Fault(Invariant.STATE_DATA, f"it has no {' and no '.join(missing)}", legal)
    more = [name for name in _COLUMNS if name in there and name not in (*must, *may)]
    if more:
        yield Fault(Invariant.STATE_DATA, f"it has a {' and a '.join(more)}", legal)


def copy_faults(job: RecordedJob) -> Iterator[Fault]:
    """Questions look at the columns, and readers at the details."""
    details = job.request.details
    said: dict[str, object] = {"schedule": None, "fire_time": None}
    if details is not None:
        said = {"schedule": details.schedule_name, "fire_time": details.fire_time}
    if job.month is None:  # an archive has no more of these columns
        lane = lane_of(job.request)
        said["unique_key"] = None if details is None else details.unique_key
        said["lane"] = lane
        if lane is not None:  # without one nobody looks at it
            said["room"] = room_of(job.request)
    for name, value in said.items():
        column: object = getattr(job, name)
        if column != value:
            found = f"its {name} is {column!r} in the column"
            yield Fault(Invariant.COPIES, found, f"it is {value!r} by its details")
    if job.month is None:
        batch = details.batch if details is not None and job.is_in_batch else None
        if job.batch != batch:
            found = f"it is counted in {_batch(job)}"
            legal = "it belongs to none" if batch is None else f"it belongs to {named(batch)}"
            yield Fault(Invariant.COPIES, found, legal)


def archive_faults(job: RecordedJob) -> Iterator[Fault]:
    """What lies in a month of the archive."""
    if job.month is None:
        return
    if not job.state.is_ended:
        found = f"it is {job.state.value} in the archive of {job.month}"
        yield Fault(Invariant.ARCHIVE, found, "only jobs that have ended are moved there")
    if not job.is_of_month:
        found = f"it is in the archive of {job.month}"
        yield Fault(Invariant.ARCHIVE, found, "a job lies in the month in which it was made")
    if not job.is_looked_for:
        found = (
            f"its sequence {job.sequence} is beyond what the archive of {job.month} is searched for"
        )
        legal = "the table archive has the lowest and the highest sequence of each month"
        yield Fault(Invariant.ARCHIVE, found, legal)


def _batch(job: RecordedJob) -> str:
    return "no batch" if job.batch is None else f"the batch {named(job.batch)}"
