"""What a handler returned is stored by its annotation, or else by what it is."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import attrs
import pytest

from trio_gusto.serialization.codec import Codec, DecodeError, UnstorableResult
from trio_gusto.serialization.handler import Handler


@attrs.define
class Receipt:
    id: UUID
    day: date


def numbers() -> list[int]: ...  # type: ignore[empty-body]  # only its annotation counts
def receipt() -> Receipt: ...  # type: ignore[empty-body]
async def later() -> Receipt: ...  # type: ignore[empty-body]
def untyped():  # type: ignore[no-untyped-def]
    ...


RECEIPT = Receipt(UUID(int=7), date(2026, 1, 2))


@pytest.mark.parametrize(
    ("fn", "value"),
    [
        (numbers, [1, 2]),
        (numbers, []),
        (receipt, RECEIPT),
        (later, RECEIPT),
        (untyped, {"a": [1, None]}),
        (untyped, False),
    ],
)
def test_a_result_reads_back_typed(fn: Any, value: object) -> None:
    codec, handler = Codec(), Handler[..., Any](fn)
    assert codec.load_result(codec.dump_result(value, handler), handler) == value


def test_none_is_stored_as_nothing() -> None:
    codec = Codec()
    assert codec.dump_result(None, Handler(numbers)) is None
    assert codec.load_result(None, Handler(numbers)) is None


@pytest.mark.parametrize(
    ("fn", "value", "plain"),
    [
        (numbers, RECEIPT, {"id": str(UUID(int=7)), "day": "2026-01-02"}),
        (untyped, {"all": (RECEIPT.day, {1})}, {"all": ["2026-01-02", [1]]}),
        (receipt, "nothing to pay", "nothing to pay"),
    ],
)
def test_a_result_that_its_annotation_does_not_know_is_stored_as_what_it_is(
    fn: Any, value: object, plain: object
) -> None:
    codec, handler = Codec(), Handler[..., Any](fn)
    assert codec.load_result(codec.dump_result(value, handler), handler) == plain


def test_without_the_handler_a_result_is_plain_json() -> None:
    codec = Codec()
    text = codec.dump_result(RECEIPT, Handler(receipt))
    assert codec.load_result(text) == {"id": str(UUID(int=7)), "day": "2026-01-02"}


def ring() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize(
    "value",
    [object(), open, {1: 2}, [object()], float("nan"), "\ud800", 2**70, ring(), b"x" * 2**20],
)
@pytest.mark.parametrize("fn", [numbers, untyped])
def test_what_cannot_be_stored_is_one_clear_error(fn: Any, value: object) -> None:
    with pytest.raises(UnstorableResult, match="cannot be stored"):
        Codec().dump_result(value, Handler[..., Any](fn))


def test_a_result_whose_key_cannot_be_hashed_is_plain_json() -> None:
    def prices() -> dict[Decimal, int]: ...  # type: ignore[empty-body]  # only its annotation counts

    assert Codec().load_result('{"sNaN":1}', Handler(prices)) == {"sNaN": 1}


def test_a_result_that_is_no_json_is_a_decode_error() -> None:
    with pytest.raises(DecodeError):
        Codec().load_result("{", Handler(numbers))
