"""Jobs that are asked for by their ids, and by what they are called elsewhere."""

from __future__ import annotations

from pathlib import Path

from tests.storage.sqlite.moving import opened
from trio_gusto.model.job import Details
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import Ready
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.messages import Committed
from trio_gusto.testing.storage_contract.subject import NOW, ids, put_back


async def test_what_an_id_and_what_a_ref_id_name_is_found_together(tmp_path: Path) -> None:
    async with opened(tmp_path, archived=False) as subject:
        plain = await subject.enqueue()
        named = await subject.enqueue(details=Details(ref_id="order-1"))
        found = await subject.storage.read(Get([plain.id], ref_id="order-1"))
        assert ids(found.jobs) == [plain.id, named.id]


async def test_what_a_ref_id_names_comes_with_all_of_its_attempts(tmp_path: Path) -> None:
    async with opened(tmp_path, archived=False) as subject:
        await subject.enqueue(details=Details(ref_id="order-1"))
        for _ in range(2):
            job = await subject.claim_one()
            again = put_back(job, Ready(NOW), AttemptOutcome.FAILED)
            await subject.expect(Committed, again)
        (found,) = (await subject.storage.read(Get(ref_id="order-1"))).jobs
        assert [attempt.number for attempt in found.history] == [1, 2]
