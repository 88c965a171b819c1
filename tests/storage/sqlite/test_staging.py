"""What is put by for a batch: what is missing is told in numbers, and nothing else about its jobs is special."""

from __future__ import annotations

import pytest

from trio_gusto.model.batch import STAGE_LIFE
from trio_gusto.model.errors import BatchError
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.job import Details
from trio_gusto.storage.batch_messages import Discard, Discarded, InsertBatch, Stage
from trio_gusto.storage.messages import Inserted
from trio_gusto.storage.sqlite import walking
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.batching import members, new_batch, storing
from trio_gusto.testing.storage_contract.staging import (
    OTHER_STAGE,
    STAGE,
    left_behind,
    stage,
    staging,
)
from trio_gusto.testing.storage_contract.subject import NOW, ids

BATCH = new_batch()


async def check_refused(
    subject: Subject, write: Stage | InsertBatch, *, staged: int, found: int
) -> None:
    error = await subject.expect(BatchError, write)
    wanted = BatchError.unstaged(to_uuid(BATCH.id), staged, found)
    assert (str(error), error.batch_id) == (str(wanted), wanted.batch_id)


async def test_of_what_was_staged_it_is_told_how_much_there_is(subject: Subject) -> None:
    jobs = members(subject, BATCH, 3)
    await check_refused(subject, staging(subject, BATCH, 2, *jobs), staged=2, found=0)
    await check_refused(subject, storing(BATCH, stage=STAGE, staged=2), staged=2, found=0)
    await stage(subject, BATCH, 0, *jobs)
    await check_refused(subject, staging(subject, BATCH, 7, *jobs), staged=7, found=3)
    await check_refused(subject, storing(BATCH, stage=STAGE, staged=7), staged=7, found=3)


async def test_of_what_is_being_thrown_away_there_is_nothing(subject: Subject) -> None:
    jobs = members(subject, BATCH, 3)
    await stage(subject, BATCH, 0, *jobs)
    await subject.expect(Discarded, Discard(STAGE, 1))
    await check_refused(subject, staging(subject, BATCH, 2, *jobs), staged=2, found=0)
    await check_refused(subject, storing(BATCH, stage=STAGE, staged=2), staged=2, found=0)


async def test_staged_jobs_in_lanes_are_found_behind_a_full_lane(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "FIRST", 1)
    smtp = Details(worker="smtp")
    await subject.enqueue(details=smtp)
    await subject.claim_one()
    await subject.enqueue(details=smtp, priority=9)
    details = [Details(batch=BATCH.id, concurrency_key=key) for key in ("acme", "bell", "coca")]
    staged = [subject.request(details=each) for each in details]
    await stage(subject, BATCH, 0, *staged)
    await subject.expect(Inserted, storing(BATCH, stage=STAGE, staged=3))
    assert ids((await subject.claim()).jobs) == ids(staged)


async def test_where_nobody_knows_who_is_gone_what_is_old_is_left_behind(subject: Subject) -> None:
    for node, name in (("another", STAGE), ("node", OTHER_STAGE)):
        await stage(subject, BATCH, 0, *members(subject, BATCH, 1), node=node, stage=name)
    assert await left_behind(subject, NOW + STAGE_LIFE - 1) == []
    assert await left_behind(subject, NOW + STAGE_LIFE) == [STAGE]
