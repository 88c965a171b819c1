"""The law of the wire format: what is written reads back equal, and nothing else is read.

Values are drawn together with their types, so that the law holds for every nesting of forms, and
not only for those that somebody thought of.
"""

from __future__ import annotations

import dataclasses
import math
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import attrs
from hypothesis import assume, given
from hypothesis import strategies as st

from trio_gusto.model.errors import ArgumentError
from trio_gusto.serialization.calls import Calls, DecodeError
from trio_gusto.serialization.codec import Codec, UnstorableResult
from trio_gusto.serialization.forms import MAX_INT, MIN_INT
from trio_gusto.serialization.handler import Handler
from trio_gusto.serialization.scalars import read_duration, write_duration


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

scalars = st.sampled_from(list(plain)).flatmap(
    lambda kind: plain[kind].map(lambda value: (kind, value))
)


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


@given(typed)
def test_what_is_written_reads_back_equal_and_of_its_class(drawn: Typed) -> None:
    kind, value = drawn
    codec = Codec()
    read = codec.loads(codec.dumps(value, kind), kind)
    assert read == value
    assert type(read) is type(value)


@given(typed)
def test_writing_is_deterministic(drawn: Typed) -> None:
    kind, value = drawn
    codec = Codec()
    written = codec.dumps(value, kind)
    assert codec.dumps(codec.loads(written, kind), kind) == written


@given(st.lists(typed, max_size=4))
def test_a_call_is_read_back_as_it_was_made(drawn: list[Typed]) -> None:
    names = [f"p{index}" for index in range(len(drawn))]

    namespace: dict[str, Any] = {}
    exec(f"def fn({', '.join(names)}): ...", namespace)  # the only way to draw a signature
    fn = namespace["fn"]
    fn.__annotations__ = {name: kind for name, (kind, _) in zip(names, drawn, strict=True)}
    handler: Handler[..., Any] = Handler(fn)
    calls, args = Calls(Codec()), tuple(value for _, value in drawn)
    assert calls.decode(handler, calls.encode(handler, args)) == (args, {})


@given(typed, typed)
def test_a_value_of_one_type_is_stored_as_another_only_if_it_reads_back_equal(
    one: Typed, other: Typed
) -> None:
    codec = Codec()
    try:
        written = codec.dumps(one[1], other[0])
    except ArgumentError:
        return
    assert codec.loads(written, other[0]) == one[1]


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json)
def test_json_without_a_type_reads_back_the_same_or_is_refused(value: Any) -> None:
    codec = Codec()
    try:
        written = codec.dumps(value)
    except ArgumentError:
        assert not storable(value)
    else:
        assert storable(value)
        assert codec.loads(written) == value


def storable(value: Any) -> bool:
    match value:
        case bool() | None:
            return True
        case int():
            return MIN_INT <= value <= MAX_INT
        case float():
            return math.isfinite(value)
        case str():
            return not any("\ud800" <= character <= "\udfff" for character in value)
        case list():
            return all(map(storable, value))
        case _:
            return all(map(storable, value)) and all(map(storable, value.values()))


@given(st.text(max_size=30) | json.map(str), typed)
def test_any_text_is_read_or_is_a_decode_error(written: str, drawn: Typed) -> None:
    def fn(value: Any, other: Any = None) -> None: ...

    fn.__annotations__["value"] = drawn[0]
    handler: Handler[..., Any] = Handler(fn)
    calls = Calls(Codec())
    try:
        args, kwargs = calls.decode(handler, written)
    except DecodeError:
        return
    assert calls.decode(handler, calls.encode(handler, args, kwargs)) == (args, kwargs)


@given(json | typed.map(lambda drawn: drawn[1]), typed)
def test_any_result_is_stored_or_is_one_error(value: Any, drawn: Typed) -> None:
    def fn() -> Any: ...

    fn.__annotations__["return"] = drawn[0]
    handler: Handler[..., Any] = Handler(fn)
    codec = Codec()
    try:
        written = codec.dump_result(value, handler)
    except UnstorableResult:
        return
    codec.load_result(written, handler)


@given(st.timedeltas())
def test_a_duration_is_exact_to_the_microsecond(length: timedelta) -> None:
    assert read_duration(write_duration(length)) == length


@given(st.timedeltas(), st.timedeltas())
def test_two_durations_are_never_written_alike(one: timedelta, other: timedelta) -> None:
    assume(one != other)
    assert write_duration(one) != write_duration(other)
