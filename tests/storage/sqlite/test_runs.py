"""Of earlier runs, only so many are looked at, and of those the ones that are meant are told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from trio_gusto.model.job import Details
from trio_gusto.storage.messages import Commit, Committed
from trio_gusto.storage.run_messages import PastRuns, RunsFound
from trio_gusto.storage.sqlite import SqliteStorage, runs
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW, completed

SMTP = Details(worker="smtp")


@pytest.fixture
async def subject(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Subject]:
    """Four runs, of one, two, three and four microseconds."""
    monkeypatch.setattr(runs, "OF_ALL", runs._durations("state > 3", "ended_at DESC, seq DESC"))
    storage = SqliteStorage(":memory:", inline=True)
    await storage.attach("node")
    subject = Subject(storage, "node")
    for number, (name, details) in enumerate(
        [("send", None), ("send", SMTP), ("clean", None), ("send", None)], 1
    ):
        await subject.enqueue(name=name, details=details)
        job = await subject.claim_one()
        state = completed(job, NOW + number)
        await subject.expect(Committed, Commit(job.request.id, job.token, state, 1))
    yield subject
    await storage.detach("node")


@pytest.mark.parametrize(
    ("query", "durations"),
    [
        (PastRuns("send", None, 9, 9), (4, 1)),
        (PastRuns("send", "smtp", 9, 9), (2,)),
        (PastRuns("clean", None, 9, 9), (3,)),
        (PastRuns("send", None, 9, 3), (4,)),
        (PastRuns("send", None, 1, 9), (4,)),
    ],
)
async def test_the_newest_runs_of_a_handler_are_told(
    subject: Subject, query: PastRuns, durations: tuple[int, ...]
) -> None:
    assert await subject.storage.read(query) == RunsFound(durations)
