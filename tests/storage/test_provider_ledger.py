"""What one process remembers of the jobs of a provider, and what it forgets."""

from __future__ import annotations

import pytest

from tests.storage.own_providers import (
    NODE,
    SECOND,
    START,
    MyRecord,
    job_id,
    record,
    request,
    tracking_id,
)
from trio_gusto.model.errors import DuplicateJob
from trio_gusto.model.job import AttemptRecord, ClaimedJob, Details, StoredJob
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import Cancelled, Completed, Processing, Ready, Scheduled, State
from trio_gusto.storage.messages import ClaimDue, Commit
from trio_gusto.storage.provider.ledger import HISTORY, Flight, Ledger

DONE = Completed(START, START, START, NODE)


@pytest.fixture
def ledger() -> Ledger[MyRecord]:
    return Ledger[MyRecord](remembered=2)


def take(ledger: Ledger[MyRecord], number: int = 1) -> tuple[Flight[MyRecord], ClaimedJob]:
    claim = ClaimDue(NODE, START, START + 60 * SECOND, 9, 9)
    claimed = ledger.take(request(number), record(number), claim)
    return ledger.in_flight[job_id(number)], claimed


def land(ledger: Ledger[MyRecord], number: int = 1, state: State = DONE) -> Commit:
    flight, claimed = take(ledger, number)
    commit = Commit(job_id(number), claimed.token, state, claimed.attempt)
    ledger.land(flight, commit, state)
    return commit


def with_ref(number: int, ref_id: str = "order-7") -> Details:
    return Details(ref_id=ref_id, tags=(f"{number}",))


def test_a_ref_id_is_free_again_when_its_job_is_forgotten(ledger: Ledger[MyRecord]) -> None:
    ledger.remember(request(1, details=with_ref(1)), Ready(START))
    again = request(9, details=with_ref(9))
    with pytest.raises(DuplicateJob):
        ledger.refuse_known([again])
    for number in (2, 3):
        ledger.remember(request(number), Ready(START))
    ledger.refuse_known([again])


def test_jobs_of_one_ref_id_are_forgotten_one_by_one(ledger: Ledger[MyRecord]) -> None:
    """As others may have stored them."""
    for number in (1, 2, 3, 4):
        details = with_ref(number) if number < 3 else None
        ledger.remember(request(number, details=details), Ready(START))
    known = [number for number in (1, 2, 3, 4) if ledger.find(job_id(number)) is not None]
    assert known == [3, 4]


@pytest.mark.parametrize("details", [None, Details(tags=("a",))], ids=["none", "without ref_id"])
def test_jobs_without_a_ref_id_are_forgotten(
    ledger: Ledger[MyRecord], details: Details | None
) -> None:
    for number in (1, 2, 3):
        ledger.remember(request(number, details=details, expire_on=START + SECOND), Ready(START))
    assert ledger.find(job_id(1)) is None
    assert list(ledger.due_by(START)) == [job_id(2), job_id(3)]
    assert [job.request.id for job in ledger.overdue(START + SECOND, 9)] == [job_id(2), job_id(3)]


def test_what_was_settled_is_forgotten_with_its_job(ledger: Ledger[MyRecord]) -> None:
    commits = [land(ledger, number) for number in (1, 2, 3)]
    assert [ledger.was_settled(commit) for commit in commits] == [False, True, True]


def test_the_longest_unchanged_is_forgotten_first(ledger: Ledger[MyRecord]) -> None:
    first = ledger.remember(request(1), Ready(START))
    ledger.remember(request(2), Ready(START))
    ledger.change(first, Cancelled(START, "no"))
    ledger.remember(request(3), Ready(START))
    known = [number for number in (1, 2, 3) if ledger.find(job_id(number)) is not None]
    assert known == [1, 3]
    changed = ledger.find(job_id(1))
    assert changed is not None
    assert changed.state == Cancelled(START, "no")


def test_jobs_in_flight_are_never_forgotten(ledger: Ledger[MyRecord]) -> None:
    take(ledger, 1)
    for number in (2, 3, 4):
        ledger.remember(request(number), Ready(START))
    job = ledger.find(job_id(1))
    assert job is not None
    assert (job.attempt, job.state.word) == (1, "processing")


def test_the_next_expiry_lies_ahead(ledger: Ledger[MyRecord]) -> None:
    for number in (1, 2):
        ledger.remember(request(number, expire_on=START + number * SECOND), Ready(START))
    assert ledger.next_expiry(START) == START + SECOND
    assert ledger.next_expiry(START + SECOND) == START + 2 * SECOND
    assert ledger.next_expiry(START + 2 * SECOND) is None


def test_overdue_jobs_come_in_slices(ledger: Ledger[MyRecord]) -> None:
    for number in (1, 2):
        ledger.remember(request(number, expire_on=START + SECOND), Ready(START))
    assert [job.request.id for job in ledger.overdue(START + SECOND, 1)] == [job_id(1)]
    assert list(ledger.overdue(START + SECOND - 1, 9)) == []


def test_a_job_that_runs_is_not_due_and_does_not_expire(ledger: Ledger[MyRecord]) -> None:
    ledger.remember(request(1, expire_on=START + SECOND), Ready(START))
    assert ledger.next_due() == START
    take(ledger, 1)
    assert (ledger.next_due(), ledger.next_expiry(START)) == (None, None)
    assert list(ledger.due_by(START)) == []
    assert list(ledger.overdue(START + SECOND, 9)) == []


@pytest.mark.parametrize("state", [Ready(START + 5), Scheduled(START + 5)], ids=str)
def test_a_job_is_due_from_its_instant_on(ledger: Ledger[MyRecord], state: State) -> None:
    ledger.remember(request(1), state)
    assert ledger.next_due() == START + 5
    assert list(ledger.due_by(START + 4)) == []
    assert list(ledger.due_by(START + 5)) == [job_id(1)]


def test_what_is_held_is_due_when_it_is_let_go_of(ledger: Ledger[MyRecord]) -> None:
    ledger.remember(request(1), Ready(START))
    ledger.hold(job_id(1), START + SECOND)
    ledger.hold(job_id(9), START + 2 * SECOND)
    assert ledger.next_due() == START + SECOND
    assert list(ledger.due_by(START + SECOND)) == []
    ledger.let_go_of_held(START + SECOND - 1)
    assert list(ledger.held) == [job_id(1), job_id(9)]
    ledger.let_go_of_held(START + SECOND)
    assert list(ledger.held) == [job_id(9)]


def test_what_was_looked_for_is_not_awaited(ledger: Ledger[MyRecord]) -> None:
    ledger.remember(request(1), Ready(START))
    ledger.looked_for([job_id(9), job_id(1)])
    assert ledger.next_due() is None


@pytest.mark.parametrize("execute_after", [None, START - 5])
def test_a_job_that_is_taken_is_leased(ledger: Ledger[MyRecord], execute_after: int | None) -> None:
    asked = request(1, execute_after=execute_after)
    claim = ClaimDue(NODE, START + 7, START + 60 * SECOND, 9, 9)
    claimed = ledger.take(asked, record(1), claim)
    due = START if execute_after is None else execute_after
    assert claimed == ClaimedJob(asked, 1, claimed.token, due, NODE, START + 7)
    lease = Processing(NODE, START + 7, START + 60 * SECOND)
    wanted = StoredJob(asked, tracking_id(1).int, lease, 1, claimed.token)
    flight = ledger.in_flight[job_id(1)]
    assert (flight.job, flight.record, flight.due) == (wanted, record(1), due)
    assert ledger.find(job_id(1)) is flight.job


def test_a_job_that_has_ended_is_not_due_and_does_not_expire(ledger: Ledger[MyRecord]) -> None:
    job = ledger.remember(request(1, expire_on=START + SECOND), Ready(START))
    other = ledger.remember(request(2), Ready(START))
    assert job.version != other.version
    ledger.change(job, Cancelled(START, "no"))
    assert list(ledger.due_by(START)) == [job_id(2)]
    assert list(ledger.overdue(START + SECOND, 9)) == []


def test_a_job_that_is_remembered_has_its_place(ledger: Ledger[MyRecord]) -> None:
    job = ledger.remember(request(1), Ready(START))
    assert job == StoredJob(request(1), tracking_id(1).int, Ready(START), version=job.version)
    assert ledger.find(job_id(1)) is job


def test_an_end_without_a_record_leaves_no_attempt(ledger: Ledger[MyRecord]) -> None:
    land(ledger)
    job = ledger.find(job_id(1))
    assert job is not None
    assert (job.state, job.history) == (DONE, ())


def test_every_change_gives_a_version_never_used_before(ledger: Ledger[MyRecord]) -> None:
    versions = [ledger.remember(request(1), Ready(START)).version]

    def note() -> None:
        job = ledger.find(job_id(1))
        assert job is not None
        versions.append(job.version)

    flight, _ = take(ledger)
    note()
    ledger.give_up(flight)
    note()
    land(ledger)
    note()
    job = ledger.find(job_id(1))
    assert job is not None
    ledger.change(job, Cancelled(START, "no"))
    note()
    assert len(set(versions)) == len(versions) == 5
    assert versions == sorted(versions)


def test_a_flight_that_is_given_up_leaves_its_job_ready(ledger: Ledger[MyRecord]) -> None:
    flight, claimed = take(ledger)
    ledger.give_up(flight)
    job = ledger.find(job_id(1))
    assert job is not None
    assert (job.state, job.attempt) == (Ready(claimed.due), 1)
    assert not ledger.in_flight
    assert take(ledger)[1].attempt == 2


def test_the_newest_attempts_are_remembered(ledger: Ledger[MyRecord]) -> None:
    for number in range(HISTORY + 2):
        flight, claimed = take(ledger)
        attempt = AttemptRecord(
            number, claimed.token, NODE, START, START, START, AttemptOutcome.FAILED
        )
        commit = Commit(job_id(1), claimed.token, Ready(START), number + 1, attempt)
        ledger.land(flight, commit, Ready(START))
    job = ledger.find(job_id(1))
    assert job is not None
    assert [each.number for each in job.history] == list(range(2, HISTORY + 2))
    assert take(ledger)[0].job.history == job.history


def test_renewals_and_cancellations_leave_the_rest_of_a_lease_as_it_is(
    ledger: Ledger[MyRecord],
) -> None:
    flight, claimed = take(ledger)
    ledger.ask_to_cancel(flight, "why")
    ledger.renew(flight, START + 99 * SECOND)
    lease = flight.lease
    assert (lease.node, lease.lease_until) == (NODE, START + 99 * SECOND)
    assert (lease.cancel_reason, flight.job.version) == ("why", claimed.token)


def test_an_id_or_a_ref_id_that_comes_twice_is_refused(ledger: Ledger[MyRecord]) -> None:
    one, other = request(1, details=with_ref(1)), request(2, details=with_ref(2))
    with pytest.raises(DuplicateJob) as refused:
        ledger.refuse_known([one, one])
    assert (refused.value.key, refused.value.value) == ("id", refused.value.existing_id)
    with pytest.raises(DuplicateJob) as refused:
        ledger.refuse_known([request(3), one, request(4), other])
    assert (refused.value.key, refused.value.value) == ("ref_id", "order-7")
    take(ledger, 1)
    with pytest.raises(DuplicateJob):
        ledger.refuse_known([request(1)])
