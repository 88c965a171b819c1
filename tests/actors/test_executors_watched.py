"""Jobs that others look on at, or that have to wait for something before they begin."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.actors.pool import NOW, PARENT, Pool, at_work
from trio_gusto import (
    AttemptOutcome,
    Fail,
    JobStarted,
    JobState,
    StorageBusy,
)
from trio_gusto.model.errors import GustoError, UnreadableRecord
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.instants import MICROSECONDS, to_instant
from trio_gusto.model.job import Details
from trio_gusto.model.outcomes import RETURNED, AttemptFailed, Outcome
from trio_gusto.model.states import Failed, Scheduled
from trio_gusto.testing.clock import START

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


async def test_a_job_whose_parents_can_never_be_read_is_failed_for_good(
    autojump_clock: MockClock,
) -> None:
    pool = Pool()
    fault = UnreadableRecord("job", "x", "bad")

    async def hold() -> None:
        raise fault

    pool.hold = hold

    @pool.app.job(name="work")
    async def work() -> None:
        raise AssertionError

    held = pool.claim(1, details=Details(parents=(PARENT,)))
    outcome = AttemptFailed(fault, final=True, reason="its parents cannot be read")
    settled: list[tuple[object, ...]] = []
    pool.settle = lambda *told, **_: settled.append(told)  # type: ignore[method-assign,assignment]
    async with at_work(pool, held):
        await trio.sleep(1)
    assert settled == [(held, outcome)]


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
        ("span", held.claimed, "test_executors_watched", work.method_name),
        ("settle", held, outcome, 0, {}),
        ("ended", "the span", outcome.word, JobState.SCHEDULED, error if is_failing else None),
    ]


async def test_an_observer_sees_a_job_fail_whose_callback_nobody_knows_here(
    autojump_clock: MockClock,
) -> None:
    pool = Pool(is_observed=True)
    pool.becomes = Failed(0, "no")

    @pool.app.job(name="work")
    async def work() -> int:
        return 3

    async with at_work(pool, pool.claim(1, details=Details(callback="tell"))):
        await trio.sleep(1)
    assert pool.calls[-1][:4] == ("ended", "the span", AttemptOutcome.FAILED, JobState.FAILED)


async def test_an_observer_that_takes_no_notice_of_a_start_hears_of_no_end(
    autojump_clock: MockClock,
) -> None:
    pool = Pool(is_observed=True)
    pool.span = None

    @pool.app.job(name="work")
    async def work() -> None: ...

    async with at_work(pool, pool.claim(1)):
        await trio.sleep(1)
    assert [call[0] for call in pool.calls] == ["span", "settle"]


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
