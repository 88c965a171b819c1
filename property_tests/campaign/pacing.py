"""What lies between two attempts: the wait that a handler or its retries ask for, and tokens."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import timedelta
from typing import cast

from trio_gusto import Attempt, AttemptOutcome, Explanation, Job, JobState, Reason

from . import laws
from .book import Book
from .service import BACKOFF, LONGEST_RETRY, RETRY, TOKEN_EVERY, Spec

MOMENT = timedelta(milliseconds=1)
"""What is lost where seconds become whole microseconds."""

RETRIED = {AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT}
"""After these the next attempt waits, if there is one."""


def judge_lease(
    job: Job, explanation: Explanation, held: tuple[int, Explanation] | None
) -> tuple[int, Explanation] | None:
    """See that who processes has a node and a lease, and that a lease of an attempt is not cut short.

    ``held`` is what this gave for the job before.

    Raises:
        LawBroken: it has not.
    """
    node = explanation.details.get("node_id")
    if (job.state is JobState.PROCESSING) is not (
        node is not None and explanation.until is not None
    ):
        raise laws.LawBroken(laws.LEASED, (job, explanation))
    if node is None or explanation.until is None:
        return None
    if held is not None and held[0] == job.attempt:
        before = held[1]
        same = before.details["claimed_at"] == explanation.details["claimed_at"]
        if same and before.until is not None and explanation.until < before.until:
            raise laws.LawBroken(laws.LEASE_GROWS, (job, before, explanation))
    return job.attempt, explanation


def judge_delays(book: Book, job: Job, attempts: tuple[Attempt, ...]) -> None:
    """See that a failed attempt is followed by the next after the delay of its retry.

    Raises:
        LawBroken: it came sooner.
    """
    if book.clocks_were_set or book.retried[job.id]:
        return
    for attempt, following in itertools.pairwise(attempts):
        if attempt.outcome not in RETRIED or attempt.ended_at is None:
            continue
        least, _ = _delays(job, attempt)
        if following.claimed_at - attempt.ended_at < least - MOMENT:
            raise laws.LawBroken(laws.DELAYED, (job, attempt, following))


def judge_retry(
    book: Book, job: Job, explanation: Explanation, attempts: tuple[Attempt, ...]
) -> None:
    """See that what is to be tried again is due when its retry says.

    Raises:
        LawBroken: it is due at another time.
    """
    if explanation.reason is not Reason.RETRYING or book.retried[job.id]:
        return
    last = attempts[-1]
    if last.outcome not in RETRIED or last.ended_at is None or explanation.until is None:
        return
    least, most = _delays(job, last)
    if not least - MOMENT <= explanation.until - last.ended_at <= most + MOMENT:
        raise laws.LawBroken(laws.DELAYED, (job, explanation, attempts))


def _delays(job: Job, attempt: Attempt) -> tuple[timedelta, timedelta]:
    """What has to lie behind an attempt, by its script and its backoff: at least, and at most."""
    spec = cast("Spec", job.args[0])
    script = spec["script"]
    name, _, asked = script[min(attempt.number, len(script)) - 1].partition(":")
    if name == "retry" and attempt.outcome is AttemptOutcome.FAILED:
        seconds, jitter = float(asked), 0.0
    elif "backoff" in spec:
        seconds = min(RETRY * BACKOFF ** (attempt.number - 1), LONGEST_RETRY)
        jitter = spec["backoff"]
    else:
        seconds, jitter = RETRY, 0.0
    return timedelta(seconds=seconds), timedelta(seconds=seconds * (1 + jitter))


def judge_tokens(book: Book, claimed: Iterable[Attempt]) -> None:
    """See that the jobs of a bucket of one token are claimed no faster than tokens grow.

    Raises:
        LawBroken: two of them share one.
    """
    if book.clocks_were_set:
        return
    moments = sorted(attempt.claimed_at for attempt in claimed)
    for earlier, later in itertools.pairwise(moments):
        if later - earlier < timedelta(seconds=TOKEN_EVERY) - MOMENT:
            raise laws.LawBroken(laws.TOKENS, (earlier, later))
