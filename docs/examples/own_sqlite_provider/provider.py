"""Jobs in a table of one's own: SQLite, with a column for the tenant and one for failures."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import trio

from trio_gusto.provider import JobSearchParams, JobStorageProvider, JobStorageRecord


@attrs.define
class TenantRecord(JobStorageRecord):
    tenant: str = ""  # filled by itself: jobs have a tenant
    failures: int = 0
    last_error: str = ""


COLUMNS = [field.name for field in attrs.fields(TenantRecord)]
DUE = """SELECT * FROM jobs WHERE NOT is_complete
    AND (execute_after IS NULL OR execute_after <= :now) AND (expire_on IS NULL OR expire_on > :now)
    ORDER BY tracking_id LIMIT :limit"""


class SqliteTable(JobStorageProvider[TenantRecord]):
    def __init__(
        self, path: Path, *, max_failures: int = 3, pause: timedelta = timedelta(minutes=1)
    ) -> None:
        self._max_failures = max_failures
        self._pause = pause
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        self._database.execute(
            f"CREATE TABLE IF NOT EXISTS jobs ({', '.join(COLUMNS)}, PRIMARY KEY (tracking_id))"
        )

    async def _run(self, sql: str, values: Sequence[Any] | dict[str, Any]) -> list[sqlite3.Row]:
        return await trio.to_thread.run_sync(
            lambda: self._database.execute(sql, values).fetchall()  # calls come one at a time
        )

    async def store_job(self, record: TenantRecord) -> None:
        values = [as_column(getattr(record, name)) for name in COLUMNS]
        await self._run(f"INSERT INTO jobs VALUES ({', '.join('?' * len(COLUMNS))})", values)

    async def get_batch(self, params: JobSearchParams[TenantRecord]) -> Sequence[TenantRecord]:
        rows = await self._run(DUE, {"now": as_column(params.now), "limit": params.limit})
        return [as_record(row) for row in rows]

    async def mark_job_as_complete(self, record: TenantRecord) -> None:
        await self.cancel_job(record.tracking_id)

    async def cancel_job(self, tracking_id: UUID) -> None:
        await self._run("UPDATE jobs SET is_complete = 1 WHERE tracking_id = ?", [str(tracking_id)])

    async def on_handler_execution_failure(
        self, record: TenantRecord, error: BaseException
    ) -> None:
        record.failures += 1
        record.last_error = repr(error)
        record.is_complete = record.failures >= self._max_failures
        record.execute_after = (record.execute_after or record.created_on) + self._pause
        await self._run(
            "UPDATE jobs SET (failures, last_error, is_complete, execute_after) = (?, ?, ?, ?)"
            " WHERE tracking_id = ?",
            [
                record.failures,
                record.last_error,
                record.is_complete,
                as_column(record.execute_after),
                as_column(record.tracking_id),
            ],
        )

    def close(self) -> None:
        self._database.close()


def as_column(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")  # always UTC, so texts sort like instants
    return str(value) if isinstance(value, UUID) else value


def as_record(row: sqlite3.Row) -> TenantRecord:
    values: dict[str, Any] = dict(row)
    for name in ("created_on", "execute_after", "expire_on"):
        values[name] = values[name] and datetime.fromisoformat(values[name])
    values["tracking_id"] = UUID(values["tracking_id"])
    values["is_complete"] = bool(values["is_complete"])
    return TenantRecord(**values)
