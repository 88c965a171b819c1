"""Who waits for whom: links that are there, and claims that came when the parents had ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..dependencies import PARENTS_FAILED
from ..ids import JobId
from ..states import JobState
from .findings import Fault, Invariant
from .records import RecordedJob, RecordedParent
from .words import moment, named

RELEASED_TOKEN = 2
"""The token of a claim before which nothing but a release has happened."""


def wait_faults(job: RecordedJob) -> Iterator[Fault]:
    """A waiting job is found by its links when its parents end; without one it would wait for ever."""
    wanted = set(job.waits_for)
    gone = sorted(named(parent) for parent in wanted - job.there)
    if gone:
        found = f"it waits for {', '.join(gone)}, which is not there"
        yield Fault(Invariant.WAITS, found, "what is waited for is kept")
    if set(job.links) != wanted:
        missing, more = wanted - set(job.links), set(job.links) - wanted
        parts = [f"is not linked to {_named(missing)}"] if missing else []
        parts += [f"is linked to {_named(more)}"] if more else []
        legal = "it waits for these parents, and so is linked to them" if wanted else ""
        legal = legal or "a job that waits for nobody has no links"
        yield Fault(Invariant.WAITS, f"it {' and '.join(parts)}", legal)


def continuation_faults(job: RecordedJob) -> Iterator[Fault]:
    """What can be said of parents without knowing the condition, which is not kept.

    A parent may have been retried by hand afterwards, and a continuation too; where that cannot be ruled
    out, nothing is said.
    """
    claim = _released_claim(job)
    if claim is not None:
        for parent in job.parents:
            has_ended = parent.ended_at is not None and parent.ended_at <= claim
            if parent.state is not None and not has_ended and is_of_first_life(parent):
                yield Fault(
                    Invariant.CONTINUATIONS,
                    f"it was claimed at {moment(claim)}, and its parent {named(parent.id)} {_then(parent)}",
                    "a continuation is claimed when all its parents have ended",
                )
    if _has_given_up(job) and all(map(_has_completed, job.parents)):
        found = "it was given up, and all its parents have completed"
        yield Fault(Invariant.CONTINUATIONS, found, "then it is released")


def _has_given_up(job: RecordedJob) -> bool:
    is_cancelled = job.state is JobState.CANCELLED and job.reason == PARENTS_FAILED
    return is_cancelled and job.version == 1 and bool(job.parents)


def _has_completed(parent: RecordedParent) -> bool:
    """Whether it surely completed, and never ended otherwise before."""
    return parent.state is JobState.COMPLETED and not parent.of_batch and is_of_first_life(parent)


def is_of_first_life(parent: RecordedParent) -> bool:
    """Whether it was surely never retried by hand: its version has no room for it."""
    fewest = 2 * parent.attempts
    if parent.state is JobState.PROCESSING:
        fewest += 1
    elif parent.state is JobState.COMPLETED:
        fewest += 1 if parent.has_success else 2
    return parent.version == fewest


def _released_claim(job: RecordedJob) -> int | None:
    """When it was claimed after its release, if that was surely one."""
    details = job.request.details
    if details is None or not details.parents:
        return None
    if job.attempts:
        first = job.attempts[0]
        return first.claimed_at if first.token == RELEASED_TOKEN else None
    return job.claimed_at if job.is_claimed and job.claim_token == RELEASED_TOKEN else None


def _then(parent: RecordedParent) -> str:
    if parent.ended_at is None:
        assert parent.state is not None
        return f"is {parent.state.value}"
    return f"ended at {moment(parent.ended_at)}"


def _named(parents: Iterable[JobId | None]) -> str:
    gone = "one that is not there"
    return ", ".join(sorted(gone if one is None else named(one) for one in parents))
