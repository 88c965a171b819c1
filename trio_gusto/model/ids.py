"""Tracking ids: UUID version 7, so that ids sort by the time they were made.

Inside, an id is its 16 bytes (`JobId`): hashing and comparing bytes is done in C, and SQLite keeps
them as they are. At the public edge it is a `uuid.UUID`.

Layout: RFC 9562 section 5.7, with the sub-millisecond part of section 6.2, method 3, in ``rand_a``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import NewType
from uuid import UUID

JobId = NewType("JobId", bytes)
"""The 16 bytes of a job's tracking id."""

RANDOM_BITS = 62
"""How many random bits `uuid7` takes."""

_MILLISECOND = 1_000_000
_VARIANT = 0b10 << 62
_VERSION = 7 << 12
_pack = Struct(">QQ").pack


def uuid7(nanoseconds: int, random_bits: int) -> JobId:
    """The id of a job made at ``nanoseconds`` since the epoch.

    Two ids made at least 250 ns apart sort in the order they were made; ``random_bits`` is a number
    of `RANDOM_BITS` bits that tells apart those made closer together.
    """
    milliseconds, rest = divmod(nanoseconds, _MILLISECOND)
    # Calling a NewType costs as much as all the rest.
    return _pack(_high(milliseconds) | _fraction(rest), _VARIANT | random_bits)  # type: ignore[return-value]


class IdSource:
    """Makes ids that are ordered by time, strictly so within one source.

    ``draw`` gives random numbers of `RANDOM_BITS` bits, many at a time.
    """

    STEP = 245
    """Nanoseconds by which ids made in the same instant are put apart: one notch of the id's
    clock."""

    __slots__ = ("_begin", "_draw", "_high", "_lows", "_next")

    def __init__(self, draw: Callable[[], Iterable[int]]) -> None:
        self._draw = draw
        self._lows: list[int] = []
        self._next = 0
        self._begin, self._high = -_MILLISECOND, 0
        """The millisecond of the last id: when it began, and what it makes of the id."""

    def make(self, now: int) -> JobId:
        """`uuid7` of ``now`` (nanoseconds), or of the first notch after the last id's."""
        if now < self._next:
            now = self._next
        self._next = now + self.STEP
        rest = now - self._begin
        if not 0 <= rest < _MILLISECOND:
            milliseconds, rest = divmod(now, _MILLISECOND)
            self._begin, self._high = now - rest, _high(milliseconds)
        if not self._lows:
            self._lows = [_VARIANT | bits for bits in self._draw()]
        return _pack(self._high | rest * 4096 // _MILLISECOND, self._lows.pop())  # type: ignore[return-value]


def _high(milliseconds: int) -> int:
    return (milliseconds << 16) | _VERSION


def _fraction(nanoseconds: int) -> int:
    return nanoseconds * 4096 // _MILLISECOND


def to_uuid(job_id: JobId) -> UUID:
    """The public form of an id."""
    return UUID(bytes=job_id)


def to_job_id(value: UUID) -> JobId:
    """The inner form of a public id."""
    return JobId(value.bytes)
