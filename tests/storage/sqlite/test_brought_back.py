"""A job that came back from the archive is in both, and the main file is believed."""

from __future__ import annotations

from pathlib import Path

from tests.storage.sqlite.moving import DECEMBER, Pruning, fill, opened, rows
from trio_gusto.model.states import Ready
from trio_gusto.storage.messages import Commit, Committed, Conflict


async def test_who_knows_an_old_version_of_a_job_that_came_back_meets_a_conflict(
    tmp_path: Path, prune: Pruning
) -> None:
    async with opened(tmp_path) as subject:
        job_id = (await fill(subject))[0].id
        assert (await prune(subject)).count == 6
        version = (await subject.get(job_id)).version
        again = Commit(job_id, version, Ready(DECEMBER), 0)
        assert isinstance(await subject.tell(again), Committed)
        assert await subject.tell(again) == Conflict()
        assert (await subject.get(job_id)).version == version + 1
        assert rows(tmp_path / "jobs.db") == [(2,)]
