"""What a continuation sees of the jobs and batches that it waited for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.actors.doubles import NOW, ScriptedDesk, stored
from trio_gusto.actors.parents import SLICE, Parents, has_parents
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import Details, StoredJob
from trio_gusto.model.states import Completed
from trio_gusto.storage.finding_messages import Find, Found, Get

BATCH = JobId(b"b" * 16)
GONE = JobId(b"g" * 16)


def done(number: int) -> StoredJob:
    return stored(number, Completed(NOW, NOW, NOW, "node"))


class Seeing:
    """A workplace through which jobs are looked at."""

    def parent(self, job: StoredJob) -> Any:
        return ("a view of", job)


async def seen(
    *parents: JobId, jobs: list[StoredJob], members: int = 0
) -> tuple[Any, ScriptedDesk]:
    """What a job sees that waited for ``parents``: some ``jobs``, and a batch of so many."""
    batch = [done(100 + number) for number in range(members)]

    def answer(message: Any) -> Found:
        if isinstance(message, Get):
            return Found(jobs[::-1])
        assert message.limit == SLICE
        before = message.before or 10**9
        found = [job for job in batch[::-1] if job.sequence < before]
        return Found(found[:SLICE] if message.batch == BATCH else [])

    desk = ScriptedDesk(answer)
    request = stored(1, Completed(NOW, NOW, NOW, "node"), details=Details(parents=parents)).request
    return await Parents(desk, Seeing()).of(request), desk  # type: ignore[arg-type]


async def test_parents_are_seen_in_the_order_in_which_they_were_given() -> None:
    jobs = [done(number) for number in range(2, 5)]
    ids = tuple(job.request.id for job in jobs)
    views, desk = await seen(*ids, jobs=jobs)
    assert views == tuple(("a view of", job) for job in jobs)
    assert desk.asked == [Get(ids)]


@pytest.mark.parametrize(
    ("members", "pages"), [(3, 1), (SLICE - 1, 1), (SLICE, 2), (2 * SLICE + 1, 3)]
)
async def test_a_batch_is_seen_as_its_jobs_in_the_order_in_which_they_were_stored(
    members: int, pages: int
) -> None:
    job = done(2)
    views, desk = await seen(BATCH, job.request.id, jobs=[job], members=members)
    assert [view[1].sequence for view in views] == [*range(100, 100 + members), 2]
    finds = desk.asked_for(Find)
    assert len(finds) == pages
    assert finds[0] == Find(SLICE, None, batch=BATCH)


async def test_what_is_no_longer_stored_is_left_out() -> None:
    views, desk = await seen(GONE, jobs=[])
    assert views == ()
    assert desk.asked_for(Find) == [Find(SLICE, None, batch=GONE)]


@pytest.mark.parametrize(
    ("details", "has"), [(None, False), (Details(), False), (Details(parents=(GONE,)), True)]
)
def test_a_job_with_parents_is_a_continuation(details: Details | None, has: bool) -> None:
    request = done(1).request
    request.details = details
    assert has_parents(request) is has
