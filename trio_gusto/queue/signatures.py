"""How calls are typed: what may stand where a handler is wanted.

A call is checked against the function that it names, by mypy and pyright alike, parameters with
defaults included. An undecorated function with its *first* argument missing is found at run time
only, since nothing tells it from a method given unbound; a decorated one is always found.

Every verb has five overloads. Async ones come first, since a plain function may return anything. An
async method is told from a handler by its ``Coroutine`` (a handler gives an ``Awaitable``), a plain
one by its ``__code__``. `AnyMethod` is for mypy, which only so lets defaulted arguments be left out.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any, Protocol, TypeVar, TypeVarTuple

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Ts = TypeVarTuple("Ts")


class Method(Protocol[*Ts, R_co]):
    """A plain method of a service class, given unbound: its ``self`` is resolved when it runs.

    A `Handler` has no ``__code__``, so that one called with an argument missing is no method.
    """

    @property
    def __code__(self) -> CodeType: ...

    def __call__(self, service: Any, /, *args: *Ts) -> R_co: ...


AnyMethod = Callable[[*Ts], R] | Method[*Ts, R]
"""Lets mypy leave out a method's defaulted arguments: it solves a union from the arguments."""
