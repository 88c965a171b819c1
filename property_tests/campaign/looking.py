"""`Looker`: sees all that anybody can see of the jobs between two steps of the world, and judges it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from trio_gusto import Explanation, Job, JobFilter, JobQueue, JobState, Reason
from trio_gusto.testing import World

from . import laws
from .book import Book
from .children import judge_callbacks, judge_children, spec_in
from .pacing import judge_lease, judge_retry
from .plans import CLOCK_ERROR
from .service import KEPT

SKEW = timedelta(seconds=2 * CLOCK_ERROR)

ENDED = {
    JobState.COMPLETED,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.EXPIRED,
    JobState.SKIPPED,
}
BEGUN = {JobState.PROCESSING, JobState.COMPLETED}

EXPLAINED = 4
"""Jobs whose explanation is asked for with each look."""

AS_ASKED = (
    "queue",
    "priority",
    "tenant",
    "max_attempts",
    "worker",
    "concurrency_key",
    "unique_key",
)


class Looker:
    """Looks at the jobs of a world again and again, and knows how they were before."""

    def __init__(self, world: World, queue: JobQueue, book: Book, *, hasty: bool = False) -> None:
        self.world = world
        self.queue = queue
        """A window: looked through it is calm at any time."""
        self._hasty = hasty
        self.book = book
        self.jobs: dict[UUID, Job] = {}
        """As they were when they were seen last; those too that are gone."""
        self.present: dict[UUID, Job] = {}
        self._gone: set[UUID] = set()
        self._leases: dict[UUID, tuple[int, Explanation] | None] = {}
        self.looks = 0
        """How often it has looked."""
        self.calm_since = 0.0
        """When everything was made well again, in seconds of true time."""
        self._seen_at: datetime = world.now()

    async def look(self) -> Mapping[UUID, Job]:
        """Look, and judge. Nobody has a turn meanwhile.

        Raises:
            LawBroken: it cannot be as it is.
        """
        if not self._hasty:
            await self.world.settle()
        queue = self.queue
        began = self.world.now()
        found: list[Job] = []
        after: str | None = None
        while True:
            page = await queue.find(JobFilter(), limit=1000, after=after)
            found += page.items
            after = page.next
            if after is None:
                break
        self.present = {job.id: job for job in found}
        assert len(self.present) == len(found), "no job is on two pages"
        stats = await queue.stats()
        recount = Counter(job.state for job in found)
        if {state: count for state, count in stats.by_state.items() if count} != recount:
            raise laws.LawBroken(laws.STATS, (stats.by_state, recount))
        by_queue = Counter((job.queue, job.state) for job in found)
        told = {
            (name, state): count
            for name, counts in stats.by_queue.items()
            for state, count in counts.items()
            if count
        }
        if told != by_queue:
            raise laws.LawBroken(laws.STATS, (told, by_queue))
        for job in found:
            self._judge(job)
        self._judge_all()
        judge_callbacks(self.book, self.jobs, self.present, began)
        judge_children(self.book, self.jobs, self.present, began)
        await self._judge_batches()
        await self._judge_explanations()
        assert self.world.now() == began, "time has passed while one looked"
        self.looks += 1
        self.jobs |= self.present
        self._seen_at = began
        return self.present

    def _judge(self, job: Job) -> None:
        book, before = self.book, self.jobs.get(job.id)
        spec = book.spec_of(job.id)
        if before is None and spec is not None:
            asked = {key: spec[key] for key in AS_ASKED if key in spec}
            if any(getattr(job, key) != value for key, value in asked.items()):
                raise laws.LawBroken(laws.AS_ASKED, job)
            # Whoever is retried by hand, or waits for a callback, has no deadline any more.
            again = book.retried[job.id] or "callback" in spec
            for key in ("execute_after",) if again else ("execute_after", "expire_on"):
                moment = getattr(job, key)
                wanted = job.created_at + timedelta(seconds=spec[key]) if key in spec else None
                if moment != wanted and not (wanted is None and job.parent_ids):
                    raise laws.LawBroken(laws.AS_ASKED, job)
        if not 0 <= job.attempt <= job.max_attempts:
            raise laws.LawBroken(laws.ATTEMPTS, job)
        if job.state is JobState.PROCESSING and job.attempt < 1:
            raise laws.LawBroken(laws.ATTEMPTS, job)
        if before is not None and not book.retried[job.id]:
            if before.state in ENDED and (job.state, job.ended_at) != (
                before.state,
                before.ended_at,
            ):
                raise laws.LawBroken(laws.STAYS_ENDED, (before, job))
            is_new = job.state is JobState.WAITING and before.state is not JobState.WAITING
            if is_new and not (book.returned[job.id] and "callback" in spec_in(job)):
                raise laws.LawBroken(laws.EDGES, (before, job))
        if job.parent_ids and not book.retried[job.id]:
            self._judge_parents(job)

    def _judge_parents(self, job: Job) -> None:
        """See that what has been released had been waiting for long enough."""
        book = self.book
        if job.state not in {*BEGUN, JobState.READY, JobState.SCHEDULED} or book.retried.total():
            return
        members = [one for parent in job.parent_ids for one in book.members(parent)]
        known = [self.present[one] for one in members if one in self.present]
        if self.jobs.get(job.id, job).state in {JobState.WAITING, job.state} and any(
            parent.state not in ENDED for parent in known
        ):
            raise laws.LawBroken(laws.AFTER_PARENTS, job)
        on = (book.spec_of(job.id) or {}).get("on")
        completed = [parent.state is JobState.COMPLETED for parent in known]
        if (on == "success" and not all(completed)) or (
            on == "failure" and completed and all(completed) and len(known) == len(members)
        ):
            raise laws.LawBroken(laws.CONDITION, job)

    def _judge_all(self) -> None:
        now = self.world.now()
        live = Counter(
            job.unique_key
            for job in self.present.values()
            if job.unique_key is not None and job.state not in ENDED
        )
        if any(count > 1 for count in live.values()):
            raise laws.LawBroken(laws.UNIQUE, live)
        fired = Counter(
            (job.schedule_name, job.fire_time)
            for job in self.present.values()
            if job.schedule_name is not None and job.fire_time is not None
        )
        if any(count > 1 for count in fired.values()):
            raise laws.LawBroken(laws.INSTANT_ONCE, fired)
        for before in self.jobs.values():
            if before.id in self.present or before.id in self._gone:
                continue
            self._gone.add(before.id)
            since = before.ended_at or self._seen_at
            if now < since + KEPT - SKEW:
                raise laws.LawBroken(laws.NOT_LOST, before)
        long_ago = self.book.time() - KEPT.total_seconds()
        for job_id, asked in self.book.asked.items():
            if job_id in self.jobs or job_id in self.present or asked.acknowledged is None:
                continue
            if asked.acknowledged > long_ago:
                raise laws.LawBroken(laws.NOT_LOST, (job_id, asked))

    async def _judge_batches(self) -> None:
        for batch_id in self.book.batches:
            members = [job for job in self.present.values() if job.batch_id == batch_id]
            if not members:
                continue
            status = await self.queue.batch_ref(batch_id).status()
            recount = Counter(job.state for job in members)
            told = {state: getattr(status, state.value) for state in JobState}
            if status.total != len(members) or any(told[state] != recount[state] for state in told):
                raise laws.LawBroken(laws.BATCH_COUNTS, (status, recount))
            if status.is_finished is not all(job.state in ENDED for job in members):
                raise laws.LawBroken(laws.BATCH_COUNTS, status)

    async def _judge_explanations(self) -> None:
        live = [job for job in self.present.values() if job.state not in ENDED]
        for job in live[:EXPLAINED]:
            explanation = await self.queue.explain(job.id)
            reason, now = explanation.reason, self.world.now()
            is_true = {
                Reason.WAITING_FOR_PARENTS: bool(job.parent_ids and explanation.blocking),
                Reason.PAUSED: job.queue in self.book.touched,
                Reason.NOT_DUE: explanation.until is not None and explanation.until > now,
                Reason.RETRYING: job.attempt >= 1,
                Reason.PROCESSING: job.state is JobState.PROCESSING,
                Reason.WORKER_BUSY: job.worker is not None,
                Reason.CONCURRENCY_LIMIT: job.concurrency_key is not None,
                Reason.RATE_LIMITED: job.rate_key is not None,
                Reason.OVERDUE: job.expire_on is not None,
            }.get(reason, reason.value not in {state.value for state in ENDED})
            if not is_true or not explanation.sentence:
                raise laws.LawBroken(laws.EXPLAINED, (job, explanation))
            self._leases[job.id] = judge_lease(job, explanation, self._leases.get(job.id))
            judge_retry(self.book, job, explanation, await self.queue.attempts(job.id))
