"""A call is bound and written where it is made, and read back where it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import pytest

from trio_gusto.model.errors import ArgumentError
from trio_gusto.serialization.calls import Calls, DecodeError
from trio_gusto.serialization.codec import Codec
from trio_gusto.serialization.handler import Handler

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.define
class Customer:
    name: str
    born: datetime


ANN = Customer("Ann", datetime(2000, 1, 2, tzinfo=UTC))


def nothing() -> None: ...
def two(number: int, text: str) -> None: ...
def defaulted(number: int, text: str = "a", flag: bool = False) -> None: ...
def greet(customer: Customer, amount: float = 1.0) -> None: ...
def keyword(number: int, *, unit: str = "m", scale: int) -> None: ...
def many(first: int, *rest: UUID, **named: datetime) -> None: ...
def positional(number: int, /, text: str) -> None: ...
def bare(value, other=None):  # type: ignore[no-untyped-def]  # that is the point
    ...


def hidden(rows: Sequence[int]) -> None: ...
def guarded(value: int, log: complex | None = None) -> None: ...


class Mailer:
    def send(self, email: str, name: str) -> None: ...


calls = Calls(Codec())

MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fn", "args", "kwargs", "text"),
    [
        (nothing, (), {}, "[]"),
        (two, (1, "a"), {}, '[1,"a"]'),
        (two, (1,), {"text": "a"}, '[1,"a"]'),
        (two, (), {"text": "a", "number": 1}, '[1,"a"]'),
        (defaulted, (1,), {}, "[1]"),
        (defaulted, (1, "b"), {}, '[1,"b"]'),
        (defaulted, (1,), {"flag": True}, '{"args":[1],"kwargs":{"flag":true}}'),
        (greet, (ANN,), {}, '[{"name":"Ann","born":"2000-01-02T00:00:00+00:00"}]'),
        (keyword, (1,), {"scale": 2}, '{"args":[1],"kwargs":{"scale":2}}'),
        (many, (1, UUID(int=7)), {}, f'[1,"{UUID(int=7)}"]'),
        (
            many,
            (1,),
            {"at": MOMENT},
            '{"args":[1],"kwargs":{"at":"2026-01-02T00:00:00+00:00"}}',
        ),
        (positional, (1,), {"text": "a"}, '[1,"a"]'),
        (bare, ({"a": [1.5]},), {}, '[{"a":[1.5]}]'),
        (hidden, ([1, 2],), {}, "[[1,2]]"),
        (guarded, (1,), {}, "[1]"),
        (guarded, (1, None), {}, "[1,null]"),
        (partial(two, text="a"), (1,), {}, "[1]"),
    ],
)
def test_a_call_is_read_back_as_it_was_made(
    fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], text: str
) -> None:
    handler: Handler[..., Any] = Handler(fn)
    assert calls.encode(handler, args, kwargs) == text
    read_args, read_kwargs = calls.decode(handler, text)
    bound = handler.signature.bind(*args, **kwargs)
    assert handler.signature.bind(*read_args, **read_kwargs) == bound


def test_self_of_a_services_method_is_not_part_of_the_call() -> None:
    handler: Handler[..., Any] = Handler(Mailer.send, service=Mailer)
    text = calls.encode(handler, ("a@b.org", "Ann"))
    assert text == '["a@b.org","Ann"]'
    assert calls.decode(handler, text) == (("a@b.org", "Ann"), {})


@pytest.mark.parametrize(
    ("fn", "args", "kwargs", "path"),
    [
        (two, (1,), {}, "$"),
        (two, (1, "a", 2), {}, "$"),
        (two, (1, "a"), {"text": "b"}, "$"),
        (two, (1,), {"txt": "a"}, "$"),
        (nothing, (1,), {}, "$"),
        (keyword, (1,), {}, "$"),
        (two, ("1", "a"), {}, "$.number"),
        (two, (1, 2), {}, "$.text"),
        (two, (2**70, "a"), {}, "$.number"),
        (two, (1, "\ud800"), {}, "$.text"),
        (two, (1,), {"text": 2}, "$.text"),
        (greet, (ANN, float("nan")), {}, "$.amount"),
        (greet, (Customer("Ann", "2000"),), {}, "$.customer.born"),  # type: ignore[arg-type]  # the point
        (keyword, (1,), {"scale": "a"}, "$.scale"),
        (many, (1, UUID(int=7), "b"), {}, "$[2]"),
        (many, (1,), {"at": 5}, "$.at"),
        (bare, (UUID(int=7),), {}, "$.value"),
        (bare, ({"a": (1,)},), {}, "$.value.a"),
        (guarded, (1, 1j), {}, "$.log"),
    ],
)
def test_a_wrong_call_fails_where_it_is_made(
    fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], path: str
) -> None:
    handler: Handler[..., Any] = Handler(fn)
    with pytest.raises(ArgumentError) as caught:
        calls.encode(handler, args, kwargs)
    assert (caught.value.path, caught.value.handler) == (path, handler.name)


def test_a_call_that_does_not_bind_is_told_the_signature() -> None:
    with pytest.raises(ArgumentError, match=r"two\(number: 'int', text: 'str'\)"):
        calls.encode(Handler(two), (1,))


def test_an_unannotated_parameter_is_refused_with_the_advice_to_annotate() -> None:
    with pytest.raises(ArgumentError, match="annotate the parameter with its type"):
        calls.encode(Handler(bare), (MOMENT,))


def test_an_annotation_unknown_at_run_time_is_named() -> None:
    with pytest.raises(ArgumentError, match=r"'Sequence\[int\]' cannot be resolved at run time"):
        calls.encode(Handler(hidden), ((1, 2),))


def test_a_ring_is_refused_with_the_parameters_name() -> None:
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(ArgumentError) as caught:
        calls.encode(Handler(bare), (ring,))
    assert caught.value.path == "$.value"


def test_arguments_over_the_size_limit_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"2097158 bytes, and the limit is 1048576"):
        calls.encode(Handler(two), (1, "x" * 2 * 1024 * 1024))


@pytest.mark.parametrize(
    ("fn", "text", "problems"),
    [
        (two, "[1", ["$: it is no JSON"]),
        (two, "", ["$: it is no JSON"]),
        (two, "5", ["$: expected an array or"]),
        (two, '{"args":[1]}', ["$: expected an array or"]),
        (two, '{"args":{},"kwargs":{}}', ["$: expected an array or"]),
        (two, "[]", ["$.number: is missing", "$.text: is missing"]),
        (two, "[1]", ["$.text: is missing"]),
        (two, '[1,"a",2]', ["$[2]: the handler takes 2 of these"]),
        (two, '["1",2]', ["$.number: expected an int", "$.text: expected a str"]),
        (
            two,
            '{"args":[1],"kwargs":{"txt":2}}',
            ["$.txt: the handler has no", "$.text: is missing"],
        ),
        (two, '{"args":[1,"a"],"kwargs":{"text":"b"}}', ["$.text: it is given twice"]),
        (nothing, "[1]", ["$[0]: the handler takes 0"]),
        (keyword, "[1]", ["$.scale: is missing"]),
        (
            positional,
            '{"args":[],"kwargs":{"number":1,"text":"a"}}',
            ["$.number: the handler has no"],
        ),
        (greet, '[{"name":"Ann","born":"soon"}]', ["$.customer.born: expected a datetime"]),
        (greet, "[" + "[" * 1000 + "]" * 1000 + "]", ["$.customer: expected a Customer"]),
        (guarded, '[1,"a"]', ["$.log: expected"]),
    ],
)
def test_a_stored_call_that_does_not_fit_is_reported_problem_by_problem(
    fn: Any, text: str, problems: list[str]
) -> None:
    handler: Handler[..., Any] = Handler(fn)
    with pytest.raises(DecodeError) as caught:
        calls.decode(handler, text)
    found = caught.value.problems
    starts = [problem[: len(start)] for problem, start in zip(found, problems, strict=False)]
    assert starts == problems
    assert handler.name in str(caught.value)


def test_what_one_run_does_to_its_arguments_is_not_seen_by_the_next() -> None:
    handler: Handler[..., Any] = Handler(hidden)
    (rows,), _ = calls.decode(handler, "[[1]]")
    rows.append(2)
    assert calls.decode(handler, "[[1]]") == (([1],), {})
