"""`Provider`: how one type is made: by which factory, from which other services, for how long.

Parameters are matched by annotation. One with a default is left to it where no provider is known.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from types import MappingProxyType
from typing import Any, cast, get_type_hints

import attrs

from .protocols import Lifetime, ServiceError, type_name


@attrs.define
class Parameter:
    """A parameter of a factory: the type it wants, and whether it can be left out."""

    kind: Any
    is_optional: bool


@attrs.define(eq=False)
class Provider:
    """The factory of ``kind``, and its lifetime."""

    kind: Any
    factory: Callable[..., Any]
    lifetime: Lifetime
    is_implied: bool = False
    """Nobody registered it: the class is built because something wants it."""
    _parameters: Mapping[str, Parameter] | None = None

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """What the factory needs, by parameter name; read when first wanted, then kept.

        Raises:
            ServiceError: a parameter without default has no annotation, or one that names nothing.
        """
        if self._parameters is None:
            self._parameters = MappingProxyType(_parameters(self.kind, self.factory))
        return self._parameters

    async def build(self, arguments: Mapping[str, Any], stack: AsyncExitStack) -> Any:
        """Make one; what has to be cleaned up is left on ``stack``.

        What the factory returns is awaited, if it is a coroutine, and entered, if it is a context
        manager: always when that is not itself a ``kind`` (a function decorated with
        ``asynccontextmanager``), else only when ``kind`` is its own factory. So a lock or limiter
        from a factory is not taken for a thing to be entered.
        """
        made: Any = self.factory(**arguments)
        if inspect.isawaitable(made):
            made = await made
        if self.factory is not self.kind and _is_a(made, self.kind):
            return made
        if isinstance(made, AbstractAsyncContextManager):
            return await stack.enter_async_context(cast(AbstractAsyncContextManager[Any], made))
        if isinstance(made, AbstractContextManager):
            return stack.enter_context(cast(AbstractContextManager[Any], made))
        return made


def can_be_built(kind: Any) -> bool:
    """Whether a class may be its own provider: its constructor is plain to see, and not abstract.

    A type with a ``__new__`` of its own, such as ``Path``, would make something from nothing that
    nobody asked for.
    """
    if not isinstance(kind, type) or inspect.isabstract(kind):
        return False
    new, init = inspect.getattr_static(kind, "__new__"), inspect.getattr_static(kind, "__init__")
    is_plain = inspect.isfunction(init) or init is object.__init__
    return is_plain and new is object.__new__ and not getattr(kind, "_is_protocol", False)


def _is_a(made: object, kind: Any) -> bool:
    try:
        return isinstance(made, kind)
    except TypeError:  # a protocol or generic alias that cannot be asked at run time
        is_manager = isinstance(made, AbstractAsyncContextManager | AbstractContextManager)
        return not is_manager


def _parameters(kind: object, factory: Callable[..., Any]) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # built-in types, which need nothing that could be provided
        return found
    hints = _hints(kind, factory)
    for name, parameter in signature.parameters.items():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        is_optional = parameter.default is not parameter.empty
        if name in hints and parameter.kind is not parameter.POSITIONAL_ONLY:
            found[name] = Parameter(hints[name], is_optional)
        elif not is_optional:
            raise ServiceError(
                f"the parameter {name!r} of {_shown(factory)} cannot be filled, because services "
                "are matched by annotation; annotate it with a type (and let it be given by name), "
                "or provide a factory that needs nothing",
                kind=kind,
            )
    return found


def _hints(kind: object, factory: Callable[..., Any]) -> dict[str, Any]:
    read_from: Any = factory
    if isinstance(factory, type):
        read_from = inspect.getattr_static(factory, "__init__")
    if not inspect.isroutine(read_from) and not isinstance(factory, type):
        read_from = getattr(factory, "func", None) or type(factory).__call__
    try:
        return get_type_hints(read_from)
    except NameError as error:
        raise ServiceError(
            f"an annotation of {_shown(factory)} names nothing that is there: {error}; "
            "import the type where the factory is defined, not only for type checkers",
            kind=kind,
        ) from error
    except TypeError:  # built-in constructors have no annotations to read
        return {}


def _shown(factory: Callable[..., Any]) -> str:
    if isinstance(factory, type):
        return type_name(factory)
    return str(getattr(factory, "__qualname__", factory))
