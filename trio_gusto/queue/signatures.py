"""How calls are typed: what may stand where a handler is wanted.

A call is checked against the function that it names, by mypy and pyright alike, parameters with
defaults included. An undecorated function with its *first* argument missing is found at run time
only, since nothing tells it from a method given unbound; a decorated one is always found.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import CodeType
from typing import Any, Protocol, TypeVar, TypeVarTuple

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Ts = TypeVarTuple("Ts")

Awaits = Coroutine[Any, Any, R]
"""What calling an ``async def`` gives."""


class Method(Protocol[*Ts, R_co]):
    """A method of a service class, given unbound: its ``self`` is resolved when the job runs.

    A `Handler` has no ``__code__``, so that one called with an argument missing is no method.
    """

    @property
    def __code__(self) -> CodeType: ...

    def __call__(self, service: Any, /, *args: *Ts) -> R_co: ...


AnyMethod = Callable[[*Ts], R] | Method[*Ts, R]
"""Lets mypy leave out a method's defaulted arguments: it solves a union from the arguments."""
