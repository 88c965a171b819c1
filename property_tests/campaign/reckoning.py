"""What must add up in the end, when everything is well again and everything has had its time."""

from __future__ import annotations

import itertools
from datetime import timedelta

from trio_gusto import Attempt, AttemptOutcome, Job, JobState, Reason
from trio_gusto.testing.clock import START

from . import laws
from .book import AskedSchedule, Book
from .children import callbacks_in
from .looking import ENDED, Looker
from .order import judge_order, judge_turns
from .pacing import judge_delays, judge_tokens
from .plans import CLOCK_ERROR

QUARANTINE = 3
"""Lost attempts in a row after which a job is tried no more, by default."""

GIVEN_BACK = {AttemptOutcome.SNOOZED, AttemptOutcome.RELEASED}


async def reckon(looker: Looker) -> None:
    """Judge how everything has ended.

    Raises:
        LawBroken: it cannot have come so.
    """
    book, jobs = looker.book, await looker.look()
    claimed_with_token: list[Attempt] = []
    for job in jobs.values():
        if job.state not in ENDED:
            explanation = await looker.queue.explain(job.id)
            kept = book.paused and explanation.reason in (
                Reason.PAUSED,
                Reason.WAITING_FOR_PARENTS,
                Reason.WAITING_FOR_EARLIER,
                Reason.WORKER_BUSY,
            )
            if not kept or (explanation.reason is Reason.PAUSED and job.queue not in book.paused):
                raise laws.LawBroken(laws.ALL_END, (job, explanation))
        attempts = await looker.queue.attempts(job.id)
        _judge_attempts(book, job, attempts)
        judge_delays(book, job, attempts)
        if job.rate_key is not None:
            claimed_with_token += attempts
        if job.state in ENDED:
            _judge_end(looker, job, attempts)
    judge_tokens(book, claimed_with_token)
    judge_order(book)
    if book.fair:
        judge_turns(book, looker.jobs)
    for name, schedule in book.schedules.items():
        _judge_schedule(looker, name, schedule)


def _judge_attempts(book: Book, job: Job, attempts: tuple[Attempt, ...]) -> None:
    if len(book.claims.get(job.id, ())) > len(attempts):
        raise laws.LawBroken(laws.RECORDS, (job.id, book.claims[job.id], attempts))
    expected = 1
    for attempt in attempts:
        if attempt.number != expected and not (book.retried[job.id] and attempt.number == 1):
            raise laws.LawBroken(laws.NUMBERED, (job.id, attempts))
        expected = attempt.number + (not _is_given_back(job, attempt))
        if not book.retried[job.id]:
            if job.execute_after is not None and attempt.claimed_at < job.execute_after:
                raise laws.LawBroken(laws.NOT_EARLY, (job, attempt))
            limit = (book.spec_of(job.id) or {}).get("expire_on")
            expiry = None if limit is None else job.created_at + timedelta(seconds=limit)
            if expiry is not None and attempt.claimed_at >= expiry:
                raise laws.LawBroken(laws.NOT_LATE, (job, attempt))
        if job.state in ENDED and (attempt.outcome is None or attempt.ended_at is None):
            raise laws.LawBroken(laws.RECORDS, (job.id, attempts))
        times = [attempt.claimed_at, attempt.started_at, attempt.ended_at]
        known = [moment for moment in times if moment is not None]
        if known != sorted(known) and not book.clocks_were_set:
            raise laws.LawBroken(laws.RECORDS, (job.id, attempts))
    if book.ended[job.id] and not book.retried[job.id] and job.attempt != expected - 1:
        raise laws.LawBroken(laws.NUMBERED, (job, attempts))
    outcomes = [attempt.outcome for attempt in attempts]
    if AttemptOutcome.SUCCEEDED in outcomes[:-1] and not book.retried[job.id]:
        raise laws.LawBroken(laws.STARTS_NO_MORE, (job.id, attempts))


def _is_given_back(job: Job, attempt: Attempt) -> bool:
    if attempt.outcome is AttemptOutcome.RELEASED and attempt.started_at is not None:
        return job.max_attempts > 1  # with one alone, whoever was interrupted is not entered again
    return attempt.outcome in GIVEN_BACK


def _judge_end(looker: Looker, job: Job, attempts: tuple[Attempt, ...]) -> None:
    """See that an end is the doing of a handler or a caller."""
    book = looker.book
    spec, last = book.spec_of(job.id), attempts[-1].outcome if attempts else None
    match job.state:
        case JobState.COMPLETED:
            earned = book.returned[job.id] >= 1 and last is AttemptOutcome.SUCCEEDED
        case JobState.FAILED if last is AttemptOutcome.SUCCEEDED:
            callbacks = callbacks_in(looker.jobs).get(job.id, ())
            earned = any(one.state in ENDED - {JobState.COMPLETED} for one in callbacks)
        case JobState.FAILED:
            spent = job.attempt >= job.max_attempts or last is AttemptOutcome.FAILED
            in_a_row = [attempt.outcome for attempt in attempts][-QUARANTINE:]
            spent |= in_a_row == [AttemptOutcome.LOST] * QUARANTINE
            earned = bool(attempts) and (spent or job.expire_on is not None)
            if spec is not None and not (
                {"fail", "orphan", "final", "retry:6", "hang"} & {*spec["script"]}
            ):
                # Nobody wanted it: then nodes have lost it, it took too long, or was too late.
                earned &= last is not AttemptOutcome.FAILED
        case JobState.EXPIRED:
            earned = job.expire_on is not None and not book.returned[job.id]
        case JobState.CANCELLED:
            asked = (
                job.id in book.called_off or "cancel" in (spec or {"script": ["cancel"]})["script"]
            )
            earned = asked or bool(job.parent_ids) or job.unique_key is not None
            earned |= job.schedule_name is not None
        case _:
            earned = job.schedule_name is not None
    if not earned:
        raise laws.LawBroken(laws.EARNED, (job, attempts))
    if job.state is JobState.CANCELLED and job.parent_ids and not attempts:
        _judge_given_up(book, job)


def _judge_given_up(book: Book, job: Job) -> None:
    """See that a continuation was given up for a parent that did not complete."""
    if book.retried.total() or job.id in book.called_off or job.unique_key is not None:
        return
    spec = book.spec_of(job.id)
    if spec is not None and spec["on"] == "finish":
        raise laws.LawBroken(laws.CONDITION, job)


def _judge_schedule(looker: Looker, name: str, schedule: AskedSchedule) -> None:
    """See that it fired at its instants, and, where no policy leaves any out, at each."""
    book = looker.book
    jobs = [job for job in looker.jobs.values() if job.schedule_name == name]
    fired = sorted(job.fire_time - START for job in jobs if job.fire_time is not None)
    if not fired:
        return
    period = timedelta(seconds=schedule.period or 300)
    origin = timedelta(0) if schedule.period is None else fired[0]
    if any((instant - origin) % period for instant in fired):
        raise laws.LawBroken(laws.ON_THE_GRID, (name, fired))
    if schedule.overlap == "allow" and schedule.coalesce == "all" and not schedule.was_paused:
        gaps = [later - earlier for earlier, later in itertools.pairwise(fired)]
        if any(gap != period for gap in gaps):
            raise laws.LawBroken(laws.NO_INSTANT_LOST, (name, fired))
        ended = book.time() if schedule.ended is None else schedule.ended
        late = 2 * CLOCK_ERROR if book.clocks_were_set else 0.0
        if looker.calm_since + period.total_seconds() < ended:
            missing = timedelta(seconds=ended - late) - fired[-1]
            if missing > period:
                raise laws.LawBroken(laws.NO_INSTANT_LOST, (name, fired, ended))
        if fired[0] > timedelta(seconds=schedule.added + late) + period:
            raise laws.LawBroken(laws.NO_INSTANT_LOST, (name, fired))
    if schedule.overlap == "skip":
        spans = sorted(
            (job.started_at, job.ended_at)
            for job in jobs
            if job.started_at is not None and job.ended_at is not None and job.fire_time is not None
        )
        for (_, ended_at), (started_at, _) in itertools.pairwise(spans):
            if started_at < ended_at and not book.clocks_were_set and not book.retried.total():
                raise laws.LawBroken(laws.NO_OVERLAP, (name, spans))
