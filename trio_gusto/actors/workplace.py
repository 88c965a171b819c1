"""What executors need of the app: its handlers, its codec, its services, its default policy.

Made by the composition root. Executors see stored text and functions through it and know neither
registry nor converter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from ..model.dependencies import Parent
from ..model.job import ClaimedJob, Job, StoredJob
from ..model.outcomes import Succeeded
from ..model.retry import RetryPolicy
from ..model.states import Processing
from ..serialization.calls import Calls, Decode
from ..serialization.codec import Codec
from ..serialization.handler import Handler
from ..serialization.registry import Registry
from ..serialization.views import view
from ..services import Scope, ServiceResolver
from .lease import NewJob

Proceed = Callable[[], Awaitable[object]]
"""Runs the handler, and answers what it returned."""

CallBack = Callable[[ClaimedJob, str | None], NewJob]
"""The callback of a job, to be given the (wire form of the) result."""

Around = Callable[[Proceed], Coroutine[Any, Any, object]]
"""Runs a handler with what is around it."""


class Station:
    """A handler that is ready to be entered.

    ``decode`` opens a call's stored arguments. ``is_plain`` is true of an async function that is no
    method of a service and has nothing around it, which is entered without further preparations.
    """

    __slots__ = ("decode", "fn", "handler", "is_plain")

    def __init__(self, handler: Handler[..., Any], decode: Decode, *, is_alone: bool) -> None:
        self.handler = handler
        self.fn = handler.fn
        self.decode = decode
        self.is_plain = is_alone and handler.is_async and handler.service is None


class Workplace:
    """Finds handlers, opens arguments, wraps up results."""

    __slots__ = (
        "_calls",
        "_codec",
        "_default_retry",
        "_registry",
        "_services",
        "around",
        "call_back",
        "queue",
        "stations",
    )

    def __init__(
        self,
        registry: Registry,
        codec: Codec,
        calls: Calls,
        services: ServiceResolver,
        default_retry: RetryPolicy,
        call_back: CallBack,
        around: Around | None = None,
    ) -> None:
        self._registry = registry
        self._codec = codec
        self._calls = calls
        self._services = services
        self._default_retry = default_retry
        self.call_back = call_back
        self.queue: object = None
        """The queue whose workers these are, for `current_job`; nothing here looks at it."""
        self.around = around
        """What is around every handler, if anything is."""
        self.stations: dict[str, Station] = {}
        """Those that were asked for, by the name that stored jobs give."""

    def knows(self, name: str) -> bool:
        """Whether there is a handler that stored jobs call ``name``."""
        return self._registry.find(name) is not None

    def station(self, name: str) -> Station | None:
        """The handler that stored jobs call ``name``, if there is one."""
        return self.stations.get(name) or self._set_up(name)

    def _set_up(self, name: str) -> Station | None:
        handler = self._registry.find(name)
        if handler is None:
            return None
        try:
            decode = self._calls.decoder(handler)
        except Exception:  # noqa: BLE001 - annotations may break in any way; it is the job that fails
            decode = partial(self._calls.decode, handler)
        station = self.stations[name] = Station(handler, decode, is_alone=self.around is None)
        return station

    def scope(self) -> AbstractAsyncContextManager[Scope]:
        """A scope of services, for one job."""
        return self._services.scope()

    def success(self, handler: Handler[..., Any], result: object) -> Succeeded:
        """The outcome of a handler that returned ``result``, which is something."""
        try:
            return Succeeded(self._codec.dump_result(result, handler))
        except Exception as error:  # noqa: BLE001 - a user's type may break in any way
            return Succeeded(result_error=f"{type(error).__name__}: {error}")

    def retry_of(self, handler: Handler[..., Any]) -> RetryPolicy:
        """The retry policy declared for a handler, or the app's."""
        policy: RetryPolicy | None = handler.options.get("retry")
        return self._default_retry if policy is None else policy

    def parent(self, stored: StoredJob) -> Parent:
        """A parent as a continuation looks at it."""
        seen = view(stored, self._registry, self._codec)
        return Parent(id=seen.id, state=seen.state, result=seen.result, error=seen.error)

    def view(self, claimed: ClaimedJob) -> Job:
        """The claimed job as users look at it."""
        state = Processing(claimed.node, claimed.claimed_at, claimed.claimed_at)
        stored = StoredJob(claimed.request, 0, state, claimed.attempt, claimed.token)
        return view(stored, self._registry, self._codec)
