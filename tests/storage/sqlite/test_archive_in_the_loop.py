"""Without threads, too, old jobs move to the archive, are found there, and all is closed at the end."""

from __future__ import annotations

from pathlib import Path

from trio.testing import assert_checkpoints

from tests.storage.sqlite.moving import DECEMBER, Pruning, fill, found, ids, rows
from trio_gusto.storage.finding_messages import Find, Get
from trio_gusto.storage.lease_messages import Stranded
from trio_gusto.storage.retention_messages import Prune
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite.connection import Location
from trio_gusto.storage.sqlite.session import Session
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import ids as ids_of


async def test_what_has_moved_is_found_and_what_is_lost_is_noticed(
    tmp_path: Path, prune: Pruning
) -> None:
    storage = SqliteStorage(tmp_path / "jobs.db", inline=True, archive=True)
    await storage.attach("node")
    subject = Subject(storage, "node")
    requests = await fill(subject)
    assert (await prune(subject)).count == 6
    assert rows(tmp_path / "jobs-2026-11.db") == [(2,)]
    assert rows(tmp_path / "jobs.db") == [(1,)]
    assert (await found(subject, Find(99)))[1:] == ids(requests)
    assert ids_of((await storage.read(Get([requests[2].id]))).jobs) == [requests[2].id]
    lease = await subject.claim_one(DECEMBER, node="somebody who has gone")
    stranded = await storage.read(Stranded("node", DECEMBER, 9))
    assert ids_of(stranded.lost) == [lease.request.id]
    await storage.detach("node")


async def test_a_question_lets_others_have_their_turn(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "jobs.db", inline=True)
    await storage.attach("node")
    with assert_checkpoints():
        await storage.read(Find(1))
    await storage.detach("node")


async def test_it_can_be_closed_twice(tmp_path: Path) -> None:
    location = Location(str(tmp_path / "jobs.db"), "NORMAL", 1.0, archive=True)
    session = Session(location, inline=True, interval=3600)
    await session.open()
    await session.move_old(Prune(DECEMBER, 9), session.writing.run)
    await session.ask(Find(1))
    for _ in range(2):
        await session.close()
        assert session._copier is None
        assert session._reader is None
