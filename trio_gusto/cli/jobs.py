"""``trio-gusto jobs``: look for jobs, explain, retry and cancel them."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import cyclopts
from cyclopts import Parameter

from ..clock import SystemClock
from ..model.errors import UnknownJob
from ..model.estimating import Estimate
from ..model.job import Attempt, Job
from ..model.states import JobState
from ..queue.jobqueue import JobQueue
from ..queue.records import JobFilter
from .exits import OK, WRONG, Unusable
from .place import Place
from .showing import in_one_line, plain, show_fields, show_json, show_table

commands = cyclopts.App(name="jobs", help="Look for jobs, explain, retry and cancel them.")

Words = Annotated[tuple[str, ...], Parameter(negative="", show_default=False)]
States = Annotated[tuple[JobState, ...], Parameter(negative="", show_default=False)]
Ids = Annotated[tuple[UUID, ...], Parameter(negative="")]

_AGE = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@commands.command(name="list")
def list_jobs(
    *,
    state: States = (),
    name: Words = (),
    queue: Words = (),
    tenant: Words = (),
    worker: Words = (),
    concurrency_key: Words = (),
    rate_key: Words = (),
    tag: Words = (),
    any_tag: Words = (),
    batch: UUID | None = None,
    schedule: str | None = None,
    parent: UUID | None = None,
    created_by: str | None = None,
    user: str | None = None,
    metadata: Words = (),
    since: str | None = None,
    until: str | None = None,
    limit: int = 25,
    after: str | None = None,
    place: Place | None = None,
) -> int:
    """List jobs, newest first: those that satisfy all that is given.

    Options that may be repeated want one of their values.

    Parameters
    ----------
    state
        waiting, scheduled, ready, processing, completed, failed, cancelled, skipped or expired.
    name
        The name of the handler.
    queue
        The queue.
    tenant
        The tenant.
    worker
        The named worker.
    concurrency_key
        The concurrency key.
    rate_key
        The rate key.
    tag
        A tag; of several, a job must have all.
    any_tag
        A tag; of several, a job must have one.
    batch
        The id of its batch.
    schedule
        The name of its schedule.
    parent
        The id of a job or batch that it waited for, or waits for.
    created_by
        Who created it.
    user
        The user it is for.
    metadata
        key=value; a value that is JSON is taken as such. Of several, a job must have all.
    since
        Created at this instant or later: ISO 8601, or an age like 90m, 12h or 7d.
    until
        Created before this instant, in the same form.
    limit
        How many, at most 1000.
    after
        The mark that the list before ended with, for the next page.
    """
    place = place or Place()
    wanted = JobFilter(
        states=state,
        names=name,
        queues=queue,
        tenants=tenant,
        workers=worker,
        concurrency_keys=concurrency_key,
        rate_keys=rate_key,
        tags_all=tag,
        tags_any=any_tag,
        batch_id=batch,
        schedule_name=schedule,
        parent_id=parent,
        created_by=created_by,
        user_id=user,
        metadata=dict(map(_pair, metadata)),
        created_after=_moment(since),
        created_before=_moment(until),
    )
    page = place.run(lambda jobs: jobs.find(wanted, limit=limit, after=after))
    if place.json:
        show_json({"jobs": page.items, "next": page.next})
        return OK
    head = ("id", "state", "handler", "queue", "attempt", "created", "reason")
    show_table(head, map(_row, page.items))
    if page.next is not None:
        show_fields({"more": f"--after {page.next}"})
    return OK


@commands.command
def show(job: UUID, /, *, place: Place | None = None) -> int:
    """Show one job with all its attempts, and of a running one how far it is, by earlier runs.

    Parameters
    ----------
    job
        Its id.
    """
    place = place or Place()
    found, attempts, estimate = place.run(lambda queue: _whole(queue, job))
    fields = plain(found)
    if place.json:
        show_json({**fields, "estimate": estimate, "attempts": attempts})
        return OK
    times = {
        key: getattr(found, key) for key in fields if isinstance(getattr(found, key), datetime)
    }
    fields |= {**times, "error": found.error and _brief(found.error)}
    show_fields(fields | {"estimate": estimate and _guess(estimate)})
    if attempts:
        print()
        head = ("attempt", "outcome", "node", "claimed", "ended", "error")
        show_table(head, map(_attempt_row, attempts))
    for attempt in attempts:
        if attempt.dossier is not None:
            print(f"\ndossier of attempt {attempt.number}:")
            for line in attempt.dossier.splitlines():
                print(f"  {in_one_line(line)}")
    return OK


@commands.command
def retry(jobs: Ids, /, *, place: Place | None = None) -> int:
    """Run jobs again that failed, expired or were cancelled. The others are left as they are.

    Parameters
    ----------
    jobs
        Their ids.
    """
    return _each(place or Place(), jobs, "retried", lambda queue, job: queue.retry(job))


@commands.command
def cancel(jobs: Ids, /, *, reason: str = "", place: Place | None = None) -> int:
    """Call jobs off. Those that have ended are left as they are.

    Parameters
    ----------
    jobs
        Their ids.
    reason
        Why; it is kept with the jobs.
    """
    return _each(place or Place(), jobs, "cancelled", lambda queue, job: queue.cancel(job, reason))


@commands.command
def explain(job: UUID, /, *, place: Place | None = None) -> int:
    """Say why a job is where it is, and what it waits for.

    Parameters
    ----------
    job
        Its id.
    """
    place = place or Place()
    explanation = place.run(lambda queue: queue.explain(job))
    if place.json:
        show_json(explanation)
        return OK
    print(in_one_line(explanation.sentence))
    show_fields(
        {
            "reason": explanation.reason,
            "until": explanation.until,
            "blocking": explanation.blocking,
            **{name: each for name, each in explanation.details.items() if name != "dossier"},
        }
    )
    return OK


# --- inside ---------------------------------------------------------------------------------------


def _each(
    place: Place, jobs: Iterable[UUID], done: str, do: Callable[[JobQueue, UUID], Awaitable[bool]]
) -> int:
    """Do something with each job; `WRONG` unless it was done with all of them."""

    async def do_all(queue: JobQueue) -> dict[str, list[UUID]]:
        sorted_out: dict[str, list[UUID]] = {done: [], "left": [], "unknown": []}
        for job in dict.fromkeys(jobs):
            try:
                key = done if await do(queue, job) else "left"
            except UnknownJob:
                key = "unknown"
            sorted_out[key].append(job)
        return sorted_out

    sorted_out = place.run(do_all)
    if place.json:
        show_json(sorted_out)
    else:
        sentences = {
            done: done,
            "left": f"not {done}: its state does not allow it (see trio-gusto jobs show)",
            "unknown": f"not {done}: there is no job with this id",
        }
        for key, found in sorted_out.items():
            for job in found:
                print(f"{job} {sentences[key]}")
    return OK if not sorted_out["left"] and not sorted_out["unknown"] else WRONG


async def _whole(queue: JobQueue, job_id: UUID) -> tuple[Job, tuple[Attempt, ...], Estimate | None]:
    """The estimate is that of a running job; what others will take is nobody's question here."""
    job = await queue.get(job_id)
    if job is None:
        raise UnknownJob(job_id)
    is_running = job.state is JobState.PROCESSING
    estimate = await queue.estimate(job_id) if is_running else None
    return job, await queue.attempts(job_id), estimate


def _row(job: Job) -> tuple[object, ...]:
    reason = ": ".join(filter(None, (job.reason, _brief(job.error) if job.error else "")))
    attempt = f"{job.attempt}/{job.max_attempts}"
    return (job.id, job.state, job.name, job.queue, attempt, job.created_at, reason)


def _attempt_row(attempt: Attempt) -> tuple[object, ...]:
    error = _brief(attempt.error) if attempt.error else ""
    outcome = attempt.outcome or "running"
    times = (attempt.claimed_at, attempt.ended_at)
    return (attempt.number, outcome, attempt.node_id, *times, error)


def _guess(estimate: Estimate) -> str:
    """How far a running job is, in words."""
    rest = "longer than any of them"
    if estimate.remaining is not None:
        rest = f"{timedelta(seconds=round(estimate.remaining))} to go"
    runs = f"{estimate.runs} run{'' if estimate.runs == 1 else 's'}"
    if estimate.is_estimated:
        return f"about {estimate.percent:.0f} %, estimated from {runs}; {rest}"
    return f"{estimate.percent:.0f} % by its own account; about {rest} by {runs}"


def _brief(error: Any) -> str:
    return f"{error.type}: {error.message}"


def _pair(text: str) -> tuple[str, object]:
    key, is_pair, value = text.partition("=")
    if not is_pair:
        raise Unusable(f"--metadata {text} has no value; give key=value")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    age = _AGE.fullmatch(text)
    if age is not None:
        return SystemClock().now() - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise Unusable(
            f"{text!r} is no instant; give ISO 8601, or an age like 90m, 12h or 7d"
        ) from None
