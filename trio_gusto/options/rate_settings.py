"""Rate limits as settings write them: ``"100/minute"``, or a table of ``count``, ``per`` and ``burst``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from ..model.errors import OptionsError
from ..model.rates import RateLimit
from .written import read_duration

_UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_RATE = re.compile(r"(\d(?:_?\d){0,12}) */ *(\d{1,9})? *([a-z]+)")
_ALLOWED = (
    'give a text such as "100/minute" or "5/10s" (second, minute, hour or day), or a table of '
    '"count", "per" and perhaps "burst"'
)


def read_rates(key: str, written: object) -> Mapping[str, RateLimit]:
    """The limits of queues: ``"mail=100/minute, reports=5/10s"``, or a table.

    Raises:
        OptionsError: it cannot be read.
    """
    if isinstance(written, str):
        pairs = [part.partition("=") for part in written.split(",") if part.strip()]
        table: Mapping[str, object] = {name.strip(): rate for name, _, rate in pairs}
    elif isinstance(written, Mapping):
        table = cast("Mapping[str, object]", written)
    else:
        raise OptionsError(key, written, "give a table from names of queues to limits")
    return {name: _read_rate(f"{key}.{name}", rate) for name, rate in table.items()}


def _read_rate(key: str, written: object) -> RateLimit:
    if isinstance(written, RateLimit):
        return written
    try:
        if isinstance(written, str):
            return _read_text(key, written.strip().lower())
        if isinstance(written, Mapping):
            return _read_table(key, cast("Mapping[str, object]", written))
    except OptionsError as error:
        if error.key != key:  # one of the parts is out of range
            raise OptionsError(f"{key}.{error.key}", error.value, error.allowed) from error
        raise
    raise OptionsError(key, written, _ALLOWED)


def _read_text(key: str, written: str) -> RateLimit:
    found = _RATE.fullmatch(written)
    unit = None if found is None else _unit(found[3])
    if found is None or unit is None:
        raise OptionsError(key, written, _ALLOWED)
    return RateLimit(int(found[1]), per=int(found[2] or 1) * unit)


def _unit(word: str) -> int | None:
    """The seconds of a unit, which may be cut short, or in the plural."""
    single = word.removesuffix("s") or word
    return next((size for name, size in _UNITS.items() if name.startswith(single)), None)


def _read_table(key: str, table: Mapping[str, object]) -> RateLimit:
    if not {"count", "per"} <= set(table) <= {"count", "per", "burst"}:
        raise OptionsError(key, dict(table), _ALLOWED)
    parts = dict(table)
    per = parts["per"]
    if isinstance(per, str):
        unit = _unit(per.strip().lower())
        parts["per"] = read_duration(key, per.strip()) if unit is None else unit
    for name in ("count", "burst"):
        value = parts.get(name)
        if isinstance(value, str) and value.strip().isdecimal():
            parts[name] = int(value)
    return RateLimit(**parts)  # type: ignore[arg-type]  # it checks them
