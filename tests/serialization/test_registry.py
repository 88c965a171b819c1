"""Handlers are found by name and by function, in one registry and no other."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from trio_gusto.model.errors import DuplicateHandler, UnknownHandler
from trio_gusto.serialization.registry import Registry


async def greet(email: str, name: str = "friend") -> None: ...


async def part(email: str) -> None: ...


class Mailer:
    async def send(self, email: str) -> None: ...

    def render(self, email: str) -> None: ...

    def _private(self) -> None: ...

    @property
    def size(self) -> int:
        return 0

    @classmethod
    def make(cls) -> None: ...

    @staticmethod
    def check(email: str) -> None: ...


class Polite(Mailer):
    async def send(self, email: str) -> None: ...


class Rude(Mailer):
    pass


def test_a_handler_is_found_by_its_name_its_aliases_and_its_path() -> None:
    registry = Registry()
    handler = registry.add(greet, name="greet", aliases=["hello", "hi"])
    for name in ("greet", "hello", "hi", f"{__name__}.greet"):
        assert registry.find(name) is handler
    assert registry.find("nobody") is None
    assert registry.names() == ("greet",)


def test_a_name_wins_over_another_handlers_path() -> None:
    registry = Registry()
    renamed = registry.add(greet, name="greet")
    assert registry.find(f"{__name__}.greet") is renamed
    taker = registry.add(part, name=f"{__name__}.greet")
    assert registry.find(f"{__name__}.greet") is taker


@pytest.mark.parametrize("taken", ["greet", "hello"])
def test_a_name_taken_is_a_duplicate_and_registers_nothing(taken: str) -> None:
    registry = Registry()
    registry.add(greet, name="greet", aliases=["hello"])
    with pytest.raises(DuplicateHandler) as caught:
        registry.add(part, name=taken)
    assert caught.value.name == taken
    with pytest.raises(DuplicateHandler):
        registry.add(part, name="part", aliases=[taken])
    assert registry.names() == ("greet",)
    with pytest.raises(UnknownHandler):
        registry.handler_of(part)


def test_one_function_can_belong_to_several_registries() -> None:
    one, other = Registry(), Registry()
    first = one.add(greet, name="greet")
    second = other.add(first, name="hello")
    assert second.fn is greet
    assert one.handler_of(second) is first
    assert other.handler_of(first) is second
    assert other.find("greet") is None


@pytest.mark.parametrize(
    "given",
    [
        lambda handler: handler,
        lambda handler: greet,
        lambda handler: functools.partial(handler, name="Ann"),
        lambda handler: functools.partial(functools.partial(greet, "a"), name="Ann"),
    ],
    ids=["handler", "original", "partial", "nested partial"],
)
def test_a_handler_is_found_by_what_users_hold_of_it(given: Callable[[Any], Any]) -> None:
    registry = Registry()
    handler = registry.add(greet)
    assert registry.handler_of(given(handler)) is handler


def test_a_function_registered_twice_is_told_apart_by_its_handlers() -> None:
    registry = Registry()
    first, second = registry.add(greet, name="one"), registry.add(greet, name="two")
    assert registry.handler_of(first) is first
    assert registry.handler_of(second) is second
    assert registry.handler_of(greet) is first


def test_an_unknown_function_is_refused_with_the_names_that_are_known() -> None:
    registry = Registry()
    registry.add(greet, name="greet")
    with pytest.raises(UnknownHandler) as caught:
        registry.handler_of(part)
    assert caught.value.name == f"{__name__}.part"
    assert caught.value.known == ("greet",)


def test_what_cannot_be_hashed_is_no_handler() -> None:
    class Strange:
        __hash__ = None  # type: ignore[assignment]  # that is the point

        def __call__(self) -> None: ...

    with pytest.raises(UnknownHandler):
        Registry().handler_of(Strange())


def test_a_partials_arguments_join_the_call() -> None:
    registry = Registry()
    handler = registry.add(greet)
    inner = functools.partial(greet, "ann@example.org", name="Ann")
    call = registry.call_of(functools.partial(inner, name="Anna"), ("more",))
    assert call == (handler, ("ann@example.org", "more"), {"name": "Anna"})


def test_a_partial_that_is_itself_a_handler_stays_whole() -> None:
    registry = Registry()
    bound = functools.partial(greet, name="Ann")
    handler = registry.add(bound, name="ann")
    assert registry.call_of(bound, ("a",)) == (handler, ("a",), {})


def test_public_methods_of_a_service_are_handlers() -> None:
    registry = Registry()
    handlers = registry.add_service(Mailer, lifetime="singleton")
    assert registry.names() == (f"{__name__}.Mailer.render", f"{__name__}.Mailer.send")
    assert {handler.service for handler in handlers} == {Mailer}
    assert registry.services == {Mailer: "singleton"}
    assert registry.handler_of(Mailer.send).method_name == "send"


def test_inherited_methods_are_handlers_too() -> None:
    registry = Registry()
    registry.add_service(Polite)
    assert registry.handler_of(Polite.render).job_type == f"{__name__}.Polite"


def test_a_method_that_two_services_inherit_belongs_to_the_one_that_defines_it() -> None:
    registry = Registry()
    for service in (Polite, Rude):
        registry.add_service(service)
    with pytest.raises(UnknownHandler):
        registry.handler_of(Mailer.render)  # nobody could tell whose it is
    registry.add_service(Mailer)
    assert registry.handler_of(Mailer.render).service is Mailer


def test_a_service_declared_twice_is_a_duplicate() -> None:
    registry = Registry()
    registry.add_service(Mailer)
    with pytest.raises(DuplicateHandler):
        registry.add_service(Mailer)


def render(width: int) -> str:
    return "=" * width


async def test_both_kinds_of_handlers_are_called_like_their_functions() -> None:
    registry = Registry()
    assert await registry.add(greet)("ann@example.org") is None
    assert registry.add(render)(3) == "==="
    assert [handler.method_name for handler in registry] == ["greet", "render"]
