"""Promises about many successes in one message: each does what it does alone, and is refused alone."""

from __future__ import annotations

import attrs

from ...model.ids import uuid7
from ...model.job import ClaimedJob
from ...model.outcomes import AttemptOutcome
from ...model.states import Completed, JobState, Processing, Ready, State
from ...storage.finding_messages import Find, Tally
from ...storage.lease_messages import CancelRequests, Renew, Renewed, RequestCancel, Stranded
from ...storage.messages import (
    ClaimDue,
    ClaimReply,
    Committed,
    Complete,
    Completions,
    Conflict,
    Insert,
    Inserted,
    Write,
)
from ...storage.retention_messages import Prune, Pruned
from .subject import (
    EVERYTHING,
    LEASE,
    NOW,
    SECOND,
    Subject,
    completed,
    ids,
    put_back,
    record,
    reply_of,
    same,
    success,
    successes,
)


async def running(subject: Subject, count: int) -> list[ClaimedJob]:
    """So many new jobs, claimed."""
    await subject.insert(*(subject.request() for _ in range(count)))
    return list((await subject.claim()).jobs)


async def states_of(subject: Subject, *jobs: ClaimedJob) -> list[State]:
    """What has become of jobs, in order."""
    return [(await subject.get(job.request.id)).state for job in jobs]


async def successes_together_do_what_they_do_one_by_one(subject: Subject) -> None:
    """Those of second attempts, so that each job has a history."""
    firsts = await running(subject, 6)
    for job in firsts:
        await subject.expect(Committed, put_back(job, Ready(NOW + 1), AttemptOutcome.FAILED))
    seconds = (await subject.claim(NOW + 1)).jobs
    states = [
        Completed(NOW + 4 + n, NOW + 2 + n, NOW + 1, subject.node, str(n))
        for n in range(len(seconds))
    ]
    same(await subject.complete_all(Complete(seconds[:3], states[:3])), {}, "what is refused")
    for commit in Complete(seconds[3:], states[3:]).commits():
        await subject.expect(Committed, commit)
    for first, second, state in zip(firsts, seconds, states, strict=True):
        kept = await subject.get(second.request.id)
        same(kept.state, state, "the state of a completed job")
        same(kept.version, second.token + 1, "its version, one above the token")
        same(kept.attempt, 2, "its attempts spent")
        same(list(kept.history), [record(first, AttemptOutcome.FAILED)], "its history")
        same(kept.request, second.request, "its request")


async def every_success_keeps_its_own_result(subject: Subject) -> None:
    """Also where others have none, and where it is close to none."""
    outcomes: list[tuple[str | None, str | None]] = [
        ('{"sent":1}', None),
        (None, None),
        (None, "cannot be stored"),
        ("null", None),
        ("", ""),
        ("[]", "a part was left out"),
        (None, None),
    ]
    jobs = await running(subject, len(outcomes))
    states = [
        completed(job, NOW + 1, *outcome) for job, outcome in zip(jobs, outcomes, strict=True)
    ]
    same(await subject.complete_all(Complete(jobs, states)), {}, "what is refused")
    same(await states_of(subject, *jobs), states, "the states, with their results")


async def successes_without_results_keep_none(subject: Subject) -> None:
    """Neither when nobody has one, nor when that is an error for one of them."""
    for error in (None, "cannot be stored"):
        jobs = await running(subject, 3)
        states = [completed(job, NOW + 1, None) for job in jobs]
        states[1] = completed(jobs[1], NOW + 1, None, error)
        same(await subject.complete_all(Complete(jobs, states)), {}, "what is refused")
        same(await states_of(subject, *jobs), states, "the states, without results")


async def a_success_of_a_stale_claim_is_refused_alone(subject: Subject) -> None:
    jobs = await running(subject, 6)
    settled, given_back, taken_over = jobs[1], jobs[2], jobs[4]
    await subject.complete(settled)
    for job, due in ((taken_over, NOW + 1), (given_back, NOW + 5)):
        await subject.expect(Committed, put_back(job, Ready(due), AttemptOutcome.LOST))
    await subject.claim_one(NOW + 1, node="somebody else")
    stale = (settled, given_back, taken_over)
    before = [await subject.get(job.request.id) for job in stale]
    refused = await subject.complete_all(successes(*jobs, now=NOW + 9))
    same(refused, dict.fromkeys((1, 2, 4), Conflict()), "what is refused, by position")
    same([await subject.get(job.request.id) for job in stale], before, "the jobs refused")
    others = [jobs[0], jobs[3], jobs[5]]
    same(
        await states_of(subject, *others),
        [completed(job, NOW + 9) for job in others],
        "the states of their neighbours",
    )
    same(
        await subject.complete_all(successes(*jobs)),
        dict.fromkeys(range(6), Conflict()),
        "what is refused when the whole message comes again",
    )


async def a_success_with_another_token_is_refused_alone(subject: Subject) -> None:
    first, second, third = await running(subject, 3)
    for wrong in (-1, 1):
        forged = attrs.evolve(second, token=second.token + wrong)
        same(await subject.complete_all(successes(forged)), {0: Conflict()}, "what is refused")
    forged = attrs.evolve(second, token=second.token - 1)
    refused = await subject.complete_all(successes(first, forged, third))
    same(refused, {1: Conflict()}, "what is refused, by position")
    wanted = [completed(first), Processing(subject.node, NOW, NOW + LEASE), completed(third)]
    same(await states_of(subject, first, second, third), wanted, "the states of the three jobs")
    same(await subject.complete_all(successes(second)), {}, "what is refused with the right token")


async def a_success_of_a_job_that_is_gone_is_refused_alone(subject: Subject) -> None:
    gone, first, second = await running(subject, 3)
    await subject.complete(gone)
    await subject.expect(Pruned, Prune(NOW + 1, 1))
    strange = attrs.evolve(first, request=attrs.evolve(first.request, id=uuid7(NOW * 1000, 99)))
    refused = await subject.complete_all(successes(first, strange, gone, second))
    same(refused, {1: Conflict(), 2: Conflict()}, "what is refused, by position")
    same(ids(await subject.everything()), ids([second, first]), "the jobs there are")
    same(
        await states_of(subject, first, second),
        [completed(first), completed(second)],
        "the states of their neighbours",
    )


async def a_success_told_twice_in_one_message_counts_once(subject: Subject) -> None:
    twice, once = await running(subject, 2)
    states = [completed(twice, NOW + 1), completed(once), completed(twice, NOW + 2, '"again"')]
    refused = await subject.complete_all(Complete([twice, once, twice], states))
    same(refused, {2: Conflict()}, "what is refused, by position")
    kept = await subject.get(twice.request.id)
    same((kept.state, kept.version), (states[0], twice.token + 1), "the job, as it was told first")
    same(await states_of(subject, once), [states[1]], "the state of its neighbour")


async def a_message_without_successes_does_nothing(subject: Subject) -> None:
    (job,) = await running(subject, 1)
    before = await subject.everything()
    same(await subject.complete_all(Complete([], [])), {}, "what is refused of nothing")
    same(await subject.everything(), before, "the storage after it")
    replies = await subject.apply([Complete([], []), successes(job), Complete([], [])])
    refused = [len(reply_of(Completions, reply).refused) for reply in replies]
    same(refused, [0, 0, 0], "how many are refused, with and without successes")
    same(await states_of(subject, job), [completed(job)], "the state of the job between them")


async def successes_stand_in_a_group_in_order(subject: Subject) -> None:
    """What came before is seen, and what comes after sees them."""
    a, b, c, d = await running(subject, 4)
    again = put_back(c, Ready(NOW), AttemptOutcome.RELEASED)
    new = subject.request()
    writes: list[Write] = [
        successes(a),
        success(a, NOW + 1),
        RequestCancel(a.request.id, a.token, "too late"),
        success(b),
        Insert([new], [Ready(NOW)]),
        successes(a, d, b, now=NOW + 2),
        again,
        successes(c),
        ClaimDue(subject.node, NOW, NOW + LEASE, 9, 9),
        Prune(NOW + 1, 9),
        successes(d),
    ]
    replies = await subject.apply(writes)
    found = [reply.refused if isinstance(reply, Completions) else type(reply) for reply in replies]
    conflict = Conflict()
    wanted = [
        {},
        Conflict,
        Conflict,
        Committed,
        Inserted,
        {0: conflict, 2: conflict},
        Committed,
        {0: conflict},
        ClaimReply,
        Pruned,
        {0: conflict},
    ]
    same(found, wanted, "the replies of the group, and what is refused")
    same(ids(reply_of(ClaimReply, replies[8]).jobs), ids([c, new]), "the jobs claimed in the group")
    same(replies[9], Pruned(2), "the jobs deleted in the group")
    same(await states_of(subject, d), [completed(d, NOW + 2)], "the state of the job left")


async def successes_together_beat_requests_to_cancel(subject: Subject) -> None:
    """And nothing is left of the request."""
    before, inside, never = await running(subject, 3)
    await subject.expect(Committed, RequestCancel(before.request.id, before.token, "no"))
    states = [completed(job, NOW + 1, None) for job in (before, inside, never)]
    replies = await subject.apply(
        [
            RequestCancel(inside.request.id, inside.token, "no"),
            Complete([before, inside, never], states),
        ]
    )
    reply_of(Committed, replies[0])
    same(reply_of(Completions, replies[1]).refused, {}, "what is refused")
    same(await states_of(subject, before, inside, never), states, "the states")
    asked = await subject.storage.read(CancelRequests(subject.node))
    same(list(asked.cancels), [], "the cancellations asked of the node")


async def a_late_success_counts_while_nobody_else_has_settled_it(subject: Subject) -> None:
    """The lease has passed, and was renewed or refused to be; the token still is the version."""
    renewed, lost, foreign = await running(subject, 3)
    later = NOW + LEASE + SECOND
    renew = Renew(subject.node, NOW + 1, later, [(renewed.request.id, renewed.token)])
    same(await subject.expect(Renewed, renew), Renewed([], []), "the reply to a renewal")
    late = Renew(subject.node, NOW + LEASE, later, [(lost.request.id, lost.token)])
    same(list((await subject.expect(Renewed, late)).lost), [lost.request.id], "the lease lost")
    states = [completed(job, later + 1) for job in (renewed, lost, foreign)]
    same(
        await subject.complete_all(Complete([renewed, lost, foreign], states)),
        {},
        "what is refused of late successes",
    )
    same(await states_of(subject, renewed, lost, foreign), states, "their states")


async def nodes_may_tell_their_successes_together(subject: Subject) -> None:
    here = await running(subject, 1)
    await subject.insert(subject.request())
    there = await subject.claim_one(NOW + 1, node="another")
    jobs = [*here, there]
    same(await subject.complete_all(successes(*jobs, now=NOW + 2)), {}, "what is refused")
    states = [completed(job, NOW + 2) for job in jobs]
    same(await states_of(subject, *jobs), states, "the states, with who ran it and since when")


async def jobs_completed_together_have_ended(subject: Subject) -> None:
    """For every other message, too."""
    await subject.insert(*(subject.request(expire_on=NOW + SECOND) for _ in range(4)))
    jobs = (await subject.claim()).jobs
    done, left = jobs[:3], jobs[3]
    states = [completed(job, NOW + n) for n, job in enumerate(done)]
    same(await subject.complete_all(Complete(done, states)), {}, "what is refused")
    later = NOW + 2 * LEASE
    same(ids((await subject.claim(later)).jobs), [], "what is claimed of them")
    leases = [(job.request.id, job.token) for job in done]
    renewed = await subject.expect(Renewed, Renew(subject.node, NOW, later, leases))
    same(sorted(renewed.lost), sorted(ids(done)), "the leases that could not be renewed")
    stranded = await subject.storage.read(Stranded(subject.node, later, EVERYTHING))
    same(ids(stranded.lost), [left.request.id], "the jobs with a lost lease")
    found = (len(stranded.overdue), stranded.next_at)
    same(found, (0, None), "overdue and next, when all but one have ended")
    listed = await subject.storage.read(Find(9, states=frozenset({JobState.COMPLETED})))
    same(ids(listed.jobs), ids(done)[::-1], "the completed jobs, newest first")
    tally = await subject.storage.read(Tally())
    same(tally.counts.get((JobState.COMPLETED, "default", "")), 3, "the completed jobs counted")
    same(await subject.expect(Pruned, Prune(NOW + 2, 9)), Pruned(2), "those that ended before")
    same(ids(await subject.everything()), ids([left, done[2]]), "the jobs left")


async def hundreds_of_successes_go_in_one_message(subject: Subject) -> None:
    jobs = await running(subject, 500)
    stale = {7, 130, 131, 499}
    for position in stale:
        await subject.complete(jobs[position], NOW + 1)
    results = [None if n % 3 else str(n) for n in range(500)]
    states = [completed(job, NOW + 2, result) for job, result in zip(jobs, results, strict=True)]
    refused = await subject.complete_all(Complete(jobs, states))
    same(refused, dict.fromkeys(stale, Conflict()), "what is refused, by position")
    for position in stale:
        states[position] = completed(jobs[position], NOW + 1)
    kept = [job.state for job in reversed(await subject.everything())]
    same(kept, states, "the states of all of them")
    more = await running(subject, 500)
    same(await subject.complete_all(successes(*more)), {}, "what is refused when all are held")
    (first, last) = await states_of(subject, more[0], more[-1])
    same((first, last), (completed(more[0]), completed(more[-1])), "the first and the last state")


COMPLETING_CHECKS = (
    successes_together_do_what_they_do_one_by_one,
    every_success_keeps_its_own_result,
    successes_without_results_keep_none,
    a_success_of_a_stale_claim_is_refused_alone,
    a_success_with_another_token_is_refused_alone,
    a_success_of_a_job_that_is_gone_is_refused_alone,
    a_success_told_twice_in_one_message_counts_once,
    a_message_without_successes_does_nothing,
    successes_stand_in_a_group_in_order,
    successes_together_beat_requests_to_cancel,
    a_late_success_counts_while_nobody_else_has_settled_it,
    nodes_may_tell_their_successes_together,
    jobs_completed_together_have_ended,
    hundreds_of_successes_go_in_one_message,
)
