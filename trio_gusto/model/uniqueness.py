"""What becomes of a new job whose unique key is held.

Rule 1: a job holds its key while it is live, and gives it back with its end: in the same change.
Rule 2: of two live jobs with one key there is never a moment. A new one that meets the holder is
        refused, or answered with the holder, or takes its place.
Rule 3: only a job that has not begun can be replaced. One that runs, or whose callback does, cannot
        be taken back at once, and two would run.

Storages ask this inside their transaction, so nobody can come between the answer and the insert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

import attrs

from .errors import DuplicateJob
from .happenings import CalledOff, Settlement
from .ids import JobId, to_uuid
from .job import JobRequest, StoredJob
from .lifecycle import advance, may
from .states import AwaitingCallback, State


class OnConflict(StrEnum):
    """What is done when a job with the same ``unique_key`` is live."""

    RAISE = "raise"
    RETURN_EXISTING = "return_existing"
    REPLACE = "replace"


@attrs.define
class Replacement:
    """The new job ``by`` takes the place of ``job``, which becomes what ``settlement`` says."""

    by: JobId
    job: JobId
    settlement: Settlement


@attrs.define
class Admission:
    """What becomes of new jobs, by position: the others are stored as they are.

    ``existing`` are not stored: the job with this id has their key.
    """

    existing: dict[int, JobId] = attrs.field(factory=dict[int, JobId])
    replacements: list[Replacement] = attrs.field(factory=list[Replacement])


def stored_requests(
    requests: Sequence[JobRequest], states: Sequence[State], answer: Admission
) -> tuple[Sequence[JobRequest], Sequence[State]]:
    """Those that are stored."""
    if not answer.existing:
        return requests, states
    kept = [n for n in range(len(requests)) if n not in answer.existing]
    return [requests[n] for n in kept], [states[n] for n in kept]


def key_of(request: JobRequest) -> str | None:
    """The unique key that the job holds while it is live."""
    details = request.details
    return None if details is None else details.unique_key


def has_keys(requests: Sequence[JobRequest]) -> bool:
    """Whether any of them has a unique key."""
    return any(
        request.details is not None and request.details.unique_key is not None
        for request in requests
    )


def admission(
    requests: Sequence[JobRequest],
    states: Sequence[State],
    holder: Callable[[str], StoredJob | None],
) -> Admission | DuplicateJob:
    """What becomes of ``requests``, one after the other; ``holder`` finds who holds a key now."""
    result = Admission()
    met: dict[str, StoredJob] = {}
    for position, (request, state) in enumerate(zip(requests, states, strict=True)):
        key = key_of(request)
        if key is None or state.word.is_ended:
            continue
        held_by = met.get(key) or holder(key)
        if held_by is not None:
            answer = _meet(request, held_by)
            if isinstance(answer, DuplicateJob):
                return answer
            if answer is None:
                result.existing[position] = held_by.request.id
                continue
            result.replacements.append(Replacement(request.id, held_by.request.id, answer))
        met[key] = StoredJob(request, 0, state)
    return result


Key = tuple[JobId, str]
"""A job and its unique key."""


def keys_of(requests: Sequence[JobRequest], states: Sequence[State]) -> list[Key]:
    """The keys that these jobs hold once they are stored."""
    return [
        (request.id, request.details.unique_key)
        for request, state in zip(requests, states, strict=True)
        if request.details is not None
        and request.details.unique_key is not None
        and not state.word.is_ended
    ]


def taken(keys: Iterable[Key], holder: Callable[[str], JobId | None]) -> DuplicateJob | None:
    """The refusal of new jobs, if somebody holds a key of theirs, or two of them want the same.

    For those of a batch, which give way to nobody: one that another job stands in for would be in
    no batch, or in two.
    """
    met: dict[str, JobId] = {}
    for job_id, key in keys:
        held_by = met.get(key) or holder(key)
        if held_by is not None:
            return DuplicateJob("unique_key", key, to_uuid(held_by))
        met[key] = job_id
    return None


def _meet(request: JobRequest, holder: StoredJob) -> Settlement | DuplicateJob | None:
    """What becomes of the holder; ``None``: nothing, and the new job is not stored."""
    details = request.details
    assert details is not None
    happening = CalledOff(request.created_at, f"replaced by {to_uuid(request.id)}")
    if details.on_conflict == OnConflict.RETURN_EXISTING:
        return None
    has_returned = isinstance(holder.state, AwaitingCallback)
    if (
        details.on_conflict == OnConflict.REPLACE
        and not has_returned
        and may(holder.state, CalledOff)
    ):
        return advance(holder, happening)
    return DuplicateJob("unique_key", details.unique_key, to_uuid(holder.request.id))
