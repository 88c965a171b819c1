"""Instants and ids in words; never fails, whatever a file says."""

from __future__ import annotations

from ..ids import JobId, to_uuid
from ..instants import to_datetime

ID_SIZE = 16
"""Bytes of an id."""


def moment(instant: int) -> str:
    """An instant, to the microsecond, since two may lie close together."""
    try:
        return to_datetime(instant).isoformat(" ").replace("+00:00", " UTC")
    except (OverflowError, ValueError):
        return f"{instant} µs"


def named(job_id: JobId) -> str:
    """An id; what is none, in hexadecimal digits."""
    return str(to_uuid(job_id)) if len(job_id) == ID_SIZE else f"0x{job_id[:32].hex()}"
