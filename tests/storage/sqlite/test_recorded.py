"""Rows are recorded for an audit as they are, with what the rules ask about their surroundings."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.storage.sqlite.moving import in_a_group, opened
from trio_gusto.model.audit import RecordedAttempt, RecordedJob, RecordedParent
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import Details
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import Completed, Condition, Failed, JobState, Ready, Waiting
from trio_gusto.storage.messages import Commit, Committed, Inserted
from trio_gusto.storage.sqlite.recorded import PageReader
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.batching import members, new_batch, storing
from trio_gusto.testing.storage_contract.callbacks import calling_back
from trio_gusto.testing.storage_contract.subject import LEASE, NOW, put_back, success

MONTH = "2023-11"
GONE = JobId(bytes(16))


def recorded(path: Path, after: int = 0, limit: int = 100) -> tuple[list[RecordedJob], int | None]:
    with closing(sqlite3.connect(path / "jobs.db")) as connection:
        return PageReader(connection).page(after, limit)


def recorded_in_month(path: Path) -> tuple[list[RecordedJob], int | None]:
    with (
        closing(sqlite3.connect(path / "jobs.db")) as main,
        closing(sqlite3.connect(path / f"jobs-{MONTH}.db")) as archive,
    ):
        return PageReader(archive, MONTH, (1, 1), main).page(0, 100)


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path / "jobs.db", isolation_level=None)) as connection:
        assert connection.execute(statement).rowcount == 1


async def test_a_job_is_recorded_as_its_row_says(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        scheduled = await subject.enqueue(
            execute_after=NOW + 9, details=Details(worker="smtp", unique_key="one")
        )
        running, completed = await subject.enqueue(), await subject.enqueue()
        first, other = (await subject.claim()).jobs
        await subject.expect(
            Committed, put_back(first, Ready(NOW + 2), AttemptOutcome.FAILED, NOW + 1)
        )
        await subject.expect(Committed, success(other, NOW + 3))
        again = await subject.claim_one(NOW + 4)
        jobs, last = recorded(tmp_path)
    assert last == 3
    assert jobs == [
        RecordedJob(
            id=scheduled.id,
            request=scheduled,
            state=JobState.SCHEDULED,
            sequence=1,
            attempt=0,
            version=0,
            due=NOW + 9,
            unique_key="one",
            lane="worker smtp",
            room=1,
        ),
        RecordedJob(
            id=running.id,
            request=running,
            state=JobState.PROCESSING,
            sequence=2,
            attempt=2,
            version=again.token,
            due=NOW + 2,
            node="node",
            claimed_at=NOW + 4,
            lease_until=NOW + 4 + LEASE,
            attempts=[
                RecordedAttempt(
                    number=1,
                    token=first.token,
                    node="node",
                    claimed_at=NOW,
                    started_at=NOW,
                    ended_at=NOW + 1,
                    outcome=AttemptOutcome.FAILED,
                )
            ],
        ),
        RecordedJob(
            id=completed.id,
            request=completed,
            state=JobState.COMPLETED,
            sequence=3,
            attempt=1,
            version=other.token + 1,
            due=NOW,
            node="node",
            claimed_at=NOW,
            started_at=NOW,
            ended_at=NOW + 3,
            result='"done"',
        ),
    ]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ("error = '{'", "its attempt 5 (token 1) has an error that cannot be read (JSONDecodeError("),
        ("token = -7", "its attempt 5 (token -7) cannot be read (token is -7, which is no number from 0 on)"),
    ],
)  # fmt: skip
async def test_an_attempt_that_cannot_be_read_is_named(
    tmp_path: Path, changed: str, fault: str
) -> None:
    async with opened(tmp_path) as subject:
        await subject.enqueue()
        again = put_back(await subject.claim_one(), Ready(NOW), AttemptOutcome.FAILED, NOW + 1)
        await subject.expect(Committed, again)
    change(tmp_path, f"UPDATE attempt SET {changed}, number = 5")
    ((job,), _) = recorded(tmp_path)
    assert job.fault is not None
    assert job.fault.startswith(fault)


async def test_a_page_begins_behind_the_last_job_of_the_one_before(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        for _ in range(3):
            await subject.enqueue()
        found: list[list[int]] = []
        last: int | None = 0
        while last is not None:
            page, last = recorded(tmp_path, last, 2)
            found.append([job.sequence for job in page])
    assert found == [[1, 2], [3], []]


async def test_a_state_that_nobody_knows_is_a_fault_and_says_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        await subject.enqueue()
    change(tmp_path, "UPDATE job SET state = 9")
    (job,) = recorded(tmp_path)[0]
    assert (job.state, job.fault) == (JobState.WAITING, "its state is 9, which is no state")
    assert (job.waits_for, job.parents) == ((), ())


async def one_that_is_waited_for(subject: Subject) -> JobId:
    """A job, and behind it another that waits for its end; the id of the first."""
    parent = await subject.enqueue(execute_after=NOW + 9)
    child = subject.request(details=Details(parents=(parent.id,)))
    await subject.insert(child, states=[Waiting((parent.id,), Condition.FINISH)])
    return parent.id


async def test_what_a_job_waits_for_is_recorded(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        parent = await one_that_is_waited_for(subject)
        _, callback = await calling_back(subject)
        _, waiting, called_back, _ = recorded(tmp_path)[0]
        assert (waiting.callback, waiting.waits_for) == (None, (parent,))
        assert list(waiting.links) == list(waiting.there) == [parent]
        assert waiting.parents == ()
        assert (called_back.callback, called_back.waits_for) == (callback.id, (callback.id,))
        assert list(called_back.links) == list(called_back.there) == [callback.id]
    change(tmp_path, f"UPDATE job SET result = '[' WHERE seq = {waiting.sequence}")
    (broken,) = recorded(tmp_path, waiting.sequence - 1, 1)[0]
    assert broken.fault is not None
    assert broken.fault.startswith("what it waits for cannot be read (JSONDecodeError(")
    assert broken.waits_for == ()


async def test_an_id_that_a_job_waits_for_has_16_bytes(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        await one_that_is_waited_for(subject)
    change(tmp_path, """UPDATE job SET result = '["00"]' WHERE seq = 2""")
    (waiting,) = recorded(tmp_path, 1)[0]
    assert waiting.fault == "what it waits for cannot be read (an id has 16 bytes)"


async def test_what_a_job_returned_that_waits_for_its_callback_is_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        claimed, _ = await calling_back(subject)
    (before,) = [job for job in recorded(tmp_path)[0] if job.id == claimed.request.id]
    assert before.fault is None
    change(tmp_path, f"UPDATE job SET result = '[' WHERE seq = {before.sequence}")
    (broken,) = recorded(tmp_path, before.sequence - 1, 1)[0]
    assert broken.fault is not None
    assert broken.fault.startswith("its result cannot be read (JSONDecodeError(")


async def test_parents_are_recorded_with_their_ends_and_attempts(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        succeeded, _ = await calling_back(subject)
        failed = subject.request()
        await subject.insert(failed, states=[Failed(NOW + 2, "")])
        parents = (succeeded.request.id, GONE, failed.id)
        child = subject.request(details=Details(parents=parents))
        await subject.insert(child, states=[Ready(NOW)])
        *_, job = recorded(tmp_path)[0]
    assert job.parents == [
        RecordedParent(
            id=succeeded.request.id,
            state=JobState.WAITING,
            version=succeeded.token + 1,
            attempts=1,
            has_success=True,
        ),
        RecordedParent(id=GONE),
        RecordedParent(id=failed.id, state=JobState.FAILED, ended_at=NOW + 2),
    ]


async def follow_a_batch(subject: Subject) -> tuple[JobId, JobId]:
    """A batch of two jobs that run, and a job behind it that is ready; the ids of the batch and of the second."""
    batch = new_batch()
    jobs = members(subject, batch, 2)
    await subject.expect(Inserted, storing(batch, *jobs))
    early, late = (await subject.claim()).jobs
    await subject.expect(Committed, success(early, NOW + 1))
    follower = subject.request(details=Details(parents=(batch.id,)))
    await subject.insert(follower, states=[Ready(NOW + 3)])
    claimed = await subject.claim_one(NOW + 5)
    again = put_back(claimed, Ready(NOW + 6), AttemptOutcome.FAILED, NOW + 6)
    await subject.expect(Committed, again)
    await subject.expect(Committed, success(late, NOW + 10))
    return batch.id, late.request.id


async def test_of_a_batch_those_are_recorded_that_ended_after_the_first_claim_behind_it(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as subject:
        batch, late = await follow_a_batch(subject)
        await subject.claim_one(NOW + 20)
        *_, job = recorded(tmp_path)[0]
    assert job.parents == [
        RecordedParent(id=batch),
        RecordedParent(
            id=late, state=JobState.COMPLETED, version=2, ended_at=NOW + 10, of_batch=True
        ),
    ]


async def test_behind_a_batch_no_job_is_too_late_for_one_that_was_never_claimed(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as subject:
        batch = new_batch()
        await subject.expect(Inserted, storing(batch, *members(subject, batch, 1)))
        follower = subject.request(details=Details(parents=(batch.id,)))
        await subject.insert(follower, states=[Ready(NOW)])
        *_, job = recorded(tmp_path)[0]
    assert job.parents == [RecordedParent(id=batch.id)]


async def test_of_the_archive_no_batch_is_looked_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        batch = new_batch()
        await subject.expect(Inserted, storing(batch, *members(subject, batch, 1)))
        follower = subject.request(details=Details(parents=(batch.id,)))
        ended = Completed(NOW + 9, NOW + 5, NOW + 5, "node")
        await subject.insert(follower, states=[ended])
        await subject.enqueue()
        assert (await in_a_group(subject)).count == 1
        (job,), last = recorded_in_month(tmp_path)
    assert (job.sequence, last) == (2, 2)
    assert (job.is_in_batch, job.is_of_month, job.is_looked_for) == (False, True, False)
    assert job.parents == [RecordedParent(id=batch.id)]


async def test_a_job_that_came_back_from_the_archive_is_not_recorded_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        request = subject.request()
        await subject.insert(request, states=[Failed(NOW + 9, "")])
        await subject.enqueue()
        assert (await in_a_group(subject)).count == 1
        ((job,), last) = recorded_in_month(tmp_path)
        assert (job.id, last) == (request.id, 1)
        await subject.expect(Committed, Commit(request.id, job.version, Ready(NOW), 0))
        assert recorded_in_month(tmp_path) == ([], 1)
