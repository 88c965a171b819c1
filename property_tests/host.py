"""A Trio run that synchronous code drives step by step, so that Hypothesis can shrink what it does.

The run is a guest of the calling thread: between two calls nothing in it moves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import TypeVar

import outcome
import trio

T = TypeVar("T")


class Host:
    """One Trio run, from here to `close`."""

    def __init__(self) -> None:
        self._soon: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._nursery: trio.Nursery | None = None
        self._over: list[outcome.Outcome[None]] = []
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=self._soon.put,
            done_callback=self._over.append,
            host_uses_signal_set_wakeup_fd=True,
        )
        while self._nursery is None:
            self._soon.get()()

    async def _main(self) -> None:
        async with trio.open_nursery() as self._nursery:
            while True:  # never idle: an idle run waits in a thread, and each call would wake it
                await trio.lowlevel.checkpoint()

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run ``function`` to its end inside the run, and return what it returns."""
        results: list[outcome.Outcome[T]] = []

        async def capture() -> None:
            results.append(await outcome.acapture(function))

        assert self._nursery is not None
        self._nursery.start_soon(capture)
        while not results:
            self._soon.get()()
        return results[0].unwrap()

    def close(self) -> None:
        """End the run."""
        assert self._nursery is not None
        self._nursery.cancel_scope.cancel()
        while not self._over:
            self._soon.get()()
        self._over[0].unwrap()
