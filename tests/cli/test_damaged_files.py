"""What commands say of a file in which something stands that nobody has written who knows what belongs there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import trio

from trio_gusto import Gusto
from trio_gusto.storage.sqlite import SqliteStorage

Command = Callable[..., tuple[int, str]]

FAR = 9_000_000_000_000_000_000
"""Microseconds: far behind the year 9999."""

LIST, SHOW, EXPLAIN = ("jobs", "list"), ("jobs", "show", "{}"), ("jobs", "explain", "{}")
SCHEDULES, QUEUES = ("schedules", "list"), ("queues", "list")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A job that has ended, one that waits for its time, a schedule and a pause."""
    path = tmp_path / "jobs.db"
    app = Gusto(SqliteStorage(path))

    @app.job(name="bill")
    async def bill(order: int) -> int:
        return order

    async def fill() -> None:
        async with app.connected() as queue:
            await queue.enqueue(bill, 1)
            await queue.work_until_idle()
            await queue.enqueue(bill, 2, execute_after=3600, expire_on=7200)
            await queue.schedule("hourly", bill, 3, trigger=timedelta(hours=1))
            await queue.pause(queue="slow")

    trio.run(fill)
    return path


@pytest.mark.parametrize("far", [FAR, -FAR])
@pytest.mark.parametrize(
    ("table", "column", "commands"),
    [
        ("job", "created_at", (LIST, SHOW)),
        ("job", "execute_after", (LIST, SHOW)),
        ("job", "expire_on", (LIST, SHOW)),
        ("job", "due", (EXPLAIN,)),
        ("schedule", "anchor", (SCHEDULES,)),
        ("schedule", "next_at", (SCHEDULES,)),
        ("pause", "since", (QUEUES,)),
    ],
)
def test_an_instant_without_a_date_is_told_in_a_sentence(
    command: Command,
    database: Path,
    table: str,
    column: str,
    commands: tuple[tuple[str, ...], ...],
    far: int,
) -> None:
    where = "state = 1" if table == "job" else "TRUE"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        (job,) = connection.execute("SELECT id FROM jobs WHERE state = 'scheduled'").fetchone()
        connection.execute(f"UPDATE {table} SET {column} = {far} WHERE {where}")
    for words in commands:
        line = [word.format(job) for word in words]
        for more in ((), ("--json",)):
            code, said = command(*line, "--db", str(database), *more)
            assert code == 1
            assert said.startswith("trio-gusto: ")
            assert "`trio-gusto audit` tells" in said
