"""What is kept of an attempt that did not end in time: where each of its tasks stood."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import Gusto, JobState, MemoryStorage, Options
from trio_gusto.actors import dossier as dossiers
from trio_gusto.actors import lease as leases
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "memory":
        return MemoryStorage()
    return SqliteStorage(tmp_path / "jobs.db", inline=True)


@pytest.fixture
def app(storage: Storage) -> Gusto:
    return Gusto(storage, options=Options(concurrency=2), clock=VirtualClock())


async def waits_for_a_partner() -> None:
    await trio.sleep_forever()


async def counts() -> AsyncGenerator[int]:
    await waits_for_a_partner()
    yield 1


async def test_a_timed_out_attempt_says_where_its_tasks_stood(
    app: Gusto, autojump_clock: MockClock
) -> None:
    @app.job(timeout=3, max_attempts=1)
    async def export() -> None:
        secret = "hunter2"
        noted: dict[str, int] = {}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits_for_a_partner)
            async for number in counts():
                noted[secret] = number

    async with app.running() as queue:
        ref = await queue.enqueue(export)
        await ref.wait()
        (attempt,) = await queue.attempts(ref)
        text = attempt.dossier
        assert text is not None
        lines = text.splitlines()
        assert lines[:3] == [
            "timed out after 3 s, and is cancelled now",
            "event loop lag: 0.000 s",
            "handler",
        ]
        assert "in export" in text
        assert "async for number in counts():" in text
        assert "in counts" in text
        assert text.count("in waits_for_a_partner") == 2
        assert "  task tests.features.test_dossiers.waits_for_a_partner" in lines
        assert "hunter2" not in text.replace('secret = "hunter2"', "")
        explanation = await queue.explain(ref)
        assert explanation.details["dossier"] == text
        assert explanation.sentence.endswith("dossier: timed out after 3 s, and is cancelled now.")


async def test_a_job_that_behaves_has_none(app: Gusto, autojump_clock: MockClock) -> None:
    @app.job(timeout=3)
    async def quick() -> None:
        await trio.sleep(1)

    async with app.running() as queue:
        ref = await queue.enqueue(quick)
        await ref.wait()
        (attempt,) = await queue.attempts(ref)
        assert attempt.dossier is None
        assert "dossier" not in (await queue.explain(ref)).details


async def test_a_handler_that_shields_itself_is_reported_while_it_still_runs(
    app: Gusto, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    release = trio.Event()

    @app.job(name="deaf", timeout=3, max_attempts=1)
    async def deaf() -> str:
        with trio.move_on_after(100), trio.CancelScope(shield=True):
            await release.wait()
        return "at last"

    async with app.running() as queue:
        ref = await queue.enqueue(deaf)
        await trio.sleep(3 + leases.PATIENCE + 0.5)
        (attempt,) = await queue.attempts(ref)
        assert attempt.outcome is None
        assert attempt.dossier is not None
        assert attempt.dossier.startswith("cancelled 5.0 s ago (timeout), and still runs\n")
        assert (
            "shielded by cancel scope 1 of 2 from inside, which has no deadline" in attempt.dossier
        )
        assert "await release.wait()" in attempt.dossier
        (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
        assert f"job {ref.id} (deaf) still runs 5 s after it was cancelled" in record.getMessage()
        assert "it shields itself or swallows Cancelled" in record.getMessage()
        assert "still runs" in (await queue.explain(ref)).sentence
        release.set()
        assert await ref.result() == "at last"
        (attempt,) = await queue.attempts(ref)
        assert attempt.outcome == "succeeded"
        assert attempt.dossier is not None


@pytest.mark.parametrize("how", ["cancelled", "stopped"])
async def test_whoever_cancelled_it_a_handler_that_does_not_end_has_one(
    how: str, storage: Storage, autojump_clock: MockClock
) -> None:
    options = Options(concurrency=1, drain_timeout=0)
    app = Gusto(storage, options=options, clock=VirtualClock())
    begun = trio.Event()

    @app.job(max_attempts=3)
    async def slow_to_end() -> None:
        try:
            begun.set()
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(9, shield=True):
                await trio.sleep_forever()

    async with app.running() as queue:
        ref = await queue.enqueue(slow_to_end)
        await begun.wait()
        if how == "cancelled":
            await ref.cancel("enough")
            assert (await ref.wait()).state is JobState.CANCELLED
    async with app.connected() as queue:
        (attempt,) = await queue.attempts(queue.ref(ref.id))
        assert attempt.dossier is not None
        cause = "cancel" if how == "cancelled" else "shutdown"
        assert attempt.dossier.startswith(f"cancelled 5.0 s ago ({cause}), and still runs\n")
        assert "which ends in 4.0 s" in attempt.dossier


async def test_each_attempt_has_its_own(app: Gusto, autojump_clock: MockClock) -> None:
    @app.job(timeout=1, max_attempts=3)
    async def hangs() -> None:
        await trio.sleep_forever()

    async with app.running() as queue:
        ref = await queue.enqueue(hangs)
        await ref.wait()
        attempts = await queue.attempts(ref)
        assert [one.number for one in attempts if one.dossier is not None] == [1, 2, 3]


class Complaint:
    """Hears the error that is logged of a handler that does not end."""

    def __init__(self) -> None:
        self.heard = threading.Event()
        self.text = ""

    def __call__(self, message: str, *values: object) -> None:
        self.text = message % values
        self.heard.set()


async def test_a_thread_is_shown_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "PATIENCE", 0.05)
    complaint = Complaint()
    monkeypatch.setattr(dossiers.logger, "error", complaint)
    app = Gusto(options=Options(concurrency=1))
    release = threading.Event()

    def computes() -> None:
        release.wait(10)

    @app.job(name="deaf", timeout=0.05, max_attempts=1)
    def deaf() -> None:
        computes()

    with trio.fail_after(8):
        async with app.running() as queue:
            ref = await queue.enqueue(deaf)
            await trio.to_thread.run_sync(complaint.heard.wait)
            release.set()
            await ref.wait()
            (attempt,) = await queue.attempts(ref)
    assert attempt.dossier is not None
    lines = attempt.dossier.splitlines()
    assert lines[0].endswith("(timeout), and still runs")
    assert "handler, in a thread" in lines
    names = [
        line.rpartition(" in ")[2]
        for line in lines[lines.index("thread") :]
        if line.startswith('  File "')
    ]
    assert names[:2] == ["deaf", "computes"]
    assert "a thread cannot be killed" in complaint.text


async def test_a_crowd_of_deep_tasks_fits_into_the_bound(
    app: Gusto, autojump_clock: MockClock
) -> None:
    async def dig(depth: int) -> None:
        if depth:
            await dig(depth - 1)
        await trio.sleep_forever()

    @app.job(timeout=1, max_attempts=1)
    async def crowd() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(dig, 30, name=f"{number} " + "ü" * 300)

    async with app.running() as queue:
        ref = await queue.enqueue(crowd)
        await ref.wait()
        (attempt,) = await queue.attempts(ref)
        assert attempt.dossier is not None
        assert len(attempt.dossier.encode()) <= dossiers.MOST_BYTES
        assert "frames left out" in attempt.dossier


async def test_what_cannot_be_read_costs_nothing_but_itself(
    app: Gusto, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("other internals")

    monkeypatch.setattr(dossiers, "_of_task", breaks)

    @app.job(timeout=1, max_attempts=1)
    async def hangs() -> None:
        await trio.sleep_forever()

    async with app.running() as queue:
        ref = await queue.enqueue(hangs)
        assert (await ref.wait()).state is JobState.FAILED
        (attempt,) = await queue.attempts(ref)
        assert attempt.dossier is not None
        assert attempt.dossier.endswith("the rest could not be read: RuntimeError")


async def test_a_job_that_is_not_durable_has_one_too(app: Gusto, autojump_clock: MockClock) -> None:
    @app.job(timeout=1, max_attempts=1)
    async def hangs() -> None:
        await trio.sleep_forever()

    async with app.running() as queue:
        ref = await queue.enqueue(hangs, durable=False)
        await ref.wait()
        (attempt,) = await queue.attempts(ref)
        assert attempt.dossier is not None
        assert "in hangs" in attempt.dossier


async def test_where_reports_are_not_kept_it_is_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Forgetful(MemoryStorage):
        keeps_reports = False

    app = Gusto(Forgetful(), options=Options(concurrency=1), clock=VirtualClock())

    @app.job(timeout=1, max_attempts=1)
    async def hangs() -> None:
        await trio.sleep_forever()

    async with app.running() as queue:
        ref = await queue.enqueue(hangs)
        await ref.wait()
        (attempt,) = await queue.attempts(ref)
        assert attempt.dossier is None
    (record,) = [one for one in caplog.records if "timed out after 1 s" in one.getMessage()]
    assert record.getMessage().startswith(f"job {ref.id}: ")
    assert "in hangs" in record.getMessage()


async def test_code_whose_text_is_not_there_is_named_without_it(
    app: Gusto, autojump_clock: MockClock
) -> None:
    names: dict[str, Any] = {"trio": trio}
    source = "async def hidden():\n    await trio.sleep_forever()"
    exec(compile(source, "<nowhere>", "exec"), names)

    @app.job(timeout=1, max_attempts=1)
    async def hangs() -> None:
        await names["hidden"]()

    async with app.running() as queue:
        ref = await queue.enqueue(hangs)
        await ref.wait()
        (attempt,) = await queue.attempts(ref)
    assert attempt.dossier is not None
    lines = attempt.dossier.splitlines()
    at = lines.index('  File "<nowhere>", line 2, in hidden')
    assert lines[at + 1].startswith('  File "')
