"""Jobs of three months, and both ways to move them to the archive."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path

from trio_gusto.model.ids import JobId
from trio_gusto.model.instants import to_instant
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.states import Failed, Ready
from trio_gusto.storage.finding_messages import Find
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing.storage_contract import Subject

OCTOBER, NOVEMBER, DECEMBER = (
    to_instant(datetime(2026, month, 10, tzinfo=UTC)) for month in (10, 11, 12)
)


@asynccontextmanager
async def opened(
    path: Path, node: str = "node", *, archived: bool = True
) -> AsyncGenerator[Subject]:
    storage = SqliteStorage(path / "jobs.db", archive=archived)
    await storage.attach(node)
    try:
        yield Subject(storage, node)
    finally:
        await storage.detach(node)


async def fill(subject: Subject) -> list[JobRequest]:
    """Two jobs of each month, all of them failed, and a newer one that is ready."""
    requests = [
        subject.request(created_at=at + n, details=Details(ref_id=f"{at}-{n}", tags=("x",)))
        for at in (OCTOBER, NOVEMBER, DECEMBER)
        for n in range(2)
    ]
    await subject.insert(*requests, states=[Failed(one.created_at + 9, "") for one in requests])
    await subject.insert(subject.request(created_at=DECEMBER + 5), states=[Ready(DECEMBER)])
    return requests


Pruning = Callable[..., Awaitable[Pruned]]


async def in_a_group(subject: Subject, limit: int = 100) -> Pruned:
    return await subject.expect(Pruned, Prune(DECEMBER + 1000, limit))


async def apart(subject: Subject, limit: int = 100) -> Pruned:
    reply = await subject.storage.prune_apart(Prune(DECEMBER + 1000, limit))
    return await in_a_group(subject, limit) if reply is None else reply


async def found(subject: Subject, find: Find) -> list[JobId]:
    return [job.request.id for job in (await subject.storage.read(find)).jobs]


def ids(requests: Sequence[JobRequest]) -> list[JobId]:
    return [request.id for request in reversed(requests)]


def rows(path: Path, question: str = "SELECT count(*) FROM job") -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchall()
