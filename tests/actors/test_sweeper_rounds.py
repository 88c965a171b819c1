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
    Turnstile,
    stored,
)
from tests.actors.sweeper_alone import (
    AWAITED,
    CREATED,
    LOST,
    NOTHING,
    STAGE,
    WHY,
    Ward,
    ended,
    lost,
)
from tests.actors.test_roster import lease
from trio_gusto import JobFinished, JobState, LeaseExpired, StorageError
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.sweeper import SLICE
from trio_gusto.model.errors import UnreadableRecord
from trio_gusto.model.ids import JobId, to_uuid
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.job import AttemptRecord, Details
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.rates import RateLimit
from trio_gusto.model.states import Cancelled, Expired, Failed, Processing, Ready, State
from trio_gusto.storage.batch_messages import Discard
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.lease_messages import Stranded, StrandedJobs
from trio_gusto.storage.messages import Commit, Committed, Conflict


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


@pytest.mark.parametrize(("quarantine_after", "becomes"), [(2, Ready), (1, Failed)])
async def test_a_lost_job_whose_history_cannot_be_read_counts_as_lost_once(
    caplog: pytest.LogCaptureFixture, quarantine_after: int, becomes: type
) -> None:
    job = stored(1, LOST, attempt=2)
    ward = Ward(StrandedJobs([job], [], None, foreign=False), quarantine_after=quarantine_after)
    found = ward.desk._answer
    unreadable = UnreadableRecord("job", "x", "bad")
    ward.desk._answer = lambda asked: unreadable if isinstance(asked, Get) else found(asked)
    await ward.sweep()
    (commit,) = ward.desk.asked_for(Commit)
    assert isinstance(commit.state, becomes), "a failed one is in quarantine"
    assert caplog.messages[0] == f"how often a job was lost is not known: {unreadable}"


async def test_a_job_that_expires_leaves_its_lane_to_the_next() -> None:
    limit = RateLimit(1, per=1)
    kinds = [Details(worker="smtp"), Details(rate_key="api", rate_limit=limit), None]
    for details, due in zip(kinds, [[NOW], [], []], strict=True):
        ward = Ward(StrandedJobs([], [stored(1, Ready(CREATED), details=details)], None, False))
        await ward.sweep()
        assert ward.neighbours.due == due


@pytest.mark.parametrize(
    ("lease", "longest_sleep", "pause"), [(60, 30, 30), (3, 30, 1.5), (3, 1000, 300)]
)
async def test_it_looks_again_before_a_lease_can_have_passed_that_it_does_not_know(
    lease: int, longest_sleep: float, pause: float
) -> None:
    """Unless its clock may sleep for longer, as in a simulation, where it is told."""
    ward = Ward(NOTHING, lease=lease)
    ward.clock.longest_sleep = longest_sleep
    assert await ward.sweep() == pause


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
