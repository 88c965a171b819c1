"""The audit of lanes and of the archive's files, and what it says that it has looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.storage.sqlite.moving import DECEMBER, OCTOBER, apart, fill, opened
from trio_gusto.model.audit import Finding, Invariant
from trio_gusto.model.job import Details
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import Ready
from trio_gusto.storage.messages import Committed
from trio_gusto.storage.sqlite import SqliteStorage, auditing
from trio_gusto.storage.sqlite.auditing import Audit
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import put_back


def audit(folder: Path) -> tuple[auditing.Counts, Sequence[Finding]]:
    look = Audit(folder / "jobs.db")
    findings = list(look.findings())
    return look.counts, findings


@pytest.mark.parametrize("page", [1, 2, 3, 500])
async def test_all_that_was_looked_at_is_counted(
    tmp_path: Path, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as subject:
        await fill(subject)
        (job,) = (await subject.claim(DECEMBER, limit=1)).jobs
        again = put_back(job, Ready(DECEMBER), AttemptOutcome.FAILED, DECEMBER)
        await subject.expect(Committed, again)
        await subject.claim(DECEMBER, limit=1)
        assert (await apart(subject)).count == 6
        for _ in range(4):
            await subject.enqueue(created_at=DECEMBER)
    monkeypatch.setattr(auditing, "PAGE", page)
    counts, findings = audit(tmp_path)
    assert counts == auditing.Counts(
        jobs=5, archived=6, attempts=2, batches=0, schedules=0, findings=len(findings)
    )


async def take_two(folder: Path) -> None:
    """Two jobs of a lane that allows two at once are leased to two nodes."""
    async with opened(folder, archived=False) as subject:
        await subject.storage.attach("other")
        for node in ("node", "other"):
            await subject.enqueue(details=Details(concurrency_key="press", concurrency_limit=2))
            assert len((await subject.claim(node=node)).jobs) == 1
        await subject.storage.detach("other")


async def test_a_lane_may_lease_as_many_jobs_as_it_has_room_for(tmp_path: Path) -> None:
    await take_two(tmp_path)
    assert audit(tmp_path)[1] == []


async def test_without_its_room_a_lane_may_lease_one(tmp_path: Path) -> None:
    await take_two(tmp_path)
    async with opened(tmp_path, archived=False) as subject:
        execute_in(subject, "UPDATE job SET room = NULL")
    lanes = [one for one in audit(tmp_path)[1] if one.invariant is Invariant.LANES]
    assert [one.sentence for one in lanes] == [
        "lane 'key press' breaks lanes: 2 of its jobs are leased, to node, other; "
        "2 of them run alone, so all are leased to one node and none beside them"
    ]


def execute_in(subject: Subject, statement: str) -> None:
    storage = subject.storage
    assert isinstance(storage, SqliteStorage)
    assert storage._session is not None
    storage._session.writer.connection.execute(statement)


async def test_an_empty_file_or_a_broken_one_hides_no_other_month(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        await fill(subject)
        assert (await apart(subject)).count == 6
        await subject.enqueue(created_at=OCTOBER)
    (tmp_path / "jobs-2027-01.db").touch()
    assert audit(tmp_path)[0].archived == 6
    (tmp_path / "jobs-2026-11.db").write_bytes(b"no database" * 100)
    counts, findings = audit(tmp_path)
    assert counts.archived == 4
    assert [one for one in findings if one.invariant is Invariant.ARCHIVE] == [
        Finding(
            "the archive of 2026-11",
            None,
            Invariant.ARCHIVE,
            "file is not a database",
            "its jobs were not looked at; put the file right, or take it away",
        )
    ]
