"""`Registry`: the handlers of one app, by name and by function.

A stored job's name is only ever looked up here, never imported. All state is in the registry, so
one function may be a handler of several apps.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ParamSpec, TypeGuard

from ..model.errors import DuplicateHandler, UnknownHandler
from .handler import AsyncHandler, Handler, ThreadHandler, is_async

P = ParamSpec("P")


class Registry:
    """The handlers of one app."""

    def __init__(self) -> None:
        self._by_name: dict[str, Handler[..., Any]] = {}
        self._by_function: dict[Any, list[Handler[..., Any]]] = {}
        self._handlers: dict[str, Handler[..., Any]] = {}
        self._claimed: set[str] = set()
        self._services: dict[type, str] = {}

    def __iter__(self) -> Iterator[Handler[..., Any]]:
        return iter(self._handlers.values())

    def add(
        self,
        fn: Callable[P, Any],
        *,
        name: str | None = None,
        aliases: Iterable[str] = (),
        options: Mapping[str, Any] | None = None,
        thread: bool | None = None,
    ) -> Handler[P, Any]:
        """Make ``fn`` a handler. A handler of another registry counts as its function.

        Raises:
            DuplicateHandler: its name, or one of its aliases, is taken.
            OptionsError: it is no function that a job could run.
        """
        while _is_handler(fn):
            fn = fn.fn
        kind = AsyncHandler[P, Any] if is_async(fn) else ThreadHandler[P, Any]
        handler = kind(fn, name=name, aliases=aliases, options=options, thread=thread)
        self._register([handler])
        return handler

    def add_service(
        self, cls: type, *, lifetime: str = "scoped", options: Mapping[str, Any] | None = None
    ) -> tuple[Handler[..., Any], ...]:
        """Make every public method of a class a handler, named ``module.Class.method``.

        Inherited methods count. Names with a leading underscore, properties, class methods and
        static methods do not.

        Raises:
            DuplicateHandler: one of the names is taken; then none is registered.
        """
        handlers: list[Handler[..., Any]] = [
            Handler(method, options=options, service=cls) for method in _public_methods(cls)
        ]
        self._register(handlers)
        self._services[cls] = lifetime
        return tuple(handlers)

    @property
    def services(self) -> Mapping[type, str]:
        """The service classes, each with its lifetime."""
        return MappingProxyType(self._services)

    def find(self, name: str) -> Handler[..., Any] | None:
        """The handler that a stored job names: by name, by alias, or by the function's path."""
        return self._by_name.get(name)

    def names(self) -> tuple[str, ...]:
        """The names of all handlers, sorted; without aliases."""
        return tuple(sorted(self._handlers))

    def handler_of(self, fn: Callable[..., Any]) -> Handler[..., Any]:
        """The handler of a function, a handler, a method of a service, or a partial of one of them.

        Raises:
            UnknownHandler: it is none of this registry.
        """
        return self.call_of(fn, ())[0]

    def call_of(
        self, fn: Callable[..., Any], args: tuple[object, ...]
    ) -> tuple[Handler[..., Any], tuple[object, ...], dict[str, object]]:
        """The handler and all arguments of a call, those bound by ``functools.partial`` included.

        Raises:
            UnknownHandler: see `handler_of`.
        """
        kwargs: dict[str, object] = {}
        while _is_partial(fn) and fn not in self._by_function:
            args = (*fn.args, *args)
            kwargs = {**fn.keywords, **kwargs}
            fn = fn.func
        return self._lookup(fn), args, kwargs

    def _lookup(self, fn: Callable[..., Any]) -> Handler[..., Any]:
        if _is_handler(fn):
            if self._handlers.get(fn.name) is fn:
                return fn
            fn = fn.fn
        try:
            found = self._by_function.get(fn, [])
        except TypeError:  # what cannot be hashed was never registered
            found = []
        # A method that several services inherit belongs to the one that defines it.
        own = [each for each in found if each.service is None or _defines(each.service, fn)]
        if len(found) == 1 or own:
            return (own or found)[0]
        shown = f"{getattr(fn, '__module__', '?')}.{getattr(fn, '__qualname__', repr(fn))}"
        raise UnknownHandler(shown, self._handlers)

    def _register(self, handlers: Iterable[Handler[..., Any]]) -> None:
        claimed = set(self._claimed)
        for handler in handlers:
            for name in (handler.name, *handler.aliases):
                if name in claimed:
                    raise DuplicateHandler(name)
                claimed.add(name)
        self._claimed = claimed
        for handler in handlers:
            self._handlers[handler.name] = handler
            self._by_function.setdefault(handler.fn, []).append(handler)
            for name in (handler.name, *handler.aliases):
                self._by_name[name] = handler
            # Renamed with name=...: jobs stored before are still found, unless the path is taken.
            self._by_name.setdefault(f"{handler.job_type}.{handler.method_name}", handler)


def _is_partial(fn: object) -> TypeGuard[functools.partial[Any]]:
    return isinstance(fn, functools.partial)


def _is_handler(fn: object) -> TypeGuard[Handler[..., Any]]:
    return isinstance(fn, Handler)


def _defines(service: type, method: Callable[..., Any]) -> bool:
    return method in vars(service).values()


def _public_methods(cls: type) -> Iterator[Callable[..., Any]]:
    for name in dir(cls):
        if not name.startswith("_"):
            method = inspect.getattr_static(cls, name)
            if inspect.isfunction(method):
                yield method
