"""What a dossier says of an attempt, to the letter, and which frames are a user's own."""

from __future__ import annotations

import logging
import re
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.test_roster import lease
from trio_gusto import Gusto, MemoryStorage, Options
from trio_gusto.actors import dossier as dossiers
from trio_gusto.actors.desk import StorageDesk
from trio_gusto.actors.dossier import Dossiers, dossier_of, frames_of_users
from trio_gusto.actors.lease import Cause, Slot
from trio_gusto.actors.reports import Reports
from trio_gusto.actors.roster import Roster
from trio_gusto.model.errors import StuckHandler
from trio_gusto.model.ids import to_uuid
from trio_gusto.testing import VirtualClock

# --- tasks ----------------------------------------------------------------------------------------


async def waits() -> None:
    await trio.sleep_forever()


async def digs(depth: int) -> None:
    if depth:
        await digs(depth - 1)
    await waits()


async def branches(depth: int) -> None:
    async with trio.open_nursery() as nursery:
        if depth:
            nursery.start_soon(branches, depth - 1, name=f"branch {depth}")
        await waits()


async def shields(seconds: float) -> None:
    with (
        trio.CancelScope(shield=True, deadline=trio.current_time() + seconds),
        trio.CancelScope(),
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits, name="in the shield")


async def dossier_while(body: Callable[[], Awaitable[object]]) -> str:
    """The dossier of a job that runs ``body`` and times out."""
    app = Gusto(clock=VirtualClock(), options=Options(concurrency=1))

    @app.job(timeout=1, max_attempts=1)
    async def work() -> None:
        await body()

    async with app.running() as queue:
        ref = await queue.enqueue(work)
        await ref.wait()
        (attempt,) = await queue.attempts(ref)
    assert attempt.dossier is not None
    return attempt.dossier


async def lines_of(body: Callable[[], Awaitable[object]]) -> list[str]:
    """The same, but for Trio's frames."""
    lines = iter((await dossier_while(body)).replace(__file__, "here").splitlines())
    kept: list[str] = []
    for line in lines:
        if re.search(r'File ".*/trio/', line):
            next(lines)
        else:
            kept.append(re.sub(r"line \d+", "line N", line))
    return kept


OPENING = [
    "timed out after 1 s, and is cancelled now",
    "event loop lag: 0.000 s",
    "handler",
    '  File "here", line N, in work',
    "    await body()",
]


async def test_each_task_stands_below_the_one_that_waits_for_it_with_the_shields_around_it(
    autojump_clock: MockClock,
) -> None:
    async def body() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits, name="last")
            nursery.start_soon(shields, 3, name="first")

    assert await lines_of(body) == [
        *OPENING,
        '  File "here", line N, in body',
        "    async with trio.open_nursery() as nursery:",
        "  task first",
        "    shielded by cancel scope 3 of 4 from inside, which ends in 2.0 s",
        '    File "here", line N, in shields',
        "      async with trio.open_nursery() as nursery:",
        "    task in the shield",
        "      shielded by cancel scope 3 of 4 from inside, which ends in 2.0 s",
        '      File "here", line N, in waits',
        "        await trio.sleep_forever()",
        "  task last",
        '    File "here", line N, in waits',
        "      await trio.sleep_forever()",
    ]


async def counts() -> AsyncGenerator[int]:
    spare = digs(0)  # which nobody awaits
    try:
        await waits()
        yield 1
    finally:
        spare.close()


async def counting() -> None:
    async for _ in counts():
        pass


@types.coroutine
def of_old() -> Generator[Any, Any, None]:
    spare = digs(0)  # which nobody awaits
    try:
        yield from waits()
    finally:
        spare.close()


class Promise:
    def __await__(self) -> Generator[Any, Any, None]:
        return waits().__await__()


async def promising() -> None:
    await Promise()


class Opaque:
    """Awaits something, and does not say what."""

    __slots__ = ("_inner",)

    def __init__(self) -> None:
        self._inner = waits().__await__()

    def __await__(self) -> Opaque:
        return self

    def __iter__(self) -> Opaque:
        return self

    def __next__(self) -> Any:
        return self._inner.send(None)

    def throw(self, error: BaseException) -> Any:
        return self._inner.throw(error)


async def hiding() -> None:
    await Opaque()  # type: ignore[misc]  # it is an iterator, if an odd one


@pytest.mark.parametrize(
    ("body", "frames"),
    [
        (lambda: digs(1), ["digs", "digs", "waits"]),
        (counting, ["counting", "counts", "waits"]),
        (of_old, ["of_old", "waits"]),
        (promising, ["promising", "waits"]),
        (hiding, ["hiding"]),
    ],
    ids=["coroutines", "generators", "those of old", "promises", "what cannot be looked into"],
)
async def test_frames_are_found_through_whatever_is_awaited(
    autojump_clock: MockClock, body: Callable[[], Awaitable[object]], frames: list[str]
) -> None:
    lines = await lines_of(body)
    assert lines[3].endswith("in work")
    found = [line.rpartition(" in ")[2] for line in lines[4:] if line.startswith('  File "')]
    assert found == frames
    assert not any("could not be read" in line for line in lines)


@pytest.mark.parametrize(
    ("most", "rest"), [(4, []), (3, ["and 1 more tasks"]), (2, ["and 2 more tasks"])]
)
async def test_of_more_tasks_than_are_described_the_others_are_counted(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, most: int, rest: list[str]
) -> None:
    monkeypatch.setattr(dossiers, "MOST_TASKS", most)

    async def body() -> None:
        async with trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(waits, name=name)

    lines = await lines_of(body)
    described = [line for line in lines if line.startswith("  task")]
    assert described == ["  task a", "  task b", "  task c"][: most - 1]
    assert (
        [line for line in lines if line.startswith("and")]
        == rest
        == lines[len(lines) - len(rest) :]
    )


async def test_tasks_that_are_deeper_than_ten_are_not_moved_in_further(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dossiers, "MOST_FRAMES", 1)
    lines = await lines_of(lambda: branches(12))
    margins = [len(line) - len(line.lstrip()) for line in lines if "task branch" in line]
    assert margins == [*range(2, 22, 2), 20, 20]


async def test_of_deep_frames_the_innermost_are_shown_and_the_others_counted(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dossiers, "MOST_FRAMES", 1000)
    frames = (await dossier_while(lambda: digs(3))).split("  File ")[1:]
    for left_out, told in [(0, []), (1, ["  1 frames left out"]), (4, ["  4 frames left out"])]:
        monkeypatch.setattr(dossiers, "MOST_FRAMES", len(frames) - left_out)
        text = await dossier_while(lambda: digs(3))
        assert [line for line in text.splitlines() if "left out" in line] == told
        assert text.split("  File ")[1:] == frames[left_out:]


async def test_long_names_and_long_lines_are_cut(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dossiers, "LINE", 8)

    async def body() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits, name="a very long name")

    assert (await lines_of(body))[-3:] == [
        "  task a very l",
        '    File "here", line N, in waits',
        "      await tr",
    ]


# --- frames of users ------------------------------------------------------------------------------


def names_of(task: trio.lowlevel.Task) -> list[str]:
    return [frame.f_code.co_name for frame in frames_of_users(task)]


async def test_the_frames_of_users_are_those_that_are_neither_ours_nor_trio_s() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(digs, 1)
        await wait_all_tasks_blocked()
        (task,) = nursery.child_tasks
        assert names_of(task) == ["digs", "digs", "waits"]
        nursery.cancel_scope.cancel()


async def test_the_frames_of_users_in_an_executor_are_those_of_its_handler(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(clock=VirtualClock(), options=Options(concurrency=1))
    tasks: list[trio.lowlevel.Task] = []

    @app.job
    async def work() -> None:
        tasks.append(trio.lowlevel.current_task())
        await trio.sleep(1)

    async with app.running() as queue:
        ref = await queue.enqueue(work)
        await trio.sleep(0.5)
        (executor,) = tasks
        assert names_of(executor) == ["work"]
        await ref.wait()
        await trio.sleep(0.5)
        assert "work" not in names_of(executor)


# --- what is said, and to whom --------------------------------------------------------------------


class Forgetful(MemoryStorage):
    keeps_reports = False


def dossiers_on(storage: MemoryStorage, *, is_stopping: bool = False) -> Dossiers:
    reports, roster = Reports(StorageDesk(storage), VirtualClock(), Options()), Roster(1)
    reports.open()
    roster.stopping = is_stopping
    return Dossiers(roster, reports)


def slot_of(cause: Cause | None) -> Slot:
    """A slot whose handler is the current task, and was cancelled 7.25 seconds ago, if it was."""
    slot, held = Slot(lambda _deadline: None), lease(7)
    slot.task, slot.lease = trio.lowlevel.current_task(), held
    held.claimed.request.timeout = 1_500_000
    held.cause = cause
    if cause is not None:
        slot.cancelled_at = trio.current_time() - 7.25
    return slot


@pytest.mark.parametrize(
    ("cause", "lag", "lines"),
    [
        (None, -1.0, ["timed out after 1.5 s, and is cancelled now", "event loop lag: 0.000 s"]),
        (
            Cause.FENCE,
            0.12345,
            ["cancelled 7.2 s ago (fence), and still runs", "event loop lag: 0.123 s"],
        ),
    ],
)
async def test_it_begins_with_what_has_happened(
    autojump_clock: MockClock, cause: Cause | None, lag: float, lines: list[str]
) -> None:
    slot = slot_of(cause)
    assert slot.lease is not None
    assert dossier_of(slot, slot.lease, lag).splitlines()[:2] == lines


IN_A_TASK = "it shields itself or swallows Cancelled; give its shielded scope a deadline, and let Cancelled through"
IN_A_THREAD = "a thread cannot be killed; let the handler call trio.from_thread.check_cancelled() now and then"


@pytest.mark.parametrize(
    ("thread_wait", "why"), [(None, IN_A_TASK), (trio.CancelScope, IN_A_THREAD)]
)
async def test_a_handler_that_does_not_end_is_complained_about(
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    thread_wait: Callable[[], trio.CancelScope] | None,
    why: str,
) -> None:
    slot = slot_of(Cause.CANCEL)
    slot.thread_wait = None if thread_wait is None else thread_wait()
    dossiers_on(MemoryStorage()).file(slot)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert isinstance(record.args, tuple)
    assert [type(each) for each in record.args] == [StuckHandler], "for who handles logs"
    assert record.getMessage() == (
        f"job {to_uuid(lease(7).claimed.request.id)} (work) still runs 5 s after it was cancelled, "
        f"and its executor is taken until it ends: {why}"
    )


@pytest.mark.parametrize(("cause", "is_stopping"), [(None, False), (Cause.SHUTDOWN, True)])
async def test_nobody_complains_of_a_handler_that_may_still_end_in_time(
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    cause: Cause | None,
    is_stopping: bool,
) -> None:
    dossiers_on(MemoryStorage(), is_stopping=is_stopping).file(slot_of(cause))
    assert caplog.records == []


async def test_where_no_dossier_is_kept_all_of_it_is_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    slot = slot_of(None)
    assert slot.lease is not None
    dossiers_on(Forgetful()).file(slot)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    job_id = to_uuid(slot.lease.claimed.request.id)
    first, second, *_ = record.getMessage().splitlines()
    assert first == f"job {job_id}: timed out after 1.5 s, and is cancelled now"
    assert second == "event loop lag: 0.000 s"


class ATask:
    """As much of a task as Trio promises."""

    name = "work"
    coro = None
    child_nurseries = ()


class AStatus:
    _scope = trio.CancelScope(shield=True)


class AnotherTask(ATask):
    _cancel_status = object()


class YetAnotherTask(ATask):
    _cancel_status = AStatus()


@pytest.mark.parametrize(("task", "shields"), [(ATask, 0), (AnotherTask, 0), (YetAnotherTask, 1)])
async def test_what_trio_keeps_elsewhere_is_left_out(
    autojump_clock: MockClock, task: type[ATask], shields: int
) -> None:
    slot = slot_of(None)
    slot.task = cast("trio.lowlevel.Task", task)
    assert slot.lease is not None
    line = "  shielded by cancel scope 1 of 1 from inside, which has no deadline"
    expected = ["handler, in a thread", *[line] * shields]
    assert dossier_of(slot, slot.lease, 0.0).splitlines()[2:] == expected
