"""How long services live: a scope for a job, singletons for a run of the app.

Both enter and leave what they build in one task, so that a service may hold nurseries and cancel
scopes: a scope in the task of its job, a singleton in one of its own.
"""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import Any, TypeVar, cast

import trio

from .protocols import ServiceError, type_name
from .provider import Provider
from .providers import Providers

T = TypeVar("T")

logger = logging.getLogger("trio_gusto")


class ServiceScope:
    """The services of one job. Used by one task at a time."""

    def __init__(
        self, providers: Providers, singletons: Singletons | None, stack: AsyncExitStack
    ) -> None:
        self._providers = providers
        self._singletons = singletons
        self._stack = stack
        self._made: dict[Any, Any] = {}

    async def get(self, kind: type[T], /) -> T:
        """The service of this type, built if need be.

        Raises:
            ServiceError: it has no provider, or one of what it needs has none.
            Exception: whatever its factory raised.
        """
        return cast("T", await self._get(kind, (kind,)))

    async def _get(self, kind: Any, path: tuple[Any, ...]) -> Any:
        if kind in self._made:
            return self._made[kind]
        provider = self._providers.find(kind, path)
        if provider.lifetime == "singleton":
            return await self._living().get(provider, path)
        made = await self.build(provider, path)
        if provider.lifetime == "scoped":
            self._made[kind] = made
        return made

    def _living(self) -> Singletons:
        if self._singletons is None:
            raise ServiceError(
                "a singleton was wanted while the app was not running, so nobody would clean it "
                "up; use it between the start and the stop of the app",
                kind=None,
            )
        return self._singletons

    async def build(self, provider: Provider, path: tuple[Any, ...]) -> Any:
        """A new one, cleaned up with this scope; what it needs is taken from here."""
        arguments = {
            name: await self._get(kind, (*path, kind))
            for name, kind in self._providers.wanted(provider)
        }
        return await provider.build(arguments, self._stack)


class Singletons:
    """The singletons of one run. Each lives in a task of its own, so that it may hold nurseries.

    One that dies of itself is logged, and built again when it is next wanted.
    """

    def __init__(self, providers: Providers, nursery: trio.Nursery, grace: float) -> None:
        self._providers = providers
        self._nursery = nursery
        self._grace = grace
        self._alive: dict[Any, Any] = {}
        self._building: dict[Any, trio.Lock] = {}
        self._keepers: list[Keeper] = []

    async def get(self, provider: Provider, path: tuple[Any, ...]) -> Any:
        """The one that is alive. Jobs that want it at the same time wait for the first of them."""
        kind = provider.kind
        if kind in self._alive:
            return self._alive[kind]
        async with self._building.setdefault(kind, trio.Lock()):
            if kind not in self._alive:
                keeper = Keeper()
                made = await self._nursery.start(self._keep, keeper, provider, path)
                if not keeper.ended.is_set():
                    self._alive[kind] = made
                    self._keepers.append(keeper)
                return made
            return self._alive[kind]

    async def close(self) -> None:
        """Clean up all of them, the last built first."""
        patience = (self._grace + 1.0) * len(self._keepers)
        # Shielded, because a cancelled app cleans up too; every keeper has its own deadline inside.
        with trio.move_on_after(patience, shield=True):
            for keeper in reversed(self._keepers):
                keeper.stop.set()
                await keeper.ended.wait()

    async def _keep(
        self,
        keeper: Keeper,
        provider: Provider,
        path: tuple[Any, ...],
        task_status: trio.TaskStatus[Any],
    ) -> None:
        is_started = False
        try:
            with trio.CancelScope() as scope:
                async with AsyncExitStack() as stack:
                    made = await ServiceScope(self._providers, self, stack).build(provider, path)
                    # Until here it could be cancelled with the job that wants it. From here on it
                    # ends in its turn, when those who may use it have ended.
                    await trio.lowlevel.checkpoint_if_cancelled()
                    scope.shield = True
                    is_started = True
                    task_status.started(made)
                    await keeper.stop.wait()
                    scope.deadline = trio.current_time() + self._grace
            if scope.cancelled_caught:
                logger.error(
                    "cleaning up the singleton %s took longer than %g seconds and was cancelled",
                    type_name(provider.kind),
                    self._grace,
                )
        except Exception:
            if not is_started:
                raise  # to the job that wanted it
            logger.exception("the singleton %s died", type_name(provider.kind))
        finally:
            keeper.ended.set()
            self._alive.pop(provider.kind, None)


class Keeper:
    """How to end the task that keeps a singleton, and how to hear that it has ended."""

    def __init__(self) -> None:
        self.stop = trio.Event()
        self.ended = trio.Event()
