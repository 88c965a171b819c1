"""What has to be known to explain a job, besides the job itself: asked for only where it matters."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..actors.desk import StorageDesk
from ..model.admission import key_limit
from ..model.attempts import attempts_of, token_of
from ..model.errors import NotSupported
from ..model.explaining import as_good_as
from ..model.explanation import Surroundings, WorkersHere
from ..model.ids import JobId
from ..model.job import StoredJob
from ..model.pauses import StoredPause, covered
from ..model.rates import RateLimit, demands, first_start
from ..model.reasons.words import MOST_NAMED
from ..model.states import JobState, Processing, Ready, Waiting
from ..storage.batch_messages import Batches
from ..storage.finding_messages import Find, Get
from ..storage.lease_messages import Stranded
from ..storage.pause_messages import Pauses
from ..storage.rate_messages import Buckets
from ..storage.report_messages import ReadDossiers
from ..storage.schedule_messages import FindSchedules
from .ears import Ears

SLICE = 500
"""Parents that are read at once."""

MOST_LOST = 1000
"""Lost leases that are looked through. More are there only right after a disaster."""


async def surroundings(
    desk: StorageDesk, ears: Ears, job: StoredJob, node: str, now: int
) -> Surroundings:
    """What is around ``job`` at ``now``, as ``node`` sees it."""
    around = await _around(desk, ears, job, node, now)
    dossiers = (await desk.read(ReadDossiers(job.request.id))).dossiers
    attempts = attempts_of(job) if dossiers else ()
    if attempts:
        around = attrs.evolve(around, dossier=dossiers.get(token_of(attempts[-1], job)))
    return around


async def _around(
    desk: StorageDesk, ears: Ears, job: StoredJob, node: str, now: int
) -> Surroundings:
    match as_good_as(job.state, now):
        case Waiting(parents=()):
            return Surroundings(now=now, live=await _held_behind(desk, job.request.id))
        case Waiting(parents=parents):
            return Surroundings(now=now, live=await _live(desk, parents))
        case Processing():
            return Surroundings(now=now, is_lost=await _is_lost(desk, job, node, now))
        case Ready():
            workers = ears.offer(job.request.name, job.request.queue)
            return Surroundings(
                now=now,
                workers=workers,
                refusals=await _refusals(desk, job, workers, now),
                pause=await _pause(desk, job, now),
                in_lane=await _in_lane(desk, job),
            )
        case _:
            return Surroundings(now=now)


async def _live(desk: StorageDesk, parents: Sequence[JobId]) -> Sequence[JobId]:
    """Those of ``parents``, jobs and batches, that have not ended."""
    live: list[JobId] = []
    for begin in range(0, len(parents), SLICE):
        some = parents[begin : begin + SLICE]
        states = {job.request.id: job.state.word for job in (await desk.read(Get(some))).jobs}
        for parent in some:
            if parent in states:
                is_live = not states[parent].is_ended
            else:
                is_live = await _is_live_batch(desk, parent)
            if is_live:
                live.append(parent)
    return live


async def _is_live_batch(desk: StorageDesk, batch: JobId) -> bool:
    found = (await desk.read(Batches(1, batch_id=batch))).batches
    return any(
        count and not state.is_ended for each in found for state, count in each.counts.items()
    )


async def _held_behind(desk: StorageDesk, job_id: JobId) -> Sequence[JobId]:
    """The earlier jobs of its schedule, for a job that waits for nothing else."""
    held = (await desk.read(FindSchedules(1))).held
    return next((each.behind for each in held if each.job_id == job_id), ())


async def _pause(desk: StorageDesk, job: StoredJob, now: int) -> StoredPause | None:
    try:
        pauses = (await desk.read(Pauses(now))).pauses
    except NotSupported:
        return None
    return next((pause for pause in pauses if covered([pause], job.request)), None)


async def _in_lane(desk: StorageDesk, job: StoredJob) -> Sequence[JobId]:
    """The jobs that hold its lane, the first one first."""
    details = job.request.details
    if details is None:
        return ()
    leased = Find(MOST_NAMED, states=frozenset({JobState.PROCESSING}))
    if details.worker is not None:
        leased = attrs.evolve(leased, workers=frozenset({details.worker}))
    elif details.concurrency_key is not None:
        leased = attrs.evolve(leased, concurrency_keys=frozenset({details.concurrency_key}))
    else:
        return ()
    found = (await desk.read(leased)).jobs
    return [each.request.id for each in sorted(found, key=_claim_order)]


def _claim_order(job: StoredJob) -> tuple[int, int, int]:
    assert isinstance(job.state, Processing)
    return job.state.claimed_at, -job.request.priority, job.sequence


async def _refusals(
    desk: StorageDesk, job: StoredJob, workers: WorkersHere | None, now: int
) -> Sequence[tuple[str, RateLimit, int]]:
    """The buckets that have no token for it. The limits of queues only workers know."""
    request = job.request
    rate = None if workers is None else workers.queue_rate
    wanted = demands(
        request.queue, key_limit(request), {} if rate is None else {request.queue: rate}
    )
    if not wanted:
        return ()
    found = (await desk.read(Buckets([name for name, _ in wanted], now))).buckets
    firsts = [(name, limit, first_start(found.get(name), now, limit)) for name, limit in wanted]
    return [refusal for refusal in firsts if refusal[2] > now]


async def _is_lost(desk: StorageDesk, job: StoredJob, node: str, now: int) -> bool:
    assert isinstance(job.state, Processing)
    if job.state.lease_until <= now:
        return True
    try:
        lost = (await desk.read(Stranded(node, now, MOST_LOST))).lost
    except NotSupported:
        return False
    return any(each.request.id == job.request.id for each in lost)
