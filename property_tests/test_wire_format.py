"""The law of the wire format: what is written reads back equal, and nothing else is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, get_origin

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from property_tests.aiming import LOOKING, check_is_broken
from property_tests.typed_values import Plan, Typed, integers, of, plain, row, typed
from trio_gusto.model.errors import ArgumentError
from trio_gusto.serialization.calls import Calls, DecodeError
from trio_gusto.serialization.catalogue import Catalogue
from trio_gusto.serialization.codec import Codec, UnstorableResult
from trio_gusto.serialization.forms import MAX_INT, MIN_INT, Form
from trio_gusto.serialization.handler import Handler
from trio_gusto.serialization.scalars import read_duration, write_duration


def check_that_it_reads_back(codec: Codec, drawn: Typed) -> None:
    kind, value = drawn
    written = codec.dumps(value, kind)
    try:
        read = codec.loads(written, kind)
    except DecodeError as refusal:
        raise AssertionError(f"what is written is read again, not: {refusal}") from refusal
    assert read == value, f"what is written reads back equal, not {read!r} for {value!r}"
    same_class = type(read) is type(value)
    assert same_class, f"what is read has the class of what was written, not {type(read)}"


@given(typed)
def test_what_is_written_reads_back_equal_and_of_its_class(drawn: Typed) -> None:
    check_that_it_reads_back(Codec(), drawn)


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


# --- planted faults: the laws can fail ------------------------------------------------------------

Fault = Callable[[Any, Form], Form]
"""What becomes of the form of a type."""


class Faulty(Catalogue):
    """Its forms, also those inside of others, have a fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self._fault = fault
        self._forms = {kind: fault(kind, form) for kind, form in self._forms.items()}

    def _make(self, kind: Any) -> Form:
        return self._fault(kind, super()._make(kind))


def faulty_codec(fault: Fault) -> Codec:
    codec = Codec()
    codec.form = Faulty(fault).form
    return codec


def drops_microseconds(kind: Any, form: Form) -> Form:
    if kind is not datetime:
        return form
    return attrs.evolve(form, dump=lambda value: value.isoformat(timespec="seconds"))


def drops_the_zone(kind: Any, form: Form) -> Form:
    if kind is not datetime:
        return form
    return attrs.evolve(form, dump=lambda value: value.replace(tzinfo=None).isoformat())


def reads_tuples_as_lists(kind: Any, form: Form) -> Form:
    return attrs.evolve(form, load=_then(form, list)) if get_origin(kind) is tuple else form


def takes_decimals_for_floats(kind: Any, form: Form) -> Form:
    return attrs.evolve(form, dump=lambda value: str(float(value))) if kind is Decimal else form


def takes_integers_for_floats(kind: Any, form: Form) -> Form:
    # Without `exact`, which says that there is nothing to be read.
    return (
        attrs.evolve(form, load=lambda wire: int(float(wire)), exact=None) if kind is int else form
    )


def reads_whole_floats_as_integers(kind: Any, form: Form) -> Form:
    if kind is not float:
        return form
    return attrs.evolve(form, load=lambda wire: int(wire) if wire == int(wire) else wire)


def writes_members_by_name(kind: Any, form: Form) -> Form:
    return attrs.evolve(form, dump=lambda member: member.name) if kind is Plan else form


def _then(form: Form, make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda wire: make(form.load(wire))


EQUAL = "what is written reads back equal"


@pytest.mark.parametrize(
    ("fault", "drawn", "law"),
    [
        (drops_microseconds, of(datetime), EQUAL),
        (drops_the_zone, of(datetime), EQUAL),
        (reads_tuples_as_lists, st.tuples(st.just(row[int, ...]), st.tuples(integers)), EQUAL),
        (takes_decimals_for_floats, of(Decimal), EQUAL),
        (takes_integers_for_floats, of(int), EQUAL),
        (reads_whole_floats_as_integers, of(float), "has the class of what was written"),
        (writes_members_by_name, of(Plan), "what is written is read again"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_law_catches(fault: Fault, drawn: st.SearchStrategy[Typed], law: str) -> None:
    @settings(LOOKING, max_examples=200)
    @given(drawn)
    def play(drawn: Typed) -> None:
        check_that_it_reads_back(faulty_codec(fault), drawn)

    check_is_broken(law, play)


def stores_members_by_name(kind: Any, form: Form) -> Form:
    if kind is not Plan:
        return form
    return attrs.evolve(form, dump=lambda member: member.name, load=lambda wire: Plan[wire])


def check_that_members_are_values(codec: Codec, member: Enum) -> None:
    written = codec.loads(codec.dumps(member, type(member)))
    assert written == member.value, "a member of an enum is written as its value"


@given(plain[Plan])
def test_a_member_of_an_enum_is_written_as_its_value(member: Plan) -> None:
    check_that_members_are_values(Codec(), member)


def test_names_of_members_break_their_law_though_they_read_back() -> None:
    @settings(LOOKING)
    @given(plain[Plan])
    def play(member: Plan) -> None:
        codec = faulty_codec(stores_members_by_name)
        check_that_it_reads_back(codec, (Plan, member))
        check_that_members_are_values(codec, member)

    check_is_broken("is written as its value", play)
