"""What the package asks of whoever builds services: two protocols and an error.

A container of your choice fits behind them: open a scope per job, ask it for objects by type.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeVar

from ..model.errors import GustoError

T = TypeVar("T")

Lifetime = Literal["singleton", "scoped", "transient"]


class Scope(Protocol):
    """The services of one job."""

    async def get(self, kind: type[T], /) -> T:
        """The service of this type; may build it."""
        ...


class ServiceResolver(Protocol):
    """Builds the services that jobs need, and cleans up after each job."""

    def scope(self) -> AbstractAsyncContextManager[Scope]:
        """A scope for one job. Entered and left in one task; an error of the job passes through."""
        ...


class ServiceError(GustoError):
    """A service cannot be built or cleaned up.

    ``kind`` is the type asked for, ``path`` leads to it from the type that was asked for first.
    """

    def __init__(self, message: str, *, kind: object, path: Sequence[object] = ()) -> None:
        self.kind = kind
        self.path = tuple(path)
        wanted = " → ".join(type_name(each) for each in self.path)
        super().__init__(f"{message} (wanted: {wanted})" if len(self.path) > 1 else message)


def type_name(kind: object) -> str:
    """How errors call a type."""
    if isinstance(kind, type):
        return f"{kind.__module__}.{kind.__qualname__}"
    return str(kind)
