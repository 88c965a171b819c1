"""Questions that the main file and the archive answer together.

The main file is asked first, and what it has is believed: a job that is in both was being moved, or
was brought back. All of it happens under one snapshot of the main file, so no job can slip from the
one to the other meanwhile: what is deleted there later is in the snapshot still.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import attrs

from ...model.ids import JobId
from ...model.job import StoredJob
from ..finding_messages import Find, Found, Get
from ..messages import Query, QueryReply
from ..report_messages import DossiersFound, LogFound, ReadDossiers, ReadLog
from .counts import Counted
from .months import Months, bounds_of
from .presence import IsGone
from .queries import answer, find_jobs, get_jobs, snapshot
from .reports import find_dossiers, find_log, has_dossiers

T = TypeVar("T")

_BOUNDS = "SELECT month, first_seq, last_seq FROM archive"
_IS_KNOWN = "SELECT 1 FROM job WHERE id = ?"


def answer_with_archive(
    connection: sqlite3.Connection, query: Query, is_gone: IsGone, months: Months
) -> QueryReply | Counted:
    """Answer one question from one snapshot."""
    match query:
        case Get():
            with snapshot(connection):
                return _get(connection, query, months)
        case Find():
            with snapshot(connection):
                return _find(connection, query, months)
        case ReadLog():
            with snapshot(connection):
                return _log(connection, query, months)
        case ReadDossiers():
            with snapshot(connection):
                return _dossiers(connection, query, months)
        case _:
            return answer(connection, query, is_gone)


def _get(connection: sqlite3.Connection, query: Get, months: Months) -> Found:
    """In the order asked for."""
    jobs: list[StoredJob] = []
    for job_id in query.job_ids:
        asked = Get([job_id])
        found = get_jobs(connection, asked)
        for month in () if found else months.by_likelihood(job_id):
            found = months.look(month, partial(get_jobs, query=asked)) or []
            if found:
                break
        jobs += found
    if query.ref_id is not None:
        jobs += _of_ref(connection, query.ref_id, months)
    return Found(jobs)


def _of_ref(connection: sqlite3.Connection, ref_id: str, months: Months) -> list[StoredJob]:
    """The newest one: the archive may have others that had it before."""
    asked = Get(ref_id=ref_id)
    found = get_jobs(connection, asked)
    for month in () if found else months.there():
        archived = months.look(month, partial(get_jobs, query=asked)) or []
        found = _not_in(connection, archived)[-1:]
        if found:
            break
    return found


def _find(connection: sqlite3.Connection, find: Find, months: Months) -> Found:
    found = find_jobs(connection, find)
    if find.states and not any(state.is_ended for state in find.states):
        return Found(found)
    there = [month for month in months.there() if _may_match(month, find)]
    bounds = {month: (first, last) for month, first, last in connection.execute(_BOUNDS)}
    for month in there:
        if month in bounds:
            first, last = bounds[month]
            if find.before is not None and first >= find.before:
                continue
            if len(found) >= find.limit and (not found or last < found[-1].sequence):
                continue
        found = _merge(found, _of_month(connection, months, month, find), find.limit)
    return Found(found)


def _log(connection: sqlite3.Connection, query: ReadLog, months: Months) -> LogFound:
    def look(archive: sqlite3.Connection) -> LogFound | None:
        found = find_log(archive, query)
        return found if found.lines else None

    return _archived(connection, query.job_id, months, look) or find_log(connection, query)


def _dossiers(connection: sqlite3.Connection, query: ReadDossiers, months: Months) -> DossiersFound:
    def look(archive: sqlite3.Connection) -> DossiersFound | None:
        """A month that an older version has made knows none."""
        found = find_dossiers(archive, query) if has_dossiers(archive) else None
        return found if found is not None and found.dossiers else None

    return _archived(connection, query.job_id, months, look) or find_dossiers(connection, query)


def _archived(
    connection: sqlite3.Connection,
    job_id: JobId,
    months: Months,
    look: Callable[[sqlite3.Connection], T | None],
) -> T | None:
    """What the archive has of a job that the main file does not have."""
    if connection.execute(_IS_KNOWN, (job_id,)).fetchone() is None:
        for month in months.by_likelihood(job_id):
            found = months.look(month, look)
            if found is not None:
                return found
    return None


def _may_match(month: str, find: Find) -> bool:
    first, after = bounds_of(month)
    return (find.created_before is None or first < find.created_before) and (
        find.created_after is None or after > find.created_after
    )


def _of_month(
    connection: sqlite3.Connection, months: Months, month: str, find: Find
) -> list[StoredJob]:
    """As many jobs as asked for that are in this month only."""
    found: list[StoredJob] = []
    while True:
        page = months.look(month, partial(find_jobs, find=find, in_archive=True)) or []
        found += _not_in(connection, page)
        if len(page) < find.limit or len(found) >= find.limit:
            return found
        find = attrs.evolve(find, before=page[-1].sequence)


def _not_in(connection: sqlite3.Connection, jobs: list[StoredJob]) -> list[StoredJob]:
    """Those that the main file does not have."""
    return [
        job for job in jobs if connection.execute(_IS_KNOWN, (job.request.id,)).fetchone() is None
    ]


def _merge(found: list[StoredJob], more: list[StoredJob], limit: int) -> list[StoredJob]:
    """Newest first, each once."""
    by_id: dict[JobId, StoredJob] = {}
    for job in (*found, *more):
        by_id.setdefault(job.request.id, job)
    return sorted(by_id.values(), key=lambda job: -job.sequence)[:limit]
