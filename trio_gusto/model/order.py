"""Claim order: by priority, then by due instant, then by sequence; or, with ageing, by one number.

With ageing every span of so much time that a job has been due counts as one step of priority. Whatever the
time is, of two jobs the same one goes first: a later instant makes both older. So the order is a constant of
each job, and nothing has to be rewritten as time goes by: a job of priority ``p`` stands where one of
priority 0 would that was due ``p`` spans earlier.
"""

from __future__ import annotations

Place = tuple[int, int, int]
"""Where a job stands: places compare as their jobs go."""


def place(rank: int, due: int, sequence: int, ageing: int | None) -> Place:
    """The place of a job; ``rank`` is its priority, negated, and ``ageing`` the span in microseconds."""
    if ageing is None:
        return rank, due, sequence
    return due + rank * ageing, 0, sequence
