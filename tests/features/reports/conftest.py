"""What these jobs and their reports are kept in."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_gusto import MemoryStorage, Storage
from trio_gusto.storage.sqlite import SqliteStorage


@pytest.fixture(params=["memory", "sqlite", "sqlite in threads"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "memory":
        return MemoryStorage()
    return SqliteStorage(tmp_path / "jobs.db", inline=request.param == "sqlite")
