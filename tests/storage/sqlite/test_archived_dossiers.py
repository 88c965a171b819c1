"""Dossiers move to the archive with their job, and months of an older version take them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.storage.sqlite.moving import DECEMBER, OCTOBER, Pruning, opened, rows
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import JobRequest
from trio_gusto.model.states import Failed, Ready
from trio_gusto.storage.messages import Commit, Committed
from trio_gusto.storage.report_messages import (
    DossiersFound,
    ReadDossiers,
    Report,
    Reported,
    Saying,
)
from trio_gusto.storage.sqlite import months
from trio_gusto.storage.sqlite.schema import read_script, run_script
from trio_gusto.testing.storage_contract import Subject

COUNT = "SELECT count(*) FROM dossier"


async def fail_with_dossier(subject: Subject, request: JobRequest) -> int:
    job = await subject.claim_one(OCTOBER)
    said = Saying(request.id, job.token, None, dossier="where it hangs")
    await subject.expect(Reported, Report([said], 3, 1000))
    failed = Commit(request.id, job.token, Failed(OCTOBER + 9, ""), 1)
    await subject.expect(Committed, failed)
    return job.token


async def test_a_dossier_moves_with_its_job_and_comes_back(tmp_path: Path, prune: Pruning) -> None:
    async with opened(tmp_path) as subject:
        request = await subject.enqueue(created_at=OCTOBER)
        await subject.enqueue(created_at=DECEMBER, execute_after=DECEMBER + 9)
        token = await fail_with_dossier(subject, request)
        filed = DossiersFound({token: "where it hangs"})
        for _ in range(2):  # in the archive, and moved there once more
            assert (await prune(subject)).count == 1
            assert rows(tmp_path / "jobs.db", COUNT) == [(0,)]
            assert await subject.storage.read(ReadDossiers(request.id)) == filed
            stored = await subject.get(request.id)
            again = Commit(request.id, stored.version, Ready(OCTOBER), 0)
            await subject.expect(Committed, again)
            assert rows(tmp_path / "jobs.db", COUNT) == [(1,)]
            assert await subject.storage.read(ReadDossiers(request.id)) == filed
            stored = await subject.get(request.id)
            ended = Commit(request.id, stored.version, Failed(OCTOBER + 9, ""), 1)
            await subject.expect(Committed, ended)
        assert await subject.storage.read(ReadDossiers(JobId(bytes(16)))) == DossiersFound({})


def make_version_one(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for name in ("schema_archive.sql", "views.sql"):
            run_script(connection, read_script(name))
        connection.execute(f"PRAGMA application_id = {months.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")


async def test_a_month_of_version_one_is_read_as_it_is_and_brought_forward_by_a_move(
    tmp_path: Path, prune: Pruning
) -> None:
    month = tmp_path / "jobs-2026-10.db"
    make_version_one(month)
    async with opened(tmp_path) as subject:
        request = await subject.enqueue(created_at=OCTOBER)
        await subject.enqueue(created_at=DECEMBER, execute_after=DECEMBER + 9)
        assert await subject.storage.read(ReadDossiers(JobId(bytes(16)))) == DossiersFound({})
        assert rows(month, "PRAGMA user_version") == [(1,)]
        token = await fail_with_dossier(subject, request)
        assert (await prune(subject)).count == 1
        filed = DossiersFound({token: "where it hangs"})
        assert await subject.storage.read(ReadDossiers(request.id)) == filed
    assert rows(month, "PRAGMA user_version") == [(months.VERSION,)]


async def test_a_job_comes_back_from_a_month_of_version_one(tmp_path: Path, prune: Pruning) -> None:
    month = tmp_path / "jobs-2026-10.db"
    async with opened(tmp_path) as subject:
        request = await subject.enqueue(created_at=OCTOBER)
        await subject.enqueue(created_at=DECEMBER, execute_after=DECEMBER + 9)
        await fail_with_dossier(subject, request)
        assert (await prune(subject)).count == 1
        with closing(sqlite3.connect(month, isolation_level=None)) as connection:
            connection.execute("DROP TABLE dossier")
            connection.execute("PRAGMA user_version = 1")
        stored = await subject.get(request.id)
        again = Commit(request.id, stored.version, Ready(OCTOBER), 0)
        await subject.expect(Committed, again)
        assert await subject.storage.read(ReadDossiers(request.id)) == DossiersFound({})
