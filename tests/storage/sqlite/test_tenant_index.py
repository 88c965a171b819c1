"""The index of ready jobs by tenant is there only where it is needed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from trio_gusto.model.job import Details
from trio_gusto.storage.messages import ClaimDue
from trio_gusto.storage.pause_messages import LiftPauses, PutPause
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW


def has_index(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'job_ready_tenant'")
        return found.fetchone() is not None


async def test_it_comes_with_the_first_pause_of_a_tenant_and_goes_with_the_last(
    tmp_path: Path,
) -> None:
    path = tmp_path / "jobs.db"
    storage = SqliteStorage(path, inline=True, synchronous="NORMAL")
    await storage.attach("node")
    subject = Subject(storage, "node")
    await subject.enqueue(tenant="a", details=Details(worker="smtp"))
    await subject.claim()
    assert not has_index(path)
    await subject.enqueue(tenant="a")
    await subject.tell(PutPause("mail", None, "", NOW))
    await subject.claim()
    assert not has_index(path)
    await subject.tell(PutPause(None, "a", "", NOW))
    await subject.tell(PutPause("mail", "b", "", NOW))
    assert has_index(path)
    await subject.tell(LiftPauses(None, "a"))
    assert has_index(path)
    await subject.tell(LiftPauses("mail", "b"))
    assert not has_index(path)
    await storage.detach("node")


async def test_it_comes_with_the_first_turn_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    storage = SqliteStorage(path, inline=True, synchronous="NORMAL")
    await storage.attach("node")
    subject = Subject(storage, "node")
    await subject.enqueue(tenant="a")
    claim = ClaimDue("node", NOW, NOW + 1_000_000, 5, 5, tenant_weights={})
    await subject.tell(claim)
    assert has_index(path)
    await subject.tell(PutPause(None, "a", "", NOW))
    await subject.tell(LiftPauses())
    assert has_index(path)
    await storage.detach("node")
