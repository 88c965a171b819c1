"""What is refused says of what it is, and why; what is not wrong with a message is not told of it."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from trio_gusto.model.batch import BatchRequest
from trio_gusto.model.errors import ArgumentError, BatchError
from trio_gusto.model.ids import to_uuid, uuid7
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.states import Cancelled, Completed
from trio_gusto.model.uniqueness import OnConflict
from trio_gusto.storage.batch_messages import InsertBatch
from trio_gusto.storage.messages import Commit, Committed, Insert, Inserted
from trio_gusto.storage.pause_messages import PutPause
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.callbacks import awaiting
from trio_gusto.testing.storage_contract.inserting import insertion
from trio_gusto.testing.storage_contract.subject import NOW, success

NOT_UTF_8 = "\ud800"
WHY = "'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed"
INSTEAD = "use text that UTF-8 can encode, and integers of 64 bits"
NO_JOBS = f"SQLite cannot keep these jobs ({WHY}), and none of them was stored; {INSTEAD}"
NO_COMMIT = f"SQLite cannot keep this Commit ({WHY}), and nothing of it was stored; {INSTEAD}"


def keyed(subject: Subject, **changes: object) -> JobRequest:
    """A job that is not stored where one with its key lives."""
    details = Details(unique_key="order-1", on_conflict=OnConflict.RETURN_EXISTING)
    return subject.request(details=details, **changes)


# --- batches --------------------------------------------------------------------------------------

BATCH = BatchRequest(uuid7(NOW * 1000, 5000), NOW)


async def test_a_batch_that_is_refused_is_named(subject: Subject) -> None:
    request = subject.request(details=Details(batch=BATCH.id))
    opening = InsertBatch(BATCH, insertion(request))
    await subject.expect(Inserted, opening)
    exists = await subject.expect(BatchError, opening)
    assert str(exists) == str(BatchError.exists(to_uuid(BATCH.id)))
    await subject.complete(await subject.claim_one())
    more = insertion(subject.request(details=Details(batch=BATCH.id)))
    finished = await subject.expect(BatchError, InsertBatch(BATCH, more, is_new=False))
    assert str(finished) == str(BatchError.finished(to_uuid(BATCH.id)))


# --- what cannot be kept --------------------------------------------------------------------------


def plain(subject: Subject) -> Insert:
    return insertion(subject.request(args=NOT_UTF_8))


def with_a_key(subject: Subject) -> Insert:
    return insertion(subject.request(details=Details(unique_key="order-2"), args=NOT_UTF_8))


def beside_one_that_is_not_stored(subject: Subject) -> Insert:
    return insertion(keyed(subject), subject.request(args=NOT_UTF_8))


def beside_other_ref_ids(subject: Subject) -> Insert:
    refs = [subject.request(details=Details(ref_id=f"order-{n}")) for n in range(2)]
    return insertion(*refs, subject.request(args=NOT_UTF_8))


INSERTS = [plain, with_a_key, beside_one_that_is_not_stored, beside_other_ref_ids]


@pytest.mark.parametrize("insert", INSERTS)
async def test_jobs_that_cannot_be_kept_are_refused_and_told_why(
    subject: Subject, insert: Callable[[Subject], Insert]
) -> None:
    await subject.insert(keyed(subject))
    refused = await subject.expect(ArgumentError, insert(subject))
    assert str(refused) == NO_JOBS


@pytest.mark.parametrize("insert", INSERTS)
async def test_children_that_cannot_be_kept_are_refused_and_told_why(
    subject: Subject, insert: Callable[[Subject], Insert]
) -> None:
    await subject.insert(keyed(subject, execute_after=NOW + 9))
    await subject.enqueue()
    ending = attrs.evolve(success(await subject.claim_one()), children=insert(subject))
    refused = await subject.expect(ArgumentError, ending)
    assert str(refused) == NO_JOBS


async def test_a_result_that_cannot_be_kept_is_refused_and_told_why(subject: Subject) -> None:
    await subject.enqueue()
    ending = success(await subject.claim_one())
    assert isinstance(ending.state, Completed)
    ending.state = attrs.evolve(ending.state, result=NOT_UTF_8)
    refused = await subject.expect(ArgumentError, ending)
    assert str(refused) == NO_COMMIT


async def test_a_pause_that_cannot_be_kept_is_refused_and_told_why(subject: Subject) -> None:
    refused = await subject.expect(ArgumentError, PutPause(NOT_UTF_8, None, "", NOW))
    assert str(refused) == NO_COMMIT.replace("Commit", "PutPause")


# --- groups ---------------------------------------------------------------------------------------


async def test_a_callback_that_ends_in_the_group_that_brings_it_is_awaited(
    subject: Subject,
) -> None:
    await subject.enqueue()
    job, callback = await subject.claim_one(), subject.request()
    called_off = Commit(callback.id, 0, Cancelled(NOW + 2, "not wanted"), 0)
    stored, ended = await subject.apply([awaiting(job, callback), called_off])
    assert stored == Committed(inserted=Inserted())
    assert ended == Committed((callback.id,))
