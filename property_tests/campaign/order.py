"""Who goes first: by priority and in order, and among tenants in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID

import attrs

from trio_gusto import Job

from . import laws
from .book import Asked, Book
from .service import Spec

LANES = "worker", "concurrency_key"


@attrs.frozen
class Wait:
    """A job that the client asked for in times when nobody was unwell, from then to its first claim."""

    job: UUID
    asked: Asked
    claimed: float

    @property
    def spec(self) -> Spec:
        return self.asked.spec

    @property
    def begun(self) -> float:
        """When its caller was told that it is stored."""
        assert self.asked.acknowledged is not None
        return self.asked.acknowledged

    def is_like(self, other: Wait, *keys: str) -> bool:
        """Whether both were asked for with the same."""
        return all(self.spec.get(key) == other.spec.get(key) for key in keys)


def _waits(book: Book) -> Sequence[Wait]:
    """Those that nothing but others has kept waiting."""
    return [
        Wait(job_id, asked, book.claims[job_id][0].at)
        for job_id, asked in book.asked.items()
        if job_id in book.claims
        and asked.by_client
        and not {"parents", "execute_after", "rate_key", "expire_on"} & asked.spec.keys()
        and asked.spec.get("queue", "default") not in book.touched
        and book.claims[job_id][0].attempt == 1
        and job_id not in book.called_off
        and book.all_well_between(asked.at, book.claims[job_id][0].at)
    ]


def judge_order(book: Book) -> None:
    """See that the first and urgent went first.

    Raises:
        LawBroken: one has overtaken another.
    """
    if book.clocks_were_set:
        return
    waits = _waits(book)
    for first in waits:
        for second in waits:
            if first is second or not first.is_like(second, "queue"):
                continue
            urgent = first.spec.get("priority", 0) - second.spec.get("priority", 0)
            before = first.begun < second.asked.at or (urgent > 0 and first.begun < second.claimed)
            if not before or urgent < 0 or not second.claimed < first.claimed:
                continue
            is_in_lane = any(lane in first.spec for lane in LANES)
            if is_in_lane:
                if first.is_like(second, *LANES):
                    raise laws.LawBroken(laws.IN_ORDER, (first.job, second.job))
            elif urgent > 0 or not book.fair or first.is_like(second, "tenant"):
                raise laws.LawBroken(laws.PRIORITY, (first.job, second.job))


def judge_turns(book: Book, jobs: Mapping[UUID, Job]) -> None:
    """See that while somebody waited no other tenant had more than one turn more than his own.

    Raises:
        LawBroken: one had.
    """
    if book.clocks_were_set:
        return
    waits = [wait for wait in _waits(book) if not any(lane in wait.spec for lane in LANES)]
    for wait in waits:
        own = jobs[wait.job]
        turns = sum(
            wait.begun < claim.at <= wait.claimed
            for job in jobs.values()
            if (job.queue, job.tenant) == (own.queue, own.tenant)
            for claim in book.claims.get(job.id, ())
        )
        others = Counter(
            jobs[other.job].tenant
            for other in waits
            if wait.begun < other.claimed < wait.claimed
            and wait.is_like(other, "queue", "priority")
            and not wait.is_like(other, "tenant")
        )
        if any(count > turns + 1 for count in others.values()):
            raise laws.LawBroken(laws.TURNS, (wait, others, turns))
