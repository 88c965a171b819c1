"""When a resolver looks at what waits, and what it does about what it finds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.actors.doubles import (
    NOW,
    SECOND,
    Neighbours,
    ScriptedDesk,
    StillClock,
    Turnstile,
    stored,
)
from trio_gusto import ArgumentError, JobFinished, JobReleased, JobState, StorageError
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.resolver import SLICE, Resolver
from trio_gusto.model.dependencies import Dependent
from trio_gusto.model.facts import Fact
from trio_gusto.model.ids import JobId, to_uuid
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Condition,
    Failed,
    Ready,
    Scheduled,
    State,
    Waiting,
)
from trio_gusto.storage.dependency_messages import DependentJobs, Dependents
from trio_gusto.storage.messages import Commit, Committed, Conflict

PARENT = JobId(b"p" * 16)
OTHER = JobId(b"o" * 16)
CALLBACK = AwaitingCallback(PARENT, NOW - 5, NOW - 9, "ghost", '"done"')


def waits(
    number: int, *, on: Condition = Condition.SUCCESS, ends: JobState | None = None
) -> Dependent:
    """A job that waits for one other, which has ``ends``, or has completed."""
    job = stored(number, Waiting((PARENT,), on), attempt=0)
    return Dependent(job, {ends or JobState.COMPLETED: 1})


class Bench:
    """A resolver that finds ``found``, slice by slice, and then nothing; what it commits is answered."""

    def __init__(
        self, *found: Sequence[Dependent] | StorageError, probe: Probe | None = None
    ) -> None:
        self.found = list(found)
        self.replies: dict[JobId, Any] = {}
        self.probe = Probe() if probe is None else probe
        self.facts: list[Fact] = []
        self.around = Neighbours()
        self.clock = StillClock()
        self.clock.monotonic = trio.current_time  # type: ignore[method-assign]
        self.desk = ScriptedDesk(self._answer)
        desk: Any = self.desk
        waiters: Any = self.around
        self.resolver = Resolver(desk, waiters, self.probe, self.clock)
        self.resolver.on_due = self.around.on_due
        self.looks: list[tuple[float, Dependents]] = []

    def _answer(self, message: Any) -> Any:
        if isinstance(message, Dependents):
            self.looks.append((trio.current_time(), message))
            found = self.found.pop(0) if self.found else ()
            return found if isinstance(found, StorageError) else DependentJobs(found)
        return self.replies.get(message.job_id, Committed())

    async def run_for(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.resolver.run()

    @property
    def commits(self) -> list[Commit]:
        return self.desk.asked_for(Commit)


ALL = Dependents(SLICE, 0, None)


async def test_it_looks_at_all_when_it_starts_and_at_the_longest_sleep(
    autojump_clock: MockClock,
) -> None:
    bench = Bench()
    await bench.run_for(61)
    assert bench.looks == [(0, ALL), (30, ALL), (60, ALL)]
    await bench.run_for(1)
    assert bench.looks[3:] == [(61, ALL)], "the next life looks at once"


async def test_it_looks_at_once_at_what_waits_for_jobs_that_have_ended(
    autojump_clock: MockClock,
) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run_for, 29)
        await trio.sleep(5)
        bench.resolver.note([PARENT, OTHER])
        bench.resolver.note([PARENT])
        await trio.sleep(2)
        bench.resolver.note([OTHER])
    assert bench.looks == [
        *(
            (0, ALL),
            (5, Dependents(SLICE, 0, (PARENT, OTHER))),
            (7, Dependents(SLICE, 0, (OTHER,))),
        ),
    ]


@pytest.mark.parametrize(
    ("heard_at", "looks_at"), [([0.25], [0, 1.25]), ([5, 5.1, 5.2, 6.5, 20], [0, 6, 7.5, 21])]
)
async def test_news_from_outside_are_looked_into_when_others_have_had_a_second_for_them(
    autojump_clock: MockClock, heard_at: list[float], looks_at: list[float]
) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run_for, 29)
        for at in heard_at:
            await trio.sleep_until(at)
            bench.resolver.hear()
            bench.resolver.hear()
    assert [at for at, _ in bench.looks] == pytest.approx(looks_at)
    assert {look.parents for _, look in bench.looks} == {None}


async def test_after_a_fault_it_looks_at_all_again_a_second_later(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench((), StorageError("no disk"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run_for, 20)
        await trio.sleep(5)
        bench.resolver.note([PARENT])
        await trio.sleep(0.5)
        assert not bench.resolver.is_idle()
        await trio.sleep(1)
        assert bench.resolver.is_idle()
    assert bench.looks == [(0, ALL), (5, Dependents(SLICE, 0, (PARENT,))), (6, ALL)]
    assert caplog.record_tuples == [
        ("trio_gusto", logging.WARNING, "continuations could not be resolved: no disk")
    ]


async def test_it_is_idle_when_all_is_dealt_with(autojump_clock: MockClock) -> None:
    bench = Bench()
    assert not bench.resolver.is_idle()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run_for, 20)
        await bench.resolver.until_idle()
        assert bench.resolver.is_idle()
        bench.resolver.note([PARENT])
        assert not bench.resolver.is_idle()
        await bench.resolver.until_idle()
        assert len(bench.looks) == 2
        nursery.cancel_scope.cancel()


async def test_it_is_not_idle_between_a_look_and_what_comes_of_it(
    autojump_clock: MockClock,
) -> None:
    first = waits(1, ends=JobState.FAILED)
    bench = Bench([first])
    bench.replies = {first.job.request.id: Committed((OTHER,))}
    read = bench.desk.read

    async def takes_a_second(query: object) -> Any:
        await trio.sleep(1)
        return await read(query)

    bench.desk.read = takes_a_second  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run_for, 20)
        await bench.resolver.until_idle()
        assert trio.current_time() == 2
        nursery.cancel_scope.cancel()


async def test_where_there_are_no_workers_nobody_is_told_what_falls_due(
    autojump_clock: MockClock,
) -> None:
    bench = Bench([waits(1)])
    alone = Resolver(bench.desk, bench.around, bench.probe, bench.clock)  # type: ignore[arg-type]
    with trio.move_on_after(1):
        await alone.run()
    assert len(bench.commits) == 1


async def test_more_than_a_slice_is_read_slice_by_slice(autojump_clock: MockClock) -> None:
    many = [waits(number) for number in range(1, SLICE + 3)]
    bench = Bench(many[:SLICE], many[SLICE:])
    await bench.run_for(1)
    assert [look for _, look in bench.looks] == [ALL, Dependents(SLICE, SLICE, None)]
    assert [commit.job_id for commit in bench.commits] == [one.job.request.id for one in many]


async def test_less_than_a_slice_is_all_there_is(autojump_clock: MockClock) -> None:
    bench = Bench([waits(number) for number in range(1, SLICE)])
    await bench.run_for(1)
    assert len(bench.looks) == 1


async def test_a_job_whose_parents_have_ended_as_it_wanted_is_released(
    autojump_clock: MockClock,
) -> None:
    now_due, later = waits(1), waits(2)
    later.job.request.execute_after = NOW + 60 * SECOND
    bench = Bench([now_due, later])
    bench.probe.subscribe(bench.facts.append)
    await bench.run_for(1)
    ids = [one.job.request.id for one in (now_due, later)]
    due = [NOW, NOW + 60 * SECOND]
    assert bench.commits == [
        Commit(ids[0], 7, Ready(due[0]), 0),
        Commit(ids[1], 7, Scheduled(due[1]), 0),
    ]
    assert bench.around.due == due
    assert (bench.around.notified, len(bench.looks)) == ([], 1)
    assert bench.facts == [
        JobReleased(
            at=to_datetime(NOW),
            job_id=to_uuid(job_id),
            name="work",
            queue="mail",
            due=to_datetime(at),
        )
        for job_id, at in zip(ids, due, strict=True)
    ]


@pytest.mark.parametrize(
    ("state", "ends", "expected", "reason"),
    [
        pytest.param(
            Waiting((PARENT,)),
            JobState.FAILED,
            Cancelled(NOW, "not all of its parents completed"),
            "not all of its parents completed",
            id="not as it wanted",
        ),
        pytest.param(
            CALLBACK,
            JobState.FAILED,
            Failed(NOW, "its callback failed"),
            "its callback failed",
            id="its callback has failed",
        ),
        pytest.param(
            CALLBACK,
            JobState.COMPLETED,
            Completed(NOW, NOW - 5, NOW - 9, "ghost", '"done"'),
            "",
            id="its callback has completed",
        ),
    ],
)
async def test_a_job_that_ends_with_its_parents_is_announced_and_whoever_waits_for_it_told(
    autojump_clock: MockClock, state: State, ends: JobState, expected: State, reason: str
) -> None:
    job = stored(1, state, attempt=2)
    bench = Bench([Dependent(job, {ends: 1})])
    bench.probe.subscribe(bench.facts.append)
    bench.replies = {job.request.id: Committed((OTHER,))}
    await bench.run_for(1)
    assert bench.commits == [Commit(job.request.id, 7, expected, 2)]
    assert (bench.around.due, bench.around.notified) == ([], [job.request.id])
    assert [look for _, look in bench.looks] == [ALL, Dependents(SLICE, 0, (OTHER,))]
    assert bench.facts == [
        JobFinished(
            at=to_datetime(NOW),
            job_id=to_uuid(job.request.id),
            name="work",
            queue="mail",
            attempt=2,
            state=expected.word,
            reason=reason,
            error=None,
        )
    ]


async def test_a_job_that_has_to_wait_on_is_left_alone_and_its_neighbours_are_not(
    autojump_clock: MockClock,
) -> None:
    waiting, other = waits(1, ends=JobState.READY), waits(2)
    bench = Bench([waiting, other])
    await bench.run_for(1)
    assert [commit.job_id for commit in bench.commits] == [other.job.request.id]


async def test_where_somebody_was_quicker_nothing_is_told(autojump_clock: MockClock) -> None:
    late, other = waits(1), waits(2)
    bench = Bench([late, other])
    bench.probe.subscribe(bench.facts.append)
    bench.replies = {late.job.request.id: Conflict()}
    await bench.run_for(1)
    assert len(bench.facts) == 1
    assert (bench.around.due, len(bench.looks)) == ([NOW], 1)


@pytest.mark.parametrize("refused", [1, 2])
async def test_a_verdict_that_is_refused_is_judged_again_and_the_others_stand(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, refused: int
) -> None:
    pair = [waits(1), waits(2)]
    bench = Bench(pair)
    bench.replies = {pair[refused - 1].job.request.id: ArgumentError("too large")}
    await bench.run_for(1.5)
    assert bench.around.due == [NOW]
    assert [at for at, _ in bench.looks] == [0, 1]
    assert caplog.messages == ["continuations could not be resolved: too large"]


async def test_tests_are_told_of_what_was_released_and_what_was_cancelled(
    autojump_clock: MockClock,
) -> None:
    turnstile = Turnstile()
    released, cancelled, later = waits(1), waits(2, ends=JobState.FAILED), waits(3)
    bench = Bench([released, cancelled], (), [later], probe=Probe(gate=turnstile))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run_for, 6)
        for at in range(1, 4):
            await trio.sleep_until(at)
            bench.resolver.note([PARENT])
    ids = [one.job.request.id for one in (released, cancelled, later)]
    assert turnstile.passed == [
        ("continuations_resolved", ([ids[0]], [ids[1]])),
        ("continuations_resolved", ([ids[2]], [])),
    ]


async def test_a_cancellation_alone_is_told_of_too(autojump_clock: MockClock) -> None:
    turnstile = Turnstile()
    cancelled = waits(1, ends=JobState.FAILED)
    await Bench([cancelled], probe=Probe(gate=turnstile)).run_for(1)
    assert turnstile.passed == [("continuations_resolved", ([], [cancelled.job.request.id]))]
