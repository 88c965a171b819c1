"""What a handler says of its job while it runs: progress, log entries, and records of libraries."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from tests.storage.own_providers import MyRecord, Shelf
from trio_gusto import (
    ArgumentError,
    Gusto,
    JobFailed,
    JobLogHandler,
    JobQueue,
    JobState,
    LogEntry,
    MemoryStorage,
    NotSupported,
    Options,
    Progress,
    Storage,
    UnknownJob,
    current_job,
    no_retry,
)
from trio_gusto.actors.context import job_log
from trio_gusto.actors.joblog import write_down
from trio_gusto.model.errors import GustoError
from trio_gusto.provider import ProviderStorage
from trio_gusto.storage.lease_messages import Renew, Renewed
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Write,
    WriteReply,
)
from trio_gusto.storage.report_messages import Report
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import FaultyStorage, VirtualClock


class Recording(MemoryStorage):
    """Remembers the groups of writes it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[list[Write]] = []

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        self.groups.append(list(writes))
        return await super().apply(writes)

    def reports(self) -> list[Report]:
        return [write for group in self.groups for write in group if isinstance(write, Report)]


def run(
    app: Gusto, scenario: Callable[[JobQueue], Awaitable[None]], *, clock: MockClock | None = None
) -> None:
    async def main() -> None:
        with trio.fail_after(100_000):
            async with app.running() as queue:
                await scenario(queue)

    trio.run(main, clock=clock or MockClock(autojump_threshold=0))


def make_app(storage: Storage | None = None, **options: Any) -> Gusto:
    return Gusto(storage, clock=VirtualClock(), options=Options(**options))


@pytest.fixture(params=["memory", "sqlite", "sqlite in threads"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "memory":
        return MemoryStorage()
    return SqliteStorage(tmp_path / "jobs.db", inline=request.param == "sqlite")


async def progress_of(queue: JobQueue, job_id: Any) -> Progress | None:
    job = await queue.get(job_id)
    assert job is not None
    return job.progress


# --- progress ---------------------------------------------------------------------------------------


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


# --- logs -------------------------------------------------------------------------------------------


def test_a_job_has_a_log_of_its_own(storage: Storage) -> None:
    app = Gusto(storage)

    @app.job
    async def work(name: str) -> None:
        current_job().log(f"hello {name}")
        current_job().log("half a pair \ud800, and \0", "warning")

    async def main() -> None:
        with trio.fail_after(60):
            async with app.running() as queue:
                refs = [await queue.enqueue(work, name) for name in ("Ann", "Bob")]
                for name, ref in zip(("Ann", "Bob"), refs, strict=True):
                    await ref.wait()
                    log = await queue.logs(ref)
                    assert [(entry.level, entry.message) for entry in log] == [
                        ("info", f"hello {name}"),
                        ("warning", "half a pair \\ud800, and \0"),
                    ]
                    assert log.dropped == 0
                    assert log == tuple(attrs.evolve(entry) for entry in log)
                    assert all(isinstance(entry, LogEntry) for entry in log)
                    assert log[0].at <= log[1].at

    trio.run(main)


def test_a_log_without_end_is_cut_and_says_so(storage: Storage) -> None:
    app = Gusto(storage, options=Options(max_log_entries=10, max_log_bytes=1024))

    @app.job
    async def many() -> None:
        for number in range(500):
            current_job().log(f"entry {number}")
            if number % 100 == 0:
                await trio.lowlevel.checkpoint()

    @app.job
    async def long() -> None:
        for letter in "abc":
            current_job().log(letter * 500)
        current_job().log("ü" * 5000)

    async def main() -> None:
        with trio.fail_after(60):
            async with app.running() as queue:
                ref = await queue.enqueue(many)
                await ref.wait()
                log = await queue.logs(ref)
                assert [entry.message for entry in log] == [f"entry {n}" for n in range(490, 500)]
                assert log.dropped == 490
                ref = await queue.enqueue(long)
                await ref.wait()
                log = await queue.logs(ref)
                assert log.dropped == 3
                assert len(log[0].message.encode()) <= 1024
                assert log[0].message.endswith("ü…")

    trio.run(main)


def test_no_log_entries_are_kept_where_none_are_wanted() -> None:
    app = make_app(Recording(), max_log_entries=0)
    assert isinstance(app.storage, Recording)

    @app.job
    async def work() -> None:
        current_job().log("hello")

    async def scenario(queue: JobQueue) -> None:
        ref = await queue.enqueue(work)
        await ref.wait()
        assert await queue.logs(ref) == ()

    run(app, scenario)
    assert app.storage.reports() == []


def test_the_log_of_nobody_and_a_level_of_nothing_are_refused() -> None:
    app = make_app()
    refused: list[str] = []

    @app.job
    async def work() -> None:
        with pytest.raises(ArgumentError) as level:
            current_job().log("hello", "loud")
        with pytest.raises(ArgumentError) as message:
            current_job().log(7)  # type: ignore[arg-type]
        refused.extend([str(level.value), str(message.value)])

    async def scenario(queue: JobQueue) -> None:
        with pytest.raises(UnknownJob):
            await queue.logs(uuid4())
        ref = await queue.enqueue(work)
        await ref.result()
        assert await queue.logs(ref) == ()

    run(app, scenario)
    assert refused == [
        "there is no level 'loud'; give one of debug, info, warning, error, critical",
        "a message cannot be 7; give a text",
    ]


def test_a_record_whose_arguments_do_not_fit_is_written_down_all_the_same() -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "%s and %s", ("a",), None)
    noted: list[tuple[str, str]] = []
    write_down(record, lambda level, text: noted.append((level, text)))
    assert noted == [("info", "'%s and %s' (its arguments do not fit: TypeError)")]


def test_the_logger_writes_to_both_logs(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()
    root = logging.getLogger()
    handler = JobLogHandler()
    root.addHandler(handler)

    @app.job
    async def work() -> None:
        logger = current_job().logger
        assert logger.level == logging.INFO
        logger.debug("not this")
        logger.info("hello %s", "Ann")
        try:
            raise ValueError("oh")
        except ValueError:
            logger.exception("it broke")

    async def scenario(queue: JobQueue) -> None:
        ref = await queue.enqueue(work)
        await ref.result()
        first, third = await queue.logs(ref)
        assert (first.level, first.message) == ("info", "hello Ann")
        assert third.level == "error"
        assert third.message.startswith("it broke\nTraceback")
        assert third.message.endswith("ValueError: oh")

    try:
        run(app, scenario)
    finally:
        root.removeHandler(handler)
    records = [record for record in caplog.records if record.name == "trio_gusto.job"]
    assert [record.getMessage() for record in records] == ["hello Ann", "it broke"]


def test_records_of_libraries_go_to_the_log_of_the_job_they_are_made_in() -> None:
    app = make_app(concurrency=4)
    library = logging.getLogger("some.library")
    handler = JobLogHandler(logging.WARNING)
    library.addHandler(handler)

    @app.job
    async def task(name: str) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(deep, name)
            await trio.sleep(1)
            library.warning("in %s", name)

    async def deep(name: str) -> None:
        await trio.sleep(2)
        library.error("deep in %s", name)
        library.info("too low")

    @app.job
    def thread(name: str) -> None:
        library.warning("in %s", name)

    async def scenario(queue: JobQueue) -> None:
        refs = [await queue.enqueue(task, name) for name in "ab"]
        refs.append(await queue.enqueue(thread, "c"))
        for ref in refs:
            await ref.result()
        library.warning("in no job")
        logs = [[one.message for one in await queue.logs(ref)] for ref in refs]
        assert logs == [["in a", "deep in a"], ["in b", "deep in b"], ["in c"]]

    try:
        run(app, scenario)
    finally:
        library.removeHandler(handler)


def test_a_record_that_several_handlers_hear_is_written_once() -> None:
    app = make_app()
    root, child = logging.getLogger("some"), logging.getLogger("some.library")
    handlers = [(root, JobLogHandler()), (child, JobLogHandler())]
    for logger, handler in handlers:
        logger.addHandler(handler)

    @app.job
    async def task() -> None:
        child.warning("from the child")
        root.warning("from the parent")

    async def scenario(queue: JobQueue) -> None:
        ref = await queue.enqueue(task)
        await ref.result()
        messages = [one.message for one in await queue.logs(ref)]
        assert messages == ["from the child", "from the parent"]

    try:
        run(app, scenario)
    finally:
        for logger, handler in handlers:
            logger.removeHandler(handler)


def test_what_an_abandoned_thread_says_is_left_out() -> None:
    app = make_app()
    contexts: list[Any] = []

    @app.job
    async def work() -> None:
        contexts.append(current_job())
        current_job().progress(10)

    async def scenario(queue: JobQueue) -> None:
        ref = await queue.enqueue(work)
        await ref.result()
        thread = threading.Thread(target=contexts[0].progress, args=(90,))
        thread.start()
        await trio.to_thread.run_sync(thread.join)
        contexts[0].log("late")
        await trio.sleep(10)
        assert await progress_of(queue, ref.id) == Progress(10.0, "")
        assert await queue.logs(ref) == ()

    run(app, scenario)


def test_a_provider_keeps_no_reports_and_says_so() -> None:
    app = make_app(ProviderStorage(Shelf(), MyRecord))
    met: list[str] = []

    @app.job
    async def work() -> None:
        sayings: list[tuple[str, Callable[[], None]]] = [
            ("progress", lambda: current_job().progress(1)),
            ("a log", lambda: current_job().log("x")),
        ]
        for what, says in sayings:
            with pytest.raises(NotSupported, match=f"does not support {what};") as caught:
                says()
            assert (caught.value.what, caught.value.protocol) == (what, "SupportsReports")
        current_job().logger.info("only in the normal log")
        assert job_log() is None
        met.append("done")

    async def scenario(queue: JobQueue) -> None:
        ref = await queue.enqueue(work)
        await ref.wait()
        with pytest.raises(NotSupported, match="SupportsReports"):
            await queue.logs(ref)

    run(app, scenario)
    assert met == ["done"]


def test_reports_that_a_storage_refuses_are_logged_and_harm_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Picky(MemoryStorage):
        async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
            replies = await super().apply(writes)
            refusal = ArgumentError("this storage wants none of it")
            return [
                refusal if isinstance(write, Report) else reply
                for write, reply in zip(writes, replies, strict=True)
            ]

    app = make_app(Picky())

    @app.job
    async def work() -> str:
        current_job().progress(50)
        return "done"

    async def scenario(queue: JobQueue) -> None:
        assert await (await queue.enqueue(work)).result() == "done"

    run(app, scenario)
    assert "what running jobs reported was refused: this storage wants none of it" in caplog.text
