"""Settings as files and environments write them, read into what `Options` takes.

Knows how values are written, not which are allowed: ranges are checked by `Options` itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from ..model.errors import OptionsError
from ..model.retry import RetryPolicy, exponential, fixed, no_retry
from .rate_settings import read_rates
from .values import unknown

_CLOCK = re.compile(r"(\d{1,6}):([0-5]\d):([0-5]\d(?:\.\d{1,6})?)")
_POLICIES: Mapping[str, Callable[..., RetryPolicy]] = {
    "exponential": exponential,
    "fixed": fixed,
    "no_retry": no_retry,
}


def read(mapping: Mapping[str, object], kinds: Mapping[str, str]) -> dict[str, Any]:
    """The arguments for `Options`; ``kinds`` are its fields and their types.

    Raises:
        OptionsError: a key is unknown or comes twice, or a value cannot be read.
    """
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        name = str(key).strip().lower().replace("-", "_")
        if name not in kinds:
            raise unknown(key, value, kinds)
        if name in found:
            raise OptionsError(key, value, f"{name!r} is set twice, so write it once only")
        found[name] = _read_value(key, value, kinds[name])
    return found


def _read_value(key: str, value: object, kind: str) -> object:
    if "RateLimit" in kind:
        return read_rates(key, value, _read_duration)
    if isinstance(value, str):
        written = value.strip()
        if "None" in kind and written.lower() in {"", "none", "null"}:
            return None
        for word, reader in _READERS.items():
            if word in kind:
                return reader(key, written)
        return written
    if kind == "RetryPolicy" and isinstance(value, Mapping):
        return _read_policy(key, cast("Mapping[str, object]", value))
    return value


def _read_integer(key: str, written: str) -> int:
    try:
        return int(written)
    except ValueError as error:
        raise OptionsError(key, written, "give a whole number") from error


def _read_duration(key: str, written: str) -> float:
    clock = _CLOCK.fullmatch(written)
    if clock is not None:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
    try:
        return float(written)
    except ValueError as error:
        raise OptionsError(key, written, 'give seconds, or a duration as "HH:MM:SS"') from error


def _read_queues(key: str, written: str) -> list[str] | dict[str, int]:
    parts = [part.strip() for part in written.split(",")]
    if "=" not in written:
        return parts
    pairs = [part.partition("=") for part in parts]
    return {name.strip(): _read_integer(key, weight.strip()) for name, _, weight in pairs}


def _read_named_policy(key: str, written: str) -> RetryPolicy:
    return _read_policy(key, {written: {}})


def _read_policy(key: str, table: Mapping[str, object]) -> RetryPolicy:
    allowed = (
        f"give a table with one of {', '.join(_POLICIES)}, such as {{'fixed': {{'delay': 5}}}}"
    )
    name, arguments = next(iter(table.items()), ("", None))
    make = _POLICIES.get(name.strip().lower().replace("-", "_"))
    if make is None or len(table) != 1 or not isinstance(arguments, Mapping):
        raise OptionsError(key, dict(table), allowed)
    given = cast("Mapping[str, Any]", arguments)
    try:
        return make(
            **{
                word: _read_duration(key, value) if isinstance(value, str) else value
                for word, value in given.items()
            }
        )
    except TypeError as error:
        raise OptionsError(key, dict(table), f"{allowed} ({error})") from error


_READERS: Mapping[str, Callable[[str, str], object]] = {
    "Sequence": _read_queues,
    "RetryPolicy": _read_named_policy,
    "int": _read_integer,
    "float": _read_duration,
    "timedelta": _read_duration,
}
"""By a word in the type of the field; the first that occurs."""
