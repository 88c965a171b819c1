"""Old jobs are moved to a file for each month, and found there, whatever becomes of the files."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.storage.sqlite.moving import (
    DECEMBER,
    NOVEMBER,
    OCTOBER,
    Pruning,
    fill,
    found,
    ids,
    opened,
    rows,
)
from trio_gusto import DuplicateJob, OptionsError
from trio_gusto.model.ids import JobId, to_uuid
from trio_gusto.model.job import Details, Progress
from trio_gusto.model.joblog import LogLine
from trio_gusto.model.states import Failed, JobState, Ready
from trio_gusto.storage.finding_messages import Find, Get
from trio_gusto.storage.messages import Commit, Committed, Insert
from trio_gusto.storage.report_messages import LogFound, ReadLog, Report, Reported, Saying
from trio_gusto.storage.retention_messages import Pruned
from trio_gusto.storage.sqlite import SqliteStorage, archive
from trio_gusto.storage.sqlite.months import Months, bounds_of, month_of
from trio_gusto.testing.storage_contract import STORAGE_CHECKS, run_check
from trio_gusto.testing.storage_contract.runner import Check


@pytest.mark.parametrize("check", STORAGE_CHECKS, ids=lambda check: check.__name__)
async def test_a_storage_with_an_archive_promises_that(check: Check, tmp_path: Path) -> None:
    """But that the newest job of all stays, and what is pruned can still be found."""
    if check.__name__ in EXCEPT or check.__name__.endswith(PLAYS_THAT_PRUNE):
        pytest.skip("jobs that are pruned are found in the archive")
    files = (tmp_path / f"{number}.db" for number in range(9))
    await run_check(check, lambda: SqliteStorage(next(files), archive=True, inline=True))


PLAYS_THAT_PRUNE = ("_in_a_play_of_pruning", "_in_a_pruning_play_of_chance")

EXCEPT = {
    "reports_are_deleted_with_their_job",
    "dossiers_are_deleted_with_their_job",
    "only_jobs_that_ended_before_are_pruned",
    "pruning_goes_in_slices",
    "pruning_looks_at_some_and_goes_on_from_there",
    "pruning_selects_by_state_tenant_and_tag",
    "a_job_that_runs_again_is_not_pruned",
    "awaited_jobs_are_not_pruned",
    "jobs_of_an_awaited_batch_are_not_pruned",
    "jobs_of_a_batch_that_lives_are_not_pruned",
    "the_newest_job_of_a_schedule_is_not_pruned",
    "jobs_completed_together_have_ended",
    "a_success_of_a_job_that_is_gone_is_refused_alone",
    "successes_stand_in_a_group_in_order",
}


async def test_old_jobs_move_to_the_months_in_which_they_were_made(
    tmp_path: Path, prune: Pruning
) -> None:
    async with opened(tmp_path) as subject:
        requests = await fill(subject)
        before = list((await subject.storage.read(Get([one.id for one in requests]))).jobs)
        assert (await prune(subject)).count == 6
        after = list((await subject.storage.read(Get([one.id for one in requests]))).jobs)
        assert after == before
        (by_ref,) = (await subject.storage.read(Get(ref_id=f"{OCTOBER}-1"))).jobs
        assert by_ref.request == requests[1]
        failed = frozenset({JobState.FAILED})
        assert await found(subject, Find(99, states=failed, tags_all=frozenset("x"))) == ids(
            requests
        )
    assert sorted(file.name for file in tmp_path.glob("*.db")) == [
        "jobs-2026-10.db",
        "jobs-2026-11.db",
        "jobs-2026-12.db",
        "jobs.db",
    ]
    assert rows(tmp_path / "jobs.db") == [(1,)]
    assert rows(tmp_path / "jobs.db", "SELECT * FROM archive") == [
        ("2026-10", 1, 2),
        ("2026-11", 3, 4),
        ("2026-12", 5, 6),
    ]
    assert rows(tmp_path / "jobs-2026-11.db", "SELECT state, ref_id FROM jobs") == [
        ("failed", f"{NOVEMBER}-0"),
        ("failed", f"{NOVEMBER}-1"),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
async def test_pages_span_the_files(tmp_path: Path, prune: Pruning, limit: int) -> None:
    async with opened(tmp_path) as subject:
        requests = await fill(subject)
        await prune(subject, 4)
        pages: list[JobId] = []
        before = None
        while page := (await subject.storage.read(Find(limit, before))).jobs:
            pages += [job.request.id for job in page]
            before = page[-1].sequence
        assert pages[1:] == ids(requests)


async def test_months_that_cannot_match_are_not_opened(
    tmp_path: Path, prune: Pruning, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_months: list[str] = []

    class Watched(Months):
        def _connect(self, month: str, mode: str) -> sqlite3.Connection:
            opened_months.append(month)
            return super()._connect(month, mode)

    monkeypatch.setattr("trio_gusto.storage.sqlite.session.Months", Watched)
    async with opened(tmp_path) as subject:
        requests = await fill(subject)
        await prune(subject)
        newest = (await subject.storage.read(Get([requests[-1].id]))).jobs[0].sequence
        for find, wanted in (
            (Find(1), []),
            (Find(3), ["2026-12"]),
            (Find(2, newest - 1), ["2026-11"]),
            (Find(9, created_before=bounds_of("2026-11")[0]), ["2026-10"]),
            (Find(9, created_after=bounds_of("2026-12")[0]), ["2026-12"]),
            (Find(9, states=frozenset({JobState.READY})), []),
        ):
            opened_months.clear()
            await subject.storage.read(find)
            assert opened_months == wanted, find


async def test_the_newest_job_stays_so_that_no_sequence_is_given_twice(
    tmp_path: Path, prune: Pruning
) -> None:
    async with opened(tmp_path) as subject:
        requests = [subject.request(created_at=NOVEMBER + n) for n in range(3)]
        await subject.insert(*requests, states=[Failed(NOVEMBER, "")] * 3)
        later = subject.request(created_at=DECEMBER)
        assert await prune(subject) == Pruned(2)
        assert await prune(subject, 1) == Pruned(0)
    async with opened(tmp_path, archived=False) as subject:
        assert await prune(subject) == Pruned(0)
        await subject.insert(later)
    async with opened(tmp_path) as subject:
        assert await found(subject, Find(9)) == ids([*requests, later])


async def test_a_job_that_is_in_both_files_is_shown_once_as_the_main_file_has_it(
    tmp_path: Path, prune: Pruning, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as subject:
        requests = await fill(subject)
        copying = archive.Archive.copy
        monkeypatch.setattr(archive.Archive, "copy", lambda *given: copying(*given) and {})
        assert (await prune(subject)).count == 0  # copied, and then not deleted
        assert rows(tmp_path / "jobs-2026-11.db") == [(2,)]
        assert (await found(subject, Find(99)))[1:] == ids(requests)
        job = await subject.get(requests[2].id)
        await subject.expect(Committed, Commit(job.request.id, job.version, Failed(1, "new"), 0))
        failed = Find(99, states=frozenset({JobState.FAILED}))
        assert [job.state for job in (await subject.storage.read(failed)).jobs].count(
            Failed(1, "new")
        ) == 1
        monkeypatch.setattr(archive.Archive, "copy", copying)
        assert (await prune(subject)).count == 6
        assert await found(subject, failed) == ids(requests)
        assert (await subject.get(requests[2].id)).state == Failed(1, "new")


async def test_an_archived_job_that_runs_again_comes_back(tmp_path: Path, prune: Pruning) -> None:
    async with opened(tmp_path) as subject:
        requests = await fill(subject)
        await prune(subject)
        old = await subject.get(requests[0].id)
        again = Commit(old.request.id, old.version, Ready(DECEMBER), 0)
        await subject.expect(Committed, again)
        assert rows(tmp_path / "jobs.db") == [(2,)]
        back = await subject.get(requests[0].id)
        assert (back.request, back.sequence, back.version, back.state) == (
            old.request,
            old.sequence,
            old.version + 1,
            Ready(DECEMBER),
        )
        failed = Find(99, states=frozenset({JobState.FAILED}))
        assert requests[0].id not in await found(subject, failed)
        await subject.expect(
            Committed, Commit(back.request.id, back.version, Failed(7, "twice"), 1)
        )
        assert (await prune(subject)).count == 1
        assert (await subject.get(requests[0].id)).state == Failed(7, "twice")
        assert (await found(subject, Find(99)))[1:] == ids(requests)


async def test_an_archived_job_that_runs_again_holds_its_unique_key(
    tmp_path: Path, prune: Pruning
) -> None:
    async with opened(tmp_path) as subject:
        old = subject.request(created_at=OCTOBER, details=Details(unique_key="key"))
        await subject.insert(old, states=[Failed(OCTOBER + 9, "")])
        await fill(subject)
        await prune(subject)
        version = (await subject.get(old.id)).version
        holder = subject.request(created_at=DECEMBER, details=Details(unique_key="key"))
        await subject.insert(holder, states=[Ready(DECEMBER)])
        again = Commit(old.id, version, Ready(DECEMBER), 0)
        refusal = await subject.expect(DuplicateJob, again)
        assert refusal.existing_id == to_uuid(holder.id)
        held = await subject.get(holder.id)
        await subject.expect(Committed, Commit(holder.id, held.version, Failed(DECEMBER, ""), 0))
        await subject.expect(Committed, again)
        third = subject.request(created_at=DECEMBER, details=Details(unique_key="key"))
        await subject.expect(DuplicateJob, Insert([third], [Ready(DECEMBER)]))


@pytest.mark.parametrize(
    ("details", "at_once"),
    [
        (Details(worker="smtp"), 1),
        (Details(concurrency_key="acme", concurrency_limit=2), 2),
        (Details(tags=("red",)), 3),
    ],
)
async def test_an_archived_job_that_runs_again_is_in_its_lane(
    details: Details, at_once: int, tmp_path: Path, prune: Pruning
) -> None:
    async with opened(tmp_path) as subject:
        old = [subject.request(created_at=OCTOBER, details=details) for _ in range(3)]
        await subject.insert(*old, states=[Failed(OCTOBER + 9, "")] * 3)
        await fill(subject)
        await prune(subject)
        for request in old:
            version = (await subject.get(request.id)).version
            await subject.expect(Committed, Commit(request.id, version, Ready(OCTOBER), 0))
        claimed = (await subject.claim(DECEMBER, limit=3)).jobs
        assert [job.request.id in ids(old) for job in claimed][:at_once] == [True] * at_once
        assert len([job for job in claimed if job.request.id in ids(old)]) == at_once


async def test_another_life_of_the_main_file_overwrites_nothing(
    tmp_path: Path, prune: Pruning, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as subject:
        await fill(subject)
        await prune(subject)
    (tmp_path / "jobs.db").unlink()
    async with opened(tmp_path) as subject:
        for _ in range(20):
            subject.request()  # or the ids would be those of the first life
        await fill(subject)
        assert (await prune(subject)).count == 0
        assert rows(tmp_path / "jobs-2026-11.db") == [(2,)]
        assert rows(tmp_path / "jobs.db") == [(7,)]
    assert "stay where they are" in caplog.text


def test_a_database_in_memory_has_no_archive() -> None:
    with pytest.raises(OptionsError, match="archive"):
        SqliteStorage(":memory:", archive=True)


@pytest.mark.parametrize("month", ["1970-01", "2026-02", "2026-12", "9999-11", "9999-12"])
def test_a_month_is_from_its_first_instant_to_before_the_next(month: str) -> None:
    first, after = bounds_of(month)
    assert month_of(first) == month_of(after - 1) == month
    assert month_of(first - 1) < month


async def test_what_a_job_said_moves_with_it_and_comes_back(tmp_path: Path, prune: Pruning) -> None:
    async with opened(tmp_path) as subject:
        request = await subject.enqueue(created_at=OCTOBER)
        await subject.enqueue(created_at=DECEMBER, execute_after=DECEMBER + 9)
        job = await subject.claim_one(OCTOBER)
        lines = [LogLine(OCTOBER, "info", f"line {number}") for number in range(4)]
        progress = Progress(70.0, "nearly")
        said = Saying(request.id, job.token, progress, lines)
        await subject.expect(Reported, Report([said], 3, 1000))
        failed = Commit(request.id, job.token, Failed(OCTOBER + 9, ""), 1)
        await subject.expect(Committed, failed)
        assert (await prune(subject)).count == 1
        assert rows(tmp_path / "jobs.db", "SELECT count(*) FROM job_log") == [(0,)]
        assert rows(tmp_path / "jobs.db", "SELECT count(*) FROM progress") == [(0,)]
        log = LogFound(tuple(lines[1:]), 1)
        for _ in range(2):  # in the archive, and moved there once more
            stored = await subject.get(request.id)
            assert stored.progress == progress
            assert await subject.storage.read(ReadLog(request.id)) == log
            again = Commit(request.id, stored.version, Ready(OCTOBER), 0)
            await subject.expect(Committed, again)
            assert rows(tmp_path / "jobs.db", "SELECT count(*) FROM job_log") == [(3,)]
            stored = await subject.get(request.id)
            assert stored.progress == progress
            assert await subject.storage.read(ReadLog(request.id)) == log
            ended = Commit(request.id, stored.version, Failed(OCTOBER + 9, ""), 1)
            await subject.expect(Committed, ended)
            assert (await prune(subject)).count == 1
        assert await subject.storage.read(ReadLog(JobId(bytes(16)))) == LogFound((), 0)
