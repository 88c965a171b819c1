"""Single values as files and environments write them: numbers and durations."""

from __future__ import annotations

import re

from ..model.errors import OptionsError

_CLOCK = re.compile(r"(\d{1,6}):([0-5]\d):([0-5]\d(?:\.\d{1,6})?)")
_NOTHING = frozenset({"", "none", "null"})


def is_nothing(written: object) -> bool:
    """Whether a value stands for ``None``."""
    return written is None or (isinstance(written, str) and written.strip().lower() in _NOTHING)


def read_integer(key: str, written: str) -> int:
    """A whole number.

    Raises:
        OptionsError: it is none.
    """
    try:
        return int(written)
    except ValueError as error:
        raise OptionsError(key, written, "give a whole number") from error


def read_duration(key: str, written: str) -> float:
    """Seconds, from a number of them or from ``"HH:MM:SS"``.

    Raises:
        OptionsError: it is neither.
    """
    clock = _CLOCK.fullmatch(written)
    if clock is not None:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
    try:
        return float(written)
    except ValueError as error:
        raise OptionsError(key, written, 'give seconds, or a duration as "HH:MM:SS"') from error
