"""Looking at the jobs of a provider: what this process knows, and what the provider can tell.

A record says less than a job: of one that this process has not run it is known only whether it is
complete. It is shown as completed then, with the instant it was created at for those not recorded.
"""

from __future__ import annotations

from collections import Counter
from typing import Generic
from uuid import UUID

from ...model.errors import NotSupported
from ...model.ids import JobId, to_job_id, to_uuid
from ...model.job import StoredJob
from ...model.lifecycle import admit
from ...model.states import Completed, JobState, Ready
from ..criteria import satisfies
from ..finding_messages import Find, Found, Get, Tallied
from .contract import JobFindParams, SupportsQueries
from .ledger import Ledger
from .record import R, request_of

PAGE = 500
"""Records asked for at once while counting."""


class Queries(Generic[R]):
    """Answers queries from the ledger and, if it can, the provider."""

    def __init__(self, ledger: Ledger[R], provider: SupportsQueries[R] | None) -> None:
        self._ledger = ledger
        self._provider = provider

    async def get(self, query: Get) -> Found:
        """Jobs by id or ref id. Without `SupportsQueries` only those known here."""
        if query.ref_id is not None:
            return await self._by_ref(query.ref_id)
        known = {job_id: self._ledger.find(job_id) for job_id in query.job_ids}
        missing = [to_uuid(job_id) for job_id, job in known.items() if job is None]
        if missing:
            provider = self._asked("looking at jobs that this process does not know")
            for record in await provider.get_jobs(missing):
                known[to_job_id(record.tracking_id)] = self._job(record)
        return Found([job for job_id in query.job_ids if (job := known[job_id]) is not None])

    async def find(self, query: Find) -> Found:
        """Jobs by criteria, from the provider's records."""
        provider = self._asked("searching for jobs")
        records = await provider.find_jobs(
            JobFindParams(
                lambda record: satisfies(self._job(record), query),
                query.limit,
                None if query.before is None else UUID(int=query.before),
            )
        )
        return Found([self._job(record) for record in records])

    async def tally(self) -> Tallied:
        """Counts of all records, read page by page: providers have no counting of their own."""
        provider = self._asked("counting jobs")
        counts: Counter[tuple[JobState, str, str]] = Counter()
        ready: list[int] = []
        before: UUID | None = None
        while records := await provider.find_jobs(JobFindParams(lambda _: True, PAGE, before)):
            for record in records:
                job = self._job(record)
                counts[job.state.word, job.request.queue, job.request.tenant] += 1
                if isinstance(job.state, Ready):
                    ready.append(job.state.due)
            before = records[-1].tracking_id
        return Tallied(counts, min(ready, default=None))

    async def _by_ref(self, ref_id: str) -> Found:
        job = self._ledger.find_by_ref(ref_id)
        if job is not None:
            return Found((job,))
        provider = self._asked("looking for a ref_id that this process does not know")
        wanted = JobFindParams[R](lambda record: getattr(record, "ref_id", None) == ref_id, 1, None)
        return Found([self._job(record) for record in await provider.find_jobs(wanted)])

    def _asked(self, what: str) -> SupportsQueries[R]:
        if self._provider is None:
            raise NotSupported(what, "SupportsQueries")
        return self._provider

    def _job(self, record: R) -> StoredJob:
        job_id: JobId = to_job_id(record.tracking_id)
        known = self._ledger.find(job_id)
        if known is not None:
            return known
        request = request_of(record)
        created = request.created_at
        state = Completed(created, created, created, "") if record.is_complete else admit(request)
        return StoredJob(request, record.tracking_id.int, state)
