"""The executors by themselves: whom they hand what to, for handlers of every kind and end."""

from __future__ import annotations

import math
import threading
from datetime import timedelta
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.pool import CHILD, NOW, Pool, at_work
from trio_gusto import (
    fixed,
)
from trio_gusto.actors.context import RunningJob, running_job
from trio_gusto.actors.lease import Cause, Lease
from trio_gusto.model.errors import UnknownHandler
from trio_gusto.model.instants import MICROSECONDS
from trio_gusto.model.job import Details, Errand
from trio_gusto.model.outcomes import (
    RETURNED,
    AttemptFailed,
    Outcome,
    Released,
    Succeeded,
    TimedOut,
)


def assert_free(pool: Pool, lease: Lease) -> None:
    (slot,) = pool.roster.slots
    assert (slot.lease, lease.slot, slot.deadline) == (None, None, math.inf)
    assert pool.roster.active is None


# --- handlers that return -------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 3])
@pytest.mark.parametrize(("result", "outcome"), [(None, RETURNED), (7, Succeeded("7"))])
async def test_a_success_is_recorded_with_its_instants(
    autojump_clock: MockClock, seconds: float, result: object, outcome: Outcome
) -> None:
    pool = Pool()

    @pool.app.job(name="work")
    async def work(seconds: float) -> object:
        assert pool.roster.active is held
        if seconds:
            await trio.sleep(seconds)
        return result

    held = pool.claim(1, args=f"[{seconds}]")
    async with at_work(pool, held):
        await trio.sleep(10)
        assert_free(pool, held)
    assert pool.calls == [("succeed", held, outcome, 0, seconds * MICROSECONDS)]
    assert held.started_at == NOW
    assert pool.roster.mean_duration == seconds * MICROSECONDS


@pytest.mark.parametrize("seconds", [0, 3])
async def test_who_returns_nothing_where_something_was_promised_has_no_result(
    autojump_clock: MockClock, seconds: float
) -> None:
    pool = Pool()

    @pool.app.job(name="work")
    async def work() -> timedelta:
        await trio.sleep(seconds) if seconds else None
        return None  # type: ignore[return-value]  # as handlers do

    held = pool.claim(1)
    async with at_work(pool, held):
        await trio.sleep(10)
    assert pool.calls[0][2] == RETURNED


async def test_a_handler_can_find_the_node_that_it_runs_on(autojump_clock: MockClock) -> None:
    pool = Pool()
    found: list[RunningJob] = []

    @pool.app.job(name="work")
    async def work() -> None:
        found.append(running_job(RunningJob))

    held = pool.claim(1)
    async with at_work(pool, held):
        await trio.sleep(1)
    (job,) = found
    assert (job._lease, job._roster) == (held, pool.roster)
    assert (job._workplace, job._reports) == (pool.workplace, pool.reports)


@pytest.mark.parametrize("kind", ["at once", "in the loop", "waits", "in a thread"])
async def test_who_holds_the_event_loop_is_known_by_name(
    autojump_clock: MockClock, kind: str
) -> None:
    pool = Pool(is_observed=kind != "at once")
    holding: list[Lease | None] = []

    def look() -> None:
        holding.append(pool.roster.active)

    async def at_once() -> None:
        look()

    async def waits() -> None:
        look()
        await trio.sleep(1)
        look()

    handlers = {"at once": at_once, "waits": waits}
    options: dict[str, Any] = {"thread": False} if kind == "in the loop" else {}
    pool.app.job(name="work", **options)(handlers.get(kind, look))
    held = pool.claim(1)
    async with at_work(pool, held):
        await trio.sleep(5)
    held_by = None if kind == "in a thread" else held
    assert holding == [held_by] * (2 if kind == "waits" else 1)
    assert pool.roster.active is None


async def test_a_slot_knows_the_thread_that_it_waits_for_until_that_has_ended() -> None:
    pool, release, entered = Pool(), threading.Event(), threading.Event()
    (slot,) = pool.roster.slots
    threads: list[int] = []

    def known() -> tuple[object, object]:
        return slot.thread, slot.thread_wait

    @pool.app.job(name="work")
    def work() -> None:
        threads.append(threading.get_ident())
        entered.set()
        release.wait(5)

    held = pool.claim(1)
    async with at_work(pool, held):
        await trio.to_thread.run_sync(entered.wait, 5)
        assert known() == (threads[0], None)
        held.interrupt(Cause.SHUTDOWN)
        await wait_all_tasks_blocked()
        assert isinstance(known()[1], trio.CancelScope)
        assert pool.calls == []
        release.set()
        with trio.fail_after(5):
            await pool.told.wait()
        assert known() == (None, None)


async def test_a_scope_lasts_for_many_jobs_until_one_was_cancelled_in_it(
    autojump_clock: MockClock,
) -> None:
    pool = Pool()
    (slot,) = pool.roster.slots

    @pool.app.job(name="work")
    async def work() -> None:
        scopes.append(slot.scope)
        await trio.sleep(5)

    scopes: list[trio.CancelScope] = []
    jobs = [pool.claim(number, max_attempts=1) for number in range(4)]
    async with at_work(pool):
        for job in jobs:
            pool.roster.backlog.put([job])
            await trio.sleep(1)
            if job is jobs[2]:
                job.interrupt(Cause.SHUTDOWN)
            await trio.sleep(9)
    first, second, third, fourth = scopes
    assert first is second is third
    assert fourth is not first


async def test_while_a_handler_waits_it_can_be_found_and_interrupted(
    autojump_clock: MockClock,
) -> None:
    pool = Pool()
    tasks: list[trio.lowlevel.Task] = []

    @pool.app.job(name="work")
    async def work() -> None:
        tasks.append(trio.lowlevel.current_task())
        await trio.sleep(5)

    held = pool.claim(1, timeout=8 * MICROSECONDS, max_attempts=1)
    async with at_work(pool, held):
        await trio.sleep(2)
        (slot,) = pool.roster.slots
        assert (slot.lease, held.slot, slot.deadline) == (held, slot, 8.0)
        assert pool.roster.next_deadline == 8.0
        assert [slot.task] == tasks
        assert pool.roster.active is None
        held.interrupt(Cause.TIMEOUT)
        await trio.sleep(1)
        assert_free(pool, held)
    outcome = TimedOut(8 * MICROSECONDS)
    assert pool.calls == [("settle", held, outcome, 2 * MICROSECONDS, {})]


@pytest.mark.parametrize("seconds", [0, 3])
async def test_a_success_with_children_is_settled_by_itself(
    autojump_clock: MockClock, seconds: float
) -> None:
    pool = Pool()

    @pool.app.job(name="work")
    async def work() -> None:
        held.children = [CHILD]
        if seconds:
            await trio.sleep(seconds)

    held = pool.claim(1)
    async with at_work(pool, held):
        await trio.sleep(10)
    assert pool.calls == [("settle", held, RETURNED, seconds * MICROSECONDS, {})]


@pytest.mark.parametrize("is_failing", [False, True])
async def test_a_result_that_goes_by_hand_is_not_stored(
    autojump_clock: MockClock, is_failing: bool
) -> None:
    pool, error, errand = Pool(), ValueError("no"), Errand("before", KeyError("before"))

    @pool.app.job(name="work")
    async def work() -> object:
        if is_failing:
            raise error
        return object

    held = pool.claim(1, details=Details(errand=errand), max_attempts=1)
    async with at_work(pool, held):
        await trio.sleep(1)
    if is_failing:
        assert errand == Errand("before", error)
        assert pool.calls == [("settle", held, AttemptFailed(error), 0, {})]
    else:
        assert errand == Errand(object, None)
        assert pool.calls == [("succeed", held, RETURNED, 0, 0)]


async def test_a_callback_is_stored_with_the_success(autojump_clock: MockClock) -> None:
    pool = Pool()

    @pool.app.job(name="work")
    async def work() -> int:
        return 2

    held = pool.claim(1, details=Details(callback="tell"))
    async with at_work(pool, held):
        await trio.sleep(1)
    assert pool.calls == [
        ("call back", held.claimed, "2"),
        ("settle", held, Succeeded("2"), 0, {"callback": CHILD}),
    ]


async def test_a_callback_that_nobody_knows_here_fails_the_job_for_good(
    autojump_clock: MockClock,
) -> None:
    pool = Pool()

    @pool.app.job(name="work")
    async def work() -> int:
        return 3

    held = pool.claim(1, details=Details(callback="tell"))
    async with at_work(pool, held):
        await trio.sleep(1)
    ((kind, told, outcome, _, rest),) = pool.calls
    assert (kind, told, rest) == ("settle", held, {})
    assert isinstance(outcome, AttemptFailed)
    assert outcome.final
    assert outcome.reason == f"its callback cannot be called here: {UnknownHandler('tell', ())}"


# --- handlers that raise --------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 3])
async def test_a_failure_is_settled_with_what_its_retry_policy_allows(
    autojump_clock: MockClock, seconds: float
) -> None:
    pool, error = Pool(), ValueError("no")

    @pool.app.job(name="work", retry=fixed(5))
    async def work() -> None:
        if seconds:
            await trio.sleep(seconds)
        raise error

    held = pool.claim(1)
    async with at_work(pool, held):
        await trio.sleep(10)
        assert_free(pool, held)
    rest = {"delay": 5 * MICROSECONDS}
    assert pool.calls == [("settle", held, AttemptFailed(error), seconds * MICROSECONDS, rest)]


async def test_a_ctrl_c_that_hits_a_handler_is_not_its_own_and_goes_on(
    autojump_clock: MockClock,
) -> None:
    pool = Pool()
    of_trio: dict[str, Any] = {"__name__": "signal"}  # which is where it comes from
    exec("def press(): raise KeyboardInterrupt", of_trio)

    @pool.app.job(name="work")
    async def work() -> None:
        of_trio["press"]()

    held = pool.claim(1)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with at_work(pool, held):
            await trio.sleep_forever()
    assert caught.group_contains(KeyboardInterrupt)
    assert pool.calls == [("settle", held, Released(entered=True), 0, {})]


# --- jobs that are not run ------------------------------------------------------------------------


async def test_a_job_that_nobody_knows_here_is_given_back_and_named_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    pool = Pool()
    first, second, other = pool.claim(1, "strange"), pool.claim(2, "strange"), pool.claim(3, "odd")
    async with at_work(pool, first, second, other):
        await trio.sleep(1)
    assert pool.calls == [("give back", one) for one in (first, second, other)]
    assert pool.roster.unknown_names == {"strange", "odd"}
    assert [record.getMessage() for record in caplog.records] == [
        f"no handler is registered as {name!r} here; its jobs stay ready until a node knows it"
        for name in ("strange", "odd")
    ]


async def test_a_job_that_was_called_off_before_is_given_back(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    pool = Pool()

    @pool.app.job(name="work")
    async def work() -> None:
        raise AssertionError

    held = pool.claim(1)
    held.cancel("enough")
    async with at_work(pool, held):
        await trio.sleep(1)
    assert pool.calls == [("give back", held)]
    assert (pool.roster.unknown_names, caplog.records, held.started_at) == (set(), [], None)


async def test_after_a_defect_a_slot_holds_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slots outlive their executors: the next ones would be watched for a job that is not theirs."""
    pool = Pool()

    @pool.app.job(name="work")
    async def work() -> None:
        await trio.sleep(1)

    def break_down(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pool, "succeed", break_down)
    held = pool.claim(1, timeout=8 * MICROSECONDS)
    with pytest.RaisesGroup(pytest.RaisesGroup(ZeroDivisionError)):
        async with at_work(pool, held):
            await trio.sleep(2)
    assert_free(pool, held)
    assert pool.roster.leases == {}


# --- more and fewer executors ---------------------------------------------------------------------


async def test_executors_come_and_go_as_there_are_to_be_more_or_fewer(
    autojump_clock: MockClock,
) -> None:
    pool = Pool()
    running: list[int] = []

    @pool.app.job(name="work")
    async def work() -> None:
        running.append(len(running))
        await trio.sleep(1)

    async with at_work(pool, *(pool.claim(number) for number in range(10))):
        await trio.sleep(0.5)
        assert len(running) == 1
        pool.roster.resize(3)
        await wait_all_tasks_blocked()
        pool.roster.backlog.wake(3)
        await wait_all_tasks_blocked()
        assert len(running) == 3
        pool.roster.resize(1)
        await trio.sleep(1.1)
        assert len(pool.roster.slots) == 1
        assert len(running) == 4
