"""Annotations as types: resolved at run time, one by one.

Names that are local to a function are found while that function runs: in a test, say, that declares
its own classes and handlers. An annotation that cannot be resolved at all (its name is imported for
type checkers only) becomes `Unresolved` and harms no other.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import attrs


@attrs.frozen
class Unresolved:
    """An annotation that names something unknown at run time."""

    text: str
    problem: str


def code_of(fn: Callable[..., Any]) -> Any:
    """The function or method behind partials and callable objects."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if inspect.isfunction(fn) or inspect.ismethod(fn):
        return fn
    of_class = "__init__" if isinstance(fn, type) else "__call__"
    owner = fn if isinstance(fn, type) else type(fn)
    return inspect.getattr_static(owner, of_class, fn)


def hints_of_function(fn: Callable[..., Any]) -> dict[str, Any]:
    """The types of the parameters and of the result (``"return"``) that are annotated."""
    target = inspect.unwrap(code_of(fn))
    annotations = getattr(target, "__annotations__", {})
    names = getattr(target, "__globals__", {})
    return _resolve(annotations, names, _local_names(getattr(target, "__qualname__", "")))


def hints_of_class(kind: type) -> dict[str, Any]:
    """The types of the annotated attributes, inherited ones included; type variables filled in."""
    origin = get_origin(kind) or kind
    found: dict[str, Any] = {}
    for parent in reversed(origin.__mro__):
        annotations = inspect.get_annotations(parent)
        names = vars(sys.modules.get(parent.__module__, SimpleNamespace()))
        local = _local_names(parent.__qualname__) | {parent.__name__: parent}
        found |= _resolve(annotations, names, local)
    arguments = dict(zip(getattr(origin, "__parameters__", ()), get_args(kind), strict=False))
    return {name: _fill_in(hint, arguments) for name, hint in found.items()}


def is_local(qualified_name: str) -> bool:
    """Whether it is defined inside a function."""
    return "<locals>" in qualified_name


def _local_names(qualified_name: str) -> dict[str, Any]:
    """The names around a definition inside a function, as long as that function runs."""
    outer, _, _ = qualified_name.rpartition(".<locals>")
    frame = inspect.currentframe() if outer else None
    while frame is not None:
        if frame.f_code.co_qualname == outer:
            return dict(frame.f_locals)
        frame = frame.f_back
    return {}


def _resolve(
    annotations: Mapping[str, Any], names: Mapping[str, Any], own: dict[str, Any]
) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for name, annotation in annotations.items():
        holder = SimpleNamespace(__annotations__={name: annotation})
        try:
            found = get_type_hints(holder, dict(names), own, include_extras=True)
            hints[name] = found[name]
        except Exception as error:  # noqa: BLE001 - an annotation is code, it may raise anything
            hints[name] = Unresolved(str(annotation), str(error))
    return hints


def _fill_in(hint: Any, arguments: Mapping[Any, Any]) -> Any:
    if isinstance(hint, TypeVar):
        return arguments.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    if not parameters or isinstance(hint, type):
        return hint
    return hint[tuple(arguments.get(parameter, parameter) for parameter in parameters)]
