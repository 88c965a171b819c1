"""The verbs of a queue that look: what there is, how it came about, and what is going on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import trio

from ..model.attempts import attempts_of
from ..model.estimating import RUNS, Estimate, estimate
from ..model.explaining import explain
from ..model.explanation import Explanation
from ..model.facts import Fact
from ..model.instants import to_optional_datetime
from ..model.job import Attempt, Job, StoredJob
from ..model.joblog import JobLog
from ..model.states import JobState, Processing
from ..serialization.views import attempt_view
from ..storage.finding_messages import Tally
from ..storage.report_messages import ReadDossiers, ReadLog
from ..storage.run_messages import PastRuns
from .batching import page_mark
from .events import Overflow, heard
from .part import QueuePart
from .records import JobFilter, Page, QueueStats
from .ref import id_of
from .surroundings import surroundings

if TYPE_CHECKING:
    from .ref import JobRef


LOOK = 10_000
"""Jobs that ended last, among which earlier runs are looked for."""


class Looking(QueuePart):
    """Looking at jobs; a part of `JobQueue`."""

    async def find(
        self,
        filter: JobFilter | None = None,  # noqa: A002 - the word users know it by
        *,
        limit: int = 25,
        after: str | None = None,
    ) -> Page[Job]:
        """Jobs that satisfy ``filter``, newest first, ``limit`` of them at most.

        ``after`` is the ``next`` of the page before. Jobs stored meanwhile shift no page.

        Raises:
            ArgumentError: the filter, the limit or the page mark is not of its kind.
        """
        before = None if after is None else page_mark(after)
        query = (filter or JobFilter()).to_query(limit, before)
        jobs = (await self._desk.read(query)).jobs
        full = len(jobs) == limit
        mark = str(jobs[-1].sequence) if full else None
        return Page(items=tuple(self.reader.view(job) for job in jobs), next=mark)

    async def attempts(self, job: JobRef[Any] | Job | UUID) -> tuple[Attempt, ...]:
        """All attempts of a job, oldest first, the running one included.

        Raises:
            UnknownJob: there is no such job.
        """
        job_id = id_of(job)
        # First: an attempt that ends in between then has its dossier, if it has one at all.
        dossiers = (await self._desk.read(ReadDossiers(job_id))).dossiers
        stored = await self.reader.known(job_id)
        return tuple(attempt_view(record, stored, dossiers) for record in attempts_of(stored))

    async def logs(self, job: JobRef[Any] | Job | UUID) -> JobLog:
        """What a job has logged (`JobContext.log`, `JobContext.logger`), oldest entry first.

        A tuple of `LogEntry`; its ``dropped`` counts older entries that were not kept. A running
        job's newest entries come `Options.progress_flush_interval` seconds late.

        Raises:
            UnknownJob: there is no such job.
            NotSupported: the storage keeps no logs.
        """
        job_id = id_of(job)
        found = await self._desk.read(ReadLog(job_id))
        if not found.lines:
            await self.reader.known(job_id)
        return JobLog.of(found.lines, found.dropped)

    async def explain(self, job: JobRef[Any] | Job | UUID) -> Explanation:
        """Why a job is where it is, and what it waits for: in one sentence, and in fields.

        Of workers, only those of this process are known.

        Raises:
            UnknownJob: there is no such job.
        """
        stored = await self.reader.known(id_of(job))
        now = self._clock.instant()
        around = await surroundings(self._desk, self._ears, stored, self._node, now)
        return explain(stored, around)

    async def estimate(self, job: JobRef[Any] | Job | UUID) -> Estimate | None:
        """How long a job will take, and how far it is if it runs, by how long earlier ones took.

        Earlier ones are up to 100 completed jobs of the same handler and the same named worker, or of none. They
        are looked for among the 10,000 jobs that ended last; for a job of a schedule first among those
        that the schedule made last. A running job that has reported its progress is as far as it says.

        Returns:
            ``None`` when there are no earlier runs.

        Raises:
            UnknownJob: there is no such job.
        """
        stored = await self.reader.known(id_of(job))
        durations = await self._durations(stored)
        state, elapsed = stored.state, None
        if isinstance(state, Processing):
            elapsed = max(0, self._clock.instant() - state.claimed_at)
        progress = stored.progress
        return estimate(durations, elapsed, None if progress is None else progress.percent)

    async def _durations(self, job: StoredJob) -> Sequence[int]:
        """How long earlier runs took, newest first."""
        details = job.request.details
        query = PastRuns(job.request.name, None if details is None else details.worker, RUNS, LOOK)
        if details is not None and details.schedule_name is not None:
            of_schedule = attrs.evolve(query, schedule=details.schedule_name)
            durations = (await self._desk.read(of_schedule)).durations
            if durations:
                return durations
        return (await self._desk.read(query)).durations

    async def stats(self) -> QueueStats:
        """How many jobs there are, by state, queue and tenant.

        A SQLite file remembers what it has counted before: with a million ended jobs this takes some
        milliseconds, and with a million that have not ended a third of a second, during which other
        work goes on. The first time of all it takes a second or two for a million. `MemoryStorage`
        counts each time.

        Jobs that were moved to an archive (``SqliteStorage(archive=True)``) are not counted.
        """
        tallied = await self._desk.read(Tally())
        by_state: dict[JobState, int] = {}
        by_queue: dict[str, dict[JobState, int]] = {}
        by_tenant: dict[str, dict[JobState, int]] = {}
        for (state, queue, tenant), count in tallied.counts.items():
            by_state[state] = by_state.get(state, 0) + count
            for table, key in ((by_queue, queue), (by_tenant, tenant)):
                row = table.setdefault(key, {})
                row[state] = row.get(state, 0) + count
        return QueueStats(
            by_state=by_state,
            by_queue=by_queue,
            by_tenant=by_tenant,
            oldest_ready_at=to_optional_datetime(tallied.oldest_ready),
        )

    @asynccontextmanager
    async def events(
        self, *, buffer: int = 1000, overflow: Overflow = "drop_new"
    ) -> AsyncGenerator[trio.MemoryReceiveChannel[Fact]]:
        """What happens in this process from now on, as a channel of facts.

        Nobody waits for its reader. When ``buffer`` facts wait for him, new ones are left out until
        he has taken some (``"drop_new"``), or those that wait are thrown away (``"drop_old"``).
        Either way a `FactsMissed` stands in their place, and says how many there were.

        What other processes do is not heard. The channel ends with the block, and closing it sooner
        does no harm.

        Raises:
            ArgumentError: ``buffer`` is not between 1 and 1,000,000, or ``overflow`` is no policy.
        """
        with heard(self._probe, buffer, overflow) as stream, stream.receive as channel:
            yield channel
