"""What the main file and the months of the archive answer together, where a ref_id or an id tells two tales."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.storage.sqlite.moving import (
    DECEMBER,
    NOVEMBER,
    OCTOBER,
    apart,
    fill,
    found,
    ids,
    opened,
    rows,
)
from trio_gusto.model.batch import BatchRequest
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.joblog import LogLine
from trio_gusto.model.states import Failed, JobState, Processing, Ready, State
from trio_gusto.storage.batch_messages import InsertBatch
from trio_gusto.storage.finding_messages import Find, Get
from trio_gusto.storage.lease_messages import Stranded
from trio_gusto.storage.messages import Commit, Committed, Insert, Inserted
from trio_gusto.storage.report_messages import (
    DossiersFound,
    LogFound,
    ReadDossiers,
    ReadLog,
    Report,
    Reported,
    Saying,
)
from trio_gusto.testing.storage_contract import Subject


async def archived(subject: Subject, created_at: int, count: int = 1) -> list[JobRequest]:
    """Jobs that had one ref_id after another, each when the one before had been moved."""
    made: list[JobRequest] = []
    for number in range(count):
        job = subject.request(created_at=created_at + number, details=Details(ref_id="order"))
        await subject.insert(job, states=[Failed(created_at + 9, "")])
        await subject.insert(subject.request(created_at=DECEMBER), states=[Ready(DECEMBER)])
        assert (await apart(subject)).count == 1
        made.append(job)
    return made


async def by_ref(subject: Subject) -> list[JobRequest]:
    having = await subject.storage.read(Get(ref_id="order"))
    return [job.request for job in having.jobs]


async def test_of_jobs_that_had_a_ref_id_one_after_another_the_newest_has_it(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as subject:
        _, second = await archived(subject, OCTOBER, 2)
        assert rows(tmp_path / "jobs-2026-10.db") == [(2,)]
        assert await by_ref(subject) == [second]
        (third,) = await archived(subject, NOVEMBER)
        assert await by_ref(subject) == [third]
        fourth = await subject.enqueue(created_at=DECEMBER, details=Details(ref_id="order"))
        assert await by_ref(subject) == [fourth]


async def test_who_asks_for_ids_and_a_ref_id_gets_both(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        asked = await fill(subject)
        for prune in (False, True):
            if prune:
                assert (await apart(subject)).count == 6
            both = await subject.storage.read(Get([asked[3].id, asked[0].id], f"{OCTOBER}-1"))
            assert [job.request for job in both.jobs] == [asked[3], asked[0], asked[1]]


async def fail_with_words(subject: Subject, job_id: JobId) -> int:
    job = await subject.claim_one(OCTOBER)
    assert job.request.id == job_id
    said = Saying(job_id, job.token, None, [LogLine(OCTOBER, "info", "begun")], dossier="it hangs")
    await subject.expect(Reported, Report([said], 3, 1000))
    await subject.expect(Committed, Commit(job_id, job.token, Failed(OCTOBER + 9, ""), 1))
    return job.token


@pytest.mark.parametrize("made_at", [OCTOBER, NOVEMBER, None], ids=["same", "other", "not told"])
async def test_what_a_job_said_is_found_in_whichever_month_it_is(
    tmp_path: Path, made_at: int | None
) -> None:
    """An id that the caller has made may tell of another month than that in which the job was."""
    job_id = JobId(bytes(16)) if made_at is None else uuid7(made_at * 1000, 7)
    async with opened(tmp_path) as subject:
        await subject.enqueue(id=job_id, created_at=OCTOBER)
        token = await fail_with_words(subject, job_id)
        await fill(subject)
        assert (await apart(subject)).count == 7
        assert rows(tmp_path / "jobs-2026-10.db") == [(3,)]
        log = await subject.storage.read(ReadLog(job_id))
        assert log == LogFound((LogLine(OCTOBER, "info", "begun"),), 0)
        dossiers = await subject.storage.read(ReadDossiers(job_id))
        assert dossiers == DossiersFound({token: "it hangs"})


async def test_a_month_without_the_table_of_dossiers_is_nothing_to_warn_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as subject:
        (job,) = await archived(subject, OCTOBER)
        month = tmp_path / "jobs-2026-10.db"
        with closing(sqlite3.connect(month, isolation_level=None)) as connection:
            connection.execute("DROP TABLE dossier")
            connection.execute("PRAGMA user_version = 1")
        with caplog.at_level(logging.WARNING):
            assert await subject.storage.read(ReadDossiers(job.id)) == DossiersFound({})
        assert caplog.messages == []


async def test_a_page_has_no_more_jobs_than_were_asked_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        asked = await fill(subject)
        assert (await apart(subject)).count == 6
        for limit in range(1, 8):
            assert (await found(subject, Find(limit)))[1:] == ids(asked)[: limit - 1]


async def test_what_is_in_the_main_file_alone_is_found_beside_an_archive(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        await fill(subject)
        assert (await apart(subject)).count == 6
        ready = await found(subject, Find(9, states=frozenset({JobState.READY})))
        assert ready == (await found(subject, Find(1)))


async def test_jobs_come_in_the_order_of_insertion_whatever_months_they_were_made_in(
    tmp_path: Path,
) -> None:
    """As where a clock was put back; and an old job may be live while newer ones have been moved."""
    async with opened(tmp_path) as subject:
        made: list[tuple[int, State]] = [
            (NOVEMBER, Failed(NOVEMBER, "")),
            (NOVEMBER, Failed(NOVEMBER, "")),
            (OCTOBER, Ready(DECEMBER)),
            (OCTOBER, Failed(OCTOBER, "")),
            (DECEMBER, Ready(DECEMBER)),
        ]
        inserted = [subject.request(created_at=created_at) for created_at, _ in made]
        await subject.insert(*inserted, states=[state for _, state in made])
        assert (await apart(subject)).count == 3
        for limit in range(1, 6):
            assert await found(subject, Find(limit)) == ids(inserted)[:limit]


async def test_behind_jobs_that_have_come_back_the_next_ones_are_found(tmp_path: Path) -> None:
    """What is in the month still is hidden by the main file, and does not count."""
    async with opened(tmp_path) as subject:
        old = [subject.request(created_at=OCTOBER) for _ in range(6)]
        await subject.insert(*old, states=[Failed(OCTOBER, "")] * 6)
        await subject.insert(subject.request(created_at=DECEMBER), states=[Ready(DECEMBER)])
        assert (await apart(subject)).count == 6
        for job in (old[5], old[4], old[1]):
            version = (await subject.get(job.id)).version
            await subject.expect(Committed, Commit(job.id, version, Ready(DECEMBER), 0))
        failed = frozenset({JobState.FAILED})
        for limit in (3, 4):
            assert await found(subject, Find(limit, states=failed)) == ids([old[0], old[2], old[3]])


async def test_jobs_of_a_batch_are_found_in_the_archive_too(tmp_path: Path) -> None:
    batch_id = JobId(bytes(15) + b"\x01")
    async with opened(tmp_path) as subject:
        details = Details(batch=batch_id)
        jobs = [subject.request(created_at=OCTOBER, details=details) for _ in range(2)]
        batch = InsertBatch(
            BatchRequest(batch_id, OCTOBER), Insert(jobs, [Failed(OCTOBER, "")] * 2)
        )
        await subject.expect(Inserted, batch)
        await fill(subject)
        assert (await apart(subject)).count == 8
        assert await found(subject, Find(9, batch=batch_id)) == ids(jobs)


async def test_ended_jobs_and_ready_ones_are_found_together(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as subject:
        asked = await fill(subject)
        (newest,) = await found(subject, Find(1))
        assert (await apart(subject)).count == 6
        states = frozenset({JobState.READY, JobState.FAILED})
        assert await found(subject, Find(9, states=states)) == [newest, *ids(asked)]
        assert caplog.messages == []


async def test_jobs_of_a_process_that_is_gone_are_found_beside_an_archive(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        lost = subject.request(created_at=DECEMBER)
        state = Processing("gone", DECEMBER, DECEMBER + 60_000_000)
        await subject.insert(lost, states=[state])
        stranded = await subject.storage.read(Stranded(subject.node, DECEMBER, 9))
        assert [job.request for job in stranded.lost] == [lost]
