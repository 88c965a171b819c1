"""From a call to a `JobRequest`: find the handler, encode the arguments, apply the options.

Nothing here is stored; everything that can be wrong with a call comes out here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from ..actors.probe import Probe
from ..clock import Clock
from ..job_options import Resolved, Resolver
from ..model.ids import JobId, uuid7
from ..model.job import JobRequest
from ..serialization.calls import Calls
from ..serialization.codec import Codec
from ..serialization.handler import Handler
from ..serialization.registry import Registry


class IdSource:
    """Makes tracking ids: ordered by time, and strictly so within one source.

    The random part comes from the operating system, a few kilobytes at a time.
    """

    _POOL = 4096
    _MASK = (1 << 62) - 1
    _STEP = 245
    """Nanoseconds by which ids made in the same instant are put apart: one notch of the id's
    clock."""

    def __init__(self, clock: Clock) -> None:
        self._nanoseconds = clock.nanoseconds
        self._last = 0
        self._pool = b""
        self._at = 0

    def make(self) -> JobId:
        """The next id."""
        now = self._nanoseconds()
        if now - self._last < self._STEP:
            now = self._last + self._STEP
        self._last = now
        if self._at >= len(self._pool):
            self._pool = os.urandom(self._POOL)
            self._at = 0
        at = self._at
        self._at = at + 8
        return uuid7(now, int.from_bytes(self._pool[at : at + 8], "big") & self._MASK)


class Drafter:
    """Drafts requests for one running app."""

    def __init__(
        self,
        registry: Registry,
        codec: Codec,
        calls: Calls,
        resolver: Resolver,
        clock: Clock,
        probe: Probe,
        carrier: Callable[[], dict[str, str] | None] | None,
    ) -> None:
        self.registry = registry
        self.codec = codec
        self.clock = clock
        self.probe = probe
        self._calls = calls
        self._resolver = resolver
        self._carrier = carrier
        self._ids = IdSource(clock)
        self._defaults: dict[Handler[..., Any], Resolved] = {}

    def draft(
        self, fn: Callable[..., Any], args: tuple[object, ...], options: Mapping[str, Any]
    ) -> JobRequest:
        """The request for a job that calls ``fn(*args)``.

        Raises:
            UnknownHandler: ``fn`` is registered nowhere.
            ArgumentError: the arguments do not fit, or cannot be stored.
            OptionsError: an option is unknown or wrong.
        """
        handler, args, kwargs = self.registry.call_of(fn, args)
        resolved = self._defaults.get(handler)
        if resolved is None:
            resolved = self._defaults[handler] = self._resolver.resolve(handler.options)
        if options:
            resolved = self._resolver.override(resolved, options)
        return resolved.request(
            self._ids.make(),
            handler,
            self._calls.encode(handler, args, kwargs),
            self.clock.instant(),
            None if self._carrier is None else self._carrier(),
        )
