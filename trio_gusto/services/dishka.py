"""Services from a ``dishka`` container. Needs the extra ``trio-gusto[dishka]``."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeVar

import trio
from dishka import AsyncContainer

from .closing import closing
from .services import CLEANUP_GRACE

T = TypeVar("T")


class DishkaScope:
    """One job's container, in dishka's scope ``REQUEST``."""

    def __init__(self, container: AsyncContainer) -> None:
        self._container = container

    async def get(self, kind: type[T], /) -> T:
        """The service of this type.

        Raises:
            dishka.exceptions.NoFactoryError: nothing provides it.
        """
        return await self._container.get(kind)


class DishkaResolver:
    """A `ServiceResolver` that enters a scope of ``container`` for each job.

    The container stays yours, and you close it. Make it with
    ``make_async_container(…, lock_factory=trio.Lock)``, because its own default is a lock of asyncio,
    and provide the classes that ``@app.service`` declares there, too.

    Args:
        container: what is outermost, in dishka's scope ``APP``.
        cleanup_grace: seconds that leaving a scope may take.

    Example::

        app = Gusto(services=DishkaResolver(container))
    """

    def __init__(self, container: AsyncContainer, *, cleanup_grace: float = CLEANUP_GRACE) -> None:
        self._container = container
        self._grace = cleanup_grace

    @asynccontextmanager
    async def scope(self) -> AsyncGenerator[DishkaScope]:
        """The services of one job.

        Raises:
            ServiceError: leaving took longer than its grace, and was cancelled.
        """
        container = self._container(lock_factory=trio.Lock)
        async with closing(container.close, self._grace):
            yield DishkaScope(container)
