"""What a settler hands in when an attempt ends, and what it does when the storage has answered."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.actors.doubles import NOW, SECOND, Neighbours, ScriptedDesk, StillClock, Turnstile
from tests.actors.test_roster import lease
from trio_gusto import ArgumentError, JobState, StorageError
from trio_gusto.actors.announcements import attempt_over, lease_refused
from trio_gusto.actors.lease import Cause, Lease, NewJob
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.roster import Roster
from trio_gusto.actors.settler import Settler
from trio_gusto.model.facts import Fact
from trio_gusto.model.ids import JobId, to_uuid
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.job import AttemptRecord, Details
from trio_gusto.model.outcomes import (
    RETURNED,
    AttemptCancelled,
    AttemptFailed,
    Outcome,
    Released,
    Snoozed,
    Succeeded,
    TimedOut,
    describe,
)
from trio_gusto.model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Failed,
    Ready,
    Scheduled,
    State,
)
from trio_gusto.storage.messages import (
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
    Insert,
    Inserted,
)

STARTED = NOW - 2 * SECOND
CHILD: NewJob = (lease(8).claimed.request, Ready(NOW))
CALLBACK: NewJob = (lease(9).claimed.request, Ready(NOW))
AWAITED = JobId(b"a" * 16)
NO = ValueError("no")
PARTS = ("desk", "roster", "waiters", "probe", "clock", "reports")


class Waiters(Neighbours):
    def __init__(self) -> None:
        super().__init__()
        self.there = True

    def are_there(self) -> bool:
        return self.there


class Observer:
    """Hears that batches have ended."""

    def __init__(self) -> None:
        self.ended: list[object] = []
        self.batch_ended = self.ended.append


class Office:
    """A settler, what it hands in, and who hears of it."""

    def __init__(self, *leases: Lease, probe: Probe | None = None) -> None:
        self.roster = Roster(1)
        self.roster.leases = {one.claimed.request.id: one for one in leases}
        for one in leases:
            one.started_at = STARTED
        self.probe = Probe() if probe is None else probe
        self.facts: list[Fact] = []
        self.around = Waiters()
        self.order: list[str] = []
        self.born: list[tuple[Insert, Inserted]] = []
        desk: Any = ScriptedDesk(lambda _message: None)
        self.letters: list[Any] = desk.told
        around: Any = self.around
        self.settler = Settler(desk, self.roster, around, self.probe, StillClock(), self)  # type: ignore[arg-type]
        self.settler.on_due = self.around.on_due
        self.settler.on_awaited = self.around.on_awaited
        self.settler.on_children = lambda insert, inserted: self.born.append((insert, inserted))

    def go_before(self) -> None:
        """As `Reports` does: what was said goes before the outcome."""
        self.order.append(f"reports before letter {len(self.letters) + 1}")

    def listen(self) -> None:
        self.probe.subscribe(self.facts.append)

    def commit(self, number: int = 0) -> Any:
        return self.letters[number].seal()

    def answer(self, reply: object) -> None:
        """To the last letter, which is on its way."""
        self.letters[-1].seal()
        self.letters[-1].deliver(reply)

    @property
    def held(self) -> list[Lease]:
        return list(self.roster.leases.values())


def record(outcome: Outcome, *, now: int = NOW, started: int | None = STARTED) -> AttemptRecord:
    return AttemptRecord(1, 1, "node", 0, started, now, outcome.word, describe(outcome))


@pytest.mark.parametrize(
    ("outcome", "delay", "cancel_reason", "state", "attempt"),
    [
        (AttemptFailed(NO), 5 * SECOND, None, Scheduled(NOW + 5 * SECOND), 1),
        (AttemptFailed(NO), None, None, Failed(NOW, "the retry policy allows no more attempts"), 1),
        (AttemptFailed(NO), 5, "not needed", Cancelled(NOW, "not needed"), 1),
        (TimedOut(7, NO), 5 * SECOND, None, Scheduled(NOW + 5 * SECOND), 1),
        (TimedOut(7), 0, None, Ready(NOW), 1),
        (Snoozed(60 * SECOND), None, None, Scheduled(NOW + 60 * SECOND), 0),
        (Released(entered=True), None, None, Ready(0), 0),
        (AttemptCancelled("no more"), None, None, Cancelled(NOW, "no more"), 1),
    ],
)
def test_an_outcome_is_judged_and_handed_in_behind_what_was_said(
    outcome: Outcome, delay: int | None, cancel_reason: str | None, state: State, attempt: int
) -> None:
    held = lease(1)
    held.cancel_reason = cancel_reason
    office = Office(held)
    assert office.settler.settle(held, outcome, delay=delay) == state
    error = outcome.exception if isinstance(outcome, AttemptFailed | TimedOut) else None
    assert office.commit() == Commit(
        held.claimed.request.id, 1, state, attempt, record(outcome), exception=error
    )
    assert office.letters[0].insist
    assert held.over
    assert office.order == ["reports before letter 1"]
    assert office.held == [held], "until the storage has answered"


def test_an_attempt_may_have_ended_before_it_is_settled() -> None:
    held = lease(1)
    office = Office(held)
    office.settler.settle(held, AttemptFailed(NO), now=NOW - SECOND, delay=3 * SECOND)
    commit = office.commit()
    assert commit.state == Scheduled(NOW + 2 * SECOND)
    assert commit.record == record(AttemptFailed(NO), now=NOW - SECOND)


@pytest.mark.parametrize(
    ("children", "callback", "stored"),
    [
        ([CHILD], None, [CHILD]),
        ([CHILD], CALLBACK, [CHILD, CALLBACK]),
        (None, CALLBACK, [CALLBACK]),
        (None, None, None),
        ([], None, None),
    ],
)
def test_a_success_is_stored_with_what_its_handler_has_enqueued_and_its_callback_last(
    children: list[NewJob] | None, callback: NewJob | None, stored: Sequence[NewJob] | None
) -> None:
    held = lease(1)
    held.children = children
    office = Office(held)
    state = office.settler.settle(held, Succeeded('"done"'), callback=callback)
    if callback is None:
        assert state == Completed(NOW, STARTED, 0, "node", '"done"')
    else:
        assert state == AwaitingCallback(callback[0].id, STARTED, 0, "node", '"done"')
    commit = office.commit()
    assert commit.forget_expiry is (callback is not None)
    expected = (
        None if stored is None else Insert([job for job, _ in stored], [at for _, at in stored])
    )
    assert commit.children == expected


def test_what_a_handler_has_enqueued_is_not_stored_if_it_fails() -> None:
    held = lease(1)
    held.children = [CHILD]
    office = Office(held)
    office.settler.settle(held, AttemptFailed(NO), delay=1)
    assert office.commit().children is None


@pytest.mark.parametrize(
    ("outcome", "due", "is_over"),
    [
        (AttemptFailed(NO), [NOW + SECOND], False),
        (Released(entered=True), [0], False),
        (AttemptCancelled("no"), [], True),
    ],
)
def test_when_an_outcome_is_recorded_its_lease_is_let_go_of_and_everybody_told(
    outcome: Outcome, due: list[int], is_over: bool
) -> None:
    held = lease(1)
    office = Office(held)
    office.listen()
    state = office.settler.settle(held, outcome, delay=SECOND)
    office.answer(Committed((AWAITED,)))
    assert office.held == []
    assert held.state is state.word
    assert office.around.due == due
    assert office.around.notified == ([held.claimed.request.id] if is_over else [])
    assert office.around.awaited == [AWAITED]
    assert office.facts == [attempt_over(held.claimed, outcome, NOW, state)]
    assert len(office.letters) == 1


def test_nobody_is_told_of_those_that_nobody_waits_for() -> None:
    held = lease(1)
    office = Office(held)
    told: list[object] = []
    office.settler.on_awaited = told.append
    office.settler.settle(held, AttemptCancelled("no"))
    office.answer(Committed())
    assert told == []


def test_a_settler_to_which_nobody_listens_tells_nobody() -> None:
    held = lease(1)
    held.children = [CHILD]
    office = Office(held)
    alone = Settler(*(getattr(office.settler, f"_{name}") for name in PARTS))
    for outcome, reply in (
        (RETURNED, Committed((AWAITED,), Inserted())),
        (AttemptFailed(NO), Committed()),
    ):
        alone.settle(held, outcome, delay=1)
        office.answer(reply)
    assert office.held == []


def test_a_job_that_waits_for_its_callback_has_not_ended() -> None:
    held = lease(1)
    office = Office(held)
    office.listen()
    state = office.settler.settle(held, RETURNED, callback=CALLBACK)
    office.answer(Committed())
    assert (office.around.notified, office.around.due) == ([], [])
    assert office.facts == [attempt_over(held.claimed, RETURNED, NOW, state)]


@pytest.mark.parametrize("inserted", [None, Inserted(replaced=(AWAITED,))])
def test_of_jobs_that_were_stored_with_a_success_somebody_is_told(
    inserted: Inserted | None,
) -> None:
    held = lease(1)
    held.children = [CHILD]
    office = Office(held)
    office.settler.settle(held, RETURNED)
    office.answer(Committed(inserted=inserted))
    children = Insert([CHILD[0]], [CHILD[1]])
    assert office.born == ([] if inserted is None else [(children, inserted)])
    assert office.held == []


def test_a_success_whose_children_are_refused_is_a_failure_for_good() -> None:
    held = lease(1)
    held.children = [CHILD]
    office = Office(held)
    office.settler.settle(held, RETURNED, now=NOW - 5)
    refusal = ArgumentError("taken")
    office.answer(refusal)
    outcome = AttemptFailed(refusal, final=True)
    assert office.commit(1) == Commit(
        held.claimed.request.id,
        1,
        Failed(NOW - 5, f"what it enqueued was refused: {refusal}"),
        1,
        record(outcome, now=NOW - 5),
        exception=refusal,
    )
    assert office.held == [held]


def test_an_attempt_of_a_job_that_was_called_off_elsewhere_ends_as_cancelled() -> None:
    held = lease(1)
    office = Office(held)
    office.settler.settle(held, AttemptFailed(NO), now=NOW - 5, delay=1)
    office.answer(Conflict("not needed"))
    cancelled = AttemptCancelled("not needed")
    assert office.commit(1) == Commit(
        held.claimed.request.id,
        1,
        Cancelled(NOW - 5, "not needed"),
        1,
        record(cancelled, now=NOW - 5),
    )
    assert held.cancel_reason == "not needed"
    assert office.held == [held]


def test_an_outcome_that_comes_too_late_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    held = lease(1)
    office = Office(held)
    office.listen()
    office.settler.settle(held, AttemptFailed(NO), delay=1)
    office.answer(Conflict())
    job_id = held.claimed.request.id
    assert (office.held, held.state) == ([], None)
    assert (office.around.notified, office.around.due) == ([job_id], [NOW])
    assert office.facts == [lease_refused(held.claimed, to_datetime(NOW))]
    assert caplog.record_tuples == [
        (
            "trio_gusto",
            logging.WARNING,
            f"job {to_uuid(job_id)} (work) came too late with its outcome: "
            "its lease was no longer valid",
        )
    ]


def test_an_outcome_that_the_storage_refuses_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    held = lease(1)
    office = Office(held)
    office.listen()
    office.settler.settle(held, AttemptFailed(NO), delay=1)
    office.answer(StorageError("too large"))
    assert (office.held, office.facts, office.around.due) == ([], [], [])
    assert caplog.record_tuples == [
        (
            "trio_gusto",
            logging.ERROR,
            f"the outcome of job {to_uuid(held.claimed.request.id)} was refused: too large",
        )
    ]


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
