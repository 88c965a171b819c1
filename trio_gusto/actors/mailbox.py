"""How actors reach each other: mailboxes over memory channels.

`Mailbox.tell` never waits: what may be told is bounded by credit (a node never holds more leases
than its executors can take), not by the size of a buffer, so no cycle of full mailboxes can lock
up. The owner takes everything that waits at once, which is where group commit comes from.

A `Letter` is a message with its reply address: a waiting task (`Letter.answer`) or a callback.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, TypeVar

import outcome
import trio

M = TypeVar("M")
R = TypeVar("R")


class Mailbox(Generic[M]):
    """A memory channel whose owner takes all that waits in one go."""

    __slots__ = ("_receive", "_send")

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[M](math.inf)

    def tell(self, message: M) -> None:
        """Put a message in; never waits."""
        self._send.send_nowait(message)

    async def take_all(self) -> list[M]:
        """Wait for a message, then take it and all others that wait."""
        first = await self._receive.receive()
        return [first, *self.take_waiting()]

    def take_waiting(self) -> list[M]:
        """Take what waits now, which may be nothing."""
        waiting = self._receive.statistics().current_buffer_used
        take = self._receive.receive_nowait
        return [take() for _ in range(waiting)]

    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return self._receive.statistics().current_buffer_used == 0


class Letter(Generic[M, R]):
    """A message and where its reply goes.

    ``insist``: the sender cannot deal with a storage fault, so the message is kept and tried again
    until the storage has recovered.
    """

    __slots__ = ("_reply", "_task", "insist", "message", "then")

    def __init__(
        self, message: M, then: Callable[[R], None] | None = None, *, insist: bool = False
    ) -> None:
        self.message = message
        self.then = then
        self.insist = insist
        self._task: trio.lowlevel.Task | None = None
        self._reply: outcome.Outcome[R] | None = None

    def deliver(self, reply: R) -> None:
        """Hand over the reply, unless nobody waits for it any more."""
        if self.then is not None:
            self.then(reply)
            return
        self._resume(outcome.Value(reply))

    def fail(self, error: Exception) -> None:
        """Raise ``error`` where the reply is waited for."""
        self._resume(outcome.Error(error))

    def _resume(self, reply: outcome.Outcome[R]) -> None:
        self._reply = reply
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    async def answer(self) -> R:
        """Wait for the reply. A caller that is cancelled leaves; the message is dealt with still."""
        if self._reply is None:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._leave)
        assert self._reply is not None
        return self._reply.unwrap()

    def _leave(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
