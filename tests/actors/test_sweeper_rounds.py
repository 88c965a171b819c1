"""What a sweeper does about what it finds, and how long it rests then."""

from __future__ import annotations

import logging
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
from tests.actors.test_roster import lease
from trio_gusto import JobFinished, JobState, Keep, LeaseExpired, Options, Retention, StorageError
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.roster import Roster
from trio_gusto.actors.sweeper import FRESH_LOOK, PRUNING, SLICE, Sweeper
from trio_gusto.model.facts import Fact
from trio_gusto.model.ids import JobId, to_uuid
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.job import AttemptRecord, Details, StoredJob
from trio_gusto.model.outcomes import AttemptOutcome, Lost, describe
from trio_gusto.model.retention import Selection
from trio_gusto.model.states import Cancelled, Expired, Failed, Processing, Ready, State
from trio_gusto.storage.batch_messages import Discard, Discarded
from trio_gusto.storage.finding_messages import Find, Found, Get
from trio_gusto.storage.lease_messages import Stranded, StrandedJobs
from trio_gusto.storage.messages import Commit, Committed, Conflict
from trio_gusto.storage.retention_messages import Prune, Pruned

LOST = Processing("ghost", NOW - 90 * SECOND, NOW - SECOND)
CREATED = NOW - 100 * SECOND
WHY = describe(Lost(1, None))
AWAITED, STAGE = JobId(b"a" * 16), JobId(b"s" * 16)
NOTHING = StrandedJobs([], [], None, foreign=False)


class Ward:
    """A sweeper that finds ``found``, and is answered ``reply`` to what it decides."""

    def __init__(
        self,
        found: StrandedJobs | StorageError,
        reply: object = None,
        *,
        probe: Probe | None = None,
        **options: Any,
    ) -> None:
        self.found, self.reply = found, Committed() if reply is None else reply
        self.whole: list[StoredJob] = []
        self.staged = 0
        self.pruned = [Pruned(0)]
        self.facts: list[Fact] = []
        self.probe = Probe() if probe is None else probe
        self.neighbours = Neighbours()
        self.clock = StillClock()
        self.roster = Roster(1)
        self.desk = ScriptedDesk(self._answer)
        around: Any = self.neighbours
        desk: Any = self.desk
        self.sweeper = Sweeper(
            *("here", desk, self.roster, around, around),
            *(self.probe, self.clock, Options(**options)),
        )

    def listen(self) -> None:
        self.probe.subscribe(self.facts.append)

    def _answer(self, message: Any) -> Any:
        match message:
            case Stranded():
                return self.found
            case Get() | Find():
                return Found(self.whole)
            case Discard():
                gone = min(self.staged, message.limit)
                self.staged -= gone
                return Discarded(gone)
            case Prune():
                return self.pruned.pop(0) if len(self.pruned) > 1 else self.pruned[0]
            case _:
                return self.reply

    async def sweep(self) -> float:
        return await self.sweeper.sweep()


def ended(outcome: AttemptOutcome, number: int, token: int = 3) -> AttemptRecord:
    return AttemptRecord(
        number, token, "ghost", NOW - 99 * SECOND, None, NOW - 95 * SECOND, outcome
    )


def lost(number: int, token: int = 7) -> AttemptRecord:
    """The record of an attempt that the sweeper finds lost."""
    return AttemptRecord(
        number, token, "ghost", LOST.claimed_at, None, NOW, AttemptOutcome.LOST, WHY
    )


async def test_it_asks_for_what_is_stranded_now() -> None:
    ward = Ward(NOTHING)
    await ward.sweep()
    assert ward.desk.asked[0] == Stranded("here", NOW, SLICE)


async def test_a_lost_attempt_is_recorded_and_the_job_due_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = stored(1, LOST)
    ward = Ward(StrandedJobs([job], [], None, foreign=False), retention=None)
    ward.listen()
    await ward.sweep()
    job_id = job.request.id
    assert ward.desk.asked[1:] == [Commit(job_id, 7, Ready(CREATED), 1, lost(1))]
    assert ward.neighbours.due == [CREATED]
    assert ward.neighbours.notified == []
    assert ward.facts == [
        LeaseExpired(
            at=to_datetime(NOW),
            job_id=to_uuid(job_id),
            name="work",
            queue="mail",
            attempt=1,
            node_id="ghost",
        )
    ]
    assert caplog.record_tuples == [
        (
            "trio_gusto",
            logging.WARNING,
            f"attempt 1 of job {to_uuid(job_id)} (work) was lost with node ghost",
        )
    ]


@pytest.mark.parametrize(
    ("state", "attempt", "history", "options", "expected"),
    [
        pytest.param(
            LOST, 3, (), {}, Failed(NOW, "lost in its last attempt"), id="the last attempt"
        ),
        pytest.param(
            Processing("ghost", NOW - 90 * SECOND, NOW - SECOND, "not needed"),
            1,
            (),
            {},
            Cancelled(NOW, "not needed"),
            id="its cancellation was asked for",
        ),
        pytest.param(
            LOST,
            2,
            (ended(AttemptOutcome.LOST, 1),),
            {"quarantine_after": 2},
            Failed(NOW, "quarantined: lost with its node 2 times in a row"),
            id="quarantine",
        ),
        pytest.param(
            LOST,
            2,
            (ended(AttemptOutcome.LOST, 1),),
            {"quarantine_after": None},
            Ready(CREATED),
            id="no quarantine",
        ),
        pytest.param(
            LOST,
            2,
            (ended(AttemptOutcome.FAILED, 1),),
            {"quarantine_after": 2},
            Ready(CREATED),
            id="lost for the first time",
        ),
        pytest.param(
            LOST,
            1,
            (),
            {"quarantine_after": 1},
            Failed(NOW, "quarantined: lost with its node 1 time"),
            id="quarantine at once",
        ),
    ],
)
async def test_what_becomes_of_a_lost_job_is_said_by_the_law_book(
    state: Processing,
    attempt: int,
    history: tuple[AttemptRecord, ...],
    options: dict[str, Any],
    expected: State,
) -> None:
    job = stored(1, state, attempt=attempt)
    ward = Ward(StrandedJobs([job], [], None, foreign=False), **options)
    ward.whole = [stored(1, state, attempt=attempt, history=history)]
    ward.listen()
    await ward.sweep()
    (commit,) = ward.desk.asked_for(Commit)
    assert commit.state == expected
    finished = [fact for fact in ward.facts if isinstance(fact, JobFinished)]
    if isinstance(expected, Failed | Cancelled):
        assert finished == [
            JobFinished(
                at=to_datetime(NOW),
                job_id=to_uuid(job.request.id),
                name="work",
                queue="mail",
                attempt=attempt,
                state=expected.word,
                reason=expected.reason,
                error=WHY,
            )
        ]
        assert ward.neighbours.notified == [job.request.id]
        assert ward.neighbours.due == []
    else:
        assert (finished, ward.neighbours.notified) == ([], [])


@pytest.mark.parametrize(
    ("attempt", "quarantine_after", "reads"), [(1, 3, False), (2, None, False), (2, 3, True)]
)
async def test_the_history_is_read_of_what_may_have_been_lost_before(
    attempt: int, quarantine_after: int | None, reads: bool
) -> None:
    job = stored(1, LOST, attempt=attempt)
    ward = Ward(StrandedJobs([job], [], None, foreign=False), quarantine_after=quarantine_after)
    await ward.sweep()
    assert ward.desk.asked_for(Get) == ([Get([job.request.id])] if reads else [])
    assert len(ward.desk.asked_for(Commit)) == 1


async def test_a_job_in_quarantine_is_told_of_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    job = stored(1, LOST)
    await Ward(StrandedJobs([job], [], None, foreign=False), quarantine_after=1).sweep()
    assert caplog.record_tuples[1:] == [
        (
            "trio_gusto",
            logging.ERROR,
            f"job {to_uuid(job.request.id)} (work) is quarantined: lost with its node 1 time; "
            "see why, and retry it by hand then",
        )
    ]


async def test_a_job_that_is_lost_for_good_leaves_its_lane_to_the_next() -> None:
    in_lane = stored(1, LOST, attempt=3, details=Details(worker="smtp"))
    ward = Ward(StrandedJobs([in_lane], [], None, foreign=False))
    await ward.sweep()
    assert ward.neighbours.due == [NOW]


@pytest.mark.parametrize("is_lost", [True, False])
async def test_where_somebody_was_quicker_nothing_is_told(
    caplog: pytest.LogCaptureFixture, is_lost: bool
) -> None:
    job = stored(1, LOST if is_lost else Ready(CREATED), attempt=3)
    found = StrandedJobs([job] if is_lost else [], [] if is_lost else [job], None, foreign=False)
    ward = Ward(found, Conflict())
    ward.listen()
    await ward.sweep()
    assert (ward.facts, caplog.messages) == ([], [])
    assert (ward.neighbours.due, ward.neighbours.notified) == ([], [])


async def test_an_attempt_that_is_live_here_is_left_to_its_own_fence() -> None:
    mine, theirs = stored(1, LOST), stored(2, LOST)
    ward = Ward(StrandedJobs([mine, theirs], [], None, foreign=False))
    ward.roster.leases = {mine.request.id: lease(1)}
    await ward.sweep()
    assert [commit.job_id for commit in ward.desk.asked_for(Commit)] == [theirs.request.id]


@pytest.mark.parametrize("awaited", [(), (AWAITED, STAGE)])
async def test_whoever_waits_for_an_ended_job_is_told_of(awaited: tuple[JobId, ...]) -> None:
    job = stored(1, LOST, attempt=3)
    ward = Ward(StrandedJobs([job], [], None, foreign=False), Committed(awaited))
    await ward.sweep()
    assert ward.neighbours.awaited == list(awaited)


async def test_a_job_that_was_not_started_in_time_expires() -> None:
    job = stored(1, Ready(CREATED), attempt=0)
    ward = Ward(StrandedJobs([], [job], None, foreign=False))
    ward.listen()
    await ward.sweep()
    job_id = job.request.id
    assert ward.desk.asked_for(Commit) == [
        Commit(job_id, 7, Expired(NOW, "not started in time"), 0)
    ]
    assert ward.neighbours.notified == [job_id]
    assert ward.facts == [
        JobFinished(
            at=to_datetime(NOW),
            job_id=to_uuid(job_id),
            name="work",
            queue="mail",
            attempt=0,
            state=JobState.EXPIRED,
            reason="not started in time",
            error=None,
        )
    ]


@pytest.mark.parametrize(("staged", "rounds"), [(3, 1), (SLICE, 2), (2 * SLICE + 1, 3)])
async def test_what_a_vanished_node_has_staged_is_discarded_slice_by_slice(
    staged: int, rounds: int
) -> None:
    ward = Ward(StrandedJobs([], [], None, foreign=False, stages=[STAGE]))
    ward.staged = staged
    await ward.sweep()
    assert ward.desk.asked_for(Discard) == [Discard(STAGE, SLICE)] * rounds
    assert ward.staged == 0


@pytest.mark.parametrize("kind", ["lost", "overdue"])
@pytest.mark.parametrize(("many", "pause"), [(SLICE, 0.0), (SLICE - 1, 30.0)])
async def test_after_a_whole_slice_it_looks_again_at_once(
    kind: str, many: int, pause: float
) -> None:
    here = stored(1, LOST)
    jobs = [here] * many
    found = StrandedJobs(*((jobs, []) if kind == "lost" else ([], jobs)), None, foreign=False)
    ward = Ward(found, Conflict())
    ward.roster.leases = {here.request.id: lease(1)} if kind == "lost" else {}
    if kind == "overdue":
        jobs[:] = [stored(1, Ready(CREATED))] * many
    assert await ward.sweep() == pause


@pytest.mark.parametrize(
    ("next_at", "foreign", "pause"),
    [
        pytest.param(None, False, 30.0, id="nothing to come"),
        pytest.param(None, True, 1.0, id="others may vanish"),
        pytest.param(NOW + SECOND // 2, False, 0.5, id="the next instant"),
        pytest.param(NOW + 50 * SECOND, False, 30.0, id="an instant far ahead"),
        pytest.param(NOW + 50 * SECOND, True, 1.0, id="others before an instant far ahead"),
        pytest.param(NOW - SECOND, False, 0.0, id="an instant that has passed meanwhile"),
    ],
)
async def test_it_rests_until_something_may_be_stranded(
    next_at: int | None, foreign: bool, pause: float
) -> None:
    ward = Ward(StrandedJobs([], [], next_at, foreign=foreign))
    assert await ward.sweep() == pause


async def test_tests_are_told_of_what_was_found() -> None:
    turnstile = Turnstile()
    job, late = stored(1, LOST), stored(2, Ready(CREATED))
    ward = Ward(StrandedJobs([job], [late], None, foreign=False), probe=Probe(gate=turnstile))
    await ward.sweep()
    assert turnstile.passed == [("sweep_done", ([job], [late]))]


async def test_a_sweep_that_fails_is_logged_and_tried_again_after_a_second(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    ward = Ward(StorageError("no disk"))
    ward.clock.monotonic = trio.current_time  # type: ignore[method-assign]
    with trio.move_on_after(2.5):
        await ward.sweeper.run()
    assert len(ward.desk.asked) == 3
    assert caplog.record_tuples[0] == ("trio_gusto", logging.WARNING, "a sweep failed: no disk")


async def test_it_is_ready_after_the_first_sweep_and_sweeps_at_news(
    autojump_clock: MockClock,
) -> None:
    ward = Ward(NOTHING)
    ward.clock.monotonic = trio.current_time  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        await nursery.start(ward.sweeper.run)
        assert len(ward.desk.asked_for(Stranded)) == 1
        await trio.sleep(5)
        ward.sweeper.news.ring()
        await trio.sleep(0.5)
        assert len(ward.desk.asked_for(Stranded)) == 2
        await trio.sleep(61)
        assert len(ward.desk.asked_for(Stranded)) == 4
        nursery.cancel_scope.cancel()


# --- retention ------------------------------------------------------------------------------------

RULES = Retention(60, rules=[Keep(10, states=["failed"]), Keep(None, tags=["audit"])])
FAILED = Selection(states=frozenset({JobState.FAILED}))
AUDIT = Selection(tags=frozenset({"audit"}))


def cuts(*marks: tuple[int, ...] | None, now: int = NOW) -> list[Prune]:
    return [
        Prune(now - 10 * SECOND, SLICE, FAILED, (), marks[0]),
        Prune(now - 60 * SECOND, SLICE, None, (FAILED, AUDIT), marks[1]),
    ]


async def test_retention_goes_cut_by_cut_and_once_every_five_minutes() -> None:
    ward = Ward(NOTHING, retention=RULES)
    for _ in range(5):
        await ward.sweep()
    assert ward.desk.asked_for(Prune) == cuts(None, None)
    ward.clock.passed = PRUNING - 0.5
    assert await ward.sweep() == 0.5
    assert len(ward.desk.asked_for(Prune)) == 2
    ward.clock.passed = PRUNING
    await ward.sweep()
    assert len(ward.desk.asked_for(Prune)) == 3


async def test_a_period_alone_is_a_rule_for_every_job() -> None:
    ward = Ward(NOTHING, retention=60)
    await ward.sweep()
    assert ward.desk.asked_for(Prune) == [Prune(NOW - 60 * SECOND, SLICE)]


async def test_without_retention_nothing_is_pruned() -> None:
    ward = Ward(NOTHING, retention=None)
    assert await ward.sweep() == 30.0
    ward.sweeper._clock.longest_sleep = 1000.0
    assert await ward.sweep() == PRUNING
    assert ward.desk.asked_for(Prune) == []


async def test_a_clock_that_sleeps_for_long_is_not_woken_for_retention() -> None:
    clock = StillClock()
    clock.longest_sleep = 1000.0
    ward = Ward(NOTHING, retention=60)
    ward.sweeper = Sweeper(
        *("here", ward.desk, ward.roster, ward.neighbours, ward.neighbours),  # type: ignore[arg-type]
        *(ward.probe, clock, Options(retention=60)),
    )
    assert await ward.sweep() == 1000.0
    clock.passed = 400.0
    assert await ward.sweep() == 600.0


async def test_a_cut_goes_on_where_it_has_looked_until_it_is_time_for_a_fresh_look() -> None:
    ward = Ward(NOTHING, retention=RULES)
    ward.pruned = [
        *(Pruned(500, more=True, mark=(1,)), Pruned(3, more=False, mark=(2,))),
        *(Pruned(0, mark=(5,)), Pruned(0, mark=(3,)), Pruned(0, mark=(6,)), Pruned(0)),
    ]
    for _ in range(3):
        await ward.sweep()
    ward.clock.passed = PRUNING
    for _ in range(2):
        await ward.sweep()
    first, second = cuts((1,), None)
    assert ward.desk.asked_for(Prune) == [cuts(None, None)[0], first, second, *cuts((2,), (5,))]
    ward.desk.asked.clear()
    ward.clock.passed = FRESH_LOOK
    for _ in range(2):
        await ward.sweep()
    assert ward.desk.asked_for(Prune) == cuts(None, None)


@pytest.mark.parametrize(("took", "pause"), [(0.0, 0.0), (0.5, 1.5)])
async def test_after_a_slice_of_retention_others_have_the_storage_three_times_as_long(
    took: float, pause: float
) -> None:
    ward = Ward(NOTHING, retention=60)
    ward.pruned = [Pruned(500, more=True)]
    prune = ward.desk.prune

    async def takes_its_time(message: object) -> Any:
        ward.clock.passed += took
        return await prune(message)

    ward.desk.prune = takes_its_time  # type: ignore[method-assign,assignment]
    ward.clock.passed = 8.0
    assert await ward.sweep() == pause
