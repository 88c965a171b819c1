"""Instants in words."""

from __future__ import annotations

from ..instants import to_datetime


def moment(instant: int) -> str:
    """An instant, to the microsecond, since two may lie close together."""
    try:
        return to_datetime(instant).isoformat(" ").replace("+00:00", " UTC")
    except (OverflowError, ValueError):
        return f"{instant} µs"
