"""Tracking ids: UUID version 7, so that ids sort by the time they were made.

Inside, an id is its 16 bytes (`JobId`): hashing and comparing bytes is done in C, and SQLite keeps
them as they are. At the public edge it is a `uuid.UUID`.

Layout: RFC 9562 section 5.7, with the sub-millisecond part of section 6.2, method 3, in ``rand_a``.
"""

from __future__ import annotations

from struct import Struct
from typing import NewType
from uuid import UUID

JobId = NewType("JobId", bytes)
"""The 16 bytes of a job's tracking id."""

RANDOM_BITS = 62
"""How many random bits `uuid7` takes."""

_VARIANT = 0b10 << 62
_VERSION = 7 << 12
_pack = Struct(">QQ").pack


def uuid7(nanoseconds: int, random_bits: int) -> JobId:
    """The id of a job made at ``nanoseconds`` since the epoch.

    Two ids made at least 250 ns apart sort in the order they were made; ``random_bits`` is a number
    of `RANDOM_BITS` bits that tells apart those made closer together.
    """
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    high = (milliseconds << 16) | _VERSION | (rest * 4096 // 1_000_000)
    # Calling a NewType costs as much as all the rest.
    return _pack(high, _VARIANT | random_bits)  # type: ignore[return-value]


def to_uuid(job_id: JobId) -> UUID:
    """The public form of an id."""
    return UUID(bytes=job_id)


def to_job_id(value: UUID) -> JobId:
    """The inner form of a public id."""
    return JobId(value.bytes)
