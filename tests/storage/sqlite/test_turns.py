"""Whose turn it is does not depend on how claims are cut, nor on how many shares they have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.storage.sqlite.moving import rows
from trio_gusto.model.job import Details
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing.storage_contract import Subject


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
async def subject(path: Path) -> AsyncIterator[Subject]:
    storage = SqliteStorage(path, inline=True, synchronous="NORMAL")
    await storage.attach("node")
    yield Subject(storage, "node")
    await storage.detach("node")


async def enqueue(subject: Subject, tenants: str, **changes: Any) -> None:
    await subject.insert(*[subject.request(tenant=tenant, **changes) for tenant in tenants])


async def claimed(subject: Subject, limit: int, **changes: Any) -> str:
    """Whose jobs a claim takes."""
    changes.setdefault("tenant_weights", {})
    reply = await subject.claim(limit=limit, **changes)
    return "".join(job.request.tenant for job in reply.jobs)


async def test_in_a_queue_that_is_served_by_its_name_turns_are_remembered(
    subject: Subject, path: Path
) -> None:
    await enqueue(subject, "aaabbb", queue="mail")
    shares = [("mail", 1)]
    assert [await claimed(subject, 1, queues=shares) for _ in range(4)] == ["a", "b", "a", "b"]
    assert rows(path, "SELECT DISTINCT scope FROM turn_time") == [("mail",)]


async def test_in_what_is_left_after_the_shares_turns_go_on(subject: Subject) -> None:
    await enqueue(subject, "aab", queue="mail")
    assert await claimed(subject, 2, queues=[("mail", 1), ("print", 1)]) == "ab"


async def test_with_a_lane_below_them_turns_are_taken_at_every_priority(subject: Subject) -> None:
    for priority in (5, 3, 1):
        await enqueue(subject, "aab", priority=priority)
    await enqueue(subject, "c", priority=3, details=Details(worker="smtp"))
    await enqueue(subject, "d", priority=0, details=Details(worker="printer"))
    assert await claimed(subject, 99) == "aba" + "abca" + "aba" + "d"


async def test_the_first_turns_are_counted_from_nothing(subject: Subject, path: Path) -> None:
    await enqueue(subject, "a")
    assert await claimed(subject, 1) == "a"
    assert rows(path, "SELECT scope, priority, now FROM turn_time") == [("", 0, 0)]
