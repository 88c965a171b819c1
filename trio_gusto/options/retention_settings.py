"""`Retention` as a table of a settings file: ``default``, and ``rules``, a list of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import attrs

from ..model.errors import OptionsError
from ..model.retention import Keep, Retention
from .values import unknown
from .written import is_nothing, read_duration

_LISTS = ("states", "tenants", "tags")


def read_retention(key: str, table: Mapping[str, object]) -> Retention:
    """How long ended jobs are kept.

    Raises:
        OptionsError: an entry is unknown, missing or wrong; its key is the whole way to it, such as
            ``retention.rules[0].keep-for``.
    """
    given: dict[str, object] = {}
    for name, (path, value) in _entries(key, table, ("default", "rules")).items():
        if name == "default":
            given[name] = _period(path, value)
        else:
            given[name] = _rules(path, value)
    try:
        return Retention(**given)  # type: ignore[arg-type] # Retention itself says what is wrong
    except OptionsError as error:
        raise _at(f"{key}.default", error) from error


def _rules(key: str, value: object) -> list[Keep]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise OptionsError(key, value, "give a list of tables, one for each rule")
    rules = list(cast("Sequence[object]", value))
    return [_rule(f"{key}[{number}]", rule) for number, rule in enumerate(rules)]


def _rule(key: str, table: object) -> Keep:
    allowed = "give a table such as {'keep-for': 86400, 'states': ['failed']}"
    if not isinstance(table, Mapping):
        raise OptionsError(key, table, allowed)
    names = [field.name for field in attrs.fields(Keep)]
    entries = _entries(key, cast("Mapping[str, object]", table), names)
    if "keep_for" not in entries:
        raise OptionsError(f"{key}.keep-for", None, f"it is missing; {allowed}, or keep-for 'none'")
    given: dict[str, object] = {}
    paths = {name: path for name, (path, _) in entries.items()}
    for name, (path, value) in entries.items():
        given[name] = _list(value) if name in _LISTS else _period(path, value)
    try:
        return Keep(**given)  # type: ignore[arg-type] # Keep itself says what is wrong
    except OptionsError as error:
        raise _at(paths.get(error.key, key), error) from error


def _entries(
    key: str, table: Mapping[str, object], names: Sequence[str]
) -> dict[str, tuple[str, object]]:
    """By name: the way to an entry, as it is written, and its value."""
    found: dict[str, tuple[str, object]] = {}
    for written, value in table.items():
        name, path = str(written).strip().lower().replace("-", "_"), f"{key}.{written}"
        if name not in names:
            raise _at(path, unknown(str(written), value, names))
        if name in found:
            raise OptionsError(path, value, f"{name!r} is set twice, so write it once only")
        found[name] = path, value
    return found


def _period(key: str, value: object) -> object:
    if is_nothing(value):
        return None
    return read_duration(key, value.strip()) if isinstance(value, str) else value


def _list(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _at(key: str, error: OptionsError) -> OptionsError:
    return OptionsError(key, error.value, error.allowed)
