"""`judge_children`: jobs that a handler asked for are there exactly when that very run has succeeded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from trio_gusto import Job, JobState

from . import laws
from .book import Book
from .plans import CLOCK_ERROR
from .service import KEPT

SKEW = timedelta(seconds=2 * CLOCK_ERROR)


def judge_children(
    book: Book, seen: Mapping[UUID, Job], present: Mapping[UUID, Job], now: datetime
) -> None:
    """See that no child is missing of the run whose result its parent has, and that no other run has any.

    Raises:
        LawBroken: it is otherwise.
    """
    for job_id, child in book.children.items():
        parent = present.get(child.parent)
        if parent is None:
            continue  # retention has taken it, perhaps before it was seen completed
        if parent.state is JobState.COMPLETED and parent.result == child.run:
            assert parent.ended_at is not None
            is_missing = job_id not in present and job_id not in seen
            if is_missing and now < parent.ended_at + KEPT - SKEW:
                raise laws.LawBroken(laws.CHILDREN, (parent, job_id, child))
        elif job_id in present:
            raise laws.LawBroken(laws.CHILDREN, (parent, job_id, child))
