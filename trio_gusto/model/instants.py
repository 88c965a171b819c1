"""Instants and durations: integers inside, aware ``datetime`` and ``timedelta`` at the edge.

An *instant* is an ``int`` of microseconds since 1970-01-01 UTC, a *duration* an ``int`` of
microseconds. Both compare, add and store without rounding, and cost a tenth of a ``datetime``.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

MICROSECONDS = 1_000_000
"""Microseconds in one second."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE = timedelta(microseconds=1)


def to_instant(moment: datetime) -> int:
    """Microseconds since the epoch of an aware ``datetime``.

    Raises:
        ValueError: ``moment`` has no time zone, so it names no instant.
    """
    if moment.utcoffset() is None:
        raise ValueError(
            f"{moment!r} has no time zone, so it names no instant; "
            "use an aware datetime such as datetime.now(timezone.utc)"
        )
    return (moment - _EPOCH) // _ONE


def to_datetime(instant: int) -> datetime:
    """The aware UTC ``datetime`` of an instant."""
    return _EPOCH + timedelta(microseconds=instant)


def to_optional_datetime(instant: int | None) -> datetime | None:
    """Like `to_datetime`, with ``None`` for ``None``."""
    return None if instant is None else to_datetime(instant)


def to_duration(length: float | timedelta) -> int:
    """Microseconds of a length given in seconds or as a ``timedelta``.

    Raises:
        ValueError: ``length`` is not a finite number of seconds.
    """
    if isinstance(length, timedelta):
        return length // _ONE
    if isinstance(length, bool) or not isinstance(length, int | float) or not math.isfinite(length):
        raise ValueError(
            f"{length!r} is no duration; give a finite number of seconds or a timedelta"
        )
    return round(length * MICROSECONDS)
