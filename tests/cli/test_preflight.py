"""`trio-gusto preflight`: stored jobs and schedules are tried on new code, and nothing is run."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from trio_gusto import Gusto, fixed
from trio_gusto.storage.sqlite import SqliteStorage

Command = Callable[..., tuple[int, str]]

SAME = """
@app.job(name="bill")
async def bill(order: int) -> int:
    raise AssertionError("nothing is run")

@app.job(name="tell")
async def tell(order: int) -> None: ...

@app.job(name="tidy")
async def tidy() -> None: ...
"""
FORGETS_TIDY = SAME.partition('@app.job(name="tidy")')[0]
OTHER_ARGUMENTS = SAME.replace("order: int) -> int", "order: bool) -> int")
NO_CALLBACK = SAME.replace('name="tell"', 'name="say"')
UNFIT_CALLBACK = SAME.replace("tell(order: int)", "tell(order: int, other: int)")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Seven live jobs, one that has ended, and two schedules."""
    path = tmp_path / "jobs.db"
    app = Gusto(SqliteStorage(path))

    @app.job(name="bill")
    async def bill(order: int) -> int:
        return order

    @app.job(name="tell")
    async def tell(order: int) -> None: ...

    @app.job(name="tidy")
    async def tidy() -> None: ...

    async def fill() -> None:
        async with app.connected() as queue:
            await queue.enqueue(bill, 0)
            await queue.work_until_idle()
            for order in range(6):
                await queue.enqueue(bill, order, execute_after=3600)
            waits = await queue.enqueue(bill, 7, callback=tell, retry=fixed(1))
            await queue.continue_with(waits, tidy)
            await queue.schedule("hourly", tidy, trigger=timedelta(hours=1))
            await queue.schedule("yearly", bill, 8, trigger="0 0 1 1 *")

    trio.run(fill)
    return path


@pytest.fixture
def preflight(
    command: Command, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """Try the code on the database, which must stay as it is."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(code: str, *args: str) -> tuple[int, str]:
        (tmp_path / "release.py").write_text(f"from trio_gusto import Gusto\napp = Gusto()\n{code}")
        sys.modules.pop("release", None)
        before = database.read_bytes()
        line = ("preflight", "release:app", "--folder", str(tmp_path), "--db", str(database))
        answer = command(*line, *args)
        assert database.read_bytes() == before
        return answer

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield run
    sys.modules.pop("release", None)


def test_code_that_fits_ends_with_0(preflight: Command) -> None:
    assert preflight(SAME) == (0, "jobs: 8, schedules: 2, failing: 0\n")


def test_a_module_that_leaves_while_it_is_imported_is_no_code_that_fits(
    preflight: Command,
) -> None:
    ended, said = preflight("raise SystemExit(0)")
    assert ended == 1
    assert "the module release cannot be imported" in said


@pytest.mark.parametrize(
    ("code", "handler", "problem", "jobs", "schedules", "reason"),
    [
        (FORGETS_TIDY, "tidy", "unknown handler", 1, ["hourly"], "no handler is registered as"),
        (OTHER_ARGUMENTS, "bill", "arguments", 7, ["yearly"], "cannot be read: $.order"),
        (NO_CALLBACK, "bill", "callback", 1, [], "no handler is registered as 'tell'"),
        (UNFIT_CALLBACK, "bill", "callback", 1, [], "cannot be a callback"),
    ],
)
def test_code_that_does_not_fit_is_told_by_handler(
    preflight: Command,
    code: str,
    handler: str,
    problem: str,
    jobs: int,
    schedules: list[str],
    reason: str,
) -> None:
    ended, said = preflight(code, "--json")
    assert ended == 1
    (found,) = json.loads(said)["problems"]
    assert (found["handler"], found["problem"], found["jobs"]) == (handler, problem, jobs)
    assert found["schedules"] == schedules
    assert reason in found["reason"]
    assert len(found["first_jobs"]) == min(jobs, 5)
    ended, said = preflight(code)
    assert ended == 1
    assert said.splitlines()[1].startswith(f"{handler}\t{problem}\t{jobs}\t{len(schedules)}\t")
    assert f"failing: {jobs + len(schedules)}" in said


def test_a_retry_policy_and_rows_that_cannot_be_read_are_told(
    preflight: Command, database: Path
) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint")
        connection.execute(
            "UPDATE job SET details = json_set(details, '$.retry', json('{\"often\": []}')) "
            "WHERE details ->> '$.retry' IS NOT NULL"
        )
        connection.execute("UPDATE job SET details = '[' WHERE reason = 'success'")
        connection.execute("UPDATE schedule SET request = '{' WHERE name = 'yearly'")
    ended, said = preflight(SAME, "--json")
    assert ended == 1
    problems = {(one["handler"], one["problem"]): one for one in json.loads(said)["problems"]}
    assert problems.keys() == {
        ("bill", "retry policy"),
        ("tidy", "unreadable"),
        ("", "unreadable"),
    }
    assert "is no stored retry policy" in problems["bill", "retry policy"]["reason"]
    assert problems["", "unreadable"]["schedules"] == ["yearly"]


@pytest.mark.parametrize(
    ("statement", "problem", "reason"),
    [
        ("UPDATE job SET id = x'00'", "unreadable", "id is X'00', which is no id of 16 bytes"),
        ("UPDATE job SET created_at = 9000000000000000000", "unreadable", "created_at is 9"),
        ("UPDATE job SET due = -9000000000000000000", "unreadable", "due is -9"),
        ("UPDATE job SET handler = 99", "unreadable", "handler is 99, which is no handler"),
        ("UPDATE job SET queue = CAST(x'61ff' AS TEXT)", "unreadable", "no text in UTF-8"),
        ("UPDATE job SET args = '{nope'", "arguments", "cannot be read"),
        ("UPDATE job SET args = CAST(x'5b22ff225d' AS TEXT)", "arguments", "cannot be read"),
        ("UPDATE job SET details = '[1]'", "unreadable", "its details cannot be read"),
        ("UPDATE job SET details = '{\"callback\": 7}'", "unreadable", "callback"),
        ("UPDATE job SET state = 0, result = '7'", "unreadable", "its state cannot be read"),
        ("UPDATE schedule SET since = 9000000000000000000", "unreadable", "since is 9"),
        (
            "UPDATE schedule SET request = json_set(request, '$.timezone', 'Nowhere')",
            "unreadable",
            "there is no time zone 'Nowhere' here",
        ),
        (
            "UPDATE schedule SET request = json_set(request, '$.job.details', '[1]')",
            "unreadable",
            "its request cannot be read",
        ),
    ],
)
def test_what_cannot_be_read_is_a_problem_and_no_traceback(
    preflight: Command, database: Path, statement: str, problem: str, reason: str
) -> None:
    one = "name = 'hourly'"
    if statement.startswith("UPDATE job"):
        one = "seq = (SELECT min(seq) FROM job WHERE state = 1)"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint")
        assert connection.execute(f"{statement} WHERE {one}").rowcount == 1
    ended, said = preflight(SAME, "--json")
    assert ended == 1
    (found,) = json.loads(said)["problems"]
    assert (found["problem"], found["jobs"] + len(found["schedules"])) == (problem, 1)
    assert reason in found["reason"]
    assert preflight(SAME)[0] == 1


def test_a_schedule_that_fires_no_more_is_told(preflight: Command, database: Path) -> None:
    app = Gusto(SqliteStorage(database))

    @app.job(name="tidy")
    async def tidy() -> None: ...

    async def end() -> None:
        async with app.connected() as queue:
            over = datetime(2020, 1, 1, tzinfo=UTC)
            await queue.schedule("hourly", tidy, trigger=timedelta(hours=1), end=over)

    trio.run(end)
    ended, said = preflight(SAME, "--json")
    assert ended == 1
    (found,) = json.loads(said)["problems"]
    assert (found["handler"], found["problem"], found["schedules"]) == (
        "tidy",
        "never fires",
        ["hourly"],
    )


def test_other_ends(command: Command, preflight: Command, database: Path, tmp_path: Path) -> None:
    assert preflight("raise ValueError('broken')")[0] == 1
    assert command("preflight", "nowhere:app", "--db", str(database))[0] == 2
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 99")
    ended, said = preflight(SAME)
    assert ended == 3
    assert "schema version 99" in said
