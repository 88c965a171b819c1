"""A job as a row, and a row as a job.

Handlers and nodes are numbers (`names`), and so is a state
(`docs/reference/sqlite-schema.md`); the numbers are used literally in the SQL of this package,
because SQLite uses a partial index only for a condition that it can see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ...model.audit import FIRST_INSTANT
from ...model.ids import JobId
from ...model.job import AttemptRecord, Details, JobRequest, Progress, StoredJob
from ...model.lanes import OF_KEY, OF_RATE, OF_WORKER, ROOM_FOR_ALL, lane_of, room_of
from ...model.outcomes import AttemptOutcome
from ...model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Condition,
    Expired,
    Failed,
    JobState,
    Processing,
    Ready,
    Scheduled,
    Skipped,
    State,
    Waiting,
)
from ...model.triggers import LAST_INSTANT
from ..rows import details_from_json, details_to_json, error_from_json, error_to_json
from .names import Names

NUMBERS: dict[JobState, int] = {
    JobState.WAITING: 0,
    JobState.SCHEDULED: 1,
    JobState.READY: 2,
    JobState.PROCESSING: 3,
    JobState.COMPLETED: 4,
    JobState.FAILED: 5,
    JobState.CANCELLED: 6,
    JobState.SKIPPED: 7,
    JobState.EXPIRED: 8,
}
"""Below 3 a job has not begun, above 3 it has ended."""

WORDS = {number: word for word, number in NUMBERS.items()}

OWN_COLUMNS = (
    "id, handler, args, created_at, max_attempts, timeout, execute_after, expire_on, "
    "queue, priority, tenant, ref_id, details, schedule, fire_time, unique_key, lane, room"
)
REQUEST_COLUMNS = f"{OWN_COLUMNS}, batch"
STATE_COLUMNS = "state, due, node, claimed_at, lease_until, started_at, ended_at, result, reason"

LANE_AND_ROOM = (
    f"coalesce('{OF_WORKER}' || (details ->> '$.worker'), '{OF_KEY}' || (details ->> '$.concurrency_key'), "
    f"'{OF_RATE}' || (details ->> '$.rate_key')), iif(details ->> '$.worker' IS NULL "
    f"AND details ->> '$.concurrency_key' IS NULL AND details ->> '$.rate_key' IS NOT NULL, "
    f"{ROOM_FOR_ALL}, coalesce(details ->> '$.concurrency_limit', 1))"
)
"""The columns ``lane`` and ``room`` by the details, as `request_values` gives them."""

WHOLE_JOB = (
    "SELECT seq, attempt, version, "
    "state, due, node_name, claimed_at, lease_until, started_at, ended_at, result, reason, "
    "id, name, args, created_at, max_attempts, timeout, execute_after, expire_on, "
    "queue, priority, tenant, job_type, method_name, ref_id, details, percent, message "
    "FROM job LEFT JOIN handler USING (handler) LEFT JOIN node USING (node) "
    "LEFT JOIN progress USING (seq)"
)
"""Every part of a job; `stored_job` reads it."""

_DUE, _CLAIMED_AT, _LEASE_UNTIL, _STARTED_AT, _ENDED_AT = 4, 6, 7, 8, 9
_WAITING = NUMBERS[JobState.WAITING]
_INSTANTS: Mapping[int, Sequence[int]] = {
    NUMBERS[JobState.SCHEDULED]: (_DUE,),
    NUMBERS[JobState.READY]: (_DUE,),
    NUMBERS[JobState.PROCESSING]: (_CLAIMED_AT, _LEASE_UNTIL),
    NUMBERS[JobState.COMPLETED]: (_CLAIMED_AT, _STARTED_AT, _ENDED_AT),
    NUMBERS[JobState.FAILED]: (_ENDED_AT,),
    NUMBERS[JobState.CANCELLED]: (_ENDED_AT,),
    NUMBERS[JobState.SKIPPED]: (_ENDED_AT,),
    NUMBERS[JobState.EXPIRED]: (_ENDED_AT,),
}
"""Where in such a row the instants are that a job has in each state."""

UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What a row leads to that nobody has written who knows what belongs there."""

EARLIEST, LATEST = FIRST_INSTANT, LAST_INSTANT
"""Instants that have a date: those of the years 1 to 9999."""

MOST = 2**62
"""No counter comes so far."""

Row = Sequence[Any]  # SQLite's columns have no static types


def own_values(request: JobRequest, names: Names) -> tuple[object, ...]:
    """The values of `OWN_COLUMNS`."""
    return request_values(request, names, in_batch=False)[:-1]


def request_values(
    request: JobRequest, names: Names, *, in_batch: bool = True
) -> tuple[object, ...]:
    """The values of `REQUEST_COLUMNS`; not ``in_batch``, its batch need not be stored."""
    details = request.details
    lane = None if details is None else lane_of(request)
    return (
        request.id,
        names.handler_number((request.name, request.job_type, request.method_name)),
        request.args,
        request.created_at,
        request.max_attempts,
        request.timeout,
        request.execute_after,
        request.expire_on,
        request.queue,
        request.priority,
        request.tenant,
        None if details is None else details.ref_id,
        None if details is None else details_to_json(details),
        # They stand in the details too, where reading finds them; here, questions do.
        None if details is None else details.schedule_name,
        None if details is None else details.fire_time,
        None if details is None else details.unique_key,
        lane,
        None if lane is None else room_of(request),
        None
        if details is None or details.batch is None or not in_batch
        else names.batch_number(details.batch),
    )


def state_values(state: State, due: int, names: Names) -> tuple[object, ...]:
    """The values of `STATE_COLUMNS`; ``due`` stands where the state itself has none."""
    number = NUMBERS[state.word]
    match state:
        case Waiting():
            parents = orjson.dumps([parent.hex() for parent in state.parents]).decode()
            return (number, due, None, None, None, None, None, parents, state.condition.value)
        case AwaitingCallback():
            node = names.node_number(state.node)
            callback = state.callback.hex()
            begun = (node, state.claimed_at, None, state.started_at, None)
            return (number, due, *begun, state.result, callback)
        case Scheduled() | Ready():
            return (number, state.due, None, None, None, None, None, None, None)
        case Processing():
            lease = (names.node_number(state.node), state.claimed_at, state.lease_until)
            return (number, due, *lease, None, None, None, state.cancel_reason)
        case Completed():
            node = names.node_number(state.node)
            times = (state.claimed_at, None, state.started_at, state.ended_at)
            return (number, due, node, *times, state.result, state.result_error)
        case Failed() | Cancelled() | Skipped() | Expired():
            return (number, due, None, None, None, None, state.ended_at, None, state.reason)


def id_of(value: bytes) -> JobId:
    """The id in such a column.

    Raises:
        ValueError: it is none.
    """
    if len(value) != 16:
        raise ValueError(f"an id has 16 bytes, not {len(value)}")
    return JobId(value)


def require_instants(*instants: int) -> None:
    """See that these have dates.

    Raises:
        ValueError, TypeError: one of them has none.
    """
    for instant in instants:
        if not EARLIEST <= instant <= LATEST:
            raise ValueError(f"{instant} is no instant that has a date")


def is_instant(value: object) -> bool:
    """Whether it has a date."""
    return isinstance(value, int) and EARLIEST <= value <= LATEST


def require_counts(*counts: int) -> None:
    """See that one can be added to these.

    Raises:
        ValueError, TypeError: something else stands there.
    """
    for count in counts:
        if not 0 <= count < MOST:
            raise ValueError(f"{count} counts nothing")


def stored_job(row: Row, history: Sequence[AttemptRecord]) -> StoredJob:
    """The job in a row of `WHOLE_JOB`.

    Raises:
        ValueError, LookupError, TypeError, AttributeError, ArithmeticError: it is none (`UNREADABLE`).
    """
    _require_sound(row)
    request, state, (percent, message) = request_of(row[12:-2]), state_of(row[3:12]), row[-2:]
    progress = None if percent is None else Progress(percent, message)
    return StoredJob(request, row[0], state, row[1], row[2], history, progress)


def _require_sound(row: Row) -> None:
    """See that what nothing is made of is what it should be, too."""
    id_of(row[12])
    if not all(isinstance(name, str) for name in (row[13], *row[23:25])):
        raise LookupError("its handler is not in the table handler, or has no names there")
    require_counts(*row[1:3])
    created_at, max_attempts, timeout, *given = row[15:20]
    require_counts(max_attempts, timeout or 0, abs(row[21]))
    given += row[_CLAIMED_AT : _ENDED_AT + 1]
    needed = (row[place] for place in _instants_of(row[3], row[_CLAIMED_AT]))
    require_instants(created_at, *needed, *(one for one in given if one is not None))
    for text in (row[14], row[20], row[22]):
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is no text")
    for value in row:
        if type(value) is str:
            value.encode()


def _instants_of(number: int, claimed_at: int | None) -> Sequence[int]:
    if number == _WAITING and claimed_at is not None:
        return (_STARTED_AT,)  # it waits for its callback
    return _INSTANTS.get(number, ())


def request_of(row: Row) -> JobRequest:
    """The request in the values of such a row before the last two."""
    (id_, name, args, created_at, max_attempts, timeout, execute_after, expire_on) = row[:8]
    (queue, priority, tenant, job_type, method_name, ref_id, details) = row[8:]
    return JobRequest(
        JobId(id_),
        name,
        args,
        created_at,
        max_attempts,
        timeout,
        execute_after,
        expire_on,
        queue,
        priority,
        tenant,
        details_of(details, ref_id),
        job_type,
        method_name,
    )


def details_of(text: str | None, ref_id: str | None) -> Details | None:
    """The details in the columns ``details`` and ``ref_id``."""
    return None if text is None else details_from_json(text, ref_id)


def state_of(row: Row) -> State:
    """The state in the values of such a row between the two."""
    number, due, node, claimed_at, lease_until, started_at, ended_at, result, reason = row
    match WORDS[number]:
        case JobState.WAITING:
            if claimed_at is not None:
                callback = JobId(bytes.fromhex(reason))
                return AwaitingCallback(callback, started_at, claimed_at, node, result)
            # Before version 3 nothing was written here.
            parents = tuple([JobId(bytes.fromhex(one)) for one in orjson.loads(result or "[]")])
            return Waiting(parents, Condition(reason or Condition.SUCCESS))
        case JobState.SCHEDULED:
            return Scheduled(due)
        case JobState.READY:
            return Ready(due)
        case JobState.PROCESSING:
            return Processing(node, claimed_at, lease_until, reason)
        case JobState.COMPLETED:
            return Completed(ended_at, started_at, claimed_at, node, result, reason)
        case JobState.FAILED:
            return Failed(ended_at, reason)
        case JobState.CANCELLED:
            return Cancelled(ended_at, reason)
        case JobState.SKIPPED:
            return Skipped(ended_at, reason)
        case JobState.EXPIRED:
            return Expired(ended_at, reason)


ATTEMPT_COLUMNS = "token, number, node, claimed_at, started_at, ended_at, outcome, error"


def attempt_values(record: AttemptRecord) -> tuple[object, ...]:
    """The values of `ATTEMPT_COLUMNS`."""
    return (
        record.token,
        record.number,
        record.node,
        record.claimed_at,
        record.started_at,
        record.ended_at,
        record.outcome.value,
        error_to_json(record.error),
    )


def attempt_of(row: Row) -> AttemptRecord:
    """The record in the values of `ATTEMPT_COLUMNS`."""
    token, number, node, claimed_at, started_at, ended_at, outcome, error = row
    require_counts(token, number)
    require_instants(claimed_at, ended_at, ended_at if started_at is None else started_at)
    node.encode()
    return AttemptRecord(
        number,
        token,
        node,
        claimed_at,
        started_at,
        ended_at,
        AttemptOutcome(outcome),
        error_from_json(error),
    )
