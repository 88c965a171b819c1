"""Settings as files and environments write them, read into what `Options` takes.

Knows how values are written, not which are allowed: ranges are checked by `Options` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from ..model.errors import OptionsError
from ..model.retry import RetryPolicy, exponential, fixed, no_retry
from .rate_settings import read_rates
from .retention_settings import read_retention
from .values import unknown
from .written import is_nothing, read_duration, read_integer

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
            raise unknown(str(key), value, kinds)
        if name in found:
            raise OptionsError(key, value, f"{name!r} is set twice, so write it once only")
        found[name] = _read_value(key, value, kinds[name])
    return found


def _read_value(key: str, value: object, kind: str) -> object:
    if "RateLimit" in kind:
        return read_rates(key, value)
    if isinstance(value, str):
        written = value.strip()
        if "None" in kind and is_nothing(written):
            return None
        for word, reader in _READERS.items():
            if word in kind:
                return reader(key, written)
        return written
    if isinstance(value, Mapping):
        table = cast("Mapping[str, object]", value)
        for word, read_table in _TABLES.items():
            if word in kind:
                return read_table(key, table)
        return table
    return value


def _read_queues(key: str, written: str) -> list[str] | dict[str, int]:
    parts = [part.strip() for part in written.split(",")]
    if "=" not in written:
        return parts
    pairs = [part.partition("=") for part in parts]
    return {name.strip(): read_integer(key, weight.strip()) for name, _, weight in pairs}


def _read_named_policy(key: str, written: str) -> RetryPolicy:
    return _read_policy(key, {written: {}})


def _read_policy(key: str, table: Mapping[str, object]) -> RetryPolicy:
    allowed = (
        f"give a table with one of {', '.join(_POLICIES)}, such as {{'fixed': {{'delay': 5}}}}"
    )
    name, arguments = next(iter(table.items()), ("", None))
    make = _POLICIES.get(str(name).strip().lower().replace("-", "_"))
    if make is None or len(table) != 1 or not isinstance(arguments, Mapping):
        raise OptionsError(key, dict(table), allowed)
    given = cast("Mapping[str, Any]", arguments)
    try:
        return make(
            **{
                word: read_duration(key, value) if isinstance(value, str) else value
                for word, value in given.items()
            }
        )
    except TypeError as error:
        raise OptionsError(key, dict(table), f"{allowed} ({error})") from error


_TABLES: Mapping[str, Callable[[str, Mapping[str, object]], object]] = {
    "RetryPolicy": _read_policy,
    "Retention": read_retention,
}
_READERS: Mapping[str, Callable[[str, str], object]] = {
    "Sequence": _read_queues,
    "RetryPolicy": _read_named_policy,
    "int": read_integer,
    "float": read_duration,
    "timedelta": read_duration,
}
"""By a word in the type of the field; the first that occurs."""
