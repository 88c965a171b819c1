"""Successes that are recorded together, the ends of batches and lines, and what is not run."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.actors.doubles import NOW, Turnstile
from tests.actors.settler_alone import (
    AWAITED,
    NO,
    STARTED,
    Observer,
    Office,
    record,
)
from tests.actors.test_roster import lease
from trio_gusto import JobState, StorageError
from trio_gusto.actors.announcements import attempt_over
from trio_gusto.actors.lease import Cause, Lease
from trio_gusto.actors.probe import Probe
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.job import Details
from trio_gusto.model.outcomes import (
    RETURNED,
    AttemptCancelled,
    AttemptFailed,
    Released,
    Succeeded,
)
from trio_gusto.model.states import (
    Cancelled,
    Completed,
    Ready,
)
from trio_gusto.storage.messages import (
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
)

# --- successes ------------------------------------------------------------------------------------


def succeed(office: Office, *leases: Lease) -> None:
    for number, one in enumerate(leases, 1):
        office.settler.succeed(one, Succeeded(str(number)), STARTED, NOW + number)


def done(number: int) -> Completed:
    return Completed(NOW + number, STARTED, 0, "node", str(number))


def test_successes_share_a_letter_until_it_is_on_its_way() -> None:
    leases = [lease(number) for number in range(1, 4)]
    office = Office(*leases)
    succeed(office, *leases[:2])
    (letter,) = office.letters
    assert (letter.size, letter.insist) == (2, True)
    expected = Complete([one.claimed for one in leases[:2]], [done(1), done(2)])
    assert letter.seal() == expected
    succeed(office, leases[2])
    assert letter.seal() is letter.seal(), "it changes no more"
    assert letter.seal() == expected
    assert office.commit(1) == Complete([leases[2].claimed], [done(1)])
    assert office.order == ["reports before letter 1", "reports before letter 2"]
    assert all(one.over for one in leases)


@pytest.mark.parametrize("is_waited_for", [True, False])
def test_successes_that_are_recorded_are_let_go_of_together(is_waited_for: bool) -> None:
    leases = [lease(1), lease(2)]
    office = Office(*leases)
    office.around.there = is_waited_for
    succeed(office, *leases)
    office.answer(Completions(awaited=(AWAITED,)))
    ids = [one.claimed.request.id for one in leases]
    assert office.held == []
    assert office.around.notified == (ids if is_waited_for else [])
    assert office.around.awaited == [AWAITED]
    assert not office.roster.has_let_go


@pytest.mark.parametrize("who", ["listener", "observer", "gate"])
def test_where_somebody_watches_each_success_is_told_of(who: str) -> None:
    observer, turnstile = Observer(), Turnstile()
    probe = Probe(
        turnstile if who == "gate" else None,
        observer if who == "observer" else None,  # type: ignore[arg-type]
    )
    leases = [lease(1), lease(2)]
    for one in leases:
        one.batch.span = one.claimed.request.id
    office = Office(*leases, probe=probe)
    if who == "listener":
        office.listen()
    succeed(office, *leases)
    office.answer(Completions())
    assert office.held == []
    assert [one.state for one in leases] == [JobState.COMPLETED] * 2
    if who == "listener":
        assert office.facts == [
            attempt_over(one.claimed, RETURNED, NOW + number, done(number))
            for number, one in enumerate(leases, 1)
        ]
    elif who == "observer":
        assert observer.ended == [one.batch.span for one in leases]
    else:
        assert turnstile.passed == [
            passed
            for one in leases
            for passed in (
                ("noted: job_settled", (one.claimed, JobState.COMPLETED)),
                ("noted: batch_completed", one.batch),
            )
        ]


def test_of_successes_that_are_refused_the_others_stand(caplog: pytest.LogCaptureFixture) -> None:
    leases = [lease(number) for number in range(1, 4)]
    office = Office(*leases)
    succeed(office, *leases)
    office.answer(Completions({0: Conflict(), 2: StorageError("too large")}))
    assert [one.state for one in leases] == [None, JobState.COMPLETED, None]
    assert office.held == []
    ids = [to_uuid(one.claimed.request.id) for one in leases]
    assert caplog.messages == [
        f"job {ids[0]} (work) came too late with its outcome: its lease was no longer valid",
        f"the outcome of job {ids[2]} was refused: too large",
    ]


def test_successes_that_are_refused_as_a_whole_are_logged_one_by_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leases = [lease(1), lease(2)]
    office = Office(*leases)
    succeed(office, *leases)
    office.answer(StorageError("no disk"))
    assert office.held == []
    assert [message.rpartition(": ")[2] for message in caplog.messages] == ["no disk"] * 2


def test_a_success_of_which_nobody_heard_that_it_is_called_off_ends_as_cancelled() -> None:
    held = lease(1)
    office = Office(held)
    succeed(office, held)
    office.answer(Completions({0: Conflict("not needed")}))
    assert office.commit(1).state == Cancelled(NOW + 1, "not needed")


# --- batches and barriers -------------------------------------------------------------------------


def in_one_batch() -> list[Lease]:
    leases = [lease(1), lease(2)]
    for one in leases:
        one.batch = leases[0].batch
    leases[0].batch.outstanding = 2
    leases[0].batch.span = "the span"
    return leases


def test_the_end_of_a_batch_is_told_of_once_when_its_last_job_is_settled() -> None:
    observer, turnstile = Observer(), Turnstile()
    leases = in_one_batch()
    office = Office(*leases, probe=Probe(turnstile, observer))  # type: ignore[arg-type]
    settled = [("noted: job_settled", (one.claimed, JobState.CANCELLED)) for one in leases]
    for one, ended in zip(leases, ([], ["the span"]), strict=True):
        office.settler.settle(one, AttemptCancelled("no"))
        office.answer(Committed())
        assert observer.ended == ended
    assert turnstile.passed == [*settled, ("noted: batch_completed", leases[0].batch)]


def test_an_executor_at_the_barriers_tells_them_by_itself() -> None:
    turnstile = Turnstile()
    held = lease(1)
    held.recorded = trio.Event()
    office = Office(held, probe=Probe(turnstile))
    office.settler.settle(held, AttemptCancelled("no"))
    assert not held.recorded.is_set()
    office.answer(Committed())
    assert held.recorded.is_set()
    assert turnstile.passed == []


# --- lines ----------------------------------------------------------------------------------------


def in_lane(count: int) -> list[Lease]:
    details = Details(worker="smtp")
    leases = [lease(number) for number in range(1, count + 1)]
    for one in leases:
        one.claimed.request.details = details
    return leases


async def test_one_executor_is_woken_for_the_next_in_a_line_when_an_attempt_is_settled() -> None:
    leases = in_lane(2)
    office = Office(*leases)
    office.roster.stand_in_lanes(leases)
    office.roster.backlog.put_first(lease(3))
    taken: list[Lease | None] = []

    async def execute() -> None:
        await office.roster.backlog.park()
        taken.append(office.roster.backlog.pop())

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(execute)
        await wait_all_tasks_blocked()
        office.settler.settle(leases[0], AttemptFailed(NO), delay=1)
        await wait_all_tasks_blocked()
        assert taken == [leases[1]]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("count", "is_worth_while"), [(1, True), (5, False)])
def test_it_is_worth_while_to_claim_for_a_lane_when_few_are_left_in_it(
    count: int, is_worth_while: bool
) -> None:
    leases = in_lane(count)
    office = Office(*leases)
    office.roster.stand_in_lanes(leases)
    succeed(office, leases[0])
    assert office.letters[0].frees_lanes is is_worth_while
    office.answer(Completions())
    assert office.roster.has_let_go is is_worth_while


# --- what does not run ----------------------------------------------------------------------------


def test_a_job_that_was_not_begun_is_called_off_at_once() -> None:
    held = lease(1)
    office = Office(held)
    held.started_at = None
    office.settler.call_off(held, "not needed")
    assert held.cause is Cause.CANCEL
    assert office.commit() == Commit(
        held.claimed.request.id,
        1,
        Cancelled(NOW, "not needed"),
        1,
        record(AttemptCancelled("not needed"), started=None),
    )


def test_a_job_that_runs_is_cancelled_and_settled_by_its_executor() -> None:
    held = lease(1)
    office = Office(held)
    office.settler.call_off(held, "not needed")
    assert (held.cause, held.cancel_reason) == (Cause.CANCEL, "not needed")
    assert office.letters == []


@pytest.mark.parametrize("is_over", [True, False])
def test_what_has_ended_or_is_interrupted_already_is_not_called_off(is_over: bool) -> None:
    held = lease(1)
    office = Office(held)
    held.started_at = None
    held.over, held.cause = is_over, None if is_over else Cause.TIMEOUT
    office.settler.call_off(held, "not needed")
    assert held.cancel_reason is None
    assert office.letters == []


@pytest.mark.parametrize("max_attempts", [1, 3])
@pytest.mark.parametrize("cause", [None, Cause.FENCE])
def test_what_is_given_back_is_as_if_it_had_not_been_claimed(
    cause: Cause | None, max_attempts: int
) -> None:
    held = lease(1)
    held.claimed.request.max_attempts = max_attempts
    office = Office(held)
    held.started_at, held.cause = None, cause
    office.settler.give_back(held)
    assert held.cause is (cause or Cause.GIVEN_BACK)
    released = Released(entered=False)
    assert office.commit() == Commit(
        held.claimed.request.id, 1, Ready(0), 0, record(released, started=None)
    )
    office.settler.give_back(held)
    assert len(office.letters) == 1, "it is over"
