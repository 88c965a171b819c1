"""Jobs that are asked for by their ids, by what they are called elsewhere, and by their batch."""

from __future__ import annotations

from pathlib import Path

from tests.storage.sqlite.moving import found, in_a_group, opened
from trio_gusto.model.job import Details
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import Failed, JobState, Ready
from trio_gusto.storage.finding_messages import Find, Get
from trio_gusto.storage.messages import Commit, Committed, Inserted
from trio_gusto.testing.storage_contract.batching import members, new_batch, storing
from trio_gusto.testing.storage_contract.subject import NOW, ids, put_back


async def test_what_an_id_and_what_a_ref_id_name_is_found_together(tmp_path: Path) -> None:
    async with opened(tmp_path, archived=False) as subject:
        plain = await subject.enqueue()
        named = await subject.enqueue(details=Details(ref_id="order-1"))
        both = await subject.storage.read(Get([plain.id], ref_id="order-1"))
        assert ids(both.jobs) == [plain.id, named.id]


async def test_what_a_ref_id_names_comes_with_all_of_its_attempts(tmp_path: Path) -> None:
    async with opened(tmp_path, archived=False) as subject:
        await subject.enqueue(details=Details(ref_id="order-1"))
        for _ in range(2):
            job = await subject.claim_one()
            again = put_back(job, Ready(NOW), AttemptOutcome.FAILED)
            await subject.expect(Committed, again)
        (stored,) = (await subject.storage.read(Get(ref_id="order-1"))).jobs
        assert [attempt.number for attempt in stored.history] == [1, 2]


async def test_a_batch_is_found_in_the_archive_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        batch = new_batch()
        jobs = members(subject, batch, 2)
        await subject.expect(Inserted, storing(batch, *jobs))
        for job in (await subject.claim()).jobs:
            failed = Commit(job.request.id, job.token, Failed(NOW + 9, ""), 1)
            await subject.expect(Committed, failed)
        await subject.enqueue()
        assert (await in_a_group(subject)).count == 2
        for states in ([], [JobState.FAILED, JobState.READY]):
            find = Find(9, batch=batch.id, states=frozenset(states))
            assert await found(subject, find) == [jobs[1].id, jobs[0].id]
