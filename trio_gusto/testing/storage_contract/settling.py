"""Promises about new states: fenced by the version, recorded in order, all at once or not at all."""

from __future__ import annotations

import attrs

from ...model.failure import JobError
from ...model.ids import uuid7
from ...model.job import AttemptRecord, Details
from ...model.outcomes import AttemptOutcome
from ...model.retention import Selection
from ...model.states import (
    Cancelled,
    Completed,
    Expired,
    Failed,
    JobState,
    Ready,
    Scheduled,
    Skipped,
    State,
)
from ...storage.finding_messages import Get
from ...storage.lease_messages import RequestCancel
from ...storage.messages import ClaimDue, Commit, Committed, Conflict, Insert, Inserted, Write
from ...storage.retention_messages import Prune, Pruned
from .subject import (
    EVERYTHING,
    LEASE,
    NOW,
    SECOND,
    Subject,
    ids,
    put_back,
    record,
    refused,
    reply_of,
    same,
    success,
)


async def a_success_is_its_own_record(subject: Subject) -> None:
    await subject.enqueue()
    job = await subject.claim_one()
    state = Completed(NOW + 2, NOW + 1, NOW, subject.node, '{"sent":1}', "a part was left out")
    await subject.expect(Committed, Commit(job.request.id, job.token, state, 1))
    kept = await subject.get(job.request.id)
    same(kept.state, state, "the state of a completed job")
    same((kept.attempt, len(kept.history)), (1, 0), "its attempts spent, and its history")
    same(kept.version, job.token + 1, "its version, one above the token")


async def a_stale_token_changes_nothing(subject: Subject) -> None:
    await subject.enqueue()
    stale = await subject.claim_one()
    back = put_back(stale, Ready(NOW), AttemptOutcome.LOST)
    await subject.expect(Committed, back)
    await refused(subject, success(stale))
    await refused(subject, back)
    held = await subject.claim_one(NOW + 1)
    await refused(subject, success(stale))
    await refused(subject, RequestCancel(stale.request.id, stale.token, "too late"))
    await subject.complete(held)
    await refused(subject, success(held))
    await refused(subject, attrs.evolve(success(held), version=held.token + 2))


async def a_job_that_is_gone_is_a_conflict(subject: Subject) -> None:
    unknown = uuid7(NOW * 1000, 99)
    same(await refused(subject, Commit(unknown, 0, Ready(NOW), 0)), Conflict(), "the reply")
    same(await refused(subject, RequestCancel(unknown, 0, "")), Conflict(), "the reply")


async def a_conflict_harms_its_own_message_only(subject: Subject) -> None:
    await subject.enqueue()
    await subject.enqueue()
    first, second = (await subject.claim()).jobs
    stale = attrs.evolve(success(first), version=first.token - 1)
    another = subject.request()
    replies = await subject.apply(
        [stale, success(second), Insert([another], [Ready(NOW)]), success(first), success(second)]
    )
    kinds = [type(reply) for reply in replies]
    same(kinds, [Conflict, Committed, Inserted, Committed, Conflict], "the replies of the group")


async def a_token_is_never_used_twice(subject: Subject) -> None:
    await subject.enqueue(max_attempts=2)
    tokens: list[int] = []
    for n in range(6):
        job = await subject.claim_one(NOW + n)
        tokens.append(job.token)
        state = Ready(NOW + n) if n % 2 else Scheduled(NOW + n + 1)
        given_back = Commit(job.request.id, job.token, state, job.attempt - 1)
        await subject.expect(Committed, given_back)
    same(tokens, sorted(set(tokens)), "the tokens of six leases, rising strictly")


async def records_are_kept_in_order(subject: Subject) -> None:
    request = await subject.enqueue(max_attempts=9)
    error = JobError("app.Oops", "no luck", "in line 1", (JobError("ValueError", "x"),))
    records: list[AttemptRecord] = []
    for n, outcome in enumerate(AttemptOutcome):
        job = await subject.claim_one(NOW + n)
        entry = attrs.evolve(record(job, outcome, NOW + n), error=error if n % 2 else None)
        entry = attrs.evolve(entry, started_at=None) if n == 3 else entry
        records.append(entry)
        back = Commit(job.request.id, job.token, Ready(NOW + n), job.attempt, entry)
        await subject.expect(Committed, back)
    same(list((await subject.get(request.id)).history), records, "the history of the job")


async def hundreds_of_attempts_are_remembered(subject: Subject) -> None:
    """They are told in one group, for the tokens of leases to come are known."""
    request = await subject.enqueue(max_attempts=1_000)
    job = await subject.claim_one()
    claim = ClaimDue(subject.node, NOW, NOW + LEASE, 1, 1)
    records: list[AttemptRecord] = []
    writes: list[Write] = []
    for _ in range(500):
        back = put_back(job, Ready(NOW), AttemptOutcome.FAILED)
        records.append(record(job, AttemptOutcome.FAILED))
        writes += [back, claim]
        job = attrs.evolve(job, attempt=job.attempt + 1, token=job.token + 2)
    for reply in (await subject.apply(writes))[::2]:
        reply_of(Committed, reply)
    kept = await subject.get(request.id)
    same((kept.attempt, kept.version), (job.attempt, job.token), "its attempts, and its version")
    same(list(kept.history), records, "the history of the job")


async def a_given_back_attempt_is_not_spent(subject: Subject) -> None:
    request = await subject.enqueue()
    job = await subject.claim_one()
    snooze = Commit(
        request.id, job.token, Scheduled(NOW + SECOND), 0, record(job, AttemptOutcome.SNOOZED)
    )
    await subject.expect(Committed, snooze)
    same((await subject.get(request.id)).attempt, 0, "attempts spent after a snooze")
    same(list((await subject.claim()).jobs), [], "what is claimed before the snooze is over")
    again = await subject.claim_one(NOW + SECOND)
    same((again.attempt, again.due), (1, NOW + SECOND), "attempt and due instant after a snooze")


async def a_job_put_back_keeps_its_place(subject: Subject) -> None:
    requests = [await subject.enqueue() for _ in range(3)]
    first = (await subject.claim(limit=1)).jobs[0]
    await subject.expect(Committed, put_back(first, Ready(first.due), AttemptOutcome.RELEASED))
    same(ids((await subject.claim()).jobs), ids(requests), "the order after one was put back")


async def a_job_whose_cancellation_is_asked_takes_only_an_end(subject: Subject) -> None:
    await subject.enqueue()
    job = await subject.claim_one()
    await subject.expect(Committed, RequestCancel(job.request.id, job.token, "not wanted"))
    for state in (Ready(NOW), Scheduled(NOW + SECOND)):
        conflict = await refused(subject, put_back(job, state, AttemptOutcome.FAILED))
        same(conflict.cancel_reason, "not wanted", "the reason in the conflict")
    stale = attrs.evolve(success(job), version=job.token - 1)
    same(await refused(subject, stale), Conflict(), "the reply to a stale token")
    ended = Cancelled(NOW, "not wanted")
    await subject.expect(Committed, put_back(job, ended, AttemptOutcome.CANCELLED))
    same((await subject.get(job.request.id)).state, ended, "the state after it was cancelled")


async def a_success_beats_a_request_to_cancel(subject: Subject) -> None:
    await subject.enqueue()
    job = await subject.claim_one()
    await subject.expect(Committed, RequestCancel(job.request.id, job.token, ""))
    await subject.complete(job)


async def a_request_to_cancel_keeps_its_first_reason(subject: Subject) -> None:
    await subject.enqueue()
    job = await subject.claim_one()
    for reason in ("first", "second"):
        await subject.expect(Committed, RequestCancel(job.request.id, job.token, reason))
    state = (await subject.get(job.request.id)).state
    same(getattr(state, "cancel_reason", None), "first", "the reason kept")
    same((await subject.get(job.request.id)).version, job.token, "the version, which is the lease")


async def only_a_running_job_can_be_asked_to_cancel(subject: Subject) -> None:
    request = await subject.enqueue()
    version = (await subject.get(request.id)).version
    await refused(subject, RequestCancel(request.id, version, "no lease"))
    await subject.complete(await subject.claim_one())
    version = (await subject.get(request.id)).version
    await refused(subject, RequestCancel(request.id, version, "too late"))


async def a_job_not_running_is_cancelled_by_its_version(subject: Subject) -> None:
    ready = await subject.enqueue()
    scheduled = await subject.enqueue(execute_after=NOW + SECOND)
    for request in (ready, scheduled):
        version = (await subject.get(request.id)).version
        await subject.expect(Committed, Commit(request.id, version, Cancelled(NOW, "no"), 0))
    same(list((await subject.claim(NOW + SECOND)).jobs), [], "what is claimed of cancelled jobs")
    same((await subject.claim()).next_due, None, "`next_due`, when all is cancelled")


async def a_job_retried_by_hand_begins_again(subject: Subject) -> None:
    request = await subject.enqueue(max_attempts=1, expire_on=NOW + SECOND)
    job = await subject.claim_one()
    await subject.expect(Committed, put_back(job, Failed(NOW, "all spent"), AttemptOutcome.FAILED))
    failed = await subject.get(request.id)
    later = NOW + 2 * SECOND
    again = Commit(request.id, failed.version, Ready(later), 0, forget_expiry=True)
    await subject.expect(Committed, again)
    retried = await subject.get(request.id)
    same(retried.request, attrs.evolve(request, expire_on=None), "its request, without a deadline")
    same(list(retried.history), list(failed.history), "its history, which is kept")
    second = await subject.claim_one(later)
    same(second.attempt, 1, "the number of its next attempt")
    same(second.request.expire_on, None, "the deadline of the claimed job")


async def only_jobs_that_ended_before_are_pruned(subject: Subject) -> None:
    running = await subject.enqueue()
    await subject.claim_one()
    ends: list[State] = [
        Failed(NOW + 4, ""),
        Cancelled(NOW + 3, ""),
        Skipped(NOW + 2, ""),
        Expired(NOW + 1, ""),
    ]
    requests = [subject.request(details=Details(ref_id=f"r{n}")) for n in range(4)]
    await subject.insert(*requests, states=ends)
    waiting = await subject.enqueue()
    pruned = await subject.expect(Pruned, Prune(NOW + 3, EVERYTHING))
    same(pruned.count, 2, "the number of jobs that ended before")
    left = ids([running, *requests[:2], waiting])
    same(ids(await subject.everything()), left[::-1], "the jobs left")
    found = await subject.storage.read(Get(ids(requests[2:]), "r2"))
    same(list(found.jobs), [], "the deleted jobs")
    await subject.enqueue(details=Details(ref_id="r2"))


async def pruning_goes_in_slices(subject: Subject) -> None:
    for n in range(5):
        await subject.enqueue()
        await subject.complete(await subject.claim_one(NOW + n), NOW + n)
    counts = [(await subject.expect(Pruned, Prune(NOW + LEASE, 2))).count for _ in range(4)]
    same(counts, [2, 2, 1, 0], "the number of jobs deleted by each slice of two")


async def a_job_that_runs_again_is_not_pruned(subject: Subject) -> None:
    request = subject.request()
    await subject.insert(request, states=[Failed(NOW, "once")])
    version = (await subject.get(request.id)).version
    await subject.expect(Committed, Commit(request.id, version, Ready(NOW + 5), 0))
    same((await subject.expect(Pruned, Prune(NOW + 9, 9))).count, 0, "the number of jobs deleted")
    reply = await subject.tell(Commit(request.id, version + 1, Failed(NOW + 9, "twice"), 0))
    reply_of(Committed, reply)
    same((await subject.expect(Pruned, Prune(NOW + 9, 9))).count, 0, "the number deleted too early")
    same((await subject.expect(Pruned, Prune(NOW + 10, 9))).count, 1, "the number deleted later")


async def pruning_selects_by_state_tenant_and_tag(subject: Subject) -> None:
    requests = [
        subject.request(tenant=tenant, details=Details(tags=tags))
        for tenant in ("", "acme")
        for tags in ((), ("audit",), ("nightly", "other"))
    ]
    await subject.insert(*requests, states=[Failed(NOW, "")] * 5 + [Skipped(NOW, "")])
    plain = subject.request(tenant="acme")
    await subject.insert(plain, states=[Failed(NOW, "")])
    waiting = await subject.enqueue(tenant="acme")
    only = Selection(frozenset({JobState.FAILED}), frozenset({"acme"}))
    audit = Selection(tags=frozenset({"audit", "nightly"}))
    reply = await subject.expect(Pruned, Prune(NOW + 1, EVERYTHING, only, [audit]))
    same((reply.count, reply.more), (2, False), "the number deleted, and whether there are more")
    left = ids([*requests[:3], *requests[4:], waiting])
    same(ids(await subject.everything()), left[::-1], "the jobs left")
    reply = await subject.expect(Pruned, Prune(NOW + 1, EVERYTHING, audit))
    same(reply.count, 4, "the number of jobs deleted that have one of the tags")
    reply = await subject.expect(Pruned, Prune(NOW + 1, EVERYTHING, None, [only]))
    same(reply.count, 1, "the number of the others deleted")


async def pruning_looks_at_some_and_goes_on_from_there(subject: Subject) -> None:
    requests = [subject.request(tenant="acme" if n % 3 else "") for n in range(7)]
    await subject.insert(*requests, states=[Failed(NOW + n, "") for n in range(7)])
    await subject.enqueue()
    only = Selection(tenants=frozenset({"acme"}))
    mark: tuple[int, ...] | None = None
    counts: list[int] = []
    more = True
    while more and len(counts) < 50:
        reply = await subject.expect(Pruned, Prune(NOW + 9, 2, only, (), mark))
        counts.append(reply.count)
        more, mark = reply.more, reply.mark
    same(more, False, "whether there are more to look at, in the end")
    same(max(counts) <= 2, True, "whether no more was deleted than looked at")
    same(sum(counts), 4, "the number deleted")
    await subject.insert(subject.request(tenant="acme"), states=[Failed(NOW + 9, "")])
    await subject.enqueue()
    reply = await subject.expect(Pruned, Prune(NOW + 10, 9, only, (), mark))
    same(reply.count, 1, "the number deleted of what has become old since")


SETTLING_CHECKS = (
    a_success_is_its_own_record,
    a_stale_token_changes_nothing,
    a_job_that_is_gone_is_a_conflict,
    a_conflict_harms_its_own_message_only,
    a_token_is_never_used_twice,
    records_are_kept_in_order,
    hundreds_of_attempts_are_remembered,
    a_given_back_attempt_is_not_spent,
    a_job_put_back_keeps_its_place,
    a_job_whose_cancellation_is_asked_takes_only_an_end,
    a_success_beats_a_request_to_cancel,
    a_request_to_cancel_keeps_its_first_reason,
    only_a_running_job_can_be_asked_to_cancel,
    a_job_not_running_is_cancelled_by_its_version,
    a_job_retried_by_hand_begins_again,
    only_jobs_that_ended_before_are_pruned,
    pruning_goes_in_slices,
    a_job_that_runs_again_is_not_pruned,
    pruning_selects_by_state_tenant_and_tag,
    pruning_looks_at_some_and_goes_on_from_there,
)
