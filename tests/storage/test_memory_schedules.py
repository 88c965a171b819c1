"""What `MemoryStorage` knows of the jobs of its schedules, while they end and are deleted."""

from __future__ import annotations

import attrs
import pytest

from trio_gusto.model.job import Details
from trio_gusto.model.schedule import StoredSchedule
from trio_gusto.model.states import Cancelled
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Commit, Committed
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.schedule_messages import FindSchedules, KeptSchedule, PutSchedule
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.scheduling import MINUTE, firing, request_at, schedule
from trio_gusto.testing.storage_contract.subject import NOW


@pytest.fixture
async def subject() -> Subject:
    storage = MemoryStorage()
    await storage.attach("node")
    return Subject(storage, "node")


async def fired(subject: Subject, *instants: int) -> StoredSchedule:
    """A schedule that has made a ready job for each of these instants."""
    before = schedule()
    await subject.expect(Committed, PutSchedule("ledger", None, before))
    if not instants:
        return before
    fire = firing(before, *instants)
    await subject.expect(Committed, fire)
    return fire.schedule


async def kept(subject: Subject) -> KeptSchedule:
    (found,) = (await subject.storage.read(FindSchedules(9, name="ledger"))).found
    return found


@pytest.mark.parametrize("is_looked_at", [True, False], ids=["looked at", "not looked at"])
async def test_a_job_that_was_deleted_is_unfinished_no_more(
    subject: Subject, is_looked_at: bool
) -> None:
    first, second = NOW + MINUTE, NOW + 2 * MINUTE
    after = await fired(subject, first, second)
    old, newest = (request_at(after, instant).id for instant in (first, second))
    await subject.expect(Committed, Commit(old, 0, Cancelled(first, "no"), 0))
    if is_looked_at:
        assert (await kept(subject)).unfinished == (newest,)
    await subject.expect(Pruned, Prune(first + 1, 9))
    assert (await kept(subject)).unfinished == (newest,)


async def test_the_newest_job_stays_until_the_schedule_is_gone(subject: Subject) -> None:
    after = await fired(subject, NOW + MINUTE)
    (job,) = (await kept(subject)).unfinished
    await subject.expect(Committed, Commit(job, 0, Cancelled(NOW, "no"), 0))
    assert await subject.expect(Pruned, Prune(NOW + 1, 9)) == Pruned(0)
    assert (await kept(subject)).last_ended_at == NOW
    await subject.expect(Committed, PutSchedule("ledger", after.version, None))
    assert await subject.expect(Pruned, Prune(NOW + 1, 9)) == Pruned(1)


async def test_a_schedule_is_not_changed_by_whoever_has_found_it(subject: Subject) -> None:
    await fired(subject, NOW + MINUTE)
    before = attrs.evolve((await kept(subject)).schedule)
    (await kept(subject)).schedule.paused = True
    assert (await kept(subject)).schedule == before


async def test_a_job_started_by_hand_is_none_of_the_unfinished(subject: Subject) -> None:
    await fired(subject)
    await subject.enqueue(details=Details(schedule_name="ledger"))
    assert (await kept(subject)).unfinished == ()


async def test_a_schedule_that_is_not_there_may_be_removed(subject: Subject) -> None:
    await subject.expect(Committed, PutSchedule("ledger", None, None))
