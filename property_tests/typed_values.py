"""Values drawn together with their types, for the laws of the wire format.

So the laws hold for every nesting of forms, and not only for those that somebody thought of.
"""

from __future__ import annotations

import dataclasses
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import attrs
from hypothesis import strategies as st

from trio_gusto.serialization.forms import MAX_INT, MIN_INT


class Plan(Enum):
    FREE = "free"
    PAID = "paid"


@attrs.define
class Customer:
    name: str
    plan: Plan
    born: date | None = None


@dataclasses.dataclass
class Order:
    id: UUID
    customer: Customer
    lines: dict[str, Decimal]


# As values, because type checkers take no type that is a variable.
array: Any = list
row: Any = tuple
mapping: Any = dict

Typed = tuple[Any, Any]
"""A type, and a value of it."""

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# Offsets, not zones: Python calls an instant in a zone's repeated hour unequal to any other zone's.
offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
integers = st.integers(MIN_INT, MAX_INT)
customers = st.builds(Customer, text, st.sampled_from(Plan), st.none() | st.dates())
decimals = st.decimals(allow_nan=False)

plain: dict[Any, st.SearchStrategy[Any]] = {
    int: integers,
    str: text,
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bytes: st.binary(max_size=8),
    UUID: st.uuids(),
    datetime: st.datetimes(timezones=st.none() | offsets),
    date: st.dates(),
    time: st.times(),
    timedelta: st.timedeltas(),
    Decimal: decimals,
    PurePosixPath: text.map(PurePosixPath),
    Plan: st.sampled_from(Plan),
    Customer: customers,
    Order: st.builds(Order, st.uuids(), customers, st.dictionaries(text, decimals, max_size=3)),
}


def of(kind: Any) -> st.SearchStrategy[Typed]:
    """Values of this type alone."""
    return plain[kind].map(lambda value: (kind, value))


scalars = st.sampled_from(list(plain)).flatmap(of)


def alike(draw: st.DrawFn, of: st.SearchStrategy[Typed]) -> tuple[Any, list[Any]]:
    """A type and some values of it (the same one, repeated: types are drawn with their values)."""
    kind, value = draw(of)
    return kind, [value] * draw(st.integers(0, 3))


def wrapped(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    @st.composite
    def wrap(draw: st.DrawFn) -> Typed:
        kind, values = alike(draw, inner)
        shape = draw(st.sampled_from(["list", "tuple", "pair", "dict", "optional", "union"]))
        match shape:
            case "list":
                return array[kind], values
            case "tuple":
                return row[kind, ...], tuple(values)
            case "pair":
                other, value = draw(inner)
                return row[other, array[kind]], (value, values)
            case "dict":
                keys = draw(st.lists(text, min_size=len(values), max_size=len(values), unique=True))
                return mapping[str, kind], dict(zip(keys, values, strict=True))
            case "optional":
                return kind | None, (values or [None])[0]
            case _:
                other, value = draw(scalars)
                if hasattr(kind, "__args__"):
                    return other | None, value
                return other | kind, draw(st.sampled_from([value, *values]))

    return wrap()


typed = st.recursive(scalars, wrapped, max_leaves=6)
