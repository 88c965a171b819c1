"""The SQL that the reference shows is performed, and has the columns that it names."""

from __future__ import annotations

import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from trio_gusto import Fail, Gusto, current_job
from trio_gusto.model.job import Details
from trio_gusto.storage.retention_messages import Prune
from trio_gusto.storage.sqlite import SqliteStorage

PAGE = Path(__file__).parents[3].joinpath("docs/reference/sqlite-schema.md").read_text("utf-8")
CONSOLE = [
    shlex.split(line)[-1]
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


NOT_IN_DETAILS = {"ref_id", "durable", "errand"}
"""What has a column of its own, or is never stored."""

VIEWS = PAGE.partition("## `jobs`")[2].partition("## `job`")[0]


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """A file with a failed and a completed job, and a month beside it that has another one."""
    path = tmp_path / "jobs.db"
    storage = SqliteStorage(path, archive=True)
    app = Gusto(storage)

    @app.job(name="bill", worker="printer")
    async def bill(number: int) -> None:
        current_job().progress(number, "billing")
        if number == 7:
            raise Fail("no paper")

    for number in (1, 7, 40):
        async with app.connected() as queue:
            ref = await queue.enqueue(bill, number, unique_key=f"order-{number}")
            await queue.work_until_idle()
            await ref.wait()
            if number == 7:  # the first one goes
                await storage.apply([Prune(2**62, 1)])
    return path


@pytest.mark.parametrize("view", ["jobs", "attempts", "schedules", "batches"])
async def test_a_view_has_the_columns_that_are_documented(database: Path, view: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        cursor = connection.execute(f"SELECT * FROM {view}")
        columns = [name for name, *_ in cursor.description]
    assert [name for name in columns if f"`{name}`" not in VIEWS] == []
    if view == "jobs":
        listed = VIEWS.partition("Its columns: ")[2].partition("`. ")[0]
        assert re.findall(r"\w+", listed) == columns


async def test_the_version_is_that_of_the_page(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    assert f"The schema is version {version} (" in PAGE
    assert f"version {version - 1} that" in " ".join(PAGE.split())


async def test_each_table_and_index_is_documented(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        named = connection.execute(
            "SELECT name FROM sqlite_schema WHERE sql NOT NULL AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
    assert [name for (name,) in named if f"`{name}`" not in PAGE] == []


def test_each_key_of_the_details_is_documented() -> None:
    (row,) = re.findall(r"^\| `details` .*$", PAGE, re.MULTILINE)
    kept = {field.name for field in attrs.fields(Details)} - NOT_IN_DETAILS
    assert [key for key in sorted(kept) if f"`{key}`" not in row] == []


async def test_the_commands_and_queries_of_the_reference_run(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(CONSOLE) == 1
    assert len(QUERIES) == 3
    monkeypatch.chdir(database.parent)
    for month in database.parent.glob("jobs-*.db"):
        month.rename("jobs-2026-11.db")
    with closing(sqlite3.connect("jobs.db")) as connection:
        for statements in (*CONSOLE, *QUERIES):
            for statement in filter(str.strip, statements.split(";")):
                connection.execute(statement).fetchall()


async def test_a_view_shows_key_worker_and_progress_here_and_in_the_archive(
    database: Path,
) -> None:
    asked = "SELECT unique_key, worker, percent, message FROM jobs ORDER BY seq"
    with closing(sqlite3.connect(database)) as connection:
        here = connection.execute(asked).fetchall()
    months = list(database.parent.glob("jobs-*.db"))
    assert len(months) == 1
    with closing(sqlite3.connect(months[0])) as connection:
        there = connection.execute(asked).fetchall()
    assert [*there, *here] == [
        ("order-1", "printer", 1.0, "billing"),
        ("order-7", "printer", 7.0, "billing"),
        ("order-40", "printer", 40.0, "billing"),
    ]
