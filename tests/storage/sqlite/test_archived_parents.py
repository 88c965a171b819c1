"""A job that has been moved to the archive comes back when another one is to wait for it."""

from __future__ import annotations

from pathlib import Path

from tests.storage.sqlite.moving import DECEMBER, OCTOBER, fill, in_a_group, opened
from trio_gusto.model.errors import UnknownJob
from trio_gusto.model.ids import to_uuid, uuid7
from trio_gusto.model.job import JobRequest
from trio_gusto.model.states import Completed, Condition, JobState, Waiting
from trio_gusto.storage.dependency_messages import Dependents
from trio_gusto.storage.messages import Insert
from trio_gusto.testing.storage_contract import Subject


async def archived(subject: Subject) -> JobRequest:
    """A job that has completed, of a month that was moved."""
    request = subject.request(created_at=OCTOBER)
    ended = Completed(OCTOBER + 3, OCTOBER + 2, OCTOBER + 1, "elsewhere", '"done"')
    await subject.insert(request, states=[ended])
    await fill(subject)
    await in_a_group(subject)
    return request


async def test_whoever_waits_for_it_has_it_as_a_parent(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        parent = await archived(subject)
        child = subject.request(created_at=DECEMBER)
        await subject.insert(child, states=[Waiting((parent.id,), Condition.FINISH)])
        (dependent,) = (await subject.storage.read(Dependents(9))).jobs
        assert dependent.job.request.id == child.id
        assert dependent.parents == {JobState.COMPLETED: 1}


async def test_it_says_where_it_ran(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        parent = await archived(subject)
        before = await subject.get(parent.id)
        child = subject.request(created_at=DECEMBER)
        await subject.insert(child, states=[Waiting((parent.id,), Condition.FINISH)])
        assert await subject.get(parent.id) == before
        assert isinstance(before.state, Completed)
        assert before.state.node == "elsewhere"


async def test_a_job_that_is_nowhere_is_unknown_beside_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        parent, nobody = await archived(subject), uuid7(7, 7)
        waiting = Waiting((parent.id, nobody), Condition.FINISH)
        refused = await subject.expect(
            UnknownJob, Insert([subject.request(created_at=DECEMBER)], [waiting])
        )
        assert refused.job_id == to_uuid(nobody)
