"""What several of these tests keep their jobs in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trio_gusto import MemoryStorage
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage

MakeNode = Callable[[], Storage]
"""Makes what the next node keeps its jobs in: the same storage underneath for all of them."""


@pytest.fixture(params=["memory", "one file"])
def make_node(request: pytest.FixtureRequest, tmp_path: Path) -> MakeNode:
    """Nodes that share an object, or a file and nothing else, as processes do."""
    shared = MemoryStorage()
    if request.param == "memory":
        return lambda: shared
    return lambda: SqliteStorage(tmp_path / "jobs.db", inline=True, synchronous="NORMAL")
