"""What tests of SQLite share: a storage in memory, and the ways of the archive."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator

import pytest

from tests.storage.sqlite.moving import Pruning, apart, in_a_group
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing.storage_contract import Subject


@pytest.fixture(params=[in_a_group, apart], ids=["in a group", "apart"])
def prune(request: pytest.FixtureRequest) -> Pruning:
    """A storage with an archive does it in both ways."""
    way: Pruning = request.param
    return way


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    """In memory, and in the event loop."""
    storage = SqliteStorage(":memory:", inline=True)
    await storage.attach("node")
    yield Subject(storage, "node")
    await storage.detach("node")


@pytest.fixture
def connection(subject: Subject) -> sqlite3.Connection:
    """The one connection to what ``subject`` writes."""
    storage = subject.storage
    assert isinstance(storage, SqliteStorage)
    assert storage._session is not None
    return storage._session.writer.connection
