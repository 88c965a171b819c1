"""The records of a file for the rules of `model.audit`, a page at a time.

One snapshot, and never more than a page of jobs in memory. Nothing here judges; it only gives what the
rules ask about. What cannot be read is given as a fault in words.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import orjson

from ...model.audit import (
    Finding,
    Invariant,
    RecordedJob,
    RecordedLane,
    RecordedStage,
    audit_counts,
    audit_holders,
    audit_job,
    audit_lane,
    audit_schedule,
    audit_stage,
    audit_strays,
)
from ...model.errors import NotOurDatabase, SchemaTooNew
from ...model.ids import JobId
from ...model.schedule import StoredSchedule
from ...model.states import JobState
from .columns import BEFORE_ALL, read_leniently
from .counts import count_jobs
from .months import Months
from .other_tables import COUNTED, OF_MONTH, SUBJECTS, unreadable
from .read_only import WAIT, opened_read_only
from .recorded import PageReader
from .rehearsing import PAGE, stored_schedules
from .reports import has_dossiers

_LEASED = (
    "SELECT lane, coalesce(node_name, ''), room, count(*) FROM job LEFT JOIN node USING (node) "
    "WHERE state = 3 AND lane IS NOT NULL GROUP BY lane, node_name, room ORDER BY lane"
)
_HELD_TWICE = (
    "SELECT unique_key, json_group_array(hex(id)) FROM job WHERE unique_key IS NOT NULL AND state < 4 "
    "GROUP BY unique_key HAVING count(*) > 1 ORDER BY unique_key"
)
_STAGES = "SELECT number, count, (SELECT count(*) FROM staged WHERE stage = number) FROM stage ORDER BY number"
_STRAYS: Mapping[str, str] = {
    "attempt": "SELECT DISTINCT seq FROM attempt",
    "progress": "SELECT seq FROM progress",
    "job_log": "SELECT DISTINCT seq FROM job_log",
    "dossier": "SELECT DISTINCT seq FROM dossier",
    "dependency": "SELECT DISTINCT child AS seq FROM dependency",
}
_STRAY = "SELECT seq FROM ({}) WHERE seq NOT IN (SELECT seq FROM job) LIMIT 20"
_BATCHES = "SELECT count(*) FROM batch"
_SEARCHED = "SELECT month, first_seq, last_seq FROM archive"


@attrs.define
class Counts:
    """How much was looked at."""

    jobs: int = 0
    archived: int = 0
    attempts: int = 0
    batches: int = 0
    schedules: int = 0
    findings: int = 0


class Audit:
    """One look over a file and the months beside it; ``counts`` and ``absent`` are complete when it has ended.

    ``absent`` are the months to which jobs were moved and which have no file now: somebody took it away, as
    he may, or it is lost. The main file does not know which.
    """

    def __init__(self, path: Path) -> None:
        self.counts = Counts()
        self.absent: list[str] = []
        self._path = path
        self._schedules: dict[str, StoredSchedule] = {}
        self._there: Counter[tuple[JobState, str, str]] = Counter()
        self._can_count = True

    def findings(self) -> Iterator[Finding]:
        """What is illegal, in the order in which it is met.

        Raises:
            StorageError: the file is not ours, too new or too old, or cannot be read.
        """
        with opened_read_only(self._path) as connection:
            for finding in self._all(connection):
                self.counts.findings += 1
                yield finding

    def _all(self, connection: sqlite3.Connection) -> Iterator[Finding]:
        (self.counts.batches,) = connection.execute(_BATCHES).fetchone()
        yield from self._of_schedules(connection)
        yield from self._of_jobs(connection)
        for table in SUBJECTS:
            for finding in unreadable(connection, table):
                self._can_count &= table not in COUNTED
                yield finding
        yield from self._of_places(connection)
        yield from self._of_archive(connection)

    def _of_schedules(self, connection: sqlite3.Connection) -> Iterator[Finding]:
        for recorded in stored_schedules(connection):
            self.counts.schedules += 1
            if recorded.kept is not None:
                self._schedules[recorded.name] = recorded.kept
            finding = audit_schedule(recorded)
            if finding is not None:
                yield finding

    def _of_jobs(self, connection: sqlite3.Connection) -> Iterator[Finding]:
        for job in _jobs(PageReader(connection)):
            self.counts.jobs += 1
            self.counts.attempts += len(job.attempts) + job.is_claimed
            self._there[job.state, job.request.queue, job.request.tenant] += 1
            self._can_count &= job.fault is None
            finding = audit_job(job, self._schedules)
            if finding is not None:
                yield finding

    def _of_places(self, connection: sqlite3.Connection) -> Iterator[Finding]:
        leased: dict[str, list[tuple[str, int, int]]] = {}
        for lane, node, room, count in connection.execute(_LEASED):
            leased.setdefault(lane, []).append((node, 1 if room is None else room, count))
        found = [audit_lane(RecordedLane(lane, leases)) for lane, leases in leased.items()]
        for key, ids in connection.execute(_HELD_TWICE).fetchall():
            holders = [JobId(bytes.fromhex(one)) for one in orjson.loads(ids)]
            found.append(audit_holders(key, holders))
        stages = connection.execute(_STAGES).fetchall()
        found += [audit_stage(RecordedStage(*row)) for row in stages]
        yield from filter(None, found)
        yield from _strays(connection, _STRAYS)
        if self._can_count:  # with what cannot be read there is nothing to compare
            yield from audit_counts(count_jobs(connection).tallied.counts, self._there)

    def _of_archive(self, connection: sqlite3.Connection) -> Iterator[Finding]:
        """A job that is also in the main file is believed there, and passed over here."""
        months = Months(str(self._path), WAIT)
        searched = {month: (first, last) for month, first, last in connection.execute(_SEARCHED)}
        there = months.there()
        self.absent = sorted(searched.keys() - there)
        for month in there:
            try:
                with months.read_only(month) as archive:
                    if archive is None:
                        continue
                    read_leniently(archive)
                    reader = PageReader(archive, month, searched.get(month), connection)
                    for job in _jobs(reader):
                        self.counts.archived += 1
                        self.counts.attempts += len(job.attempts) + job.is_claimed
                        finding = audit_job(job, self._schedules)
                        if finding is not None:
                            yield finding
                    kinds, tables = dict(_STRAYS), list(OF_MONTH)
                    del kinds["dependency"]
                    if not has_dossiers(archive):  # an older version has made it
                        del kinds["dossier"]
                        tables.remove("dossier")
                    for table in tables:
                        yield from unreadable(archive, table)
                    yield from _strays(archive, kinds)
            except (sqlite3.Error, NotOurDatabase, SchemaTooNew) as error:
                if months.file(month).exists():  # somebody may take it away
                    subject = f"the archive of {month}"
                    legal = "its jobs were not looked at; put the file right, or take it away"
                    yield Finding(subject, None, Invariant.ARCHIVE, str(error), legal)


def _jobs(reader: PageReader) -> Iterator[RecordedJob]:
    after = BEFORE_ALL
    while True:
        page, last = reader.page(after, PAGE)
        yield from page
        if last is None:
            return
        after = last


def _strays(connection: sqlite3.Connection, kinds: Mapping[str, str]) -> Iterator[Finding]:
    for kind, rows in kinds.items():
        for (sequence,) in connection.execute(_STRAY.format(rows)).fetchall():
            yield audit_strays(kind, sequence)
