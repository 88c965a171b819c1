"""What `Handler` says about the function it was made from."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from trio_gusto.model.errors import OptionsError
from trio_gusto.serialization.handler import Handler


async def greet(email: str, name: str = "friend") -> str:
    """Say hello."""
    return f"{email} {name}"


def resize(path: str, width: int) -> str:
    return f"{path} {width}"


class Greeter:
    async def __call__(self, email: str) -> str:
        return email


class PlainGreeter(Greeter):
    pass


class Mailer:
    async def send(self, email: str) -> str:
        return email


def numbers() -> Iterator[int]:
    yield 1


async def later_numbers() -> AsyncIterator[int]:
    yield 1


async def test_a_handler_is_called_like_its_function() -> None:
    assert await Handler(greet)("ann@example.org", name="Ann") == "ann@example.org Ann"
    assert Handler(resize)("a.png", width=5) == "a.png 5"


def test_its_name_is_its_module_and_qualified_name() -> None:
    handler: Handler[..., Any] = Handler(greet)
    assert (handler.job_type, handler.method_name) == (__name__, "greet")
    assert handler.name == f"{__name__}.greet"


def test_a_given_name_leaves_the_path_alone() -> None:
    handler: Handler[..., Any] = Handler(greet, name="greetings", aliases=["old"])
    assert (handler.name, handler.aliases) == ("greetings", ("old",))
    assert (handler.job_type, handler.method_name) == (__name__, "greet")


def test_it_looks_like_its_function_to_documentation_and_inspect() -> None:
    handler: Handler[..., Any] = Handler(greet)
    assert handler.__doc__ == "Say hello."
    assert handler.__name__ == "greet"
    assert inspect.signature(handler) == inspect.signature(greet)


@pytest.mark.parametrize(
    ("fn", "is_async", "in_thread"),
    [
        (greet, True, False),
        (resize, False, True),
        (functools.partial(greet, name="Ann"), True, False),
        (functools.partial(resize, width=5), False, True),
        (Greeter(), True, False),
        (PlainGreeter(), True, False),
        (Mailer().send, True, False),
    ],
)
def test_async_is_seen_through_partials_and_callable_objects(
    fn: Any, is_async: bool, in_thread: bool
) -> None:
    handler: Handler[..., Any] = Handler(fn)
    assert (handler.is_async, handler.in_thread) == (is_async, in_thread)


def test_a_plain_function_can_stay_on_the_loop() -> None:
    assert not Handler(resize, thread=False).in_thread


def test_an_async_function_cannot_go_to_a_thread() -> None:
    with pytest.raises(OptionsError) as caught:
        Handler(greet, thread=True)
    assert caught.value.key == "thread"


@pytest.mark.parametrize("fn", [numbers, later_numbers])
def test_a_generator_is_refused_because_a_call_would_run_nothing(fn: Any) -> None:
    with pytest.raises(OptionsError, match="runs nothing"):
        Handler(fn)


def test_what_cannot_be_called_is_refused() -> None:
    not_a_function: Any = "greet"
    with pytest.raises(OptionsError):
        Handler(not_a_function)


def test_options_are_a_copy_that_cannot_be_changed() -> None:
    options = {"queue": "mail"}
    handler: Handler[..., Any] = Handler(greet, options=options)
    options["queue"] = "other"
    assert handler.options["queue"] == "mail"
    with pytest.raises(TypeError):
        handler.options["queue"] = "x"  # type: ignore[index]  # that is the point


def test_a_method_of_a_service_has_a_signature_without_self() -> None:
    handler: Handler[..., Any] = Handler(Mailer.send, service=Mailer)
    assert list(handler.signature.parameters) == ["email"]
    assert (handler.job_type, handler.method_name) == (f"{__name__}.Mailer", "send")
    assert handler.name == f"{__name__}.Mailer.send"


def test_a_callable_object_is_named_after_its_class() -> None:
    assert Handler(Greeter()).name == f"{__name__}.Greeter"


def test_names_local_to_the_function_around_it_are_found_while_that_runs() -> None:
    class Local:
        pass

    def made_here(value: Local) -> list[Local]: ...  # type: ignore[empty-body]  # only hints count

    handler: Handler[..., Any] = Handler(made_here)
    assert handler.hints == {"value": Local, "return": list[Local]}


def declared_elsewhere() -> Handler[..., Any]:
    class Local:
        pass

    def made_here(value: Local) -> None: ...

    return Handler(made_here)


def test_they_are_remembered_when_it_has_returned() -> None:
    assert declared_elsewhere().hints["value"].__name__ == "Local"


def test_hints_are_resolved_one_by_one() -> None:
    def odd(good: int, bad: Missing) -> str: ...  # type: ignore[name-defined,empty-body]  # noqa: F821

    hints = Handler(odd).hints
    assert (hints["good"], hints["return"]) == (int, str)
    assert "Missing" in hints["bad"].problem
