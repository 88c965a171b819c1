"""What cannot be stored is refused with the path that leads to it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import attrs
import cattrs
import pytest

from tests.serialization.raising import Checked, Moody, Refusing
from trio_gusto.model.errors import ArgumentError
from trio_gusto.serialization.codec import Codec, DecodeError

MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


@attrs.define
class Customer:
    name: str
    born: datetime


@attrs.define
class Node:
    child: Node | None = None


def refusal(value: object, kind: Any) -> ArgumentError:
    with pytest.raises(ArgumentError) as caught:
        Codec().dumps(value, kind)
    return caught.value


@pytest.mark.parametrize(
    ("value", "kind", "path"),
    [
        (Customer("Ann", "yesterday"), Customer, "$.born"),  # type: ignore[arg-type]  # the point
        ([Customer(5, MOMENT)], list[Customer], "$[0].name"),  # type: ignore[arg-type]  # the point
        ({"a b": ["x", 1]}, dict[str, list[str]], '$["a b"][1]'),
        ({"a": {"b": [1, math.nan]}}, Any, "$.a.b[1]"),
        ([1.0, math.inf], list[float], "$[1]"),
        (["fine", "\ud800"], list[str], "$[1]"),
        ({"a": {"\ud800": 1}}, dict[str, dict[str, int]], "$.a"),
        ([2**63, 2**64], list[int], "$[1]"),
        ([-(2**63), -(2**63) - 1], Any, "$[1]"),
        ([1, "2"], tuple[int, ...], "$"),
        ({"a": [object()]}, Any, "$.a[0]"),
    ],
)
def test_the_path_leads_to_the_value(value: object, kind: Any, path: str) -> None:
    error = refusal(value, kind)
    assert error.path == path
    assert str(error).startswith(f"{path} cannot be stored: ")


def test_a_value_without_a_type_is_refused_with_the_advice_to_annotate() -> None:
    assert "annotate the parameter" in str(refusal(MOMENT, Any))


def test_a_type_without_a_wire_form_is_refused_with_the_advice_to_pass_a_key() -> None:
    assert "pass a key of the thing" in str(refusal(open, type(open)))


def test_deep_nesting_is_refused_with_words() -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    assert "250 levels" in str(refusal(deep, Any))
    node = Node()
    for _ in range(300):
        node = Node(node)
    assert "levels deep" in str(refusal(node, Node))


def test_250_levels_are_written_and_read() -> None:
    codec = Codec()
    deep: Any = []
    for _ in range(249):
        deep = [deep]
    assert codec.loads(codec.dumps(deep)) == deep


def test_very_deep_nesting_and_rings_are_refused_with_words() -> None:
    ring: list[Any] = []
    ring.append(ring)
    assert "contains itself" in str(refusal(ring, Any))
    node = Node()
    node.child = node
    assert "contains itself" in str(refusal(node, Node))


def test_a_value_over_the_size_limit_is_refused_with_both_sizes() -> None:
    with pytest.raises(ArgumentError, match=r"2097154 bytes, and the limit is 1048576"):
        Codec().dumps("x" * 2 * 1024 * 1024)
    assert len(Codec(max_bytes=10).dumps("x" * 8)) == 10
    with pytest.raises(ArgumentError, match="11 bytes, and the limit is 10"):
        Codec(max_bytes=10).dumps("x" * 9)


def test_the_size_is_counted_in_bytes_not_in_characters() -> None:
    with pytest.raises(ArgumentError, match="11 bytes"):
        Codec(max_bytes=10).dumps("é" * 4 + "x")


def test_a_value_whose_repr_raises_is_refused_all_the_same() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError

    assert "Rude" in str(refusal(Rude(), int))


@pytest.mark.parametrize(
    "text", ["", "{", "nul", "[1,]", "NaN", '"\ud800"', "[" * 2000 + "]" * 2000]
)
def test_text_that_is_no_json_is_refused_with_words(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Codec().loads(text)
    assert caught.value.problems


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Checked, '{"value":2}'),
        (Refusing, '{"value":2}'),
        (Moody, '"bad"'),
        (list[Moody], '["fine","bad"]'),
    ],
)
def test_a_value_at_which_its_class_raises_anything_cannot_be_read(kind: Any, text: str) -> None:
    with pytest.raises(DecodeError):
        Codec().loads(text, kind)


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


def converter() -> cattrs.Converter:
    made = cattrs.Converter()
    made.register_unstructure_hook(Money, lambda money: money.cents)
    made.register_structure_hook(Money, lambda cents, _: Money(cents))
    return made


def test_a_converter_is_asked_for_types_without_a_form() -> None:
    codec = Codec(converter=converter())
    assert codec.dumps([Money(5)], list[Money]) == "[5]"
    assert codec.loads("[5]", list[Money])[0].cents == 5


def test_a_converters_failure_is_a_refusal_with_a_path() -> None:
    codec = Codec(converter=converter())
    with pytest.raises(ArgumentError) as caught:
        codec.dumps([Money(5), "x"], list[Money])
    assert caught.value.path == "$[1]"
    with pytest.raises(ArgumentError):
        codec.dumps(1j, complex)
