"""What storages should hold and answer, by a plain recount: no index, no shortcut."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import attrs

from trio_gusto.model.errors import BatchError, DuplicateJob, UnknownJob
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import JobRequest, StoredJob
from trio_gusto.model.lifecycle import within_reach
from trio_gusto.model.pauses import StoredPause
from trio_gusto.model.states import JobState, Processing, Ready, Scheduled
from trio_gusto.storage.batch_messages import BatchesFound
from trio_gusto.storage.dependency_messages import DependentJobs
from trio_gusto.storage.finding_messages import Find, Found, Get
from trio_gusto.storage.lease_messages import CancelsAsked, Renewed, StrandedJobs
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Completions
from trio_gusto.storage.pause_messages import PausesFound
from trio_gusto.storage.storage import Storage

ALL = 1_000_000

Jobs = dict[JobId, StoredJob]


async def everything(storage: Storage) -> Jobs:
    """All jobs with their whole histories, by id, oldest first."""
    found = await storage.read(Find(ALL))
    order = [job.request.id for job in reversed(found.jobs)]
    whole = {job.request.id: job for job in (await storage.read(Get(order))).jobs}
    jobs = {job_id: whole[job_id] for job_id in order}
    for job in jobs.values():
        job.history = tuple(job.history)
    return jobs


def differences(jobs: Jobs, model_jobs: Jobs) -> str:
    """The jobs that are not equal, one pair to a line."""
    ids = [
        job_id for job_id in {**model_jobs, **jobs} if jobs.get(job_id) != model_jobs.get(job_id)
    ]
    pairs = [f"{jobs.get(job_id)}\n  should be {model_jobs.get(job_id)}" for job_id in ids]
    return "\n".join(pairs) or "the jobs are in another order"


def claimable(jobs: Jobs, claim: ClaimDue, pauses: Sequence[StoredPause] = ()) -> list[JobId]:
    """What a claim should take, by a plain recount: no index, no shortcut."""
    eligible = sorted(
        (-job.request.priority, job.state.due, job.sequence, job.request.id)
        for job in jobs.values()
        if isinstance(job.state, Ready | Scheduled)
        and job.state.due <= claim.now
        and (job.request.expire_on is None or claim.now < job.request.expire_on)
        and job.request.name not in claim.skip_names
        and not any(is_held(job.request, pause) for pause in pauses)
    )
    leased: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for job in jobs.values():
        if isinstance(job.state, Processing) and (lane := lane_of(job)) is not None:
            leased[lane].append((limit_of(job), job.state.node == claim.node))
    closed: set[str] = set()
    found: list[JobId] = []

    def take(queue: str | None, most: int) -> None:
        for *_, job_id in eligible:
            job = jobs[job_id]
            lane = lane_of(job)
            if most <= 0 or len(found) >= claim.limit:
                return
            if queue not in (None, job.request.queue) or job_id in found:
                continue
            if lane in closed:
                continue
            if lane is None or has_room(leased[lane], job, claim.depth):
                found.append(job_id)
                most -= 1
                if lane is not None:
                    leased[lane].append((limit_of(job), True))
            else:
                closed.add(lane)

    if claim.queues is None:
        take(None, claim.limit)
    else:
        for queue, share in claim.queues:
            take(queue, share)
        for queue, _ in claim.queues:
            take(queue, claim.limit)
    spent = [(jobs[job_id].attempt, jobs[job_id].request.max_attempts) for job_id in found]
    return found[: within_reach(spent, claim.free)]


def has_room(leased: Sequence[tuple[int, bool]], job: StoredJob, depth: int) -> bool:
    """Whether a job may join the leases of its lane: their limits, and whether they are the claimer's."""
    if not leased:
        return True
    if limit_of(job) > 1:
        return len(leased) < limit_of(job) and [limit for limit, _ in leased].count(1) <= 1
    in_line = all(limit == 1 and is_own for limit, is_own in leased) and len(leased) < depth
    return in_line and job.attempt + 1 < job.request.max_attempts


def lane_of(job: StoredJob) -> str | None:
    """What its named worker or its concurrency key is called, told apart."""
    details = job.request.details
    if details is None or details.worker is None:
        key = None if details is None else details.concurrency_key
        return None if key is None else f"key:{key}"
    return f"worker:{details.worker}"


def limit_of(job: StoredJob) -> int:
    """How many jobs of its lane may run at once when it does."""
    return 1 if job.request.details is None else job.request.details.concurrency_limit


def worker_of(job: StoredJob) -> str | None:
    """Its named worker."""
    return None if job.request.details is None else job.request.details.worker


def is_held(request: JobRequest, pause: StoredPause) -> bool:
    """Whether a pause holds a job back."""
    of_queue = pause.queue is None or pause.queue == request.queue
    return of_queue and (pause.tenant is None or pause.tenant == request.tenant)


def check_change(old: StoredJob, new: StoredJob) -> None:
    """What may become of a job by one write."""
    assert new.version >= old.version
    assert new.sequence == old.sequence
    assert list(new.history[: len(old.history)]) == list(old.history)
    if old.version == new.version:
        same_word = old.state.word is new.state.word
        assert same_word, "a state changed, and the version did not"
    elif old.state.word.is_ended:
        assert isinstance(new.state, Ready), "an ended job changed"
        assert old.state.word is not JobState.COMPLETED


def comparable(reply: object) -> object:
    """A reply in a form in which the order that the contract leaves open does not matter."""
    match reply:
        case DuplicateJob():
            return ("duplicate", reply.key, reply.value, reply.existing_id)
        case ClaimReply():
            return (list(reply.jobs), reply.more, reply.next_due, reply.held, reply.in_lanes)
        case PausesFound():
            return (list(reply.pauses), list(reply.unheard))
        case Completions():
            return (dict(reply.refused), sorted(reply.awaited))
        case Renewed():
            return (sorted(reply.lost), sorted(reply.cancels))
        case CancelsAsked():
            return (sorted(reply.cancels), list(reply.pauses))
        case BatchError():
            return ("batch", str(reply))
        case BatchesFound():
            return [(each.request, each.sequence, dict(each.counts)) for each in reply.batches]
        case UnknownJob():
            return ("unknown", reply.job_id)
        case DependentJobs():
            return [
                (attrs.evolve(each.job, history=tuple(each.job.history)), dict(each.parents))
                for each in reply.jobs
            ]
        case StrandedJobs():
            lost, overdue = (
                sorted((job.request.id, job.version) for job in jobs)
                for jobs in (reply.lost, reply.overdue)
            )
            return (lost, overdue, reply.next_at, reply.foreign, sorted(reply.stages))
        case Found():
            return [attrs.evolve(job, history=tuple(job.history)) for job in reply.jobs]
        case _:
            return reply
