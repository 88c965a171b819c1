"""Drains of a table with a million rows in it.

A million jobs are not enqueued one by one: one is made through the public API, and its row is
copied within SQLite, so that the schema and its indexes are the product's own. Each table is made
once in a run; a round takes its window from what the rounds before have left.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import trio

from trio_gusto.storage.sqlite import SqliteStorage

from .scale import Scale
from .workload import NoOpJobs, drained


def make_many_ready(scale: Scale, name: str = "ready") -> None:
    """A table of ready jobs."""
    path = scale.kept_database(name)
    trio.run(NoOpJobs(SqliteStorage(path)).fill, 1)
    copy_first_row(path, scale.big)


def make_many_finished(scale: Scale, name: str = "finished") -> None:
    """A table of completed jobs."""
    path = scale.kept_database(name)
    jobs = NoOpJobs(SqliteStorage(path))

    async def main() -> None:
        await jobs.fill(1)
        await jobs.app.run_until_idle()

    trio.run(main)
    copy_first_row(path, scale.big)


def drain_many_ready(scale: Scale) -> float:
    """A window of jobs out of a million ready ones. Returns jobs per second."""
    jobs = NoOpJobs(SqliteStorage(scale.kept_database("ready")))
    return trio.run(drained, jobs, scale.window)


def drain_many_finished(scale: Scale) -> float:
    """A window of jobs, and no more are ready, beside a million completed ones."""
    jobs = NoOpJobs(SqliteStorage(scale.kept_database("finished")))

    async def main() -> float:
        await jobs.fill(scale.window)
        return await drained(jobs, scale.window)

    return trio.run(main)


def copy_first_row(path: Path, copies: int) -> None:
    """Give the table ``copies`` more rows like its only one, each with an id of its own."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (first,) = connection.execute("SELECT id FROM job").fetchone()

        def next_id(number: int) -> bytes:
            # The same millisecond and the same version, then a counter behind the variant's bits.
            return bytes(first[:8]) + (1 << 63 | number).to_bytes(8, "big")

        connection.create_function("next_id", 1, next_id)
        names = [name for _, name, *_ in connection.execute("PRAGMA table_info(job)")]
        names.remove("seq")
        values = ["next_id(number)" if name == "id" else f"job.{name}" for name in names]
        connection.execute(
            "WITH RECURSIVE numbers(number) AS "
            "(SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?) "
            f"INSERT INTO job({', '.join(names)}) SELECT {', '.join(values)} "
            "FROM numbers CROSS JOIN (SELECT * FROM job LIMIT 1) AS job",
            (copies,),
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
