"""Which values options may have: one check per kind of value.

Every check gives the value in its inner form, or raises `OptionsError` naming the key, the value
and the allowed range. A ``bool`` is never a number here, though Python says that it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, cast

import orjson

from ..model.errors import OptionsError
from ..model.instants import to_datetime, to_duration, to_instant
from ..model.rates import RateLimit

LONGEST = 100 * 366 * 86_400.0
"""Seconds that a duration may have: a hundred years. An instant that far from now can be stored."""

MAX_NAME = 255
MAX_TAGS = 100
MAX_METADATA = 65_536
MAX_DEPTH = 32


def integer(key: str, value: object, low: int, high: int) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise OptionsError(key, value, f"give a whole number from {low:_} to {high:_}")
    return int(value)


def seconds(key: str, value: Any, low: float = 0.0, high: float = LONGEST) -> float:
    """A duration in seconds, given in seconds or as a ``timedelta``."""
    length: Any = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = isinstance(length, int | float) and not isinstance(length, bool)
    # The comparison is false for NaN and infinities, and exact for integers of any size.
    if is_number and low <= length <= high:
        return float(length)
    longest = "a hundred years" if high == LONGEST else f"{high:_.15g} seconds"
    raise OptionsError(
        key, value, f"give seconds or a timedelta, from {low:_.15g} seconds to {longest}"
    )


def microseconds(key: str, value: object, low: float = 0.0) -> int:
    """A duration in microseconds, given in seconds or as a ``timedelta``."""
    seconds(key, value, low)
    return to_duration(cast("float | timedelta", value))


def rate_limit(key: str, value: object) -> RateLimit:
    """A rate limit."""
    if not isinstance(value, RateLimit):
        raise OptionsError(key, value, "give a RateLimit, such as RateLimit(100, per=60)")
    return value


def instant(key: str, value: datetime) -> int:
    """The microseconds since 1970-01-01 UTC of an aware ``datetime``."""
    try:
        found = to_instant(value)
        to_datetime(found)
    except ValueError as error:
        raise OptionsError(
            key,
            value,
            "without a time zone it names no instant, so give an aware datetime, such as "
            "datetime.now(timezone.utc), or a duration from now",
        ) from error
    except OverflowError as error:
        raise OptionsError(key, value, "give an instant of the years 1 to 9999 UTC") from error
    return found


def text(key: str, value: object, *, may_be_empty: bool = False, longest: int = MAX_NAME) -> str:
    """A name: it can be stored, compared and printed anywhere."""
    if not isinstance(value, str) or len(value) > longest or not (value or may_be_empty):
        least = 0 if may_be_empty else 1
        raise OptionsError(key, value, f"give a text of {least} to {longest} characters")
    if not is_storable(value):
        raise OptionsError(key, value, "give a text without NUL characters and lone surrogates")
    return str(value)


def is_storable(value: str) -> bool:
    """Whether every storage takes this text: no NUL, and an encoding in UTF-8."""
    if value.isascii():
        return "\0" not in value
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def texts(key: str, value: Any, most: int = MAX_TAGS) -> tuple[str, ...]:
    """Several names, each once, in the order given."""
    given: object = value
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise OptionsError(key, given, "give several texts, such as a list or a set of them")
    names = dict.fromkeys(text(key, name) for name in cast("Iterable[object]", value))
    if len(names) > most:
        raise OptionsError(key, given, f"give {most} texts at most")
    # A set has another order in every process; what is stored should not.
    return tuple(sorted(names) if isinstance(given, set | frozenset) else names)


def json_object(key: str, value: object) -> Mapping[str, object]:
    """A mapping of JSON values: a copy, so that changing the original changes no job."""
    given = value
    if not isinstance(given, Mapping):
        raise OptionsError(key, value, "give a mapping from texts to JSON values")
    _require_json(key, value, "$", 0)
    try:
        wire = orjson.dumps(value, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise OptionsError(key, value, f"give JSON values only ({error})") from error
    if len(wire) > MAX_METADATA:
        raise OptionsError(
            key, f"<{len(wire)} bytes of JSON>", f"give at most {MAX_METADATA} bytes of JSON"
        )
    return cast("dict[str, object]", orjson.loads(wire))


def unknown(key: str, value: object, known: Iterable[str]) -> OptionsError:
    """The error for an option that does not exist."""
    names = sorted(known)
    close = get_close_matches(key, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}"
    return OptionsError(key, value, f"there is no such option; {hint}")


def _require_json(key: str, value: object, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise OptionsError(key, path, f"nest JSON values {MAX_DEPTH} levels deep at most")
    match value:
        case None | bool():
            return
        case str() if is_storable(value):
            return
        case int() if -(2**63) <= value < 2**63:
            return
        case float() if math.isfinite(value):
            return
        case list() | tuple():
            for index, item in enumerate(cast("list[object]", value)):
                _require_json(key, item, f"{path}[{index}]", depth + 1)
        case Mapping():
            for name, item in cast("Mapping[object, object]", value).items():
                if not isinstance(name, str) or not is_storable(name):
                    raise OptionsError(key, name, f"give texts as keys (this one is at {path})")
                _require_json(key, item, f"{path}.{name}", depth + 1)
        case _:
            raise OptionsError(
                key,
                value,
                "give JSON values only: None, bool, 64-bit int, finite float, text without NUL, "
                f"list, mapping (this one is at {path})",
            )


def _plain(value: object) -> object:
    """What orjson does not know but `_require_json` let through: mappings that are no dict."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    raise TypeError(type(value).__name__)
