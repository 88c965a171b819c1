"""What the file says in the end, read by plain SQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs

from .errands import DATABASE

WAITING, PROCESSING, COMPLETED, FAILED, CANCELLED, SKIPPED, EXPIRED = 0, 3, 4, 5, 6, 7, 8
WORDS = (
    "waiting", "scheduled", "ready", "processing",
    "completed", "failed", "cancelled", "skipped", "expired",
)  # fmt: skip
"""States, by number."""


@attrs.frozen(kw_only=True)
class JobRow:
    """A job."""

    id: str
    name: str
    state: int
    attempt: int
    max_attempts: int
    version: int
    created_at: int = 0
    ended_at: int | None = None
    result: str | None = None
    reason: str | None = None
    ref: str | None = None
    key: str | None = None
    lane: str | None = None
    room: int | None = None
    batch: str | None = None
    schedule: str | None = None
    fire_time: int | None = None


@attrs.frozen
class AttemptRow:
    """An attempt that did not complete its job."""

    job: str
    token: int
    number: int
    outcome: str


@attrs.frozen
class Rows:
    """All of it."""

    jobs: Mapping[str, JobRow]
    attempts: Sequence[AttemptRow]


def read(home: Path) -> Rows:
    """Read a file that nobody changes any more."""
    uri = f"{(home / DATABASE).as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        jobs = [
            _job(dict(row))
            for row in connection.execute(
                "SELECT lower(hex(job.id)) AS id, name, state, attempt, max_attempts, version, "
                "job.created_at, ended_at, iif(state = 0, NULL, result) AS result, reason, "
                "ref_id AS ref, unique_key AS key, lane, room, lower(hex(batch.id)) AS batch, "
                "schedule, fire_time FROM job LEFT JOIN handler USING (handler) "
                "LEFT JOIN batch ON job.batch = batch.number"
            )
        ]
        attempts = [
            AttemptRow(*row)
            for row in connection.execute(
                "SELECT lower(hex(id)), token, number, outcome FROM attempt JOIN job USING (seq)"
            )
        ]
    return Rows({job.id: job for job in jobs}, attempts)


def _job(row: dict[str, Any]) -> JobRow:
    row["result"] = _text(row["result"])
    return JobRow(**row)


def _text(result: str | None) -> str | None:
    found = None if result is None else json.loads(result)
    return found if isinstance(found, str) else result
