"""Rows of jobs as records for an audit: a page, and what the rules ask about those in it."""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import orjson

from ...model.audit import (
    ID_SIZE,
    RecordedAttempt,
    RecordedJob,
    RecordedParent,
    retry_fault,
)
from ...model.ids import JobId
from ...model.job import Details
from ...model.outcomes import AttemptOutcome
from ...model.states import AwaitingCallback, JobState, Waiting
from .columns import unfit
from .json_columns import (
    UNREADABLE,
    arguments_text_fault,
    error_text_fault,
    read_request,
    result_fault,
)
from .months import month_of
from .rows import WORDS, Row, state_of

_COLUMNS = (
    "seq, id, name, args, created_at, max_attempts, timeout, execute_after, expire_on, queue, "
    "priority, tenant, job_type, method_name, ref_id, details, state, attempt, version, due, "
    "node_name, claimed_at, lease_until, started_at, ended_at, result, reason, schedule, fire_time"
)
_OF_MAIN = "unique_key, lane, room, batch, (SELECT id FROM batch WHERE number = job.batch)"
_PAGE = (
    "SELECT {}, {} FROM job LEFT JOIN handler USING (handler) LEFT JOIN node USING (node) "
    "WHERE seq > ? ORDER BY seq LIMIT ?"
)
_KEYS = "seq, number, token"
_OF_PAGE = "seq > ? AND seq <= ?"
_THESE = "(SELECT value FROM json_each(?))"
_OF_THESE = f"seq IN {_THESE}"
_ATTEMPTS = (
    "SELECT seq, error, number, token, node, claimed_at, started_at, ended_at, outcome FROM attempt "
    f"WHERE seq IN {_THESE} ORDER BY seq, token"
)
_LINKS = (
    "SELECT child, iif(parent < 0, (SELECT id FROM batch WHERE number = -parent), "
    f"(SELECT id FROM job WHERE seq = parent)) FROM dependency WHERE child IN {_THESE}"
)
_IS_BATCH = "SELECT EXISTS (SELECT 1 FROM batch WHERE id = ?)"
_IS_THERE = "SELECT id FROM job WHERE id = ?1 UNION ALL SELECT id FROM batch WHERE id = ?1"
_IS_KNOWN = "SELECT 1 FROM job WHERE id = ?"

_AS_PARENT = (
    "SELECT id, state, version, (SELECT count(*) FROM attempt WHERE attempt.seq = job.seq), "
    "coalesce((SELECT outcome = 'succeeded' FROM attempt WHERE attempt.seq = job.seq "
    "ORDER BY token DESC LIMIT 1), FALSE), ended_at FROM job"
)
_PARENT = f"{_AS_PARENT} WHERE id = ?"
_LATE_MEMBERS = (
    f"{_AS_PARENT} WHERE batch = (SELECT number FROM batch WHERE id = ?) AND batch IS NOT NULL "
    "AND seq < ? AND (ended_at IS NULL OR ended_at > ?) LIMIT 20"
)
"""Of a batch, those that were in it before the continuation, and had not ended at an instant."""


_OUTCOMES: dict[str, AttemptOutcome] = {one.value: one for one in AttemptOutcome}


class PageReader:
    """Reads the jobs of the main file, or of a month; for a month ``main`` is the other one."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        month: str | None = None,
        searched: tuple[int, int] | None = None,
        main: sqlite3.Connection | None = None,
    ) -> None:
        self._connection = connection
        self._month = month
        self._searched = searched
        self._main = main or connection
        columns = _OF_MAIN if month is None else "NULL, NULL, NULL, NULL, NULL"
        self._page = _PAGE.format(_COLUMNS, columns)

    def page(self, after: int, limit: int) -> tuple[list[RecordedJob], int | None]:
        """The next jobs in the order of their sequences, and the last one's; ``None`` at the end."""
        rows = self._connection.execute(self._page, (after, limit)).fetchall()
        last = rows[-1][0] if rows else None
        if self._month is not None:
            rows = [row for row in rows if not self._is_in_main(row[1])]
        found_unfit = unfit(self._connection, "job", "seq", _OF_PAGE, (after, last))
        faults = {seq: f"its {value}" for seq, value in found_unfit}
        jobs = {row[0]: self._job(row, faults.get(row[0])) for row in rows}
        these = (orjson.dumps(list(jobs)).decode(),)
        attempts: dict[int, list[RecordedAttempt]] = {}
        for seq, error, *values in self._connection.execute(_ATTEMPTS, these):
            attempts.setdefault(seq, []).append(_attempt(values))
            which = f"attempt {values[0]} (token {values[1]})"
            _add_fault(jobs[seq], error_text_fault(error, f"{which} has an error that"))
        for seq, *numbers, value in unfit(self._connection, "attempt", _KEYS, _OF_THESE, these):
            which = f"attempt {numbers[0]} (token {numbers[1]})"
            _add_fault(jobs[seq], f"its {which} cannot be read ({value})")
        for seq, found in attempts.items():
            jobs[seq].attempts = found
        if self._month is None:
            self._add_links(jobs, these)
        for job in jobs.values():
            if job.fault is None:
                self._add_parents(job)
        return list(jobs.values()), last

    def _job(self, row: Row, unfit_value: str | None) -> RecordedJob:
        seq, created_at = row[0], row[4]
        (number, attempt, version, due, node) = row[16:21]
        (claimed_at, lease_until, started_at, ended_at, result, reason) = row[21:27]
        (schedule, fire_time, unique_key, lane, room, batch_number, batch) = row[27:]
        request, fault = read_request(row[1:16])
        fault = unfit_value or arguments_text_fault(request.args) or fault
        if batch_number is not None and batch is None:
            fault = f"its batch has the number {batch_number}, which is not there"
        if fault is None and request.details is not None:
            fault = retry_fault(request.details)
        recorded = RecordedJob(
            id=request.id,
            request=request,
            fault=fault,
            state=WORDS.get(number, JobState.WAITING),
            sequence=seq,
            attempt=attempt,
            version=version,
            due=due,
            node=node,
            claimed_at=claimed_at,
            lease_until=lease_until,
            started_at=started_at,
            ended_at=ended_at,
            result=result,
            reason=reason,
            schedule=schedule,
            fire_time=fire_time,
            unique_key=unique_key,
            lane=lane,
            room=room,
            batch=batch,
            is_in_batch=self._is_batch(request.details),
            month=self._month,
        )
        if self._month is not None:
            recorded.is_of_month = fault is not None or month_of(created_at) == self._month
            first, last = self._searched or (seq, seq)
            recorded.is_looked_for = first <= seq <= last
        if fault is not None:
            return recorded
        if recorded.state is JobState.WAITING:
            _add_waiting(recorded, (number, *row[19:27]))
        else:
            recorded.fault = result_fault(result)
        return recorded

    def _is_batch(self, details: Details | None) -> bool:
        if details is None or details.batch is None or self._month is not None:
            return False
        return bool(self._connection.execute(_IS_BATCH, (details.batch,)).fetchone()[0])

    def _is_in_main(self, job_id: bytes) -> bool:
        return self._main.execute(_IS_KNOWN, (job_id,)).fetchone() is not None

    def _add_links(self, jobs: dict[int, RecordedJob], these: Sequence[str]) -> None:
        links: dict[int, list[JobId | None]] = {}
        for child, parent in self._connection.execute(_LINKS, these):
            links.setdefault(child, []).append(parent)
        for child, found in links.items():
            jobs[child].links = found
        for job in jobs.values():
            if job.waits_for:
                found_there = (self._there(parent) for parent in job.waits_for)
                job.there = frozenset(parent for parent in found_there if parent is not None)

    def _there(self, parent: JobId) -> JobId | None:
        row = self._connection.execute(_IS_THERE, (parent,)).fetchone()
        return None if row is None else parent

    def _add_parents(self, job: RecordedJob) -> None:
        details = job.request.details
        if details is None or not details.parents or job.state is JobState.WAITING:
            return
        first = job.attempts[0].claimed_at if job.attempts else job.claimed_at
        parents: list[RecordedParent] = []
        for parent in details.parents:
            rows = self._main.execute(_PARENT, (parent,)).fetchall()
            if rows:
                parents += _parents(rows, of_batch=False)
                continue
            parents.append(RecordedParent(id=parent))
            if first is not None and self._month is None:
                late = self._main.execute(_LATE_MEMBERS, (parent, job.sequence, first)).fetchall()
                parents += _parents(late, of_batch=True)
        job.parents = parents


def _add_waiting(job: RecordedJob, row: Row) -> None:
    """What its state says that it waits for."""
    try:
        state = state_of(row)
    except UNREADABLE as error:
        job.fault = f"what it waits for cannot be read ({error!r})"
        return
    if isinstance(state, AwaitingCallback):
        job.callback = state.callback
        job.waits_for = state.parents
        job.fault = result_fault(job.result)
    elif isinstance(state, Waiting):
        job.waits_for = state.parents
    if any(len(parent) != ID_SIZE for parent in job.waits_for):
        job.fault = "what it waits for cannot be read (an id has 16 bytes)"


def _add_fault(job: RecordedJob, fault: str | None) -> None:
    """The first one is told."""
    if job.fault is None:
        job.fault = fault


def _attempt(row: Row) -> RecordedAttempt:
    number, token, node, claimed_at, started_at, ended_at, word = row
    return RecordedAttempt(
        number=number,
        token=token,
        node=node,
        claimed_at=claimed_at,
        started_at=started_at,
        ended_at=ended_at,
        outcome=_OUTCOMES.get(word),
    )


def _parents(rows: Iterable[Row], *, of_batch: bool) -> list[RecordedParent]:
    return [
        RecordedParent(
            id=JobId(id_),
            state=WORDS.get(state),
            version=version,
            attempts=attempts,
            has_success=bool(has_success),
            ended_at=ended_at,
            of_batch=of_batch,
        )
        for id_, state, version, attempts, has_success, ended_at in rows
    ]
