"""A member of a union is known by its JSON kind, or by its name where kinds are shared."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

import attrs
import pytest

from trio_gusto.model.errors import ArgumentError
from trio_gusto.serialization.codec import Codec, DecodeError


@attrs.define
class Circle:
    radius: float


@attrs.define
class Square:
    side: float


ID = UUID(int=7)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (int | None, None, "null"),
        (int | None, 5, "5"),
        (int | str, "5", '"5"'),
        (int | float, 5, "5"),
        (int | float, 5.0, "5.0"),
        (int | bool, True, "true"),
        (Circle | None, Circle(1.0), '{"radius":1.0}'),
        (Circle | int, Circle(1.0), '{"radius":1.0}'),
        (Circle | Square, Square(1.0), '{"$type":"Square","value":{"side":1.0}}'),
        (str | UUID, "a", '{"$type":"str","value":"a"}'),
        (str | UUID, ID, f'{{"$type":"UUID","value":"{ID}"}}'),
        (str | UUID | int, 5, "5"),
        (
            str | UUID | dict[str, str],
            {"$type": "UUID", "value": "x"},
            '{"$type":"mapping","value":{"$type":"UUID","value":"x"}}',
        ),
        (date | datetime, date(2026, 1, 2), '{"$type":"date","value":"2026-01-02"}'),
        (list[Circle | None], [None, Circle(1.0)], '[null,{"radius":1.0}]'),
        (Literal["auto"] | int, "auto", '"auto"'),
        (Literal["auto"] | str, "other", '"other"'),  # noqa: PYI051 - some people write it
        (Any | None, {"a": [None]}, '{"a":[null]}'),
        (list[int] | int, [5], "[5]"),
    ],
)
def test_a_member_reads_back_equal_and_of_its_class(kind: Any, value: object, text: str) -> None:
    codec = Codec()
    assert codec.dumps(value, kind) == text
    read = codec.loads(text, kind)
    assert read == value
    assert type(read) is type(value)


def test_a_parameter_can_be_widened_while_jobs_are_stored() -> None:
    codec = Codec()
    text = codec.dumps(Circle(1.0), Circle)
    assert codec.loads(text, Circle | Square) == Circle(1.0)


@pytest.mark.parametrize(
    ("kind", "value", "path"),
    [
        (int | None, "5", "$"),
        (Circle | Square, Square("x"), "$.value.side"),  # type: ignore[arg-type]  # the point
        (list[int] | list[str], [5], "$"),
        (Any | None, UUID(int=7), "$"),
    ],
)
def test_what_is_no_member_is_refused(kind: Any, value: object, path: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        Codec().dumps(value, kind)
    assert caught.value.path == path


def test_members_that_cannot_be_told_apart_say_so() -> None:
    with pytest.raises(ArgumentError, match="cannot be told apart"):
        Codec().dumps([5], list[int] | list[str])


def test_a_member_without_a_wire_form_says_so_and_harms_no_other() -> None:
    codec = Codec()
    assert codec.dumps(None, complex | None) == "null"
    with pytest.raises(ArgumentError, match="complex has no wire form"):
        codec.dumps(1j, complex | None)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int | None, '"5"'),
        (Circle | Square, '{"$type":"Oval","value":{}}'),
        (Circle | Square, '{"$type":5,"value":{}}'),
        (Circle | Square, "5"),
        (Circle | None, '{"$type":"Circle","value":{"radius":1.0}}'),
    ],
)
def test_text_of_no_member_is_refused(kind: Any, text: str) -> None:
    with pytest.raises(DecodeError):
        Codec().loads(text, kind)
