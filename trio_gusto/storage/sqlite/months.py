"""The files of the archive: one for each month in which its jobs were made, beside the main file.

Rule 1: a file may vanish, come back or be broken at any time, because people copy and delete them. So
        each is opened when it is needed, closed at once, and passed over with a warning when it
        cannot be read.
Rule 2: no write-ahead log: a month at rest is one file.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from ...model.errors import NotOurDatabase, SchemaTooNew
from ...model.ids import JobId
from ...model.instants import to_datetime, to_instant
from .schema import read_script, run_script

T = TypeVar("T")

logger = logging.getLogger("trio_gusto")

APPLICATION_ID = 0x4755_5341
"""Says in a file's header that it is a month of an archive: the letters GUSA."""

MIGRATIONS = ("schema_archive.sql", "schema_archive_2.sql")
"""The script at index n leads from version n of a month to version n + 1."""

VERSION = len(MIGRATIONS)

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def month_of(created_at: int) -> str:
    """The month, in UTC, in which a job was made: ``2026-11``."""
    made = to_datetime(created_at)
    return f"{made.year:04}-{made.month:02}"


def bounds_of(month: str) -> tuple[int, int]:
    """The first instant of a month, and the first one after it."""
    year, number = int(month[:4]), int(month[5:])
    day = to_datetime(0).replace(year=max(year, 1), month=number)
    first = to_instant(day)
    if number < 12:
        return first, to_instant(day.replace(month=number + 1))
    return first, first + 31 * 86_400_000_000


class Months:
    """The months of one main file. ``wait`` is for how many seconds a lock may be waited for."""

    def __init__(self, path: str, wait: float) -> None:
        self.main = Path(path).absolute()
        self._wait = wait
        self._warned_of: set[tuple[str, str]] = set()

    def file(self, month: str) -> Path:
        """Where a month is, or would be: ``jobs-2026-11.db`` for ``jobs.db``."""
        return self.main.with_name(f"{self.main.stem}-{month}{self.main.suffix}")

    def there(self) -> list[str]:
        """The months that have a file, the newest first."""
        begin, end = f"{self.main.stem}-", self.main.suffix
        found: list[str] = []
        for name in self.main.parent.iterdir():
            month = name.name[len(begin) : len(begin) + 7]
            if name.name == f"{begin}{month}{end}" and _MONTH.fullmatch(month):
                found.append(month)
        return sorted(found, reverse=True)

    def by_likelihood(self, job_id: JobId) -> list[str]:
        """The months that have a file, and first the one in which such an id was made."""
        months = self.there()
        if job_id[6] >> 4 == 7:  # an id of version 7 begins with its milliseconds
            likely = month_of(min(int.from_bytes(job_id[:6]), 253_402_300_799_999) * 1000)
            months.sort(key=lambda month: month != likely)
        return months

    @contextmanager
    def opened(self, month: str) -> Generator[sqlite3.Connection]:
        """A month to be written to; it is made if there is none.

        Raises:
            NotOurDatabase, SchemaTooNew: it may not be written to.
            sqlite3.Error: it is broken, or locked, or the disk is full.
        """
        with closing(self._connect(month, "rwc")) as connection:
            # EXTRA: the directory is flushed, too. Or a loss of power could bring the journal back,
            # and it would take the jobs out again that are deleted in the main file by then.
            connection.execute("PRAGMA synchronous = EXTRA")
            if self._check(connection, month) < VERSION:
                connection.execute("BEGIN IMMEDIATE")
                version = self._check(connection, month)
                if version < VERSION:
                    for name in (*MIGRATIONS[version:], "views.sql"):
                        run_script(connection, read_script(name))
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    connection.execute(f"PRAGMA user_version = {VERSION}")
                connection.execute("COMMIT")
            yield connection

    def look(self, month: str, question: Callable[[sqlite3.Connection], T]) -> T | None:
        """What a month answers to a question; ``None`` if it has nothing, or cannot be read."""
        try:
            # Not "ro": a journal that a crash left behind has to be rolled back.
            with closing(self._connect(month, "rw")) as connection:
                connection.execute("PRAGMA query_only = 1")
                return question(connection) if self._check(connection, month) else None
        except (sqlite3.Error, NotOurDatabase, SchemaTooNew) as error:
            if self.file(month).exists():  # if not, somebody took it away, as he may
                self.warn(month, error, "its jobs are not shown")
            return None

    @contextmanager
    def read_only(self, month: str) -> Generator[sqlite3.Connection | None]:
        """A month to be read as it is; ``None`` if it has nothing.

        Raises:
            NotOurDatabase, SchemaTooNew: it is none of ours.
            sqlite3.Error: it cannot be read, or a crash left a journal that has to be rolled back first.
        """
        with closing(self._connect(month, "ro")) as connection:
            yield connection if self._check(connection, month) else None

    def warn(self, month: str, error: Exception, consequence: str) -> None:
        """Log what is wrong with a month, once for each reason."""
        if (month, repr(error)) not in self._warned_of:
            self._warned_of.add((month, repr(error)))
            logger.warning("%s: %s; %s", self.file(month), error, consequence)

    def _connect(self, month: str, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.file(month).as_uri()}?mode={mode}",
            uri=True,
            timeout=self._wait,
            isolation_level=None,
        )

    def _check(self, connection: sqlite3.Connection, month: str) -> int:
        """The version of its tables; 0 for an empty file, which has none."""
        owner, version, tables = connection.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) "
            "FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        if (owner, version, tables) == (0, 0, 0):
            return 0
        if owner != APPLICATION_ID:
            raise NotOurDatabase(
                f"this is no month of an archive (application id {owner}), and jobs moved there "
                f"could harm it; move {self.file(month).name} to another place"
            )
        if version > VERSION:
            raise SchemaTooNew(version, VERSION)
        return int(version)
