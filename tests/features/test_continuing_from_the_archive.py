"""A job that has been moved to the archive can be continued like any other."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import trio

from trio_gusto import Gusto, JobState, Options, UnknownJob, current_job, no_retry
from trio_gusto.storage.sqlite import SqliteStorage


async def send(to: str) -> str:
    if to == "nobody":
        raise LookupError(to)
    return f"to {to}"


async def hand_on(parent: str) -> str:
    queue = current_job().queue
    return str((await queue.continue_with(UUID(parent), send, "a child")).id)


@pytest.fixture
def app(tmp_path: Path) -> Gusto:
    app = Gusto(
        SqliteStorage(tmp_path / "jobs.db", archive=True),
        options=Options(retention=timedelta(0), default_retry=no_retry()),
    )
    app.job(send)
    app.job(hand_on)
    return app


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[UUID], bool]:
    """Whether a job is in the main file."""

    def ask(job: UUID) -> bool:
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
            asked = "SELECT count(*) FROM job WHERE id = ?"
            (count,) = connection.execute(asked, (job.bytes,)).fetchone()
            return bool(count)

    return ask


async def archived(app: Gusto, kept: Callable[[UUID], bool]) -> tuple[UUID, UUID]:
    """A job that has completed and one that has failed, both moved."""
    async with app.running() as queue:
        refs = [await queue.enqueue(send, to) for to in ("ann", "nobody", "the newest")]
        for ref in refs:
            await ref.wait()
    async with app.running():  # a worker cleans up when it starts
        with trio.fail_after(10):
            while any(kept(ref.id) for ref in refs[:2]):  # noqa: ASYNC110 - it is a file that is asked
                await trio.sleep(0.001)
    return refs[0].id, refs[1].id


async def test_what_follows_runs_on_its_condition(app: Gusto, kept: Callable[[UUID], bool]) -> None:
    completed, failed = await archived(app, kept)
    async with app.running() as queue:
        after = await queue.continue_with(completed, send, "bob")
        both = await queue.continue_with([completed, failed], send, "eve", on="finish")
        alone = await queue.continue_with(completed, send, "zoe", unique_key="zoe")
        assert await alone.result() == "to zoe"
        never = await queue.continue_with(failed, send, "nobody else")
        assert (await after.result(), await both.result()) == ("to bob", "to eve")
        assert (await never.wait()).state is JobState.CANCELLED
        job = await queue.get(completed)
        assert job is not None
        assert (job.state, job.result) == (JobState.COMPLETED, "to ann")
        assert len(await queue.attempts(completed)) == 1


async def test_a_child_and_a_batch_follow_too(app: Gusto, kept: Callable[[UUID], bool]) -> None:
    completed, failed = await archived(app, kept)
    async with app.running() as queue:
        parent = await queue.enqueue(hand_on, str(completed))
        child = queue.ref(UUID(await parent.result()))
        assert await child.result() == "to a child"
        async with queue.batch() as batch:
            batch.enqueue(send, "bob")
            after = batch.continue_with(send, "eve")
        assert await after.result() == "to eve"
        assert not kept(failed)


async def test_who_is_nowhere_is_still_unknown(app: Gusto, kept: Callable[[UUID], bool]) -> None:
    completed, _ = await archived(app, kept)
    async with app.connected() as queue:
        before = len((await queue.find()).items)
        nobody = uuid4()
        with pytest.raises(UnknownJob, match=str(nobody)):
            await queue.continue_with([completed, nobody], send, "bob")
        assert len((await queue.find()).items) == before


async def test_with_a_key_that_is_taken_the_other_is_replaced(
    app: Gusto, kept: Callable[[UUID], bool]
) -> None:
    """What is refused at first is tried in another way, which has to find the parent as well."""
    completed, _ = await archived(app, kept)
    async with app.connected() as queue:
        await queue.enqueue(send, "bob", unique_key="one")
        after = await queue.continue_with(
            completed, send, "eve", unique_key="one", on_conflict="replace"
        )
    async with app.running() as queue:
        assert await queue.ref(after.id).result() == "to eve"
