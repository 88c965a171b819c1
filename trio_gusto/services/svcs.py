"""Services from an ``svcs`` registry. Needs the extra ``trio-gusto[svcs]``."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeVar

import svcs

from .closing import closing
from .services import CLEANUP_GRACE

T = TypeVar("T")


class SvcsScope:
    """One job's container. Used by one task at a time, or a service may be made twice."""

    def __init__(self, container: svcs.Container) -> None:
        self._container = container

    async def get(self, kind: type[T], /) -> T:
        """The service of this type.

        Raises:
            svcs.exceptions.ServiceNotFoundError: nothing is registered for it.
        """
        return await self._container.aget(kind)


class SvcsResolver:
    """A `ServiceResolver` that opens a container of ``registry`` for each job.

    The registry stays yours: what is registered as a value lives as long as you let it, and you close
    it. Register the classes that ``@app.service`` declares there, too.

    Args:
        registry: where the factories are.
        cleanup_grace: seconds that closing a container may take.

    Example::

        app = Gusto(services=SvcsResolver(registry))
    """

    def __init__(self, registry: svcs.Registry, *, cleanup_grace: float = CLEANUP_GRACE) -> None:
        self._registry = registry
        self._grace = cleanup_grace

    @asynccontextmanager
    async def scope(self) -> AsyncGenerator[SvcsScope]:
        """The services of one job.

        Raises:
            ServiceError: closing took longer than its grace, and was cancelled.
        """
        container = svcs.Container(self._registry)

        async def close(failure: BaseException | None) -> None:
            if failure is None:
                await container.aclose()
            else:
                await container.aclose(type(failure), failure, failure.__traceback__)

        async with closing(close, self._grace):
            yield SvcsScope(container)
