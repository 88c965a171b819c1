"""The executors by themselves: whom they hand what to, for handlers of every kind and end."""

from __future__ import annotations

import contextvars
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.test_roster import lease
from trio_gusto import (
    AttemptOutcome,
    Fact,
    Fail,
    Gusto,
    JobStarted,
    JobState,
    MemoryStorage,
    Options,
    StorageBusy,
    fixed,
)
from trio_gusto.actors.desk import StorageDesk
from trio_gusto.actors.executor import Executors
from trio_gusto.actors.lease import Cause, Lease
from trio_gusto.actors.parents import Parents
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.reports import Reports
from trio_gusto.actors.roster import Roster
from trio_gusto.actors.settler import Settler
from trio_gusto.actors.workplace import Workplace
from trio_gusto.model.errors import GustoError, UnknownHandler
from trio_gusto.model.ids import to_uuid, uuid7
from trio_gusto.model.instants import MICROSECONDS, to_instant
from trio_gusto.model.job import ClaimedJob, Details, Errand, JobRequest
from trio_gusto.model.outcomes import RETURNED, AttemptFailed, Outcome, Succeeded, TimedOut
from trio_gusto.model.states import Completed, Ready, Scheduled, State
from trio_gusto.testing import VirtualClock
from trio_gusto.testing.clock import START

NOW = to_instant(START)
PARENT = uuid7(9_000_000, 9)
CHILD = (JobRequest(uuid7(8_000_000, 8), "child", "[]", 0, 1), Ready(0))


class Pool:
    """Executors with a settler, an observer, a gate and parents that only take notes."""

    def __init__(
        self, *, is_gated: bool = False, is_observed: bool = False, concurrency: int = 1
    ) -> None:
        self.clock = VirtualClock()
        self.clock.instant()
        self.app = Gusto(clock=self.clock)
        self.roster = Roster(concurrency)
        self.calls: list[tuple[object, ...]] = []
        """All that was told to neighbours, in order."""
        self.facts: list[Fact] = []
        self.probe = Probe(
            gate=self if is_gated else None,  # type: ignore[arg-type]  # the part that they know
            observer=self if is_observed else None,  # type: ignore[arg-type]
        )
        self.hold: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint
        """What the start of a job waits for at the gate, and while its parents are read."""
        self.becomes: State = Completed(0, 0, 0, "node")

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        reports = Reports(StorageDesk(MemoryStorage()), self.clock, Options())
        self.workplace: Workplace = self.app._workplace()
        self.workplace.call_back = self.call_back
        executors = Executors(
            self.workplace,
            self.roster,
            cast("Settler", self),
            self.probe,
            self.clock,
            cast("Parents", self),
            reports,
        )
        await executors.run(task_status)

    def claim(self, number: int, name: str = "work", **options: Any) -> Lease:
        one = lease(number)
        request = one.claimed.request
        request.name = name
        for option, value in options.items():
            setattr(request, option, value)
        self.roster.leases[request.id] = one
        return one

    # As a settler:

    def succeed(self, lease: Lease, outcome: Outcome, started_at: int, now: int) -> None:
        self.calls.append(("succeed", lease, outcome, started_at - NOW, now - NOW))

    def settle(self, lease: Lease, outcome: Outcome, **rest: Any) -> State:
        now = rest.pop("now") - NOW
        rest = {name: value for name, value in rest.items() if value is not None}
        self.calls.append(("settle", lease, outcome, now, rest))
        if lease.recorded is not None:
            lease.state = self.becomes.word
            lease.recorded.set()
        return self.becomes

    def give_back(self, lease: Lease) -> None:
        self.calls.append(("give back", lease))

    # As a gate:

    async def pass_through(self, point: str, record: object) -> None:
        self.calls.append((point, record))
        if point == "job_started":
            await self.hold()

    # As an observer:

    def job_started(
        self, context: contextvars.Context, claimed: ClaimedJob, job_type: str, method: str
    ) -> object:
        assert isinstance(context, contextvars.Context)
        self.calls.append(("span", claimed, job_type.rpartition(".")[2], method))
        return "the span"

    def job_ended(
        self, span: object, outcome: AttemptOutcome, state: JobState, error: object
    ) -> None:
        self.calls.append(("ended", span, outcome, state, error))

    # As those who know of parents and callbacks:

    async def of(self, request: JobRequest) -> tuple[object, ...]:
        self.calls.append(("parents", request))
        await self.hold()
        return ("a parent",)

    def call_back(self, claimed: ClaimedJob, result: str | None) -> Any:
        if result == "3":
            raise UnknownHandler("tell", ())
        self.calls.append(("call back", claimed, result))
        return CHILD


@asynccontextmanager
async def at_work(pool: Pool, *leases: Lease) -> AsyncGenerator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        await wait_all_tasks_blocked()
        pool.roster.backlog.put([*leases])
        yield
        nursery.cancel_scope.cancel()


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


async def test_while_a_handler_waits_it_can_be_found_and_interrupted(
    autojump_clock: MockClock,
) -> None:
    pool = Pool()

    @pool.app.job(name="work")
    async def work() -> None:
        await trio.sleep(5)

    held = pool.claim(1, timeout=8 * MICROSECONDS, max_attempts=1)
    async with at_work(pool, held):
        await trio.sleep(2)
        (slot,) = pool.roster.slots
        assert (slot.lease, held.slot, slot.deadline) == (held, slot, 8.0)
        assert pool.roster.next_deadline == 8.0
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


# --- continuations --------------------------------------------------------------------------------


async def wait_a_second() -> None:
    await trio.sleep(1)


async def test_a_continuation_begins_when_its_parents_are_read(autojump_clock: MockClock) -> None:
    pool = Pool(concurrency=2)
    pool.hold = wait_a_second
    pool.probe.subscribe(pool.facts.append)
    seen: list[object] = []

    @pool.app.job(name="work")
    async def work() -> None:
        seen.append(held.parents)

    @pool.app.job(name="other")
    async def other() -> None:
        seen.append("other")

    held = pool.claim(1, details=Details(parents=(PARENT,)))
    async with at_work(pool, held, pool.claim(2, "other")):
        await trio.sleep(5)
    assert pool.calls[0] == ("parents", held.claimed.request)
    assert pool.calls[2] == ("succeed", held, RETURNED, MICROSECONDS, MICROSECONDS)
    assert seen == ["other", ("a parent",)], "nobody has to wait for that"
    fact = pool.facts[-1]
    assert isinstance(fact, JobStarted)
    assert (fact.job_id, to_instant(fact.at)) == (
        to_uuid(held.claimed.request.id),
        NOW + MICROSECONDS,
    )


@pytest.mark.parametrize("fault", [None, StorageBusy("busy")])
async def test_a_continuation_that_cannot_begin_is_given_back(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, fault: GustoError | None
) -> None:
    """Its parents cannot be read, or it is called off meanwhile."""
    pool = Pool()

    async def hold() -> None:
        if fault is not None:
            raise fault
        held.cancel("enough")

    pool.hold = hold

    @pool.app.job(name="work")
    async def work() -> None:
        raise AssertionError

    held = pool.claim(1, details=Details(parents=(PARENT,)))
    async with at_work(pool, held):
        await trio.sleep(1)
    assert pool.calls[1:] == [("give back", held)]
    job_id = to_uuid(held.claimed.request.id)
    lines = [] if fault is None else [f"the parents of job {job_id} could not be read: {fault}"]
    assert [record.getMessage() for record in caplog.records] == lines


@pytest.mark.parametrize("is_gated", [False, True])
async def test_a_job_that_has_not_begun_at_a_stop_is_given_back(
    autojump_clock: MockClock, is_gated: bool
) -> None:
    pool = Pool(is_gated=is_gated)
    pool.hold = trio.sleep_forever

    @pool.app.job(name="work")
    async def work() -> None: ...

    held = pool.claim(1, details=None if is_gated else Details(parents=(PARENT,)))
    async with at_work(pool, held):
        await trio.sleep(1)
    assert pool.calls[1:] == [("give back", held)]


# --- who looks on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("is_failing", [False, True])
async def test_an_observer_sees_each_attempt_begin_and_end(
    autojump_clock: MockClock, is_failing: bool
) -> None:
    pool, error = Pool(is_observed=True), Fail("no")
    pool.becomes = Scheduled(0)

    @pool.app.job(name="work")
    async def work() -> None:
        if is_failing:
            raise error

    held = pool.claim(1)
    async with at_work(pool, held):
        await trio.sleep(1)
    outcome: Outcome = RETURNED
    if is_failing:
        outcome = AttemptFailed(error, final=True, reason="no")
    assert pool.calls == [
        ("span", held.claimed, "test_executors_alone", work.method_name),
        ("settle", held, outcome, 0, {}),
        ("ended", "the span", outcome.word, JobState.SCHEDULED, error if is_failing else None),
    ]


async def test_barriers_stand_before_a_handler_and_behind_what_is_recorded_of_it(
    autojump_clock: MockClock,
) -> None:
    pool = Pool(is_gated=True, concurrency=2)
    pool.hold = wait_a_second

    @pool.app.job(name="work")
    async def work() -> None:
        pool.calls.append(("handler",))

    held = pool.claim(1)
    held.batch.outstanding = 0  # the settler sees to that
    async with at_work(pool, held):
        await trio.sleep(5)
    assert pool.calls == [
        ("job_started", held.claimed),
        ("handler",),
        ("settle", held, RETURNED, MICROSECONDS, {}),
        ("job_settled", (held.claimed, JobState.COMPLETED)),
        ("batch_completed", held.batch),
    ]
    assert held.started_at == NOW + MICROSECONDS


@pytest.mark.parametrize(("outstanding", "is_taken"), [(1, False), (0, True)])
async def test_the_end_of_a_batch_is_passed_by_its_last_job_and_once(
    autojump_clock: MockClock, outstanding: int, is_taken: bool
) -> None:
    pool = Pool(is_gated=True)

    @pool.app.job(name="work")
    async def work() -> None: ...

    held = pool.claim(1)
    held.batch.outstanding = outstanding
    if is_taken:
        assert held.batch.take_end()
    async with at_work(pool, held):
        await trio.sleep(1)
    assert [call[0] for call in pool.calls] == ["job_started", "settle", "job_settled"]


async def test_a_job_that_is_called_off_at_the_barrier_never_begins(
    autojump_clock: MockClock,
) -> None:
    pool = Pool(is_gated=True)

    async def hold() -> None:
        held.cancel("enough")

    pool.hold = hold

    @pool.app.job(name="work")
    async def work() -> None:
        raise AssertionError

    held = pool.claim(1)
    async with at_work(pool, held):
        await trio.sleep(1)
    assert pool.calls == [("job_started", held.claimed), ("give back", held)]


async def test_others_run_while_one_is_held_at_a_barrier(autojump_clock: MockClock) -> None:
    pool = Pool(is_gated=True, concurrency=2)

    async def hold() -> None:
        if pool.calls[-1][1] is held.claimed:
            await trio.sleep(5)

    pool.hold = hold
    ran: list[str] = []

    @pool.app.job(name="work")
    async def work(name: str) -> None:
        ran.append(name)

    held = pool.claim(1, args='["held"]')
    async with at_work(pool, held, pool.claim(2, args='["other"]')):
        await trio.sleep(10)
    assert ran == ["other", "held"]


async def test_where_somebody_listens_each_start_is_told(autojump_clock: MockClock) -> None:
    pool = Pool()
    pool.probe.subscribe(pool.facts.append)

    @pool.app.job(name="work")
    async def work() -> None: ...

    held = pool.claim(1)
    async with at_work(pool, held):
        await trio.sleep(1)
    assert pool.facts == [
        JobStarted(
            at=START,
            job_id=to_uuid(held.claimed.request.id),
            name="work",
            queue="default",
            attempt=1,
            node_id="node",
        )
    ]


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
