"""Looking at a file without writing to it: what cannot be looked at says what to do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from trio_gusto.model.errors import StorageError
from trio_gusto.storage.sqlite.read_only import opened_read_only
from trio_gusto.storage.sqlite.schema import APPLICATION_ID, MIGRATIONS


def refusal(path: Path) -> str:
    with pytest.raises(StorageError) as caught, opened_read_only(path):
        pass
    return str(caught.value)


def test_an_older_file_is_to_be_brought_forward_by_somebody_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 7")
    assert refusal(path) == (
        f"{path} has schema version 7, and this looks at {len(MIGRATIONS)} only, without "
        "bringing a file forward; open it once with `trio-gusto stats`, or use a copy"
    )


def test_in_an_empty_file_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    assert refusal(path) == (
        f"{path} is empty, so there are no jobs in it; name the file of an app that has run"
    )
