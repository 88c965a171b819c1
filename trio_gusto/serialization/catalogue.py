"""`Catalogue`: which form a type has.

A type is looked up in this order: scalars, unions and literals, enums, containers, classes with
fields, and last the user's converter. A type that nobody knows gets a form that refuses every
value: it fails where it is used, not before, so a default that is never given needs no wire form.
"""

from __future__ import annotations

import collections.abc as abc
from collections import deque
from collections.abc import Callable
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Final, Literal, NewType, TypeVar, Union, get_args, get_origin

import cattrs

from .annotations import Unresolved
from .classes import class_form
from .containers import array_form, mapping_form, set_form, tuple_form
from .forms import JSON_KINDS, Form, Misfit, Unfit, json_form, refusing
from .scalars import SCALARS, enum_form
from .unions import literal_form, union_form


class Catalogue:
    """Finds the form of a type, and keeps it.

    ``converter`` is asked for the types that have no wire form of their own; what it makes of them
    must be JSON values.
    """

    def __init__(self, converter: cattrs.Converter | None = None) -> None:
        self._converter = converter
        self._forms: dict[Any, Form] = dict(SCALARS)

    def form(self, kind: Any) -> Form:
        """How values of a type are written and read."""
        try:
            found = self._forms.get(kind)
        except TypeError:  # an annotation that cannot be hashed
            return self._make(kind)
        if found is None:
            found = self._forms[kind] = self._make(kind)
        return found

    def _make(self, kind: Any) -> Form:
        if kind is Any or kind is object:
            return json_form("annotate the parameter with its type")
        if isinstance(kind, Unresolved):
            return json_form(
                f"its annotation {kind.text!r} cannot be resolved at run time ({kind.problem}); "
                "import or define it at the top of the module"
            )
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated or origin is Final:
            return self.form(arguments[0])
        if origin is Union or origin is UnionType:
            return self._union(arguments)
        if kind == tuple[()]:
            return tuple_form(())
        if origin is Literal:
            return literal_form(arguments)
        if isinstance(kind, NewType):
            return self.form(kind.__supertype__)
        if isinstance(kind, TypeVar):
            return self.form(kind.__bound__ or Any)
        if (alias := getattr(kind, "__value__", None)) is not None:
            return self.form(alias)
        return (
            (enum_form(kind) if isinstance(kind, type) and issubclass(kind, Enum) else None)
            or self._container(origin or kind, arguments)
            or class_form(kind, self.form)
            or self._foreign(kind)
        )

    def _union(self, members: tuple[Any, ...]) -> Form:
        if Any in members or object in members:
            return self.form(Any)
        distinct = [
            member
            for member in members
            # ``Literal["auto"] | str`` is any str.
            if get_origin(member) is not Literal
            or not {type(value) for value in get_args(member)} <= set(members)
        ]
        return union_form(tuple(self.form(member) for member in distinct))

    def _container(self, origin: Any, arguments: tuple[Any, ...]) -> Form | None:
        if origin is tuple and arguments and arguments[-1] is not ...:
            return tuple_form(tuple(self.form(each) for each in arguments))
        make = _CONTAINERS.get(origin)
        if make is None:
            return None
        return make(*(self.form(each) for each in arguments if each is not ...))

    def _foreign(self, kind: Any) -> Form:
        name = getattr(kind, "__qualname__", None) or str(kind)
        if self._converter is None:
            return refusing(
                name,
                f"{name} has no wire form; pass a key of the thing instead of the thing, or give "
                "the codec a converter that knows the type",
            )
        try:
            write = self._converter.get_unstructure_hook(kind)
            read = self._converter.get_structure_hook(kind)
        except Exception as error:  # noqa: BLE001 - a converter's hook factories are its user's code
            return refusing(name, f"the converter has no hook for {name}: {error}")
        return _converted(name, kind, write, read)


_ITEM = json_form("annotate its items")


def _mapping(key: Form = SCALARS[str], item: Form = _ITEM) -> Form:
    return mapping_form((dict,), key, item)


def _list(item: Form = _ITEM) -> Form:
    return array_form((list,), list, item)


def _sequence(item: Form = _ITEM) -> Form:
    return array_form((list, tuple), list, item)


def _deque(item: Form = _ITEM) -> Form:
    return array_form((deque,), deque, item)


def _tuple(item: Form = _ITEM) -> Form:
    return array_form((tuple,), tuple, item)


def _set(item: Form = _ITEM) -> Form:
    return set_form((set,), set, item)


def _frozenset(item: Form = _ITEM) -> Form:
    return set_form((frozenset,), frozenset, item)


def _any_set(item: Form = _ITEM) -> Form:
    return set_form((set, frozenset), set, item)


_CONTAINERS: dict[Any, Callable[..., Form]] = {
    list: _list,
    abc.MutableSequence: _list,
    abc.Sequence: _sequence,
    abc.Collection: _sequence,
    abc.Iterable: _sequence,
    tuple: _tuple,
    set: _set,
    abc.MutableSet: _set,
    frozenset: _frozenset,
    abc.Set: _any_set,
    deque: _deque,
    dict: _mapping,
    abc.Mapping: _mapping,
    abc.MutableMapping: _mapping,
}


def _converted(
    name: str, kind: Any, write: Callable[[Any], Any], read: Callable[[Any, Any], Any]
) -> Form:
    json = json_form("the converter wrote it so")

    def dump(value: object) -> object:
        try:
            return json.dump(write(value))
        except Exception as error:  # noqa: BLE001 - a user's hook may raise anything
            return Misfit(f"the converter refused it: {error}")

    def load(wire: object) -> object:
        try:
            return read(wire, kind)
        except Exception as error:
            raise Unfit(f"the converter refused it: {error}") from error

    holds = (kind,) if isinstance(kind, type) else ()
    return Form(name, dump, load, holds, JSON_KINDS)
