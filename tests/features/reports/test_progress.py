"""What a handler says of how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from tests.features.reports.telling import Recording, make_app, progress_of, run
from trio_gusto import (
    Gusto,
    JobFailed,
    JobQueue,
    JobState,
    MemoryStorage,
    Progress,
    Storage,
    current_job,
    no_retry,
)
from trio_gusto.model.errors import GustoError
from trio_gusto.storage.lease_messages import Renew, Renewed
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Write, WriteReply
from trio_gusto.testing import FaultyStorage, VirtualClock


@pytest.mark.parametrize("waits", [False, True])
def test_the_last_progress_is_there_when_the_job_has_ended(storage: Storage, waits: bool) -> None:
    app = Gusto(storage)

    @app.job
    async def work() -> None:
        for done in range(101):
            current_job().progress(done, f"step {done}")
        if waits:
            await trio.lowlevel.checkpoint()
        current_job().progress(99.5, "as good as done")

    async def main() -> None:
        with trio.fail_after(60):
            async with app.running() as queue:
                refs = [await queue.enqueue(work) for _ in range(20)]
                for ref in refs:
                    job = await ref.wait()
                    assert job.state is JobState.COMPLETED
                    assert job.progress == Progress(99.5, "as good as done")

    trio.run(main)


def test_progress_of_handlers_in_threads_is_there_when_they_have_ended(storage: Storage) -> None:
    app = Gusto(storage)

    @app.job
    def work(number: int) -> None:
        for done in range(101):
            current_job().progress(done)
        current_job().log(f"number {number}")

    async def main() -> None:
        with trio.fail_after(60):
            async with app.running() as queue:
                refs = [await queue.enqueue(work, number) for number in range(20)]
                for number, ref in enumerate(refs):
                    job = await ref.wait()
                    assert job.progress == Progress(100.0, "")
                    assert [entry.message for entry in await queue.logs(ref)] == [
                        f"number {number}"
                    ]

    trio.run(main)


@pytest.mark.parametrize("how", ["fails", "times out", "is cancelled", "is interrupted"])
def test_the_last_progress_is_kept_however_the_attempt_ends(how: str) -> None:
    app = make_app(drain_timeout=1)
    storage = app.storage

    @app.job(timeout=60, retry=no_retry())
    async def work() -> None:
        current_job().progress(42, how)
        current_job().log("so far")
        if how == "fails":
            raise ValueError
        if how == "is cancelled":
            await current_cancel()
        await trio.sleep(3600)

    async def current_cancel() -> None:
        assert await queue_of[0].cancel(current_job().id)

    queue_of: list[JobQueue] = []
    ids: list[Any] = []

    async def scenario(queue: JobQueue) -> None:
        queue_of.append(queue)
        ref = await queue.enqueue(work)
        ids.append(ref.id)
        if how == "is interrupted":
            await trio.sleep(0.5)
        else:
            await ref.wait()

    run(app, scenario)

    async def look() -> None:
        after = Gusto(storage, clock=VirtualClock())
        async with after.connected() as queue:
            assert await progress_of(queue, ids[0]) == Progress(42.0, how)
            assert [entry.message for entry in await queue.logs(ids[0])] == ["so far"]

    trio.run(look)


def test_progress_is_seen_while_the_job_runs_once_the_interval_has_passed() -> None:
    app = make_app(progress_flush_interval=2)

    @app.job
    async def work() -> None:
        for second in range(10):
            current_job().progress(10 * second)
            await trio.sleep(1)

    async def scenario(queue: JobQueue) -> None:
        ref = await queue.enqueue(work)
        await trio.sleep(1.5)
        assert await progress_of(queue, ref.id) is None
        await trio.sleep(1)
        assert await progress_of(queue, ref.id) == Progress(20.0, "")
        job = await ref.wait()
        assert job.progress == Progress(90.0, "")

    run(app, scenario)


def test_reports_are_few_however_many_are_made() -> None:
    app = make_app(Recording(), progress_flush_interval=2, progress_flush_batch_size=10_000)
    assert isinstance(app.storage, Recording)

    @app.job
    async def work() -> None:
        for step in range(1000):
            current_job().progress(step / 10)
            await trio.sleep(0.01)

    async def scenario(queue: JobQueue) -> None:
        await (await queue.enqueue(work)).wait()

    run(app, scenario)
    said = [len(report.sayings) for report in app.storage.reports()]
    assert sum(said) <= 6, "ten seconds are five intervals, and then comes the last one"


def test_much_is_written_before_the_interval_has_passed() -> None:
    app = make_app(progress_flush_interval=3600, progress_flush_batch_size=5)

    @app.job
    async def work() -> None:
        for step in range(4):
            current_job().progress(step)
        await trio.sleep(1)
        current_job().progress(50)
        await trio.sleep(1)

    async def scenario(queue: JobQueue) -> None:
        ref = await queue.enqueue(work)
        await trio.sleep(0.5)
        assert await progress_of(queue, ref.id) is None
        await trio.sleep(1)
        assert await progress_of(queue, ref.id) == Progress(50.0, "")

    run(app, scenario)


def test_a_tight_loop_of_reports_fills_no_mailbox() -> None:
    app = make_app(Recording(), progress_flush_batch_size=1)
    assert isinstance(app.storage, Recording)

    @app.job
    async def work() -> None:
        for step in range(5000):
            current_job().progress(step / 50)

    async def scenario(queue: JobQueue) -> None:
        job = await (await queue.enqueue(work)).wait()
        assert job.progress == Progress(99.98, "")

    run(app, scenario)
    assert len(app.storage.reports()) == 1


def test_jobs_that_report_nothing_write_no_reports() -> None:
    app = make_app(Recording())
    assert isinstance(app.storage, Recording)

    @app.job
    async def work() -> None:
        await trio.sleep(1)

    async def scenario(queue: JobQueue) -> None:
        await (await queue.enqueue(work)).wait()
        await trio.sleep(60)

    run(app, scenario)
    assert app.storage.reports() == []


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_storage_fault_loses_no_last_progress(after_commit: bool) -> None:
    storage = FaultyStorage(MemoryStorage())
    app = make_app(storage)

    @app.job
    async def work() -> None:
        current_job().progress(100, "done")
        storage.fail_next(after_commit=after_commit)

    async def scenario(queue: JobQueue) -> None:
        job = await (await queue.enqueue(work)).wait()
        assert (job.state, job.progress) == (JobState.COMPLETED, Progress(100.0, "done"))

    run(app, scenario)
    assert [fault.after_commit for fault in storage.happened] == [after_commit]


def test_entries_are_kept_once_though_the_reply_to_them_was_lost() -> None:
    storage = FaultyStorage(MemoryStorage())
    app = make_app(storage, progress_flush_interval=1)

    @app.job
    async def work() -> None:
        for number in range(2):
            current_job().log(f"entry {number}")
            storage.fail_next(after_commit=True)
            await trio.sleep(5)

    async def scenario(queue: JobQueue) -> None:
        ref = await queue.enqueue(work)
        await ref.wait()
        log = await queue.logs(ref)
        assert [entry.message for entry in log] == ["entry 0", "entry 1"]
        assert log.dropped == 0

    run(app, scenario)
    assert len(storage.happened) == 2


def test_a_stale_attempt_can_report_nothing() -> None:
    """Another node has the job, and what it says stands."""
    storage = MemoryStorage()
    app = make_app(storage, lease=3, poll_interval=1)
    other = make_app(storage, lease=3, poll_interval=1)
    entered: list[int] = []
    stuck = trio.Event()

    async def work() -> None:
        attempt = current_job().attempt
        entered.append(attempt)
        if attempt == 1:
            context = current_job()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 3000):
                await stuck.wait()
                context.progress(1, "stale")
                context.log("stale")
                await trio.sleep(60)
        else:
            current_job().progress(50, "fresh")
            current_job().log("fresh")
            await trio.sleep(100)

    app.job(name="work")(work)
    other.job(name="work")(work)
    muted = Muted(storage)
    app.storage = muted

    async def main() -> None:
        with trio.fail_after(100_000):
            async with app.running() as queue:
                ref = await queue.enqueue(work)
                await trio.sleep(1)
                muted.is_mute = True
                async with other.running() as others:
                    await trio.sleep(30)
                    assert len(entered) == 2
                    stuck.set()
                    await trio.sleep(30)
                    assert await progress_of(others, ref.id) == Progress(50.0, "fresh")
                    assert [one.message for one in await others.logs(ref.id)] == ["fresh"]

    trio.run(main, clock=MockClock(autojump_threshold=0))


class Muted(FaultyStorage):
    """Passes no renewals and no claims on while it is mute, as a network would that is down for them.

    Were claims passed on, the node that is mute would compete for the job it has lost.
    """

    is_mute = False

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        if not self.is_mute:
            return await super().apply(writes)
        replies = iter(await super().apply([write for write in writes if not answer_to(write)]))
        return [answer_to(write) or next(replies) for write in writes]


def answer_to(write: Write) -> WriteReply | None:
    """What is said, in place of the storage, to what is not passed on."""
    match write:
        case Renew():
            return Renewed((), ())
        case ClaimDue():
            return ClaimReply((), more=False, next_due=None)
        case _:
            return None


@pytest.mark.parametrize(
    ("percent", "text"),
    [
        *(
            (percent, f"a job cannot be {percent!r} per cent done; give 0 to 100")
            for percent in (-0.1, 100.1, float("nan"), float("inf"))
        ),
        *(
            (percent, f"a percentage cannot be {percent!r}; give a number from 0 to 100")
            for percent in ("50", True, None)
        ),
    ],
)
def test_a_percentage_is_a_number_from_0_to_100(percent: Any, text: str) -> None:
    app = make_app()

    @app.job(retry=no_retry())
    async def work() -> None:
        current_job().progress(percent)

    async def scenario(queue: JobQueue) -> None:
        with pytest.raises(JobFailed) as failed:
            await (await queue.enqueue(work)).result()
        assert failed.value.error is not None
        assert failed.value.error.type.endswith("ArgumentError")
        assert failed.value.error.message == text

    run(app, scenario)


@pytest.mark.parametrize("percent", [0, 100])
def test_nothing_done_and_all_done_are_percentages(percent: int) -> None:
    app = make_app()

    @app.job
    async def work() -> None:
        current_job().progress(percent)

    async def scenario(queue: JobQueue) -> None:
        ref = await queue.enqueue(work)
        await ref.result()
        progress = await progress_of(queue, ref.id)
        assert progress is not None
        assert (repr(progress.percent), progress.message) == (f"{percent}.0", "")

    run(app, scenario)
