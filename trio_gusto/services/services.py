"""`Services`: the built-in resolver. Lifetimes, not magic.

- *singleton*: one while the app runs; built when first wanted, cleaned up when the app stops.
- *scoped*: one per job, shared by what that job needs; cleaned up after it.
- *transient*: one each time it is wanted; cleaned up after the job.

Rules. Clean-up happens in the reverse order of building, cannot be cancelled, and has a deadline.
A service is entered and left in one task, so that it may hold nurseries and cancel scopes: that of
the job, or for a singleton one of its own. What cannot be built fails the job that wanted it, and
nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio

from .lifetimes import ServiceScope, Singletons
from .protocols import Lifetime, ServiceError
from .providers import Providers

CLEANUP_GRACE = 5.0
"""Seconds that the clean-up of a job's services may take; longer, and stopping would hang on it."""


class Services:
    """Providers by type, and the singletons that are alive.

    ``cleanup_grace``: seconds that the clean-up of one scope, or of one singleton, may take.

    >>> class Clock:
    ...     pass
    >>> services = Services()
    >>> services.provide(Clock, Clock)
    """

    def __init__(self, *, cleanup_grace: float = CLEANUP_GRACE) -> None:
        self._grace = cleanup_grace
        self._providers = Providers()
        self._singletons: Singletons | None = None

    def provide(
        self, kind: type[Any], factory: Callable[..., Any], lifetime: Lifetime = "singleton"
    ) -> None:
        """Let ``factory`` make the ``kind`` that constructors and other factories want.

        It may be a class, a function or an async function, or one decorated with
        ``contextmanager`` or ``asynccontextmanager``, whose end is the clean-up. The last provider
        of a type counts.

        Raises:
            ServiceError: a parameter of the factory cannot be filled, the lifetime is unknown, or
                ``kind`` would need itself.
        """
        self._providers.add(kind, factory, lifetime)

    def replica(self) -> Services:
        """The same providers, registered later ones included, for singletons of its own."""
        services = Services(cleanup_grace=self._grace)
        services._providers = self._providers
        return services

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """The time in which singletons live. An error of the block comes out as it is."""
        failure: BaseException | None = None
        async with trio.open_nursery() as nursery:
            self._singletons = singletons = Singletons(self._providers, nursery, self._grace)
            try:
                yield
            except BaseException as error:  # noqa: BLE001 - raised again outside the nursery
                failure = error
            finally:
                self._singletons = None
                await singletons.close()
        if failure is not None:
            raise failure

    @asynccontextmanager
    async def scope(self) -> AsyncGenerator[ServiceScope]:
        """The services of one job. An error of the job passes through what it was built from.

        Raises:
            ServiceError: the clean-up took longer than its grace, and was cancelled.
        """
        failure: BaseException | None = None
        # Opened before anything is built, so that a nursery inside a service nests properly.
        with trio.CancelScope() as cleanup:
            async with AsyncExitStack() as stack:
                try:
                    yield ServiceScope(self._providers, self._singletons, stack)
                except BaseException as error:
                    failure = error
                    raise
                finally:
                    # The job may be cancelled; its clean-up must run to its end all the same, but
                    # not for ever.
                    cleanup.shield = True
                    cleanup.deadline = trio.current_time() + self._grace
        if cleanup.cancelled_caught:
            raise failure or ServiceError(
                f"cleaning up after a job took longer than {self._grace:g} seconds, so it was "
                "cancelled and the job counts as failed; make the clean-up shorter",
                kind=None,
            )
