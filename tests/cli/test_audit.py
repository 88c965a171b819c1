"""`trio-gusto audit`, as its users meet it; what it finds is tested with the storage."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio

from trio_gusto import Gusto
from trio_gusto.storage.sqlite import SqliteStorage

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.db"
    app = Gusto(SqliteStorage(path))

    @app.job(name="bill")
    async def bill(order: int) -> int:
        return order

    async def fill() -> None:
        async with app.connected() as queue:
            for order in range(2):
                await queue.enqueue(bill, order)
            await queue.work_until_idle()

    trio.run(fill)
    return path


def corrupt(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def test_a_clean_file_ends_with_0(command: Command, database: Path) -> None:
    counts = "jobs: 2, archived: 0, attempts: 2, batches: 0, schedules: 0, findings: 0\n"
    assert command("audit", str(database)) == (0, counts)
    assert command("audit", "--db", str(database)) == (0, counts)
    code, said = command("audit", str(database), "--json")
    assert code == 0
    assert json.loads(said)["findings"] == []
    assert json.loads(said)["counts"]["jobs"] == 2


def test_a_finding_is_a_sentence_and_fields_and_ends_with_1(
    command: Command, database: Path
) -> None:
    corrupt(database, "UPDATE job SET attempt = 2 WHERE seq = 2")
    code, said = command("audit", str(database))
    assert code == 1
    sentence, counts = said.splitlines()
    assert "breaks attempts: its attempt 2 (token 1) has the wrong number; by those" in sentence
    assert counts.endswith("findings: 1")
    code, said = command("audit", str(database), "--json")
    assert code == 1
    (finding,) = json.loads(said)["findings"]
    assert finding["sentence"] == sentence
    assert finding["invariant"] == "attempts"
    assert finding["job_id"] in sentence
    assert finding["legal"] == "by those before, it is number 1"


def test_a_text_that_is_none_is_a_finding(command: Command, database: Path) -> None:
    corrupt(database, "UPDATE job SET queue = CAST(x'61ff' AS TEXT) WHERE seq = 2")
    corrupt(database, "UPDATE node SET node_name = CAST(x'61ff' AS TEXT)")
    code, said = command("audit", str(database))
    assert code == 1
    assert "its queue is 'a\\udcff', which is no text in UTF-8" in said
    code, said = command("audit", str(database), "--json")
    assert code == 1
    found = {one["found"] for one in json.loads(said)["findings"]}
    assert len([one for one in found if "no text in UTF-8" in one]) == 2


def test_a_month_that_is_not_there_is_told(command: Command, database: Path) -> None:
    corrupt(database, "INSERT INTO archive VALUES ('2026-01', 1, 5)")
    code, said = command("audit", str(database))
    assert code == 0
    sentence, _ = said.splitlines()
    assert sentence.startswith(
        "the archive of 2026-01 is not there, so its jobs were not looked at;"
    )
    code, said = command("audit", str(database), "--json")
    assert json.loads(said)["absent"] == ["2026-01"]


def test_a_file_that_is_not_ours_or_too_new_ends_with_3(
    command: Command, database: Path, tmp_path: Path
) -> None:
    corrupt(database, "PRAGMA user_version = 99")
    code, said = command("audit", str(database))
    assert code == 3
    assert "schema version 99" in said
    corrupt(tmp_path / "other.db", "CREATE TABLE mine (x)")
    code, said = command("audit", str(tmp_path / "other.db"))
    assert code == 3
    assert "another program" in said
    assert command("audit", str(tmp_path / "nowhere.db"))[0] == 2
