"""Promises about leases and deadlines: held until their instant, and not a microsecond longer."""

from __future__ import annotations

import attrs

from ...model.outcomes import AttemptOutcome
from ...model.states import Cancelled, Expired, Failed, Processing, Ready, Waiting
from ...storage.finding_messages import Get
from ...storage.lease_messages import CancelRequests, Renew, Renewed, RequestCancel, Stranded
from ...storage.messages import Commit, Committed
from .subject import EVERYTHING, LEASE, NOW, SECOND, Subject, ids, put_back, same, successes


async def a_renewal_moves_the_lease(subject: Subject) -> None:
    await subject.enqueue()
    job = await subject.claim_one()
    renew = Renew(subject.node, NOW + SECOND, NOW + 2 * LEASE, [(job.request.id, job.token)])
    same(await subject.expect(Renewed, renew), Renewed([], []), "the reply to a renewal")
    kept = await subject.get(job.request.id)
    same(kept.state, Processing(subject.node, NOW, NOW + 2 * LEASE), "the state after it")
    same(kept.version, job.token, "the version after it, which is still the token")
    await subject.complete(job)


async def a_renewal_never_shortens_a_lease(subject: Subject) -> None:
    """The clock of the holder was set back: the lease is renewed, and as long as it was."""
    await subject.enqueue()
    job = await subject.claim_one()
    lease = [(job.request.id, job.token)]
    renew = Renew(subject.node, NOW - SECOND, NOW - SECOND + LEASE, lease)
    same(await subject.expect(Renewed, renew), Renewed([], []), "the reply to a renewal")
    kept = await subject.get(job.request.id)
    same(kept.state, Processing(subject.node, NOW, NOW + LEASE), "the state after it")
    await subject.complete(job)


async def a_passed_lease_is_not_renewed(subject: Subject) -> None:
    await subject.enqueue()
    job = await subject.claim_one()
    lease = [(job.request.id, job.token)]
    end = NOW + LEASE
    before = await subject.everything()
    reply = await subject.expect(Renewed, Renew(subject.node, end, end + LEASE, lease))
    same(list(reply.lost), [job.request.id], "the leases lost at their very end")
    same(await subject.everything(), before, "the storage after a refused renewal")
    reply = await subject.expect(Renewed, Renew(subject.node, end - 1, end + LEASE, lease))
    same(list(reply.lost), [], "the leases lost one microsecond before their end")


async def only_the_holder_of_a_lease_renews_it(subject: Subject) -> None:
    for _ in range(3):
        await subject.enqueue()
    held, done, other = (await subject.claim()).jobs
    await subject.complete(done)
    before = await subject.get(other.request.id)
    wanted = [
        (other.request.id, other.token - 1),
        (held.request.id, held.token),
        (done.request.id, done.token),
    ]
    reply = await subject.expect(Renewed, Renew(subject.node, NOW, NOW + 2 * LEASE, wanted))
    lost = sorted([other.request.id, done.request.id])
    same(sorted(reply.lost), lost, "the leases that could not be renewed")
    same(await subject.get(other.request.id), before, "a job whose token was wrong")
    moved = (await subject.get(held.request.id)).state
    same(getattr(moved, "lease_until", None), NOW + 2 * LEASE, "the lease between the two")
    foreign = Renew("somebody else", NOW, NOW + 3 * LEASE, [(held.request.id, held.token)])
    reply = await subject.expect(Renewed, foreign)
    same(list(reply.lost), [held.request.id], "the leases lost to another node")
    same((await subject.get(held.request.id)).state, moved, "a job whose node was wrong")


async def thousands_of_leases_are_renewed_in_one_message(subject: Subject) -> None:
    await subject.insert(*(subject.request() for _ in range(2_000)))
    jobs = (await subject.claim()).jobs
    ended = [jobs[position] for position in (7, 998, 1_999)]
    await subject.complete_all(successes(*ended))
    leases = [(job.request.id, job.token) for job in jobs]
    renew = Renew(subject.node, NOW, NOW + 2 * LEASE, leases)
    reply = await subject.expect(Renewed, renew)
    same(sorted(reply.lost), sorted(ids(ended)), "the leases that could not be renewed")
    found = await subject.storage.read(Get(ids(jobs)))
    held = [
        job for job in found.jobs if job.state == Processing(subject.node, NOW, NOW + 2 * LEASE)
    ]
    same(len(held), 1_997, "the number of jobs whose lease was moved")


async def the_holder_hears_of_cancellations(subject: Subject) -> None:
    for _ in range(2):
        await subject.enqueue()
    wanted, other = (await subject.claim()).jobs
    await subject.enqueue()
    elsewhere = await subject.claim_one(node="elsewhere")
    for job, reason in ((other, "changed my mind"), (elsewhere, "theirs")):
        await subject.expect(Committed, RequestCancel(job.request.id, job.token, reason))
    leases = [(job.request.id, job.token) for job in (wanted, other)]
    reply = await subject.expect(Renewed, Renew(subject.node, NOW, NOW + LEASE, leases))
    asked = [(other.request.id, "changed my mind")]
    same((len(reply.lost), list(reply.cancels)), (0, asked), "lost and cancelled, when renewing")
    asked_here = await subject.storage.read(CancelRequests(subject.node))
    same(list(asked_here.cancels), asked, "the cancellations asked of this node")
    await subject.expect(Committed, put_back(other, Cancelled(NOW, ""), AttemptOutcome.CANCELLED))
    asked_here = await subject.storage.read(CancelRequests(subject.node))
    same(list(asked_here.cancels), [], "the cancellations asked, after the job has ended")


async def a_lease_is_lost_when_its_end_has_come(subject: Subject) -> None:
    await subject.enqueue()
    job = await subject.claim_one()
    end = NOW + LEASE
    early = await subject.storage.read(Stranded(subject.node, end - 1, EVERYTHING))
    same((len(early.lost), early.next_at), (0, end), "lost and next, one microsecond before")
    late = await subject.storage.read(Stranded(subject.node, end, EVERYTHING))
    same(ids(late.lost), [job.request.id], "the jobs with a lost lease")
    same(late.next_at, None, "`next_at`, when no other lease is left")
    same(late.lost[0], await subject.get(job.request.id), "the lost job, as it is kept")


async def the_lease_of_a_node_that_left_is_lost_at_once(subject: Subject) -> None:
    """Only for storages that notice."""
    await subject.enqueue()
    await subject.storage.attach("guest")
    job = await subject.claim_one(node="guest")
    here = await subject.storage.read(Stranded(subject.node, NOW, EVERYTHING))
    same((len(here.lost), here.foreign), (0, True), "lost and foreign, while the other is there")
    await subject.storage.detach("guest")
    gone = await subject.storage.read(Stranded(subject.node, NOW, EVERYTHING))
    lost = [job.request.id] if subject.storage.remembers_presence else []
    same(ids(gone.lost), lost, "the jobs with a lost lease, when the other has left")


async def own_leases_are_not_foreign(subject: Subject) -> None:
    nothing = await subject.storage.read(Stranded(subject.node, NOW, EVERYTHING))
    same((nothing.foreign, nothing.next_at), (False, None), "foreign and next of nothing")
    await subject.enqueue()
    await subject.claim_one()
    own = await subject.storage.read(Stranded(subject.node, NOW, EVERYTHING))
    same(own.foreign, False, "`foreign`, when only the asking node holds leases")


async def a_job_is_overdue_when_its_deadline_has_come(subject: Subject) -> None:
    deadline = NOW + SECOND
    ready = subject.request(expire_on=deadline)
    scheduled = subject.request(expire_on=deadline, execute_after=NOW + 5)
    waiting = subject.request(expire_on=deadline)
    ended = subject.request(expire_on=deadline)
    never = subject.request()
    later = subject.request(expire_on=deadline + 1)
    running = subject.request(expire_on=deadline, priority=9)
    requests = [ready, scheduled, waiting, ended, never, later, running]
    first_states = [Ready(NOW), None, Waiting(), Failed(NOW, ""), None, None, None]
    for request, state in zip(requests, first_states, strict=True):
        await subject.insert(request, states=[] if state is None else [state])
    await subject.claim(limit=1)
    early = await subject.storage.read(Stranded(subject.node, deadline - 1, EVERYTHING))
    same((len(early.overdue), early.next_at), (0, deadline), "overdue and next, before it")
    late = await subject.storage.read(Stranded(subject.node, deadline, EVERYTHING))
    overdue = sorted(ids([ready, scheduled, waiting]))
    same(sorted(ids(late.overdue)), overdue, "the overdue jobs")
    same(late.next_at, deadline + 1, "`next_at`, when another deadline lies ahead")
    for job in late.overdue:
        expiry = Commit(job.request.id, job.version, Expired(deadline, "too late"), 0)
        await subject.expect(Committed, expiry)
    swept = await subject.storage.read(Stranded(subject.node, deadline, EVERYTHING))
    same(list(swept.overdue), [], "the overdue jobs, after they have expired")


async def a_released_job_is_overdue_again(subject: Subject) -> None:
    request = await subject.enqueue(expire_on=NOW + SECOND)
    job = await subject.claim_one()
    late = NOW + 2 * SECOND
    running = await subject.storage.read(Stranded(subject.node, late, EVERYTHING))
    same(list(running.overdue), [], "the overdue jobs, while it runs")
    back = attrs.evolve(put_back(job, Ready(NOW), AttemptOutcome.RELEASED), attempt=0)
    await subject.expect(Committed, back)
    same(list((await subject.claim(late)).jobs), [], "what is claimed after the deadline")
    stranded = await subject.storage.read(Stranded(subject.node, late, EVERYTHING))
    same(ids(stranded.overdue), [request.id], "the overdue jobs, when it was given back")
    earlier = await subject.storage.read(Stranded(subject.node, NOW, EVERYTHING))
    same(list(earlier.overdue), [], "the overdue jobs at an earlier instant")


async def stranded_jobs_come_in_slices(subject: Subject) -> None:
    for _ in range(3):
        await subject.enqueue(priority=1)
    await subject.claim()
    for _ in range(3):
        await subject.enqueue(expire_on=NOW + SECOND)
    slice_of_two = await subject.storage.read(Stranded(subject.node, NOW + LEASE, 2))
    found = (len(slice_of_two.lost), len(slice_of_two.overdue))
    same(found, (2, 2), "the numbers of lost and overdue jobs, with a limit of two")


LEASING_CHECKS = (
    a_renewal_moves_the_lease,
    a_renewal_never_shortens_a_lease,
    a_passed_lease_is_not_renewed,
    only_the_holder_of_a_lease_renews_it,
    thousands_of_leases_are_renewed_in_one_message,
    the_holder_hears_of_cancellations,
    a_lease_is_lost_when_its_end_has_come,
    the_lease_of_a_node_that_left_is_lost_at_once,
    own_leases_are_not_foreign,
    a_job_is_overdue_when_its_deadline_has_come,
    a_released_job_is_overdue_again,
    stranded_jobs_come_in_slices,
)
