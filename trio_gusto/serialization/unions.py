"""The wire forms of unions and literals.

A member of a union is known by its JSON kind. Members that share a kind are written with their
names, ``{"$type": "Circle", "value": …}``; when such a value comes without a name, the member that
is declared first reads it, so that a parameter can be widened while jobs are stored.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum

from .forms import Form, Misfit, Unfit, expected, is_object, refusing

TAG = "$type"
VALUE = "value"


def union_form(members: tuple[Form, ...]) -> Form:
    """One of several forms, picked by the class of the value, and by the wire when it is read."""
    name = " or ".join(member.name for member in members)
    by_class: dict[type, Form] = {}
    for member in members:
        for kind in member.holds:
            if kind in by_class and by_class[kind] is not member:
                return _ambiguous(name, by_class[kind], member)
            by_class[kind] = member
    tagged = _sharing_a_kind(members)
    tags = {_tag(member): member for member in tagged}
    if len(tags) < len(tagged):
        return refusing(name, f"members of {name} have one name, so they cannot be told apart")
    by_wire: dict[type, Form] = {}
    for member in members:
        for kind in member.wire:
            by_wire.setdefault(kind, member)
    if float in by_wire:
        by_wire.setdefault(int, by_wire[float])

    def dump(value: object) -> object:
        member = by_class.get(type(value)) or _member_of(value, by_class)
        if member is None:
            return _refusal(members) or Misfit(expected(name, value))
        tree = member.dump(value)
        return {TAG: _tag(member), VALUE: tree} if member in tagged else tree

    def load(wire: object) -> object:
        if tags and is_object(wire) and wire.keys() == {TAG, VALUE}:
            member = tags.get(wire[TAG]) if isinstance(wire[TAG], str) else None
            if member is None:
                raise Unfit(f"no member of {name} is called {wire[TAG]!r}", f".{TAG}")
            return member.load(wire[VALUE])
        member = by_wire.get(type(wire))
        if member is None:
            raise Unfit(expected(name, wire))
        return member.load(wire)

    wires = frozenset(kind for member in members for kind in member.wire)
    if tagged:
        wires |= {dict}
    return Form(name, dump, load, tuple(by_class), wires)


def _tag(member: Form) -> str:
    return member.name.removeprefix("an ").removeprefix("a ")


def _member_of(value: object, by_class: dict[type, Form]) -> Form | None:
    for kind, member in by_class.items():
        if isinstance(value, kind):
            return member
    return None


def _sharing_a_kind(members: tuple[Form, ...]) -> list[Form]:
    counts = Counter(kind for member in members for kind in member.wire)
    sharing = [member for member in members if any(counts[kind] > 1 for kind in member.wire)]
    if sharing:
        # A named value is an object, so an object without a name could be mistaken for one.
        return [member for member in members if member in sharing or dict in member.wire]
    return sharing


def _ambiguous(name: str, one: Form, other: Form) -> Form:
    return refusing(
        name,
        f"{one.name} and {other.name} cannot be told apart by the class of the value; "
        "use classes of your own for the members of this union",
    )


def _refusal(members: tuple[Form, ...]) -> Misfit | None:
    """What a member that cannot be stored has to say about it."""
    for member in members:
        if not member.holds:
            misfit = member.dump(None)
            assert isinstance(misfit, Misfit)
            return misfit
    return None


def _same(value: object) -> tuple[type, object]:
    """A value together with its class: ``True`` is not ``1`` here."""
    return type(value), value


def literal_form(values: tuple[object, ...]) -> Form:
    """One of a few values: strings, ints, bools, ``None`` or members of enums."""
    name = " or ".join(repr(value) for value in values)
    wires: list[object] = [value.value if isinstance(value, Enum) else value for value in values]
    written = {_same(value): wire for value, wire in zip(values, wires, strict=True)}
    read = {_same(wire): value for value, wire in zip(values, wires, strict=True)}
    kinds = frozenset(type(wire) for wire in wires)
    if not kinds <= {str, int, bool, type(None)}:
        return refusing(name, f"{name} has no wire form; use strings, ints, bools or None")

    def dump(value: object) -> object:
        try:
            return written[_same(value)]
        except (KeyError, TypeError):
            return Misfit(expected(name, value))

    def load(wire: object) -> object:
        try:
            return read[_same(wire)]
        except (KeyError, TypeError):
            raise Unfit(expected(name, wire)) from None

    return Form(name, dump, load, tuple({type(value) for value in values}), kinds)
