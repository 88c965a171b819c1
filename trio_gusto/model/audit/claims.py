"""Whether an attempt could be claimed when it was, and its instants."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from ..outcomes import AttemptOutcome
from .findings import Fault, Invariant
from .records import RecordedJob
from .replay import Positions, after, claims_from, names_of
from .words import moment

FEWEST_IF_RETRIED = 3
"""The least token of a claim after a retry by hand: an end and a retry came before it."""


@attrs.frozen
class Claim:
    """Which attempt: its number, its token, and when it was claimed."""

    number: int
    token: int
    claimed_at: int

    def __str__(self) -> str:
        return f"attempt {self.number} (token {self.token})"


def claim_faults(
    job: RecordedJob, claim: Claim, positions: Positions, version: int, ended_at: int | None
) -> Iterator[Fault]:
    """What is illegal about a claim, of a job that was at ``positions`` with this version before.

    ``ended_at`` is when the attempt before ended, where the claim cannot have been under way then.
    """
    changes = claim.token - 1 - version
    if changes < 0:
        found = f"its {claim} follows when its version was {version}"
        legal = f"a claim raises the version by one, to {version + 1} at least"
        yield Fault(Invariant.VERSIONS, found, legal)
    reached = after(positions, changes)
    numbers = claims_from(reached)
    most = job.request.max_attempts
    if not numbers:
        found = f"its {claim} was claimed, {changes} changes after it was {names_of(positions)}"
        legal = f"only a ready job is claimed, and by the table it is {names_of(reached)} then"
        yield Fault(Invariant.TRANSITIONS, found, legal)
    elif claim.number not in numbers:
        legal = f"by those before, it is number {' or '.join(map(str, sorted(numbers)))}"
        yield Fault(Invariant.ATTEMPTS, f"its {claim} has the wrong number", legal)
    elif claim.number > most:
        yield Fault(Invariant.ATTEMPTS, f"it has an {claim}", f"it may have {most} at most")
    if ended_at is not None and claim.claimed_at < ended_at:
        yield Fault(
            Invariant.ONE_AT_A_TIME,
            f"its {claim} was claimed at {moment(claim.claimed_at)}, and the one before it was not over",
            f"that one ended at {moment(ended_at)}",
        )
    yield from _window_faults(job, claim)


def attempt_times(
    claim: Claim, started_at: int | None, ended_at: int, outcome: AttemptOutcome | None
) -> Iterator[Fault]:
    """The instants of an attempt that is over."""
    if outcome is AttemptOutcome.LOST:
        return  # it ends when somebody looks, and he may have begun to look before it was claimed
    began = claim.claimed_at if started_at is None else started_at
    if claim.claimed_at <= began <= ended_at:
        return
    started = "" if started_at is None else f", started at {moment(started_at)}"
    yield Fault(
        Invariant.TIMES,
        f"its {claim} was claimed at {moment(claim.claimed_at)}{started} and ended at {moment(ended_at)}",
        "these come one after the other, unless the clock was set back meanwhile",
    )


def _window_faults(job: RecordedJob, claim: Claim) -> Iterator[Fault]:
    """A retry by hand forgets the end of the time in which it may start, and does not wait for the begin."""
    first, end = job.request.execute_after, job.request.expire_on
    is_of_first_life = end is not None or claim.token < FEWEST_IF_RETRIED
    if first is not None and is_of_first_life and claim.claimed_at < first:
        found = f"its {claim} was claimed at {moment(claim.claimed_at)}"
        yield Fault(Invariant.IN_TIME, found, f"its execute_after is {moment(first)}")
    if end is not None and claim.claimed_at >= end:
        found = f"its {claim} was claimed at {moment(claim.claimed_at)}"
        yield Fault(
            Invariant.IN_TIME, found, f"its expire_on is {moment(end)}, and nothing starts then"
        )
