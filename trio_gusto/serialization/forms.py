"""A form: how values of one type are written as JSON, and read back.

Both directions are strict, so that what a caller gives is what the handler gets, or an error:

- ``dump`` never raises. What does not fit leaves a `Misfit` in the tree it returns; JSON cannot
  hold that, so writing the tree fails, and only then `first_fault` looks for the place.
- ``load`` raises `Unfit`, and containers add the step that led there on its way out.

This file knows no type but JSON's own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, TypeGuard

import attrs

MAX_DEPTH = 250
"""Arrays and objects inside each other that can be written."""

MIN_INT = -(2**63)
MAX_INT = 2**64 - 1

JSON_KINDS: frozenset[type] = frozenset({type(None), bool, int, float, str, list, dict})
"""The kinds of JSON values, each named by the Python type it is read as."""


@attrs.define(eq=False)
class Form:
    """How values of one type are written and read.

    ``holds`` are the classes of the values it takes, ``wire`` the JSON kinds it writes. Values
    whose class is exactly ``exact`` are their own wire form, except for floats that are not finite.
    """

    name: str
    dump: Callable[[Any], object]
    load: Callable[[Any], Any]
    holds: tuple[type, ...]
    wire: frozenset[type]
    exact: type | None = None


class Misfit:
    """Stands in a tree where a value could not be written, and says why."""

    __slots__ = ("message",)

    def __init__(self, message: str) -> None:
        self.message = message


class Unfit(Exception):
    """A value cannot be written or read; ``path`` leads to it from where the error is caught."""

    def __init__(self, message: str, path: str = "") -> None:
        self.message = message
        self.path = path
        super().__init__(message)

    def under(self, step: str) -> Unfit:
        """The same, seen from one container further out."""
        self.path = step + self.path
        return self


def is_array(wire: object) -> TypeGuard[list[Any]]:
    """Whether a JSON value is an array."""
    return type(wire) is list


def is_object(wire: object) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object."""
    return type(wire) is dict


def step(key: str) -> str:
    """One key's part of a path: ``.name``, or ``["any text"]``."""
    return f".{key}" if key.isidentifier() else f"[{json.dumps(key)}]"


def shown(value: object) -> str:
    """A value in a message: its class and a short ``repr``."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a caller's __repr__ may raise anything
        return f"a {type(value).__qualname__}"
    if value is None:
        return text
    if len(text) > 60:
        text = text[:57] + "..."
    return f"the {type(value).__qualname__} {text}"


def expected(name: str, value: object) -> str:
    """The message for a value that is not what its annotation says."""
    return f"expected {name}, not {shown(value)}"


def refusing(name: str, message: str) -> Form:
    """The form of a type that cannot be stored: every use of it is answered with ``message``."""

    def dump(_value: object) -> object:
        return Misfit(message)

    def load(_wire: object) -> object:
        raise Unfit(message)

    return Form(name, dump, load, (), frozenset())


def json_form(advice: str) -> Form:
    """The form of a value without a type: JSON values only, which come back as they were."""

    def dump(value: object) -> object:
        if isinstance(value, float) and not math.isfinite(value):
            return Misfit(f"{value!r} is not a number that JSON knows")
        if is_array(value):
            return [dump(item) for item in value]
        if is_object(value):
            return {
                key: dump(item) if type(key) is str else Misfit(expected("a str as key", key))
                for key, item in value.items()
            }
        if type(value) in JSON_KINDS:
            return value
        return Misfit(f"{shown(value)} is not a JSON value; {advice}")

    return Form("JSON", dump, lambda wire: wire, tuple(JSON_KINDS), JSON_KINDS)


def first_fault(tree: object, path: str = "") -> Unfit | None:
    """The first thing in a tree that JSON cannot hold, if there is one."""
    pending: list[tuple[str, object, int]] = [(path, tree, 0)]
    while pending:
        path, node, depth = pending.pop()
        message = _fault_of(node, depth)
        if message is not None:
            return Unfit(message, path)
        if is_array(node):
            items = [(f"{path}[{index}]", item) for index, item in enumerate(node)]
        elif is_object(node):
            items = [(path + step(key), item) for key, item in node.items()]
        else:
            continue
        # Reversed, so that the stack gives the first item first.
        pending.extend((inner, item, depth + 1) for inner, item in reversed(items))
    return None


def _fault_of(node: object, depth: int) -> str | None:
    if isinstance(node, Misfit):
        return node.message
    if isinstance(node, bool) or node is None:
        return None
    if isinstance(node, int):
        return None if MIN_INT <= node <= MAX_INT else _too_big(node)
    if isinstance(node, str):
        return None if _is_text(node) else f"{shown(node)} holds a lone surrogate"
    if isinstance(node, float):
        return None if math.isfinite(node) else f"{node!r} is not a number that JSON knows"
    if not is_array(node) and not is_object(node):
        return f"{shown(node)} is not a JSON value"
    if depth > MAX_DEPTH:
        return f"it is nested more than {MAX_DEPTH} levels deep"
    return _fault_of_keys(node) if is_object(node) else None


def _fault_of_keys(node: dict[Any, Any]) -> str | None:
    for key in node:
        if not isinstance(key, str):
            return expected("a str as key", key)
        if not _is_text(key):
            return f"the key {key!r} holds a lone surrogate"
    return None


def _too_big(number: int) -> str:
    return (
        f"an int of {number.bit_length()} bits does not fit into 64; "
        "annotate the parameter as Decimal or str to store it"
    )


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
