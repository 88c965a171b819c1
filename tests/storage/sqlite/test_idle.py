"""An idle system writes nothing, and needs no lock to find out that there is nothing to do."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from trio_gusto.storage.messages import ClaimReply
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW, SECOND


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture(params=[False, True], ids=["in a thread", "inline"])
async def subject(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[Subject]:
    storage = SqliteStorage(path, inline=request.param)
    await storage.attach("node")
    yield Subject(storage, "node")
    await storage.detach("node")


def seen_by_others(path: Path) -> tuple[bytes, bytes]:
    return path.read_bytes(), path.with_name(f"{path.name}-wal").read_bytes()


async def test_a_claim_that_finds_nothing_writes_nothing(subject: Subject, path: Path) -> None:
    await subject.enqueue(execute_after=NOW + SECOND)
    await subject.enqueue(queue="other")
    with closing(sqlite3.connect(path)) as other:
        version = other.execute("PRAGMA data_version").fetchone()
        before = seen_by_others(path)
        for _ in range(5):
            reply = await subject.claim(queues=[("default", 10)])
            assert reply == ClaimReply([], False, NOW + SECOND)
        assert seen_by_others(path) == before
        assert other.execute("PRAGMA data_version").fetchone() == version


async def test_a_claim_that_finds_nothing_waits_for_nobody(subject: Subject, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await subject.claim() == ClaimReply([], False, None)
        other.execute("ROLLBACK")


async def test_a_scheduled_job_is_found_when_its_instant_has_come(subject: Subject) -> None:
    request = await subject.enqueue(execute_after=NOW + SECOND)
    assert (await subject.claim(NOW + SECOND - 1)).jobs == []
    assert (await subject.claim_one(NOW + SECOND)).request == request
