"""Whatever a handler raises, only its own attempt fails; a real Ctrl-C still stops the host."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import trio

from trio_gusto import (
    AttemptOutcome,
    Cancel,
    Fail,
    Gusto,
    JobCancelled,
    JobFailed,
    JobState,
    Options,
    ResultError,
    Retry,
    Snooze,
    fixed,
)
from trio_gusto.storage.sqlite import SqliteStorage


class Odd(BaseException):
    """Not an Exception."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


RAISED = [
    ValueError("plain"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    StopIteration(1),
    StopAsyncIteration(),
    Odd("odd"),
    Unprintable(),
    ExceptionGroup("group", [ValueError("a"), TypeError("b")]),
    BaseExceptionGroup("group", [SystemExit(1), Odd("b")]),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", ["async", "thread", "inline"])
async def test_only_its_own_attempt_fails(error: BaseException, kind: str) -> None:
    app = Gusto(options=Options(concurrency=2))

    async def fail_async() -> None:
        raise error

    def fail() -> None:
        raise error

    bad = (
        app.job(max_attempts=1)(fail_async)
        if kind == "async"
        else app.job(max_attempts=1, thread=kind == "thread")(fail)
    )

    @app.job
    async def good() -> str:
        return "fine"

    with trio.fail_after(10):
        async with app.running() as queue:
            ref = await queue.enqueue(bad)
            with pytest.raises(JobFailed) as caught:
                await ref.result()
            assert caught.value.error is not None
            assert await (await queue.enqueue(good)).result() == "fine"
            (attempt,) = await queue.attempts(ref)
            assert attempt.outcome is AttemptOutcome.FAILED


async def test_a_nursery_s_group_is_stored_as_a_tree() -> None:
    app = Gusto()

    async def boom() -> None:
        raise KeyError("lost")

    @app.job(max_attempts=1)
    async def fan() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(boom)

    async with app.running() as queue:
        job = await (await queue.enqueue(fan)).wait()
        assert job.state is JobState.FAILED
        assert job.error is not None
        assert job.error.type == "ExceptionGroup"
        assert [child.type for child in job.error.children] == ["KeyError"]
        assert "boom" in job.error.children[0].traceback


async def test_its_own_cancel_scopes_are_its_own_business() -> None:
    app = Gusto()

    @app.job
    async def patient() -> str:
        with trio.move_on_after(0):
            await trio.sleep_forever()
        return "moved on"

    async with app.running() as queue:
        assert await (await queue.enqueue(patient)).result() == "moved on"


async def test_fail_and_cancel_end_the_job_at_once() -> None:
    app = Gusto()

    @app.job(max_attempts=5)
    async def give_up(how: str) -> None:
        if how == "fail":
            raise Fail("no such customer")
        raise Cancel("customer left")

    async with app.running() as queue:
        failed = await queue.enqueue(give_up, "fail")
        with pytest.raises(JobFailed, match="no such customer"):
            await failed.result()
        cancelled = await queue.enqueue(give_up, "cancel")
        with pytest.raises(JobCancelled, match="customer left"):
            await cancelled.result()
        assert (await failed.job()).attempt == 1
        assert (await cancelled.job()).reason == "customer left"


async def test_a_result_that_cannot_be_stored_does_not_fail_the_job() -> None:
    app = Gusto()

    @app.job
    async def odd() -> object:
        return object()

    async with app.running() as queue:
        ref = await queue.enqueue(odd)
        with pytest.raises(ResultError):
            await ref.result()
        assert await ref.status() is JobState.COMPLETED


def test_a_real_ctrl_c_in_a_handler_stops_the_host_and_gives_the_attempt_back() -> None:
    app = Gusto(options=Options(concurrency=1))
    entered: list[int] = []

    @app.job
    async def busy() -> None:
        entered.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10_000_000):
            pass

    async def main() -> None:
        async with app.running() as queue:
            await queue.enqueue(busy)
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert entered == [1]

    async def look() -> None:
        async with app.connected() as queue:
            (job,) = (await queue.find()).items
            assert (job.state, job.attempt) == (JobState.READY, 0)

    trio.run(look)


class NoHurry(Exception):
    @property
    def retry_after(self) -> float:
        raise RuntimeError("no hurry")


class NoNotes(Exception):
    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        raise RuntimeError("no notes")


class NoClass(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise RuntimeError("no class")


class NoMembers(ExceptionGroup[Exception]):
    @property
    def exceptions(self) -> tuple[Exception, ...]:
        raise RuntimeError("no members")


class Nameless(type):
    def __getattribute__(cls, name: str) -> object:
        if name in ("__module__", "__qualname__"):
            raise RuntimeError("no name")
        return super().__getattribute__(name)


class NoName(Exception, metaclass=Nameless):
    pass


class ForgetsItsReason(Fail):
    def __init__(self) -> None:
        Exception.__init__(self)


class ForgetsItsPause(Snooze):
    def __init__(self) -> None:
        Exception.__init__(self)


class HasAnOddPause(Retry):
    def __init__(self) -> None:
        Exception.__init__(self)
        self.after: object = "soon"  # type: ignore[assignment]


def groups(depth: int) -> Any:
    error: Any = ValueError("innermost")
    for _ in range(depth):
        error = ExceptionGroup("group", [error])
    return error


def shared_groups(depth: int) -> Any:
    error: Any = ValueError("innermost")
    for _ in range(depth):
        error = ExceptionGroup("group", [error, error])
    return error


HOSTILE = {
    "retry_after raises": NoHurry(),
    "notes raise": NoNotes(),
    "class raises": NoClass(),
    "members raise": NoMembers("group", [ValueError()]),
    "no name": NoName(),
    "deep groups": groups(5000),
    "shared groups": shared_groups(40),
    "no reason": ForgetsItsReason(),
    "no words": Fail("\ud800"),
    "a reason of another kind": Fail(object()),  # type: ignore[arg-type]
    "an odd pause": HasAnOddPause(),
}


@pytest.mark.parametrize("which", HOSTILE)
async def test_an_exception_that_cannot_be_looked_at_does_not_bring_the_executors_down(
    which: str, tmp_path: Path
) -> None:
    storage = SqliteStorage(tmp_path / "jobs.db")
    app = Gusto(storage, options=Options(concurrency=1, restart_limit=0))

    @app.job(max_attempts=2, retry=fixed(0))
    async def bad() -> None:
        raise HOSTILE[which]

    @app.job
    async def good() -> str:
        return "fine"

    with trio.fail_after(10):
        async with app.running() as queue:
            ref = await queue.enqueue(bad)
            assert (await ref.wait()).state is JobState.FAILED
            assert await (await queue.enqueue(good)).result() == "fine"


async def test_a_snooze_that_says_no_pause_has_none() -> None:
    app = Gusto(options=Options(concurrency=1, restart_limit=0))
    snoozed: list[int] = []

    @app.job
    async def later() -> None:
        if not snoozed:
            snoozed.append(1)
            raise ForgetsItsPause

    with trio.fail_after(10):
        async with app.running() as queue:
            assert (await (await queue.enqueue(later)).wait()).state is JobState.COMPLETED
