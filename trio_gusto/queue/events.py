"""A stream of facts for one reader, who may be slow: nobody waits for him, and he is told what he
missed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal

import trio

from ..actors.probe import Probe
from ..model.errors import ArgumentError
from ..model.facts import Fact, FactsMissed

Overflow = Literal["drop_new", "drop_old"]

LARGEST_BUFFER = 1_000_000


class EventStream:
    """Puts facts into a bounded channel; where some are left out, a `FactsMissed` stands for them.

    With ``"drop_new"`` what the reader has not taken stays, and new facts are left out until there
    is room. With ``"drop_old"`` all that he has not taken is thrown away, and new facts come in.
    """

    def __init__(self, buffer: int, overflow: Overflow) -> None:
        # One place more than facts may take: for the mark that some are missing.
        self._send, self.receive = trio.open_memory_channel[Fact](buffer + 1)
        self._buffer = buffer
        self._keeps_old = overflow == "drop_new"
        self._mark: FactsMissed | None = None
        """The mark, while it is the last in the channel."""
        self.on_left: Callable[[], None] = lambda: None
        """Called when the reader has closed the channel."""

    def hear(self, fact: Fact) -> None:
        """Put ``fact`` into the channel, or count it as missed."""
        try:
            self._put(fact)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.on_left()

    def close(self) -> None:
        """Nothing more will come: the reader gets what is in the channel, and then its end."""
        self._send.close()

    def _put(self, fact: Fact) -> None:
        waiting = self._send.statistics().current_buffer_used
        if waiting < self._buffer:
            self._mark = None
            self._send.send_nowait(fact)
        elif not self._keeps_old:
            self._throw_away(fact)
        elif self._mark is None:
            self._mark = FactsMissed(at=fact.at, count=1)
            self._send.send_nowait(self._mark)
        else:
            # Facts are frozen for their readers; nobody has this one yet, since it is the last.
            object.__setattr__(self._mark, "count", self._mark.count + 1)

    def _throw_away(self, fact: Fact) -> None:
        count, first = 0, fact.at
        while True:
            try:
                old = self.receive.receive_nowait()
            except trio.WouldBlock:
                break
            first = old.at if count == 0 else first
            count += old.count if isinstance(old, FactsMissed) else 1
        self._send.send_nowait(FactsMissed(at=first, count=count))
        self._send.send_nowait(fact)


@contextmanager
def heard(probe: Probe, buffer: int, overflow: Overflow) -> Generator[EventStream]:
    """A stream of what ``probe`` tells, until the block ends."""
    if isinstance(buffer, bool) or not isinstance(buffer, int) or not 1 <= buffer <= LARGEST_BUFFER:
        raise ArgumentError(
            f"a stream of events cannot keep {buffer!r} of them; give 1 to {LARGEST_BUFFER}"
        )
    if overflow not in ("drop_new", "drop_old"):
        raise ArgumentError(
            f"{overflow!r} does not say what is dropped when the reader is too slow; "
            'give overflow="drop_new" or "drop_old"'
        )
    stream = EventStream(buffer, overflow)
    unsubscribe = probe.subscribe(stream.hear)
    is_subscribed = True

    def leave() -> None:
        nonlocal is_subscribed
        if is_subscribed:
            is_subscribed = False
            unsubscribe()

    stream.on_left = leave
    try:
        yield stream
    finally:
        leave()
        stream.close()
