"""What a run of a handler leaves behind it, if it has succeeded: its children, and its callback."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from trio_gusto import Job, JobState

from . import laws
from .book import Book
from .plans import CLOCK_ERROR
from .service import KEPT, Spec

SKEW = timedelta(seconds=2 * CLOCK_ERROR)


def spec_in(job: Job) -> Spec:
    """What a job was asked for with, as it is stored."""
    spec: Any = job.args[0]
    assert isinstance(spec, dict)
    return spec


def callbacks_in(jobs: Mapping[UUID, Job]) -> Mapping[UUID, list[Job]]:
    """The callbacks among them, by the job whose result they were given."""
    found: dict[UUID, list[Job]] = defaultdict(list)
    for job in jobs.values():
        if "of" in spec_in(job):
            found[UUID(spec_in(job)["of"])].append(job)
    return found


def judge_callbacks(
    book: Book, seen: Mapping[UUID, Job], present: Mapping[UUID, Job], now: datetime
) -> None:
    """See that each success has one callback if it is to have any, and that its job waits for it.

    Raises:
        LawBroken: it is otherwise.
    """
    found = callbacks_in({**seen, **present})
    for source, callbacks in found.items():
        runs = [spec_in(callback)["run"] for callback in callbacks]
        if len(set(runs)) != len(runs) or not book.returned[source]:
            raise laws.LawBroken(laws.CALLED_BACK, (source, callbacks))
    for job in present.values():
        if "callback" not in spec_in(job):
            continue
        own = found.get(job.id, [])
        is_as_it_should_be = True
        if job.state is JobState.COMPLETED:
            result: Any = job.result
            own = [one for one in own if spec_in(one)["run"] == result["run"]]
            assert job.ended_at is not None
            is_kept = now < job.ended_at + KEPT / 2  # or both may have come and gone unseen
            is_as_it_should_be = all(one.state is JobState.COMPLETED for one in own)
            is_as_it_should_be &= bool(own) or not is_kept
        elif job.state is JobState.WAITING and job.attempt:
            is_as_it_should_be = any(one.id in present for one in own)
        if not is_as_it_should_be:
            raise laws.LawBroken(laws.CALLED_BACK, (job, own))


def judge_children(
    book: Book, seen: Mapping[UUID, Job], present: Mapping[UUID, Job], now: datetime
) -> None:
    """See that no child is missing of a run that has succeeded, and that no other run has any.

    Raises:
        LawBroken: it is otherwise.
    """
    for job in present.values():
        result: Any = job.result
        if result is not None:
            book.succeeded.add(result["run"])
        if "of" in spec_in(job):
            book.succeeded.add(spec_in(job)["run"])
    for job_id, child in book.children.items():
        parent = present.get(child.parent)
        if parent is None:
            continue  # retention has taken it, perhaps before it was seen completed
        if child.run in book.succeeded:
            is_kept = parent.ended_at is None or now < parent.ended_at + KEPT - SKEW
            is_wrong = is_kept and job_id not in present and job_id not in seen
        else:
            is_wrong = job_id in present
        if is_wrong:
            raise laws.LawBroken(laws.CHILDREN, (parent, job_id, child))
