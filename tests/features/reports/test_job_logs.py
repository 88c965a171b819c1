"""What a handler says in the log of its job, and what libraries say that it calls."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import attrs
import pytest
import trio
import trio.lowlevel

from tests.features.reports.telling import Recording, make_app, progress_of, run
from tests.storage.own_providers import MyRecord, Shelf
from trio_gusto import (
    ArgumentError,
    Gusto,
    JobLogHandler,
    JobQueue,
    LogEntry,
    MemoryStorage,
    NotSupported,
    Options,
    Progress,
    Storage,
    UnknownJob,
    current_job,
)
from trio_gusto.actors.context import job_log
from trio_gusto.actors.joblog import write_down
from trio_gusto.model.errors import GustoError
from trio_gusto.provider import ProviderStorage
from trio_gusto.storage.messages import Write, WriteReply
from trio_gusto.storage.report_messages import Report


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
