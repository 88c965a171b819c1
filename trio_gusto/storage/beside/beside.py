"""Jobs in memory, beside those of a storage: for one process, and for as long as it lives.

Whoever speaks to the two speaks to one `Storage`. A message about a job goes to the one that has it;
claims, counts and pages are put together from both. It comes between only once there is something in
memory, so that an app without such jobs never meets it.

Claims are shared: while both have something to do neither keeps the other waiting for long. Jobs of one
lane (a named worker, a concurrency key) are never taken from both at once by this node; what other
processes keep in their memory nobody can know of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, overload

import attrs

from ...model.admission import key_limit
from ...model.errors import DuplicateJob, GustoError, NotSupported
from ...model.ids import JobId
from ...model.job import ClaimedJob
from ...model.rates import demands
from ...model.states import JobState
from ..batch_messages import Batches, BatchesFound
from ..dependency_messages import DependentJobs, Dependents
from ..finding_messages import Find, Found, Get, Tallied, Tally
from ..lease_messages import (
    CancelRequests,
    CancelsAsked,
    Renew,
    Renewed,
    RequestCancel,
    Stranded,
    StrandedJobs,
)
from ..messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Insert,
    Inserted,
    Query,
    QueryReply,
    Write,
)
from ..news import News
from ..pause_messages import Pauses, PausesFound
from ..rate_messages import Buckets, BucketsFound
from ..report_messages import (
    DossiersFound,
    LogFound,
    ReadDossiers,
    ReadLog,
    Report,
    Reported,
)
from ..retention_messages import Prune, Pruned
from ..run_messages import PastRuns, RunsFound
from ..schedule_messages import FindSchedules, Schedules
from ..storage import Storage
from .joined import Reply, complete, has_ref, stranded, tallied
from .transient import Transient, is_durable, lanes_of

MOST_LEASES = 10_000
"""Leases of the storage that are looked through, where jobs in memory stand in lanes."""


class Beside(Storage):
    """A storage, and jobs in memory beside it. Nodes are attached to the storage itself."""

    def __init__(self, main: Storage, memory: Transient) -> None:
        self.main = main
        self.memory = memory
        self.take_after(main)
        self._memory_first = False
        """Whose turn it is where a claim has room for one."""

    async def attach(self, node: str) -> None:
        await self.main.attach(node)

    async def detach(self, node: str) -> None:
        await self.main.detach(node)

    async def wait_changed(self, node: str) -> News | None:
        return await self.main.wait_changed(node)

    def renew_blocking(self, renew: Renew) -> Renewed | None:
        """Nobody else can take what is in memory, so that need not be renewed."""
        return self.main.renew_blocking(
            attrs.evolve(renew, leases=[lease for lease in renew.leases if not self._has(lease[0])])
        )

    # --- writes -----------------------------------------------------------------------------------

    async def apply(self, writes: Sequence[Write]) -> Sequence[Reply]:
        """The storage first: while that can fail, nothing in memory has changed."""
        claims = {
            position: self._reserve(write)
            for position, write in enumerate(writes)
            if isinstance(write, ClaimDue)
        }
        theirs = [
            attrs.evolve(
                cast("ClaimDue", write),
                limit=claims[position],
                closed_lanes=self.memory.leased_lanes(),
            )
            if position in claims
            else self._for_main(write)
            for position, write in enumerate(writes)
        ]
        asked = [write for write in theirs if write is not None]
        answers = iter(await self.main.apply(asked) if asked else ())
        replies: list[Reply] = []
        for write, their in zip(writes, theirs, strict=True):
            answer = None if their is None else next(answers)
            if isinstance(write, ClaimDue):
                replies.append(await self._claim(write, cast("ClaimDue", their), answer))
            else:
                replies.append(self._perform(write, answer))
        return replies

    def _for_main(self, write: Write) -> Write | None:
        """The part of a write that is about the storage; ``None`` if no part is."""
        match write:
            case Insert():
                return write if all(map(is_durable, write.requests)) else None
            case Commit():
                if not self._has(write.job_id):
                    return write
                is_valid = self.memory.is_at(write.job_id, write.version)
                return write.children if is_valid else None
            case RequestCancel():
                return None if self._has(write.job_id) else write
            case Complete():
                pairs = [
                    (claim, state)
                    for claim, state in zip(write.claims, write.states, strict=True)
                    if not self._has(claim.request.id)
                ]
                if not pairs:
                    return None
                return Complete([claim for claim, _ in pairs], [state for _, state in pairs])
            case Renew():
                leases = [lease for lease in write.leases if not self._has(lease[0])]
                return attrs.evolve(write, leases=leases) if leases else None
            case Report():
                sayings = [each for each in write.sayings if not self._has(each.job_id)]
                return attrs.evolve(write, sayings=sayings) if sayings else None
            case _:
                return write

    def _perform(self, write: Write, answer: Reply | None) -> Reply:
        """Do what is about memory, and put it together with what the storage has answered."""
        memory = self.memory
        match write:
            case Insert() if answer is None:
                return memory.perform(write)
            case Commit() if self._has(write.job_id):
                return self._commit(write, answer)
            case RequestCancel() if answer is None:
                return memory.perform(write)
            case Complete():
                return complete(self.memory, write, answer)
            case Renew():
                own = [lease for lease in write.leases if self._has(lease[0])]
                mine = memory.perform(attrs.evolve(write, leases=own))
                assert isinstance(mine, Renewed)
                if not isinstance(answer, Renewed):
                    return mine if answer is None else answer
                return Renewed([*answer.lost, *mine.lost], [*answer.cancels, *mine.cancels])
            case Report():
                sayings = [each for each in write.sayings if self._has(each.job_id)]
                mine = memory.perform(attrs.evolve(write, sayings=sayings))
                assert isinstance(mine, Reported)
                if not isinstance(answer, Reported):
                    return mine if answer is None else answer
                return Reported([*answer.refused, *mine.refused])
            case Prune():
                mine = memory.perform(attrs.evolve(write, mark=None))
                if not isinstance(answer, Pruned) or not isinstance(mine, Pruned):
                    return answer or mine
                is_more = answer.more or mine.more
                return attrs.evolve(answer, count=answer.count + mine.count, more=is_more)
            case _:
                assert answer is not None
                return answer

    def _commit(self, commit: Commit, answer: Reply | None) -> Reply:
        """A job in memory; its children are in the storage already, or were refused there."""
        if isinstance(answer, DuplicateJob) and answer.key == "id":
            answer = Inserted()  # they were stored by an earlier try, whose reply was lost
        if isinstance(answer, GustoError):
            return answer
        reply = self.memory.perform(attrs.evolve(commit, children=None))
        if isinstance(reply, Committed) and isinstance(answer, Inserted):
            return Committed((*reply.awaited, *answer.awaited), answer)
        return reply

    # --- claims -----------------------------------------------------------------------------------

    def _reserve(self, claim: ClaimDue) -> int:
        """How much of the limit goes to the storage, while both may have something to do."""
        ready = self.memory.ready(claim.now)
        if ready and claim.limit == 1:
            self._memory_first = not self._memory_first
            return 0 if self._memory_first else 1
        return claim.limit - min(ready, claim.limit // 2)

    async def _claim(self, claim: ClaimDue, their: ClaimDue, answer: Reply | None) -> Reply:
        """What the storage gave, then what there is in memory, then what is left in the storage."""
        if not isinstance(answer, ClaimReply):
            assert answer is not None
            return answer
        jobs = list(answer.jobs)
        if not self.memory.ready(claim.now):
            return answer
        await self._mind_pauses(claim.now)
        rest_of_claim = self._rest(claim, jobs)
        if self.memory.has_lanes():
            rest_of_claim.closed_lanes = await self._leased_lanes()
        mine = self.memory.perform(rest_of_claim)
        assert isinstance(mine, ClaimReply)
        jobs += mine.jobs
        last = answer
        parts = [answer, mine]
        if their.limit < claim.limit and len(jobs) < claim.limit:
            again = self._rest(claim, jobs)
            again.closed_lanes = self.memory.leased_lanes()
            (rest,) = await self.main.apply([again])
            if isinstance(rest, ClaimReply):
                jobs += rest.jobs
                last = rest
                parts.append(rest)
        return ClaimReply(
            jobs,
            more=mine.more or last.more,
            next_due=min(
                (due for part in parts if (due := part.next_due) is not None), default=None
            ),
            held=mine.held or last.held,
            in_lanes=any(part.in_lanes for part in parts),
        )

    def _rest(self, claim: ClaimDue, taken: Sequence[ClaimedJob]) -> ClaimDue:
        limit, free = claim.limit - len(taken), max(0, claim.free - len(taken))
        queues = claim.queue_rates or {}
        if any(demands(job.request.queue, key_limit(job.request), queues) for job in taken):
            limit = min(limit, free)  # nothing is taken ahead of free executors then
        return attrs.evolve(claim, limit=limit, free=free)

    async def _leased_lanes(self) -> Sequence[str]:
        """The lanes in which the storage has leased a job, to whomever."""
        running = Find(MOST_LEASES, states=frozenset({JobState.PROCESSING}))
        return lanes_of((await self.main.read(running)).jobs)

    async def _mind_pauses(self, now: int) -> None:
        try:
            self.memory.mind(await self.main.read(Pauses(now)))
        except NotSupported:
            pass  # then there are none

    # --- queries ----------------------------------------------------------------------------------

    @overload
    async def read(self, query: Get | Find) -> Found: ...
    @overload
    async def read(self, query: Tally) -> Tallied: ...
    @overload
    async def read(self, query: Stranded) -> StrandedJobs: ...
    @overload
    async def read(self, query: CancelRequests) -> CancelsAsked: ...
    @overload
    async def read(self, query: FindSchedules) -> Schedules: ...
    @overload
    async def read(self, query: Dependents) -> DependentJobs: ...
    @overload
    async def read(self, query: Batches) -> BatchesFound: ...
    @overload
    async def read(self, query: ReadLog) -> LogFound: ...
    @overload
    async def read(self, query: ReadDossiers) -> DossiersFound: ...
    @overload
    async def read(self, query: PastRuns) -> RunsFound: ...
    @overload
    async def read(self, query: Pauses) -> PausesFound: ...
    @overload
    async def read(self, query: Buckets) -> BucketsFound: ...
    async def read(self, query: Query) -> QueryReply:
        memory = self.memory
        match query:
            case Get():
                return await self._get(query)
            case Find():
                return await self._find(query)
            case ReadLog() | ReadDossiers():
                return await (memory if self._has(query.job_id) else self.main).read(query)
            case Tally():
                return tallied(await self.main.read(query), await memory.read(query))
            case Stranded():
                theirs, mine = await self.main.read(query), await memory.read(query)
                return stranded(theirs, mine)
            case CancelRequests():
                asked, own = await self.main.read(query), await memory.read(query)
                return CancelsAsked([*asked.cancels, *own.cancels], asked.pauses)
            case _:
                return await self.main.read(query)

    async def _get(self, get: Get) -> Found:
        mine = await self.memory.read(get)
        if get.ref_id is not None and any(has_ref(job, get.ref_id) for job in mine.jobs):
            get = attrs.evolve(get, ref_id=None)
        ids = [job_id for job_id in get.job_ids if not self._has(job_id)]
        if not ids and get.ref_id is None:
            return mine
        theirs = await self.main.read(attrs.evolve(get, job_ids=ids))
        by_id = {job.request.id: job for job in (*theirs.jobs, *mine.jobs)}
        asked = [by_id.pop(job_id) for job_id in get.job_ids if job_id in by_id]
        return Found([*asked, *by_id.values()])

    async def _find(self, find: Find) -> Found:
        """Those in memory are the newest."""
        mine = await self.memory.read(find)
        left = find.limit - len(mine.jobs)
        if not left:
            return mine
        theirs = await self.main.read(attrs.evolve(find, limit=left))
        return Found([*mine.jobs, *theirs.jobs])

    def _has(self, job_id: JobId) -> bool:
        return self.memory.has(job_id)
