"""How explanations put things."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ..ids import JobId, to_uuid
from ..instants import to_datetime

MOST_NAMED = 100
"""So many of the jobs in the way are named, at most."""


def at(instant: int) -> str:
    """An instant, to the second."""
    return f"{to_datetime(instant):%Y-%m-%d %H:%M:%S} UTC"


def count(jobs: Sequence[JobId], noun: str) -> str:
    """How many there are."""
    return f"{len(jobs)} {noun}{'' if len(jobs) == 1 else 's'}"


def have(jobs: Sequence[JobId]) -> str:
    """The verb for so many."""
    return "has" if len(jobs) == 1 else "have"


def named(jobs: Sequence[JobId]) -> tuple[UUID, ...]:
    """The jobs in the way, as users name them."""
    return tuple(map(to_uuid, jobs[:MOST_NAMED]))
