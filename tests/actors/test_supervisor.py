"""Children start in order, stop in reverse, and are restarted within a budget."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from tests.actors.doubles import StillClock
from trio_gusto import ActorRestarted, Gusto, Options
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.supervisor import Child, RestartBudget, Supervisor
from trio_gusto.model.facts import Fact
from trio_gusto.model.failure import JobError
from trio_gusto.storage.lease_messages import Stranded
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Query
from trio_gusto.testing import VirtualClock

Status = trio.TaskStatus[None]
Life = Callable[[Status], Awaitable[None]]


def make(restarts: int = 3, seconds: float = 30.0) -> tuple[Supervisor, list[Fact]]:
    probe, facts = Probe(), list[Fact]()
    probe.subscribe(facts.append)
    return Supervisor(RestartBudget(restarts, seconds), probe, VirtualClock()), facts


def child(name: str, *lives: Life) -> Child:
    """A child whose lives are these, one after the other, and after them a quiet one."""
    left = list(lives)

    async def run(task_status: Status = trio.TASK_STATUS_IGNORED) -> None:
        if left:
            await left.pop(0)(task_status)
        else:
            task_status.started()
            await trio.sleep_forever()

    return Child(name, run)


def dies(error: BaseException, *, ready: bool = True) -> Life:
    async def life(task_status: Status) -> None:
        if ready:
            task_status.started()
        await trio.lowlevel.checkpoint()
        raise error

    return life


def journalled(name: str, journal: list[str]) -> Child:
    async def life(task_status: Status) -> None:
        journal.append(f"{name} starts")
        await trio.sleep(1)
        journal.append(f"{name} is ready")
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            journal.append(f"{name} ends")

    return child(name, life)


async def test_children_start_when_the_one_before_is_ready_and_stop_in_reverse(
    autojump_clock: MockClock,
) -> None:
    supervisor, _ = make()
    journal: list[str] = []
    async with trio.open_nursery() as nursery:
        await supervisor.start(nursery, [journalled(name, journal) for name in "abc"])
        await supervisor.stop("b")
        await supervisor.stop()
    assert journal == [
        *("a starts", "a is ready", "b starts", "b is ready", "c starts", "c is ready"),
        *("b ends", "c ends", "a ends"),
    ]


async def test_one_that_dies_is_started_again_and_that_is_announced(
    autojump_clock: MockClock,
) -> None:
    supervisor, facts = make()
    async with trio.open_nursery() as nursery:
        await supervisor.start(nursery, [child("poller", dies(ValueError("oops")))])
        await trio.testing.wait_all_tasks_blocked()
        (fact,) = facts
        assert isinstance(fact, ActorRestarted)
        assert (fact.actor, fact.error.type, fact.error.message) == ("poller", "ValueError", "oops")
        assert not supervisor.failed.is_set()
        await supervisor.stop()


@pytest.mark.parametrize("is_heard", [True, False])
async def test_what_an_actor_died_of_is_told(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, is_heard: bool
) -> None:
    probe, facts, clock = Probe(), list[Fact](), StillClock()
    if is_heard:
        probe.subscribe(facts.append)
    supervisor = Supervisor(RestartBudget(1, 30), probe, clock)
    errors = [ValueError("oops"), ValueError("again")]
    async with trio.open_nursery() as nursery:
        await supervisor.start(nursery, [child("poller", *map(dies, errors))])
        await supervisor.failed.wait()
    fact = ActorRestarted(at=clock.now(), actor="poller", error=JobError.of(errors[0]))
    assert facts == ([fact] if is_heard else [])
    told = [
        (one.levelno, one.getMessage(), one.exc_info and one.exc_info[1]) for one in caplog.records
    ]
    assert told == [
        (logging.ERROR, "actor poller died and is started again", errors[0]),
        (logging.ERROR, "actor poller died once too often; the app stops", errors[1]),
    ]


def test_restarts_are_counted_within_the_period_alone() -> None:
    budget = RestartBudget(2, 10)
    spent = [budget.allows_one(now) for now in (0, 5, 9.9, 10, 14.9, 15)]
    assert spent == [True, True, False, True, False, True]


async def test_past_the_budget_the_supervisor_fails_with_what_the_child_died_of(
    autojump_clock: MockClock,
) -> None:
    supervisor, facts = make(restarts=2)
    errors = [ValueError("1"), ValueError("2"), ExceptionGroup("3", [ValueError("3")])]
    async with trio.open_nursery() as nursery:
        await supervisor.start(nursery, [child("poller", *map(dies, errors))])
        await supervisor.failed.wait()
        assert len(facts) == 2
        assert isinstance(supervisor.fault, ValueError)
        assert supervisor.fault.args == ("3",)
        await supervisor.stop()


async def test_one_that_has_come_to_its_end_is_not_started_again(autojump_clock: MockClock) -> None:
    supervisor, facts = make()
    lives: list[str] = []

    async def life(task_status: Status) -> None:
        lives.append("begun")
        task_status.started()
        await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        await supervisor.start(nursery, [child("brief", life)])
    assert trio.current_time() == 1
    assert (lives, facts, supervisor.fault) == (["begun"], [], None)


async def test_the_first_fault_stands(autojump_clock: MockClock) -> None:
    supervisor, _ = make(restarts=0)
    first, second = ValueError("first"), ValueError("second")

    def dies_after(seconds: float, error: Exception) -> Life:
        async def life(task_status: Status) -> None:
            task_status.started()
            await trio.sleep(seconds)
            raise error

        return life

    children = [child("a", dies_after(2, second)), child("b", dies_after(1, first))]
    async with trio.open_nursery() as nursery:
        await supervisor.start(nursery, children)
        await trio.sleep(3)
        await supervisor.stop()
    assert supervisor.fault is first


async def test_restarts_are_forgotten_after_their_period(autojump_clock: MockClock) -> None:
    async def later(task_status: Status) -> None:
        task_status.started()
        await trio.sleep(11)
        raise ValueError

    supervisor, facts = make(restarts=1, seconds=10)
    async with trio.open_nursery() as nursery:
        await supervisor.start(nursery, [child("slow to die", later, later, later)])
        await trio.sleep(100)
        assert len(facts) == 3
        assert not supervisor.failed.is_set()
        await supervisor.stop()


async def test_one_that_dies_before_it_was_ready_reports_ready_in_its_next_life(
    autojump_clock: MockClock,
) -> None:
    supervisor, facts = make()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await supervisor.start(nursery, [child("late", dies(ValueError(), ready=False))])
            assert len(facts) == 1
            await supervisor.stop()


async def test_one_that_never_becomes_ready_does_not_hide_why(autojump_clock: MockClock) -> None:
    supervisor, _ = make(restarts=1)
    stillborn = child("never", *[dies(ValueError("why"), ready=False)] * 2)
    async with trio.open_nursery() as nursery:
        await supervisor.start(nursery, [stillborn])
        assert supervisor.failed.is_set()
        assert isinstance(supervisor.fault, ValueError)
        await supervisor.stop()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_what_is_no_mere_exception_is_not_survived(
    autojump_clock: MockClock, error: BaseException
) -> None:
    supervisor, facts = make()
    together = BaseExceptionGroup("both", [error, ValueError()])
    async with trio.open_nursery() as nursery:
        await supervisor.start(nursery, [child("actor", dies(together))])
        await supervisor.failed.wait()
        await supervisor.stop()
    assert facts == []
    assert supervisor.fault is (error if isinstance(error, KeyboardInterrupt) else together)


async def test_cancellation_from_outside_goes_through(autojump_clock: MockClock) -> None:
    supervisor, facts = make()
    async with trio.open_nursery() as nursery:
        await supervisor.start(nursery, [child("actor")])
        nursery.cancel_scope.cancel()
    assert facts == []
    assert not supervisor.failed.is_set()


# --- in a whole app -------------------------------------------------------------------------------


class BreaksAtSweeps(MemoryStorage):
    """Has a defect, which shows ``times`` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def read(self, query: Query) -> object:  # type: ignore[override]  # all queries alike
        if isinstance(query, Stranded) and self.times:
            self.times -= 1
            raise ZeroDivisionError("a defect")
        return await super().read(query)


async def test_an_app_survives_a_defect_that_passes(autojump_clock: MockClock) -> None:
    app = Gusto(BreaksAtSweeps(times=2), clock=VirtualClock())

    @app.job
    async def work() -> str:
        return "done"

    with trio.fail_after(60):
        async with app.running() as queue:
            assert await (await queue.enqueue(work)).result() == "done"


async def test_an_app_with_a_defect_that_stays_ends_with_that_very_error(
    autojump_clock: MockClock,
) -> None:
    storage = BreaksAtSweeps(times=0)
    app = Gusto(storage, clock=VirtualClock(), options=Options(restart_limit=2))

    async def host() -> None:
        async with app.running():
            storage.times = 1000
            await trio.sleep_forever()

    with trio.fail_after(600), pytest.raises(ZeroDivisionError, match="a defect"):
        await host()


@pytest.mark.parametrize("breaks", [False, True])
async def test_an_app_that_fails_beside_its_host_ends_with_the_errors_of_both(
    autojump_clock: MockClock, breaks: bool
) -> None:
    storage = BreaksAtSweeps(times=0)
    app = Gusto(storage, clock=VirtualClock(), options=Options(restart_limit=2))

    async def host() -> None:
        async with app.running():
            storage.times = 1000
            try:
                await trio.sleep_forever()
            finally:
                if breaks:
                    raise OSError("its clean-up broke")

    with trio.fail_after(600), pytest.raises(Exception) as caught:  # noqa: PT011 - looked at below
        await host()
    if breaks:
        assert isinstance(caught.value, ExceptionGroup)
        assert [type(each) for each in caught.value.exceptions] == [ZeroDivisionError, OSError]
    else:
        assert type(caught.value) is ZeroDivisionError


async def test_an_app_that_cannot_start_its_actors_ends_with_their_error(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(BreaksAtSweeps(times=1000), clock=VirtualClock())
    entered = False
    with trio.fail_after(600), pytest.raises(ZeroDivisionError, match="a defect"):
        async with app.running():
            entered = True
    assert not entered
