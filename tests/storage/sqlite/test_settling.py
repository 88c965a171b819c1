"""What the end of an attempt leaves behind."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.storage.sqlite.moving import rows
from trio_gusto.model.states import Processing, Ready, Scheduled, State
from trio_gusto.storage.lease_messages import CancelRequests, Renew, Renewed
from trio_gusto.storage.messages import Commit, Committed, Conflict
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import LEASE, NOW


@pytest.mark.parametrize(
    ("state", "marks"),
    [
        (Processing("node", NOW, NOW + LEASE), [(1,)]),
        (Scheduled(NOW + LEASE), []),
        (Ready(NOW + 1), []),
    ],
    ids=["processing", "scheduled", "ready"],
)
async def test_of_what_is_no_end_a_lease_alone_marks_the_piece(
    tmp_path: Path, state: State, marks: list[tuple[object, ...]]
) -> None:
    path = tmp_path / "jobs.db"
    storage = SqliteStorage(path, inline=True, synchronous="NORMAL")
    await storage.attach("node")
    subject = Subject(storage, "node")
    request = await subject.enqueue()
    await subject.expect(Committed, Commit(request.id, 0, state, 0))
    assert rows(path, "SELECT changes FROM piece_mark") == marks
    await storage.detach("node")


async def test_a_reason_that_is_no_utf8_calls_a_job_off_all_the_same(
    subject: Subject, connection: sqlite3.Connection
) -> None:
    await subject.enqueue()
    job = await subject.claim_one()
    connection.execute("UPDATE job SET reason = CAST(x'65ff' AS TEXT)")
    cancels = [(job.request.id, "e\ufffd")]
    asked = await subject.storage.read(CancelRequests("node"))
    assert list(asked.cancels) == cancels
    renew = Renew("node", NOW, NOW + LEASE + 1, [(job.request.id, job.token)])
    assert await subject.expect(Renewed, renew) == Renewed([], cancels)
    again = Commit(job.request.id, job.token, Ready(NOW), job.attempt)
    assert await subject.expect(Conflict, again) == Conflict("e\ufffd")
