"""The wire forms of lists, tuples, sets and mappings: arrays and objects of other forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

from .forms import Form, Misfit, Unfit, expected, is_array, is_object, refusing, step

ARRAY: frozenset[type] = frozenset({list})
STRING: frozenset[type] = frozenset({str})
INTEGER: frozenset[type] = frozenset({int})
OBJECT: frozenset[type] = frozenset({dict})


def _are_exactly(kind: type | None, items: Iterable[object]) -> bool:
    """Whether all items are their own wire form."""
    return kind is not None and set(map(type, items)) <= {kind}


def read_items(wire: object, item: Form) -> list[Any]:
    """The items of an array."""
    if not is_array(wire):
        raise Unfit(expected("an array", wire))
    if _are_exactly(item.exact, wire):
        return wire
    load = item.load
    items: list[Any] = []
    try:
        for each in wire:
            items.append(load(each))  # noqa: PERF401 - the length says how far it came
    except Unfit as unfit:
        raise unfit.under(f"[{len(items)}]") from unfit.__cause__
    return items


def array_form(takes: tuple[type, ...], make: Callable[[Iterable[Any]], Any], item: Form) -> Form:
    """Items in their order. ``takes``: the classes accepted; ``make`` builds what is read."""
    name = f"a {takes[0].__name__}"
    dump_item = item.dump
    # A float may not be finite, so each is looked at.
    exact = None if item.exact is float else item.exact

    def dump(value: Iterable[Any]) -> object:
        if not isinstance(value, takes):
            return Misfit(expected(name, value))
        if _are_exactly(exact, value):
            return list(value)
        return [dump_item(each) for each in value]

    def load(wire: object) -> object:
        items = read_items(wire, item)
        return items if make is list else make(items)

    return Form(name, dump, load, takes, ARRAY)


def set_form(takes: tuple[type, ...], make: Callable[[Iterable[Any]], Any], item: Form) -> Form:
    """Items in no order; they are written sorted where they can be, so that equal is equal."""
    array = array_form(takes, make, item)

    def dump(value: object) -> object:
        tree: Any = array.dump(value)
        try:
            return sorted(tree)
        except TypeError:
            return tree

    def load(wire: object) -> object:
        try:
            return array.load(wire)
        except TypeError as error:  # what was read cannot be hashed
            raise Unfit(str(error)) from error

    return Form(array.name, dump, load, takes, ARRAY)


def _is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


def tuple_form(items: tuple[Form, ...]) -> Form:
    """A tuple of a fixed length, each place with a form of its own."""
    name = f"a tuple of {len(items)}"

    def dump(value: object) -> object:
        if not _is_tuple(value) or len(value) != len(items):
            return Misfit(expected(name, value))
        return [form.dump(item) for form, item in zip(items, value, strict=True)]

    def load(wire: object) -> object:
        if not is_array(wire) or len(wire) != len(items):
            raise Unfit(expected(name, wire))
        read: list[Any] = []
        try:
            for form, item in zip(items, wire, strict=True):
                read.append(form.load(item))
        except Unfit as unfit:
            raise unfit.under(f"[{len(read)}]") from unfit.__cause__
        return tuple(read)

    return Form(name, dump, load, (tuple,), ARRAY)


def mapping_form(takes: tuple[type, ...], key: Form, item: Form) -> Form:
    """An object. Keys are those written as strings, or as integers in decimal digits."""
    if key.wire == INTEGER:
        key = _digits(key)
    if key.wire != STRING:
        return refusing(
            "a mapping",
            f"a mapping with {key.name} as key has no wire form; JSON keys are strings, so use "
            "keys written as strings or ints, or a list of pairs",
        )
    dump_key, load_key, dump_item, load_item = key.dump, key.load, item.dump, item.load

    def dump(value: Mapping[Any, Any]) -> object:
        if not isinstance(value, takes):
            return Misfit(expected("a mapping", value))
        tree: dict[str, object] = {}
        for each, held in value.items():
            written = dump_key(each)
            if isinstance(written, Misfit):
                return Misfit(f"a key does not fit: {written.message}")
            tree[str(written)] = dump_item(held)
        return tree

    def load(wire: object) -> object:
        if not is_object(wire):
            raise Unfit(expected("an object", wire))
        read: dict[Any, Any] = {}
        at = ""
        try:
            for at, held in wire.items():
                read[load_key(at)] = load_item(held)
        except Unfit as unfit:
            raise unfit.under(step(at)) from unfit.__cause__
        return read

    return Form("a mapping", dump, load, takes, OBJECT)


def _digits(key: Form) -> Form:
    def dump(value: object) -> object:
        written = key.dump(value)
        return written if isinstance(written, Misfit) else str(written)

    def load(text: str) -> object:
        try:
            number = int(text)
        except ValueError:
            number = None
        if str(number) != text:
            raise Unfit(f"expected an int as key, not {text!r}")
        return key.load(number)

    return Form(key.name, dump, load, key.holds, STRING)
