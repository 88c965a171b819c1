"""Callbacks: which handler is called with the result of a job, and the job that does it."""

from __future__ import annotations

import inspect
import os
import struct
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from ..clock import Clock
from ..job_options import Resolved, Resolver
from ..model.errors import ArgumentError
from ..model.ids import RANDOM_BITS, IdSource
from ..model.job import ClaimedJob, Details, JobRequest
from ..model.lifecycle import admit
from ..model.states import Ready, Scheduled
from ..serialization.handler import Handler
from ..serialization.registry import Registry

NOTHING = "null"
"""The wire form of the result of a handler that returned ``None``."""


_POOL = struct.Struct(">512Q")

Entropy = Callable[[int], bytes]
"""Gives so many random bytes, as `os.urandom` does."""


class Callbacks:
    """The callbacks of one app."""

    def __init__(
        self, registry: Registry, resolver: Resolver, clock: Clock, entropy: Entropy = os.urandom
    ) -> None:
        self._registry = registry
        self._resolver = resolver
        self._clock = clock
        self.ids = IdSource(partial(_random_bits, entropy))
        """Where the ids of this app's jobs come from."""

    def named(self, handler: Handler[..., Any], resolved: Resolved) -> Resolved:
        """The same options, with the name of the callback in place of the function.

        The callback may have been declared with one of its own, and so on; that is looked at too, since
        there is no caller any more when their turn comes.

        Raises:
            UnknownHandler: one of them is declared with no app, or with another.
            ArgumentError: one cannot be called with what the handler before it returns, or they go in
                a circle.
        """
        details = resolved.details
        if details is None or not callable(details.callback):
            return resolved
        callback = self._fitting(handler, details.callback)
        self._require_end(callback)
        named = resolved.copy()
        named.details = attrs.evolve(details, callback=callback.name)
        return named

    def job(self, claimed: ClaimedJob, result: str | None) -> tuple[JobRequest, Ready | Scheduled]:
        """The job that calls back; ``result`` is the wire form of what the handler returned.

        It has the options that its own handler was declared with, and the tenant and user of the job
        whose callback it is. A ``unique_key`` is not among them: it belongs to this one result, and no
        other job can stand in for it. It is as durable as the job that waits for it.

        Raises:
            UnknownHandler, ArgumentError: its handler has a callback here that it could not have.
        """
        source = claimed.request
        assert source.details is not None
        assert source.details.callback is not None
        name = source.details.callback
        handler = self._registry.find(name)
        options: Mapping[str, Any] = {} if handler is None else handler.options
        resolved = self._resolver.resolve(options)
        if handler is not None:
            resolved = self.named(handler, resolved)
        job_type, _, method_name = name.rpartition(".")
        now = self._clock.nanoseconds()
        request = JobRequest(
            self.ids.make(now),
            name if handler is None else handler.name,
            f"[{NOTHING if result is None else result}]",
            now // 1000,
            resolved.max_attempts,
            resolved.timeout,
            None if resolved.execute_after is None else resolved.execute_after.instant(now // 1000),
            None if resolved.expire_on is None else resolved.expire_on.instant(now // 1000),
            resolved.queue,
            resolved.priority,
            source.tenant,
            _details(resolved.details, source.details.user_id),
            job_type if handler is None else handler.job_type,
            method_name if handler is None else handler.method_name,
        )
        return request, admit(request)

    def _require_end(self, handler: Handler[..., Any]) -> None:
        """See that the callbacks of a callback come to an end."""
        met = [handler]
        while (declared := handler.options.get("callback")) is not None:
            handler = self._fitting(handler, declared)
            if handler in met:
                line = " -> ".join(one.name for one in (*met, handler))
                raise ArgumentError(
                    f"the callbacks {line} go in a circle, so the job would never end; "
                    "declare one of them without a callback"
                )
            met.append(handler)

    def _fitting(self, handler: Handler[..., Any], fn: Callable[..., Any]) -> Handler[..., Any]:
        """The handler ``fn``, which can be called with what ``handler`` returns."""
        callback, args, kwargs = self._registry.call_of(fn, ())
        if args or kwargs:
            raise ArgumentError(
                f"the callback {callback.name} carries arguments, and only its name is stored; "
                "give the handler itself, which is called with the result"
            )
        try:
            bound = callback.signature.bind(None)
        except TypeError as error:
            raise ArgumentError(
                f"{callback.name}{callback.signature} cannot be a callback: {error}; "
                "a callback is called with one argument, the result"
            ) from error
        (parameter,) = bound.arguments
        _require_fit(handler, callback, parameter)
        return callback


def _random_bits(entropy: Entropy) -> list[int]:
    """A few kilobytes at a time."""
    spare = 64 - RANDOM_BITS
    return [word >> spare for word in _POOL.unpack(entropy(_POOL.size))]


def _details(declared: Details | None, user_id: str | None) -> Details | None:
    if declared is None:
        return None if user_id is None else Details(user_id=user_id)
    return attrs.evolve(
        declared,
        user_id=user_id if declared.user_id is None else declared.user_id,
        unique_key=None,
        on_conflict="raise",
        durable=True,
    )


def _require_fit(handler: Handler[..., Any], callback: Handler[..., Any], parameter: str) -> None:
    """Classes that have nothing to do with each other do not fit; more is not looked at here."""
    given, wanted = handler.hints.get("return", Any), callback.hints.get(parameter, Any)
    if given is None:
        given = type(None)
    if not inspect.isclass(given) or not inspect.isclass(wanted) or _fits(given, wanted):
        return
    raise ArgumentError(
        f"{callback.name} takes {wanted.__qualname__}, and {handler.name} returns "
        f"{given.__qualname__}, so it cannot be its callback; give one that takes the result"
    )


def _fits(given: type, wanted: type) -> bool:
    if given is int and wanted is float:
        return True
    try:
        return issubclass(given, wanted) or issubclass(wanted, given)
    except TypeError:  # such as a protocol, which has no say at run time
        return True
