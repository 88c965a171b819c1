"""Writes and queries about jobs in a storage and of jobs in memory beside it, in one message."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.storage.beside_pair import Pair
from trio_gusto.model.errors import DuplicateJob, GustoError, StorageBusy
from trio_gusto.model.job import ClaimedJob, Details, JobRequest, Progress
from trio_gusto.model.joblog import LogLine
from trio_gusto.model.retention import Selection
from trio_gusto.model.states import JobState, Ready, Waiting
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.lease_messages import CancelRequests, Renew, Renewed, RequestCancel
from trio_gusto.storage.messages import (
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
    Insert,
    Inserted,
)
from trio_gusto.storage.pause_messages import Pauses, PutPause
from trio_gusto.storage.report_messages import ReadDossiers, ReadLog, Report, Reported, Saying
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.testing.storage_contract.subject import (
    LEASE,
    NOW,
    completed,
    ids,
    success,
    successes,
)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    await pair.open()
    yield pair
    await pair.close()


BOTH = pytest.mark.parametrize("durable", [True, False], ids=["in the storage", "in memory"])

# --- nodes --------------------------------------------------------------------------------------------


async def test_nodes_are_those_of_the_storage(pair: Pair) -> None:
    assert set(pair.main._bells) == {"node"}
    await pair.storage.detach("node")
    assert not pair.main._bells


async def test_what_others_change_in_the_storage_is_heard(pair: Pair) -> None:
    await pair.main.attach("other")
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pair.storage.wait_changed, "node")
            await wait_all_tasks_blocked()
            request = pair.request()
            await pair.main.apply([Insert([request], [Ready(NOW)])])


# --- writes -------------------------------------------------------------------------------------------


async def test_jobs_are_stored_where_they_belong(pair: Pair) -> None:
    here, there = await pair.put(True, False)
    assert [job.request.id for job in pair.main._jobs.values()] == [here.id]
    assert pair.memory.has(there.id)
    assert not pair.memory.has(here.id)
    assert len(pair.memory) == 1


async def test_of_a_group_each_write_has_its_reply(pair: Pair) -> None:
    first, second = await pair.running(True, False)
    new, kept = pair.request(), pair.request(details=Details(durable=False))
    replies = await pair.apply(
        [
            Insert([new], [Ready(NOW)]),
            success(second),
            Insert([kept], [Ready(NOW)]),
            success(first),
            attrs.evolve(success(first), version=99),
        ]
    )
    assert replies == [Inserted(), Committed(), Inserted(), Committed(), Conflict()]


async def test_nothing_changes_in_memory_while_the_storage_is_out_of_order(pair: Pair) -> None:
    first, second = await pair.running(True, False)
    pair.main.is_busy = True
    with pytest.raises(StorageBusy):
        await pair.apply([success(second), success(first)])
    assert await pair.state(second) is JobState.PROCESSING


async def test_the_storage_is_not_asked_about_what_is_in_memory_alone(pair: Pair) -> None:
    (first,) = await pair.running(False)
    pair.main.is_busy = True
    cancel = RequestCancel(first.request.id, first.token, "no")
    renew = Renew("node", NOW, NOW + 2 * LEASE, [(first.request.id, first.token)])
    report = Report([Saying(first.request.id, first.token, Progress(50, ""))], 9, 99)
    replies = await pair.apply([cancel, renew, report, successes(first)])
    wanted = [Committed(), Renewed([], [(first.request.id, "no")]), Reported(()), Completions()]
    assert [*map(str, replies)] == [*map(str, wanted)]


@BOTH
async def test_a_commit_goes_to_where_its_job_is(pair: Pair, durable: bool) -> None:
    (job,) = await pair.running(durable)
    assert await pair.tell(attrs.evolve(success(job), version=job.token + 1)) == Conflict()
    assert await pair.state(job) is JobState.PROCESSING
    assert await pair.tell(success(job)) == Committed()
    assert await pair.state(job) is JobState.COMPLETED


@BOTH
async def test_a_cancellation_goes_to_where_its_job_is(pair: Pair, durable: bool) -> None:
    (job,) = await pair.running(durable)
    job_id = job.request.id
    assert await pair.tell(RequestCancel(job_id, job.token + 1, "no")) == Conflict()
    assert await pair.tell(RequestCancel(job_id, job.token, "why")) == Committed()
    asked = await pair.storage.read(CancelRequests("node"))
    assert list(asked.cancels) == [(job_id, "why")]


async def test_cancellations_and_pauses_are_told_together(pair: Pair) -> None:
    first, second = await pair.running(True, False)
    for job in (first, second):
        await pair.tell(RequestCancel(job.request.id, job.token, "why"))
    await pair.tell(PutPause("mail", None, "", NOW))
    asked = await pair.storage.read(CancelRequests("node"))
    assert [job_id for job_id, _ in asked.cancels] == ids([first, second])
    assert [pause.queue for pause in asked.pauses] == ["mail"]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 0, 3, 2)], ids=str)
async def test_successes_of_both_are_refused_each_for_itself(
    pair: Pair, order: tuple[int, ...]
) -> None:
    jobs = await pair.running(True, False, True, False)
    stale = [attrs.evolve(job, token=job.token + 9) for job in jobs[2:]]
    claims = [[*jobs[:2], *stale][number] for number in order]
    reply = await pair.expect(Completions, successes(*claims))
    refused = {position: Conflict() for position, number in enumerate(order) if number > 1}
    assert dict(reply.refused) == refused
    words = [await pair.state(job) for job in jobs]
    assert words == [JobState.COMPLETED] * 2 + [JobState.PROCESSING] * 2


async def test_successes_say_who_is_awaited(pair: Pair) -> None:
    jobs = await pair.running(True, False)
    child = pair.request(details=Details(parents=(jobs[0].request.id,)))
    await pair.insert(child, states=[Waiting((jobs[0].request.id,))])
    reply = await pair.expect(Completions, successes(*jobs))
    assert (dict(reply.refused), list(reply.awaited)) == ({}, [jobs[0].request.id])


async def test_each_success_is_kept_with_its_own_result(pair: Pair) -> None:
    jobs = await pair.running(True, False, True, False)
    states = [completed(job, result=f'"{number}"') for number, job in enumerate(jobs)]
    await pair.expect(Completions, Complete(jobs, states))
    kept = [(await pair.get(job.request.id)).state for job in jobs]
    assert kept == states


async def test_successes_and_states_that_do_not_go_together_are_a_mistake(pair: Pair) -> None:
    jobs = await pair.running(True, True)
    with pytest.raises(ValueError, match="zip"):
        await pair.tell(Complete(jobs, [completed(jobs[0])]))


async def test_a_storage_that_refuses_successes_refuses_all(pair: Pair) -> None:
    jobs = await pair.running(True, False)
    pair.main.refusal = GustoError("not now")
    assert await pair.tell(successes(*jobs)) is pair.main.refusal
    assert await pair.state(jobs[1]) is JobState.PROCESSING


async def test_leases_of_both_are_renewed(pair: Pair) -> None:
    jobs = await pair.running(True, False, True, False)
    for job in jobs[2:]:
        await pair.tell(RequestCancel(job.request.id, job.token, "why"))
    until = NOW + 2 * LEASE
    leases = [(job.request.id, job.token) for job in jobs]
    gone = [(job_id, token + 9) for job_id, token in leases[:2]]
    reply = await pair.expect(Renewed, Renew("node", NOW, until, [*leases[2:], *gone]))
    assert list(reply.lost) == ids(jobs[:2])
    assert list(reply.cancels) == [(job_id, "why") for job_id, _ in leases[2:]]
    for job, lease_until in zip(jobs, [NOW + LEASE] * 2 + [until] * 2, strict=True):
        (found,) = (await pair.storage.read(Get([job.request.id]))).jobs
        assert getattr(found.state, "lease_until", None) == lease_until


@BOTH
async def test_leases_of_one_kind_are_renewed(pair: Pair, durable: bool) -> None:
    (job,) = await pair.running(durable)
    ask = Renew("node", NOW, NOW + 2 * LEASE, [(job.request.id, job.token)])
    assert await pair.tell(ask) == Renewed([], [])
    assert await pair.tell(attrs.evolve(ask, node="other")) == Renewed([job.request.id], [])


async def test_a_storage_that_refuses_a_renewal_says_so(pair: Pair) -> None:
    jobs = await pair.running(True, False)
    pair.main.refusal = GustoError("not now")
    ask = Renew("node", NOW, NOW + LEASE, [(job.request.id, job.token) for job in jobs])
    assert await pair.tell(ask) is pair.main.refusal


async def test_what_is_in_memory_is_not_renewed_from_a_thread(pair: Pair) -> None:
    first, second = await pair.running(True, False)
    leases = [(job.request.id, job.token) for job in (first, second)]
    reply = pair.storage.renew_blocking(Renew("node", NOW, NOW + 2 * LEASE, leases))
    assert reply == Renewed([], []), "the storage has lost nothing"


async def test_what_jobs_say_is_kept_where_they_are(pair: Pair) -> None:
    jobs = await pair.running(True, False, True, False)
    sayings = [
        Saying(
            job.request.id,
            job.token if number < 2 else job.token + 9,
            Progress(number, ""),
            [LogLine(NOW, "info", f"line {number}")],
            dossier=f"dossier {number}",
        )
        for number, job in enumerate(jobs)
    ]
    reply = await pair.expect(Reported, Report(sayings, 9, 99))
    assert list(reply.refused) == ids(jobs[2:])
    for number, job in enumerate(jobs[:2]):
        job_id = job.request.id
        assert (await pair.get(job_id)).progress == Progress(number, "")
        log = await pair.storage.read(ReadLog(job_id))
        assert [line.message for line in log.lines] == [f"line {number}"]
        found = await pair.storage.read(ReadDossiers(job_id))
        assert [*found.dossiers.values()] == [f"dossier {number}"]


async def test_a_storage_that_refuses_a_report_says_so(pair: Pair) -> None:
    jobs = await pair.running(True, False)
    pair.main.refusal = GustoError("not now")
    sayings = [Saying(job.request.id, job.token, None) for job in jobs]
    assert await pair.tell(Report(sayings, 9, 99)) is pair.main.refusal


@BOTH
async def test_sayings_of_one_kind_are_kept(pair: Pair, durable: bool) -> None:
    (job,) = await pair.running(durable)
    report = Report([Saying(job.request.id, job.token, Progress(7, ""))], 9, 99)
    assert list((await pair.expect(Reported, report)).refused) == []
    assert (await pair.get(job.request.id)).progress == Progress(7, "")


@pytest.mark.parametrize(
    ("durable", "limit", "more"),
    [((True, False), 9, False), ((True, True, False), 2, True), ((True, False, False), 2, True)],
    ids=["all", "more in the storage", "more in memory"],
)
async def test_old_jobs_of_both_go(
    pair: Pair, durable: tuple[bool, ...], limit: int, more: bool
) -> None:
    jobs = await pair.running(*durable)
    await pair.tell(successes(*jobs))
    reply = await pair.expect(Pruned, Prune(NOW + 1, limit))
    assert (reply.count, reply.more) == (len(jobs), more)
    assert await pair.everything() == []


async def test_the_mark_of_the_storage_means_nothing_in_memory(pair: Pair) -> None:
    jobs = await pair.running(False)
    await pair.tell(successes(*jobs))
    reply = await pair.expect(Pruned, Prune(NOW + 1, 9, only=Selection(), mark=(99,)))
    assert reply.count == 1


async def test_a_storage_that_refuses_to_delete_says_so(pair: Pair) -> None:
    pair.main.refusal = GustoError("not now")
    assert await pair.tell(Prune(NOW, 9)) is pair.main.refusal


async def test_what_is_about_no_job_goes_to_the_storage(pair: Pair) -> None:
    await pair.tell(PutPause("mail", None, "", NOW))
    assert [pause.queue for pause in pair.main._pauses.kept()] == ["mail"]
    found = await pair.storage.read(Pauses(NOW))
    assert [pause.queue for pause in found.pauses] == ["mail"]


# --- children -----------------------------------------------------------------------------------------


def with_child(job: ClaimedJob, child: JobRequest) -> Commit:
    return attrs.evolve(success(job), children=Insert([child], [Ready(NOW)]))


async def test_children_of_a_job_in_memory_are_in_the_storage(pair: Pair) -> None:
    (job,) = await pair.running(False)
    child = pair.request()
    assert await pair.tell(with_child(job, child)) == Committed((), Inserted())
    assert [*pair.main._jobs] == [child.id]
    assert len(pair.memory) == 1
    assert await pair.state(job) is JobState.COMPLETED


async def test_a_job_in_memory_that_was_taken_away_has_no_children(pair: Pair) -> None:
    (job,) = await pair.running(False)
    stale = attrs.evolve(with_child(job, pair.request()), version=job.token + 1)
    assert await pair.tell(stale) == Conflict()
    assert not pair.main._jobs


async def test_children_that_were_stored_by_an_earlier_try_are_there(pair: Pair) -> None:
    (job,) = await pair.running(False)
    child = pair.request()
    await pair.main.apply([Insert([child], [Ready(NOW)])])
    assert await pair.tell(with_child(job, child)) == Committed((), Inserted())
    assert await pair.state(job) is JobState.COMPLETED


async def test_children_that_are_refused_leave_a_job_in_memory_as_it_was(pair: Pair) -> None:
    (job,) = await pair.running(False)
    ref = Details(ref_id="order-7")
    (other,) = await pair.put(True, details=ref)
    reply = await pair.tell(with_child(job, pair.request(details=ref)))
    assert isinstance(reply, DuplicateJob)
    assert (reply.key, reply.value) == ("ref_id", "order-7")
    assert [*pair.main._jobs] == [other.id]
    assert await pair.state(job) is JobState.PROCESSING


async def test_whoever_a_child_replaces_is_awaited(pair: Pair) -> None:
    (job,) = await pair.running(False)
    keyed = Details(unique_key="k", on_conflict="replace")
    (old,) = await pair.put(True, details=keyed)
    waiting = pair.request(details=Details(parents=(old.id,)))
    await pair.insert(waiting, states=[Waiting((old.id,))])
    reply = await pair.expect(Committed, with_child(job, pair.request(details=keyed)))
    assert reply.awaited == (old.id,)
    assert reply.inserted == Inserted(replaced=(old.id,), awaited=(old.id,))
