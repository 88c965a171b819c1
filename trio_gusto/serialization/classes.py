"""The wire forms of classes with fields: objects with one key for each field.

attrs classes, dataclasses, named tuples and typed dictionaries; pydantic models as pydantic has it.
A field that has its default is written all the same, so that a changed default changes no stored
job; one that is missing takes the default when it is read, so that fields can be added.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NotRequired, Required, get_args, get_origin

import attrs

from .annotations import hints_of_class
from .containers import OBJECT
from .forms import Form, Misfit, Unfit, expected, is_object, json_form, step

ADVICE = "annotate the field"


@attrs.define
class Field:
    """One field: its attribute and key, the constructor's argument, and its form."""

    key: str
    argument: str
    form: Form
    required: bool


Lookup = Callable[[Any], Form]
"""Finds the form of a type."""


def class_form(kind: Any, lookup: Lookup) -> Form | None:
    """The form of a class with fields; ``None`` if it is no such class."""
    origin: Any = get_origin(kind) or kind
    if not isinstance(origin, type):
        return None
    parents = origin.__mro__
    if dict in parents and hasattr(origin, "__required_keys__"):
        return _typed_dict_form(kind, origin, lookup)
    if _is_pydantic(parents):
        return _pydantic_form(origin)
    if hasattr(origin, "__attrs_attrs__"):
        declared = _attrs_fields
    elif hasattr(origin, "__dataclass_fields__"):
        declared = _dataclass_fields
    elif tuple in parents and hasattr(origin, "_fields"):
        declared = _named_tuple_fields
    else:
        return None

    # Looked up at the first use: a class may have itself in a field.
    @functools.cache
    def fields() -> tuple[Field, ...]:
        hints = hints_of_class(kind)
        found = tuple(
            Field(name, argument, _field_form(hints, name, lookup), required)
            for name, argument, required in declared(origin)
        )
        # A constructor that wants more than the fields could not read what was written: a TypeError.
        inspect.signature(origin).bind(**dict.fromkeys(field.argument for field in found))
        return found

    return _instance_form(origin, fields)


def _field_form(hints: Mapping[str, Any], name: str, lookup: Lookup) -> Form:
    return lookup(hints[name]) if name in hints else json_form(ADVICE)


Declared = Iterator[tuple[str, str, bool]]


def _attrs_fields(kind: Any) -> Declared:
    for field in attrs.fields(kind):
        if field.init:
            yield field.name, field.alias or field.name, field.default is attrs.NOTHING


def _dataclass_fields(kind: Any) -> Declared:
    for field in dataclasses.fields(kind):
        if field.init:
            missing = dataclasses.MISSING
            required = field.default is missing and field.default_factory is missing
            yield field.name, field.name, required


def _named_tuple_fields(kind: Any) -> Declared:
    for name in kind._fields:
        yield name, name, name not in kind._field_defaults


def _instance_form(kind: type, fields: Callable[[], tuple[Field, ...]]) -> Form:
    name = f"a {kind.__name__}"

    def dump(value: object) -> object:
        # Not isinstance: what a subclass adds would be lost without a word.
        if type(value) is not kind:
            return Misfit(expected(name, value))
        return {field.key: field.form.dump(getattr(value, field.key)) for field in fields()}

    def load(wire: object) -> object:
        arguments = _read_fields(name, wire, fields())
        try:
            return kind(**arguments)
        except Exception as error:  # a constructor may raise anything
            raise Unfit(f"{kind.__name__} refused it: {error}") from error

    return Form(name, dump, load, (kind,), OBJECT)


def _read_fields(name: str, wire: object, fields: tuple[Field, ...]) -> dict[str, Any]:
    if not is_object(wire):
        raise Unfit(expected(f"{name} as an object", wire))
    arguments: dict[str, Any] = {}
    for field in fields:
        if field.key in wire:
            try:
                arguments[field.argument] = field.form.load(wire[field.key])
            except Unfit as unfit:
                raise unfit.under(step(field.key)) from unfit.__cause__
        elif field.required:
            raise Unfit("is missing", step(field.key))
    if len(arguments) != len(wire):
        known = {field.key for field in fields}
        unknown = next(key for key in wire if key not in known)
        raise Unfit(f"is unknown to {name.removeprefix('a ')}", step(unknown))
    return arguments


def _typed_dict_form(kind: Any, origin: Any, lookup: Lookup) -> Form:
    name = f"a {origin.__name__}"

    @functools.cache
    def fields() -> tuple[Field, ...]:
        found: list[Field] = []
        for key, hint in hints_of_class(kind).items():
            required = key in origin.__required_keys__
            # With postponed annotations the class itself could not see these.
            inner = hint
            if get_origin(hint) in (Required, NotRequired):
                required = get_origin(hint) is Required
                (inner,) = get_args(hint)
            found.append(Field(key, key, lookup(inner), required))
        return tuple(found)

    def dump(value: object) -> object:
        if not is_object(value):
            return Misfit(expected(name, value))
        tree: dict[str, object] = {}
        for field in fields():
            if field.key in value:
                tree[field.key] = field.form.dump(value[field.key])
            elif field.required:
                tree[field.key] = Misfit("is missing")
        if len(tree) != len(value):
            extra = (key for key in value if key not in tree)
            return Misfit(f"the key {next(extra, '')!r} is unknown to {origin.__name__}")
        return tree

    return Form(name, dump, lambda wire: _read_fields(name, wire, fields()), (dict,), OBJECT)


def _is_pydantic(parents: tuple[type, ...]) -> bool:
    # A model can only be met when its user has imported pydantic; this package never does.
    pydantic = sys.modules.get("pydantic")
    return getattr(pydantic, "BaseModel", None) in parents


def _pydantic_form(kind: Any) -> Form:
    name = f"a {kind.__name__}"
    json = json_form("pydantic wrote it so; give the field a serializer")

    def dump(value: Any) -> object:
        if type(value) is not kind:
            return Misfit(expected(name, value))
        return json.dump(value.model_dump(mode="json", round_trip=True, by_alias=False))

    def load(wire: object) -> object:
        try:
            return kind.model_validate(wire, by_alias=False, by_name=True)
        except Exception as error:  # a validator may raise anything
            raise Unfit(f"{kind.__name__} refused it: {error}") from error

    return Form(name, dump, load, (kind,), OBJECT)
