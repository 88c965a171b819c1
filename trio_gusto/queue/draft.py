"""From a call to a `JobRequest`: find the handler, encode the arguments, apply the options.

Nothing here is stored; everything that can be wrong with a call comes out here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from ..actors.probe import Probe
from ..clock import Clock
from ..job_options import Resolved, Resolver
from ..model.ids import RANDOM_BITS, JobId, uuid7
from ..model.job import JobRequest
from ..serialization.calls import Calls
from ..serialization.codec import Codec
from ..serialization.handler import Handler
from ..serialization.registry import Registry

NO_KEYWORDS: Mapping[str, object] = MappingProxyType({})


class IdSource:
    """Makes tracking ids: ordered by time, and strictly so within one source.

    The random part comes from the operating system, a few kilobytes at a time.
    """

    _POOL = struct.Struct(">512Q")
    _SPARE = 64 - RANDOM_BITS
    _STEP = 245
    """Nanoseconds by which ids made in the same instant are put apart: one notch of the id's
    clock."""

    def __init__(self, clock: Clock) -> None:
        self._nanoseconds = clock.nanoseconds
        self._last = 0
        self._random: list[int] = []

    def make(self) -> JobId:
        """The next id."""
        now = self._nanoseconds()
        if now - self._last < self._STEP:
            now = self._last + self._STEP
        self._last = now
        if not self._random:
            self._random += self._POOL.unpack(os.urandom(self._POOL.size))
        return uuid7(now, self._random.pop() >> self._SPARE)


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
        self._encode = calls.encode
        self._instant = clock.instant
        self._resolver = resolver
        self._carrier = carrier
        self._ids = IdSource(clock)
        self._known: dict[Callable[..., Any], tuple[Handler[..., Any], Resolved]] = {}
        """What was found out about functions that were enqueued before."""

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
            handler, resolved = self._known[fn]
            kwargs = NO_KEYWORDS
        except (KeyError, TypeError):  # met for the first time, a partial, or not hashable
            handler, args, kwargs = self.registry.call_of(fn, args)
            resolved = self._resolver.resolve(handler.options)
            if not isinstance(fn, partial):
                self._known[fn] = handler, resolved
        if options:
            resolved = self._resolver.override(resolved, options)
        return resolved.request(
            self._ids.make(),
            handler,
            self._encode(handler, args, kwargs),
            self._instant(),
            None if self._carrier is None else self._carrier(),
        )
