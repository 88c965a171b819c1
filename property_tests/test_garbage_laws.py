"""The law of garbage: whatever a store, a file or a text holds, it is read, or refused in words of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from property_tests import garbage
from property_tests.aiming import LOOKING, check_is_broken
from property_tests.garbage import check_that_it_is_read_or_refused
from trio_gusto import Options, OptionsError, ScheduleError
from trio_gusto.model.cron.expression import parse
from trio_gusto.model.cron.fields import MACROS
from trio_gusto.model.errors import GustoError
from trio_gusto.serialization.calls import Calls
from trio_gusto.serialization.codec import Codec, DecodeError
from trio_gusto.serialization.handler import Handler

Wire = tuple[Any, str]


def handler_of(kind: Any) -> Handler[..., Any]:
    def fn(value: Any, other: Any = None, *, named: Any = None) -> Any: ...

    fn.__annotations__.update(value=kind, **{"return": kind})
    return Handler(fn)


def read_value(wire: Wire) -> None:
    Codec().loads(wire[1], wire[0])


def read_call(wire: Wire) -> None:
    Calls(Codec()).decode(handler_of(wire[0]), wire[1])


def read_result(wire: Wire) -> None:
    Codec().load_result(wire[1], handler_of(wire[0]))


@given(garbage.wires)
def test_any_text_is_a_value_of_a_type_or_a_decode_error(wire: Wire) -> None:
    check_that_it_is_read_or_refused(read_value, wire, DecodeError)


@given(garbage.wires, st.sampled_from(["%s", "[%s]", '{"args":[],"kwargs":{"value":%s}}']))
def test_any_text_is_a_call_or_a_decode_error(wire: Wire, shape: str) -> None:
    kind, text = wire
    check_that_it_is_read_or_refused(read_call, (kind, shape % text), DecodeError)


@given(garbage.wires)
def test_any_text_is_a_result_or_a_decode_error(wire: Wire) -> None:
    check_that_it_is_read_or_refused(read_result, wire, DecodeError)


@given(garbage.expressions)
def test_any_text_is_a_cron_expression_or_a_schedule_error(text: str) -> None:
    check_that_it_is_read_or_refused(parse, text, ScheduleError)


@given(garbage.settings)
def test_any_mapping_is_options_or_an_options_error(mapping: Mapping[Any, Any]) -> None:
    check_that_it_is_read_or_refused(Options.from_mapping, mapping, OptionsError)


# --- planted faults: the law can fail ----------------------------------------------------------------


def lets_decimals_raise(wire: Wire) -> None:
    """``InvalidOperation`` is no ``ValueError``."""
    codec = Codec()
    form = codec.form(Decimal)
    attrs.evolve(form, load=Decimal).load(codec.loads(wire[1], str))


def looks_macros_up(text: str) -> None:
    parse(MACROS[text.upper()] if text.startswith("@") else text)


def takes_keys_for_text(mapping: Mapping[Any, Any]) -> None:
    Options.from_mapping({key.strip(): value for key, value in mapping.items()})


@pytest.mark.parametrize(
    ("fault", "drawn", "refusal"),
    [
        (lets_decimals_raise, garbage.wires, DecodeError),
        (looks_macros_up, garbage.expressions, ScheduleError),
        (takes_keys_for_text, garbage.settings, OptionsError),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_law_catches(
    fault: Callable[[Any], object], drawn: st.SearchStrategy[object], refusal: type[GustoError]
) -> None:
    @seed(1)
    @settings(LOOKING, max_examples=1_000)
    @given(drawn)
    def play(given: object) -> None:
        check_that_it_is_read_or_refused(fault, given, refusal)

    check_is_broken(f"garbage is read or is a {refusal.__name__}", play)
