"""What a provider is told when an attempt ends, or a job is cancelled."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.storage.own_providers import (
    NODE,
    SECOND,
    START,
    AnsweringShelf,
    CopyingShelf,
    FaultyShelf,
    FullShelf,
    MyRecord,
    Shelf,
    UnwillingShelf,
    claim,
    claim_one,
    end,
    end_all,
    ending,
    fail,
    insert,
    job_id,
    record,
    request,
    returning,
    tracking_id,
)
from trio_gusto.model.errors import NotSupported, StorageError
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.job import ClaimedJob
from trio_gusto.model.outcomes import (
    AttemptCancelled,
    AttemptFailed,
    Fail,
    Released,
    Snoozed,
    Succeeded,
    TimedOut,
    classify,
)
from trio_gusto.model.states import (
    Cancelled,
    Completed,
    Failed,
    Processing,
    Ready,
    Scheduled,
    Waiting,
)
from trio_gusto.provider import ProviderStorage
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.lease_messages import CancelRequests, Renew, RequestCancel
from trio_gusto.storage.messages import Commit, Committed, Completions, Conflict, Insert, Inserted


@pytest.fixture
def autojump_clock() -> MockClock:
    """Pauses between tries pass at once."""
    return MockClock(autojump_threshold=0)


async def state_of(storage: ProviderStorage[MyRecord], number: int = 1) -> object:
    (job,) = (await storage.read(Get([job_id(number)]))).jobs
    return job.state


# --- success --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Shelf, CopyingShelf])
async def test_a_success_is_marked_once_and_the_job_does_not_come_back(kind: type[Shelf]) -> None:
    shelf = kind()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    claimed = await claim_one(storage)
    assert await end(storage, claimed, Succeeded('"sent"')) == Committed()
    assert shelf.completed == [tracking_id(1)]
    assert shelf.records[tracking_id(1)].is_complete
    assert not (await claim(storage, at=START + 9 * SECOND)).jobs
    state = await state_of(storage)
    assert isinstance(state, Completed)
    assert state.result == '"sent"'


async def test_the_same_outcome_sent_twice_is_recorded_once() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    success = ending(await claim_one(storage), Succeeded())
    assert await storage.apply([success]) == [Committed()]
    assert await storage.apply([success]) == [Committed()]
    assert len(shelf.completed) == 1


async def test_a_stale_token_changes_nothing() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    stale = await claim_one(storage)
    await end(storage, stale, Released(entered=True))
    fresh = await claim_one(storage)
    assert await end(storage, stale) == Conflict()
    assert not shelf.completed
    assert fresh.token > stale.token


async def test_marking_is_tried_three_times(autojump_clock: MockClock) -> None:
    shelf = FaultyShelf(mark_job_as_complete=2)
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    assert await end(storage, await claim_one(storage)) == Committed()
    assert shelf.completed == [tracking_id(1)]


async def test_a_success_that_cannot_be_marked_runs_again_later(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = FaultyShelf(mark_job_as_complete=3)
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    refused = await end(storage, await claim_one(storage), at=START + SECOND)
    assert isinstance(refused, StorageError)
    assert isinstance(refused.__cause__, ConnectionError)
    assert caplog.text.count(f"mark_job_as_complete failed for record {tracking_id(1)}") == 3
    assert not shelf.records[tracking_id(1)].is_complete
    waiting = await claim(storage, at=START + SECOND)
    assert not waiting.jobs
    assert waiting.next_due == START + 2 * SECOND
    again = await claim_one(storage, at=START + 2 * SECOND)
    assert again.attempt == 2
    assert await end(storage, again) == Committed()


# --- successes in one message ---------------------------------------------------------------------


async def claimed(
    storage: ProviderStorage[MyRecord], count: int, *, at: int = START
) -> list[ClaimedJob]:
    """So many new jobs, in flight."""
    for number in range(1, count + 1):
        await insert(storage, request(number))
    return list((await claim(storage, at=at)).jobs)


@pytest.mark.parametrize("kind", [Shelf, CopyingShelf])
async def test_successes_in_one_message_are_marked_each(kind: type[Shelf]) -> None:
    shelf = kind()
    storage = ProviderStorage(shelf, MyRecord)
    jobs = await claimed(storage, 3)
    message = returning(*jobs)
    assert await end_all(storage, message) == Completions()
    assert shelf.completed == [tracking_id(number) for number in (1, 2, 3)]
    assert all(stored.is_complete for stored in shelf.records.values())
    assert [await state_of(storage, number) for number in (1, 2, 3)] == message.states
    assert not (await claim(storage, at=START + 9 * SECOND)).jobs


async def test_of_several_successes_the_one_that_cannot_be_marked_is_refused_alone(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = UnwillingShelf(tracking_id(2))
    storage = ProviderStorage(shelf, MyRecord)
    jobs = await claimed(storage, 3)
    new = request(4)
    reply, stored = await storage.apply([returning(*jobs), Insert([new], [Ready(START)])])
    assert isinstance(reply, Completions)
    assert list(reply.refused) == [1]
    assert isinstance(reply.refused[1], StorageError)
    assert isinstance(reply.refused[1].__cause__, ConnectionError)
    assert str(tracking_id(2)) in str(reply.refused[1])
    assert caplog.text.count(f"mark_job_as_complete failed for record {tracking_id(2)}") == 3
    assert stored == Inserted()
    assert shelf.completed == [tracking_id(1), tracking_id(3)]
    assert not shelf.records[tracking_id(2)].is_complete
    states = [await state_of(storage, number) for number in (1, 2, 3)]
    assert [type(state) for state in states] == [Completed, Ready, Completed]
    # It is left alone for a moment, and runs again.
    assert [job.request.id for job in (await claim(storage, at=START + SECOND)).jobs] == [job_id(4)]
    again = await claim_one(storage, at=START + 2 * SECOND)
    assert (again.request.id, again.attempt) == (job_id(2), 2)
    shelf.unwilling = ()
    assert await end_all(storage, returning(again)) == Completions()


async def test_stale_claims_among_successes_are_refused_alone() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    jobs = await claimed(storage, 3)
    await end(storage, jobs[1], Released(entered=True))
    await claim_one(storage)
    strange = attrs.evolve(jobs[0], request=request(9))
    reply = await end_all(storage, returning(strange, *jobs))
    assert reply == Completions({0: Conflict(), 2: Conflict()})
    assert shelf.completed == [tracking_id(1), tracking_id(3)]
    assert isinstance(await state_of(storage, 2), Processing)


async def test_the_same_successes_sent_twice_are_recorded_once() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    message = returning(*await claimed(storage, 2))
    assert await end_all(storage, message) == Completions()
    assert await end_all(storage, message) == Completions()
    assert shelf.completed == [tracking_id(1), tracking_id(2)]


async def test_a_message_without_successes_tells_a_provider_nothing() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    await claimed(storage, 1)
    assert await end_all(storage, returning()) == Completions()
    assert not shelf.completed


async def test_a_success_is_no_news_that_a_provider_decided_about_a_failure() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    (job,) = await claimed(storage, 1)
    await end_all(storage, returning(job))
    with trio.move_on_after(0.01) as patience:
        await storage.wait_changed(NODE)
    assert patience.cancelled_caught


# --- failure --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Shelf, CopyingShelf])
async def test_a_failure_is_handed_over_once_with_the_handlers_own_error(
    kind: type[Shelf],
) -> None:
    shelf = kind()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    error = ValueError("no such address")
    failure = ending(await claim_one(storage), AttemptFailed(error))
    assert await storage.apply([failure, failure]) == [Committed(), Committed()]
    assert shelf.failures == [(tracking_id(1), error)]


async def test_a_record_left_as_it_is_runs_again_at_once() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    await insert(storage, request())
    await fail(storage, await claim_one(storage))
    again = await claim_one(storage, at=START + SECOND)
    assert again.attempt == 2


async def test_attempts_are_counted_without_an_end() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    await insert(storage, request())
    for attempt in range(1, 30):
        claimed = await claim_one(storage, at=START + SECOND)
        assert claimed.attempt == attempt
        assert await fail(storage, claimed) == Committed()


async def test_a_provider_that_moves_execute_after_decides_when() -> None:
    class Later(Shelf):
        async def on_handler_execution_failure(
            self, record: MyRecord, error: BaseException
        ) -> None:
            record.execute_after = to_datetime(START) + timedelta(seconds=90)

    storage = ProviderStorage(Later(), MyRecord)
    await insert(storage, request())
    await fail(storage, await claim_one(storage))
    assert await state_of(storage) == Scheduled(START + 90 * SECOND)
    early = await claim(storage, at=START + 89 * SECOND)
    assert (list(early.jobs), early.next_due) == ([], START + 90 * SECOND)
    assert len((await claim(storage, at=START + 90 * SECOND)).jobs) == 1


async def test_a_provider_that_completes_the_record_gives_up() -> None:
    class GivingUp(Shelf):
        async def on_handler_execution_failure(
            self, record: MyRecord, error: BaseException
        ) -> None:
            record.is_complete = True

    storage = ProviderStorage(GivingUp(), MyRecord)
    await insert(storage, request())
    await fail(storage, await claim_one(storage))
    assert isinstance(await state_of(storage), Failed)
    assert not (await claim(storage, at=START + 9 * SECOND)).jobs


async def test_a_timeout_is_handed_over_as_one() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    raised = RuntimeError("interrupted")
    await end(storage, await claim_one(storage), TimedOut(SECOND, raised))
    ((_, error),) = shelf.failures
    assert isinstance(error, TimeoutError)
    assert error.__cause__ is raised


async def test_a_handler_that_wants_no_more_attempts_is_handed_over_too() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    await end(storage, await claim_one(storage), classify(Fail("broken")))
    assert isinstance(shelf.failures[0][1], Fail)
    assert await state_of(storage) == Failed(START + SECOND, "broken")


async def test_a_provider_that_cannot_take_a_failure_does_not_hold_up_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shelf = FaultyShelf(on_handler_execution_failure=1)
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    refused = await fail(storage, await claim_one(storage))
    assert isinstance(refused, StorageError)
    assert f"failed for record {tracking_id(1)}" in caplog.text
    assert not (await claim(storage, at=START + SECOND)).jobs
    assert len((await claim(storage, at=START + 2 * SECOND)).jobs) == 1


# --- giving back ----------------------------------------------------------------------------------


async def test_a_job_given_back_is_no_failure_and_comes_again() -> None:
    shelf = FullShelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    await end(storage, await claim_one(storage), Released(entered=True))
    assert not shelf.failures
    assert not shelf.leased
    again = await claim_one(storage, at=START + SECOND)
    assert again.attempt == 1


async def test_a_snoozed_job_is_left_alone_until_it_is_due(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    await end(storage, await claim_one(storage), Snoozed(10 * SECOND))
    early = await claim(storage, at=START + 5 * SECOND)
    assert (list(early.jobs), early.next_due) == ([], START + 11 * SECOND)
    again = await claim_one(storage, at=START + 11 * SECOND)
    assert again.attempt == 1
    assert not shelf.failures
    assert not caplog.records


async def test_with_leases_nobody_else_gets_a_snoozed_job_early() -> None:
    shelf = FullShelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    await end(storage, await claim_one(storage), Snoozed(10 * SECOND))
    neighbour = ProviderStorage(shelf, MyRecord)
    assert not (await claim(neighbour, at=START + 10 * SECOND)).jobs
    assert len((await claim(neighbour, at=START + 11 * SECOND)).jobs) == 1


async def test_a_node_that_detaches_leaves_its_jobs_to_the_provider() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    await insert(storage, request())
    stale = await claim_one(storage)
    await storage.detach(NODE)
    assert await end(storage, stale) == Conflict()
    assert len((await claim(storage)).jobs) == 1


# --- cancelling -----------------------------------------------------------------------------------


async def test_a_pending_job_is_cancelled_by_the_provider() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    (job,) = (await storage.read(Get([job_id(1)]))).jobs
    cancel = Commit(job_id(1), job.version, Cancelled(START, "too late"), 0)
    assert await storage.apply([cancel, cancel]) == [Committed(), Conflict()]
    assert shelf.cancelled == [tracking_id(1)]
    assert not (await claim(storage)).jobs


async def test_a_job_of_another_process_is_cancelled_by_its_id() -> None:
    shelf = Shelf()
    shelf.records[tracking_id(1)] = record(1)
    storage = ProviderStorage(shelf, MyRecord)
    assert await storage.apply([Commit(job_id(1), 0, Cancelled(START, ""), 0)]) == [Committed()]
    assert shelf.cancelled == [tracking_id(1)]


async def test_a_running_job_is_cancelled_in_the_store_at_once_and_then_here() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    claimed = await claim_one(storage)
    asked = RequestCancel(job_id(1), claimed.token, "wrong customer")
    assert await storage.apply([asked, asked]) == [Committed(), Committed()]
    assert shelf.cancelled == [tracking_id(1)]
    asked_for = [(job_id(1), "wrong customer")]
    assert (await storage.read(CancelRequests(NODE))).cancels == asked_for
    renew = Renew(NODE, START, START + 99 * SECOND, [(job_id(1), claimed.token)])
    (renewed,) = await storage.apply([renew])
    assert renewed.cancels == asked_for  # type: ignore[union-attr]  # a Renewed
    assert await fail(storage, claimed) == Conflict("wrong customer")
    assert await end(storage, claimed, AttemptCancelled("wrong customer")) == Committed()
    assert shelf.cancelled == [tracking_id(1)]
    assert not shelf.failures


async def test_a_handler_that_cancels_its_job_cancels_it_in_the_store() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    await end(storage, await claim_one(storage), AttemptCancelled("not needed"))
    assert shelf.cancelled == [tracking_id(1)]
    assert await state_of(storage) == Cancelled(START + SECOND, "not needed")


async def test_a_cancellation_that_fails_is_refused_and_changes_nothing() -> None:
    shelf = FaultyShelf(cancel_job=2)
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    (job,) = (await storage.read(Get([job_id(1)]))).jobs
    (refused,) = await storage.apply([Commit(job_id(1), job.version, Cancelled(START, ""), 0)])
    assert isinstance(refused, StorageError)
    assert await state_of(storage) == Ready(START)
    claimed = await claim_one(storage)
    (refused,) = await storage.apply([RequestCancel(job_id(1), claimed.token, "")])
    assert isinstance(refused, StorageError)
    assert isinstance(await state_of(storage), Processing)


# --- leases ---------------------------------------------------------------------------------------


async def test_without_leases_every_lease_held_here_is_renewed() -> None:
    storage = ProviderStorage(AnsweringShelf(record(1)), MyRecord)
    claimed = await claim_one(storage)
    leases = [(job_id(1), claimed.token), (job_id(2), 7)]
    (renewed,) = await storage.apply([Renew(NODE, START, START + 99 * SECOND, leases)])
    assert renewed.lost == [job_id(2)]  # type: ignore[union-attr]  # a Renewed


async def test_with_leases_two_processes_never_hold_the_same_job() -> None:
    shelf = FullShelf()
    ours, theirs = ProviderStorage(shelf, MyRecord), ProviderStorage(shelf, MyRecord)
    await insert(ours, request())
    claimed = await claim_one(ours)
    assert not (await claim(theirs, at=START + 59 * SECOND)).jobs
    leases = [(job_id(1), claimed.token)]
    await ours.apply([Renew(NODE, START, START + 120 * SECOND, leases)])
    assert not (await claim(theirs, at=START + 119 * SECOND)).jobs
    shelf.stolen = {tracking_id(1)}
    (renewed,) = await ours.apply([Renew(NODE, START, START + 180 * SECOND, leases)])
    assert renewed.lost == [job_id(1)]  # type: ignore[union-attr]  # a Renewed
    assert await end(ours, claimed) == Conflict()
    assert not shelf.completed


async def test_a_renewal_after_the_clock_was_set_back_shortens_no_lease() -> None:
    shelf = FullShelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    first = await claim_one(storage)
    await insert(storage, request(2))
    second = await claim_one(storage, at=START - 40 * SECOND)
    leases = [(job_id(1), first.token), (job_id(2), second.token)]
    await storage.apply([Renew(NODE, START - 30 * SECOND, START + 30 * SECOND, leases)])
    ends = [to_datetime(START + seconds * SECOND) for seconds in (60, 30)]
    assert [shelf.leased[tracking_id(number)] for number in (1, 2)] == ends
    lease = await state_of(storage)
    assert isinstance(lease, Processing)
    assert lease.lease_until == START + 60 * SECOND


async def test_leases_that_fail_are_refused_and_hold_nothing_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(FullShelf):
        async def renew_leases(self, tracking_ids: object, lease_until: object) -> list[UUID]:
            raise ConnectionError("gone")

        async def release_lease(self, tracking_id: UUID) -> None:
            raise ConnectionError("gone")

    storage = ProviderStorage(Broken(), MyRecord)
    await insert(storage, request())
    claimed = await claim_one(storage)
    leases = [(job_id(1), claimed.token)]
    (refused,) = await storage.apply([Renew(NODE, START, START + 99 * SECOND, leases)])
    assert isinstance(refused, StorageError)
    assert await end(storage, claimed, Snoozed(SECOND)) == Committed()
    again = await claim_one(storage, at=START + 61 * SECOND)
    assert await end(storage, again, Released(entered=False)) == Committed()
    assert "renew_leases failed" in caplog.text
    assert f"the lease on record {tracking_id(1)} could not be released" in caplog.text


# --- what a provider has no word for --------------------------------------------------------------


async def test_running_an_ended_job_again_is_the_providers_business() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    await insert(storage, request())
    await end(storage, await claim_one(storage), AttemptCancelled("not needed"))
    (job,) = (await storage.read(Get([job_id(1)]))).jobs
    (refused,) = await storage.apply([Commit(job_id(1), job.version, Ready(START), 0)])
    assert isinstance(refused, NotSupported)
    assert "reset its record" in str(refused)


async def test_jobs_that_wait_for_others_are_refused() -> None:
    shelf = Shelf()
    (refused,) = await ProviderStorage(shelf, MyRecord).apply([Insert([request()], [Waiting()])])
    assert isinstance(refused, NotSupported)
    assert not shelf.records
