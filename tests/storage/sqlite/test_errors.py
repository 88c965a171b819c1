"""What goes wrong under the storage: said in three beats, nothing half stored, usable afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from trio_gusto.model.errors import (
    StorageBusy,
    StorageError,
    StorageFull,
    StorageReadOnly,
)
from trio_gusto.model.states import Ready
from trio_gusto.storage.finding_messages import Find
from trio_gusto.storage.messages import ClaimDue, Committed, Insert, Inserted
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite.errors import explained
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import LEASE, NOW


@asynccontextmanager
async def opened(path: Path, *, inline: bool, busy_timeout: float = 0.1) -> AsyncGenerator[Subject]:
    storage = SqliteStorage(path, inline=inline, busy_timeout=busy_timeout)
    await storage.attach("node")
    try:
        yield Subject(storage, "node")
    finally:
        await storage.detach("node")


def pragma(subject: Subject, text: str) -> None:
    """Set up the writer's own connection."""
    storage = subject.storage
    assert isinstance(storage, SqliteStorage)
    assert storage._session is not None
    storage._session.writer.connection.execute(f"PRAGMA {text}")


both = pytest.mark.parametrize("inline", [False, True], ids=["in a thread", "inline"])


@both
async def test_a_file_locked_for_too_long_is_busy(tmp_path: Path, inline: bool) -> None:
    async with opened(tmp_path / "jobs.db", inline=inline) as subject:
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageBusy, match="longer busy_timeout"):
                await subject.enqueue()
            other.execute("ROLLBACK")
        assert await subject.everything() == []
        await subject.enqueue()
        assert len(await subject.everything()) == 1


@both
async def test_a_full_disk_stores_nothing_of_the_group(tmp_path: Path, inline: bool) -> None:
    async with opened(tmp_path / "jobs.db", inline=inline) as subject:
        small = Insert([subject.request()], [Ready(NOW)])
        large = Insert([subject.request(args="x" * 200_000)], [Ready(NOW)])
        pragma(subject, "max_page_count = 30")
        with pytest.raises(StorageFull, match="free some space"):
            await subject.storage.apply([small, large])
        assert await subject.everything() == []
        pragma(subject, "max_page_count = 1000000")
        replies = await subject.storage.apply([small, large])
        assert replies == [Inserted(), Inserted()]
        assert (await subject.claim()).jobs[0].request == small.requests[0]


@both
async def test_a_claim_that_was_rolled_back_is_forgotten(tmp_path: Path, inline: bool) -> None:
    async with opened(tmp_path / "jobs.db", inline=inline) as subject:
        await subject.enqueue()
        claim = ClaimDue("node", NOW, NOW + LEASE, 9, 9)
        large = Insert([subject.request(args="x" * 200_000)], [Ready(NOW)])
        pragma(subject, "max_page_count = 30")
        with pytest.raises(StorageFull):
            await subject.storage.apply([claim, large])
        pragma(subject, "max_page_count = 1000000")
        job = await subject.claim_one()
        assert (job.attempt, job.token) == (1, 1)
        assert await subject.complete(job) == Committed()


@both
async def test_a_file_that_may_only_be_read_says_so(tmp_path: Path, inline: bool) -> None:
    async with opened(tmp_path / "jobs.db", inline=inline) as subject:
        pragma(subject, "query_only = 1")
        with pytest.raises(StorageReadOnly, match="allow this user to write"):
            await subject.enqueue()
        pragma(subject, "query_only = 0")
        await subject.enqueue()
        assert len(await subject.everything()) == 1


@both
async def test_a_damaged_file_says_so(tmp_path: Path, inline: bool) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path, inline=inline) as subject:
        await subject.insert(*(subject.request(args="x" * 1000) for _ in range(100)))
    with closing(sqlite3.connect(path)) as connection:
        roots = connection.execute("SELECT rootpage FROM sqlite_schema WHERE tbl_name = 'job'")
        pages = [page for (page,) in roots if page]
    content = bytearray(path.read_bytes())
    for page in pages:
        content[4096 * (page - 1) : 4096 * page] = b"\x55" * 4096
    path.write_bytes(content)
    async with opened(path, inline=inline) as subject:
        with pytest.raises(StorageError, match=r"is corrupt.*restore a backup"):
            await subject.storage.read(Find(10))
        with pytest.raises(StorageError, match=r"is corrupt.*restore a backup"):
            await subject.claim()


def test_an_error_without_a_code_is_a_storage_error_all_the_same() -> None:
    error = explained(sqlite3.OperationalError("disk I/O error"), "jobs.db", 5.0)
    assert type(error) is StorageError
    assert "nothing was done" in str(error)


async def test_a_storage_that_nobody_is_attached_to_is_not_open(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "jobs.db")
    with pytest.raises(StorageError, match="call attach"):
        await storage.apply([])
    with pytest.raises(StorageError, match="call attach"):
        await storage.read(Find(1))
