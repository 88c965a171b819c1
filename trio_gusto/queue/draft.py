"""From a call to a `JobRequest`: find the handler, encode the arguments, apply the options.

Nothing here is stored; everything that can be wrong with a call comes out here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from ..actors.probe import Probe
from ..clock import Clock
from ..job_options import Resolved, Resolver
from ..model.errors import OptionsError
from ..model.ids import JobId
from ..model.instants import to_datetime
from ..model.job import JobRequest
from ..options.job_values import Moment
from ..serialization.calls import Calls, Encode
from ..serialization.codec import Codec
from ..serialization.handler import Handler
from ..serialization.registry import Registry
from .callbacks import Callbacks

Recipe = tuple[Handler[..., Any], Encode, Resolved]
Straight = Callable[[tuple[object, ...]], JobRequest]

NO_KEYWORDS: Mapping[str, object] = MappingProxyType({})


class Drafter:
    """Drafts requests for one running app."""

    def __init__(
        self,
        registry: Registry,
        codec: Codec,
        calls: Calls,
        resolver: Resolver,
        callbacks: Callbacks,
        clock: Clock,
        probe: Probe,
        carrier: Callable[[], dict[str, str] | None] | None,
    ) -> None:
        self.registry = registry
        self.codec = codec
        self.clock = clock
        self.probe = probe
        self._encoder = calls.encoder
        self._nanoseconds = clock.nanoseconds
        self._resolver = resolver
        self._callbacks = callbacks
        self._carrier = carrier
        self._make_id = callbacks.ids.make
        self._known: dict[Callable[..., Any], Recipe] = {}
        """What was found out about functions that were enqueued before."""
        self._straight: dict[Callable[..., Any], Straight] = {}
        """How calls of some of them are drafted that have no options."""

    def new_id(self) -> JobId:
        """An id for something that is no job."""
        return self._make_id(self._nanoseconds())

    def draft(
        self, fn: Callable[..., Any], args: tuple[object, ...], options: Mapping[str, Any]
    ) -> JobRequest:
        """The request for a job that calls ``fn(*args)``.

        Raises:
            UnknownHandler: ``fn`` is registered nowhere.
            ArgumentError: the arguments do not fit, or cannot be stored.
            OptionsError: an option is unknown or wrong.
        """
        try:
            if not options:
                straight = self._straight.get(fn)
                if straight is not None:
                    return straight(args)
            handler, encode, resolved = self._known[fn]
            kwargs = NO_KEYWORDS
        except (KeyError, TypeError):  # met for the first time, a partial, or not hashable
            handler, args, kwargs = self.registry.call_of(fn, args)
            encode = self._encoder(handler)
            resolved = self._resolver.resolve(handler.options, handler.name)
            resolved = self._callbacks.named(handler, resolved)
            if not isinstance(fn, partial):
                self._remember(fn, (handler, encode, resolved))
        if options:
            resolved = self._resolver.override(resolved, options)
            resolved = self._callbacks.named(handler, resolved)
        now = self._nanoseconds()
        return resolved.request(
            self._make_id(now),
            handler,
            encode(args, kwargs),
            now // 1000,
            None if self._carrier is None else self._carrier(),
        )

    def template(
        self, fn: Callable[..., Any], args: tuple[object, ...], options: Mapping[str, Any]
    ) -> JobRequest:
        """The request of a job that would be enqueued at instant 0, for a schedule to repeat.

        The same call makes an equal template, wherever and whenever it is made.

        Raises:
            UnknownHandler, ArgumentError, OptionsError: as for `draft`; or an option makes no sense
                for jobs that come again and again.
        """
        handler, args, kwargs = self.registry.call_of(fn, args)
        encoded = self._encoder(handler)(args, kwargs)
        resolved = self._resolver.override(
            self._resolver.resolve(handler.options, handler.name), options
        )
        resolved = self._callbacks.named(handler, resolved)
        for key in ("execute_after", "expire_on"):
            moment: Moment | None = getattr(resolved, key)
            if moment is not None and not moment.is_relative:
                raise OptionsError(
                    key,
                    str(to_datetime(moment.value)),
                    "that is the same for all jobs of a schedule; "
                    "give a duration, which counts from each job's instant",
                )
        if resolved.details is not None and not resolved.details.durable:
            raise OptionsError(
                "durable", False, "the jobs of a schedule are stored with it; leave durable out"
            )
        if resolved.details is not None and resolved.details.ref_id is not None:
            raise OptionsError(
                "ref_id",
                resolved.details.ref_id,
                "all jobs of a schedule would have it, and it is unique; leave it out, and find them "
                "with JobFilter(schedule_name=...)",
            )
        if resolved.details is not None and resolved.details.unique_key is not None:
            raise OptionsError(
                "unique_key",
                resolved.details.unique_key,
                "all jobs of a schedule would have it; leave it out, and let overlap say what becomes "
                "of a job whose predecessor has not ended",
            )
        return resolved.request(JobId(bytes(16)), handler, encoded, 0)

    def make_id(self) -> JobId:
        """A new tracking id."""
        return self._make_id(self._nanoseconds())

    def _remember(self, fn: Callable[..., Any], recipe: Recipe) -> None:
        self._known[fn] = recipe
        resolved = recipe[2]
        is_timed = resolved.execute_after is not None or resolved.expire_on is not None
        if self._carrier is None and not is_timed:
            self._straight[fn] = _straight(*recipe, self._make_id, self._nanoseconds)


def _straight(
    handler: Handler[..., Any],
    encode: Encode,
    resolved: Resolved,
    make_id: Callable[[int], JobId],
    nanoseconds: Callable[[], int],
) -> Straight:
    """`Resolved.request` for calls of which only arguments and time differ: the hottest of all."""
    name, job_type, method_name = handler.name, handler.job_type, handler.method_name
    max_attempts, timeout, details = resolved.max_attempts, resolved.timeout, resolved.details
    queue, priority, tenant = resolved.queue, resolved.priority, resolved.tenant

    def straight(args: tuple[object, ...]) -> JobRequest:
        now = nanoseconds()
        return JobRequest(
            make_id(now),
            name,
            encode(args, NO_KEYWORDS),
            now // 1000,
            max_attempts,
            timeout,
            None,
            None,
            queue,
            priority,
            tenant,
            details,
            job_type,
            method_name,
        )

    return straight
