"""How actors reach the storekeeper: a mailbox of letters.

`Mailbox.tell` never waits: what may be told is bounded by credit (a node never holds more leases
than its executors can take), not by the size of a buffer, so no cycle of full mailboxes can lock
up. The owner takes everything that waits at once, which is where group commit comes from. A list
that is swapped costs half of what a memory channel does for each message, and on the hot path
every job passes here twice.

A `Letter` is a message with its reply address. `Letter.answer` waits for the reply; subclasses that
override `deliver` are called with it instead.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import outcome
import trio

M = TypeVar("M")
R = TypeVar("R")


class Mailbox(Generic[M]):
    """Messages for one actor, who takes all that wait in one go."""

    __slots__ = ("_owner", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[M] = []
        self._owner: trio.lowlevel.Task | None = None

    def tell(self, message: M) -> None:
        """Put a message in; never waits."""
        self._waiting.append(message)
        if self._owner is not None:
            owner, self._owner = self._owner, None
            trio.lowlevel.reschedule(owner)

    async def take_all(self) -> list[M]:
        """Wait for a message, then take it and all others that wait. For one task at a time."""
        if self._waiting:
            await trio.lowlevel.checkpoint()
        else:
            self._owner = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._leave)
        return self.take_waiting()

    def take_waiting(self) -> list[M]:
        """Take what waits now, which may be nothing."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def _leave(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._owner = None
        return trio.lowlevel.Abort.SUCCEEDED


class Letter(Generic[M, R]):
    """A message whose sender waits for the reply.

    ``insist``: the sender cannot deal with a storage fault, so the message is kept and tried again
    until the storage has recovered.
    """

    __slots__ = ("_reply", "_task", "message")

    insist = False

    def __init__(self, message: M) -> None:
        self.message = message
        self._task: trio.lowlevel.Task | None = None
        self._reply: R | None = None

    def deliver(self, reply: R) -> None:
        """Hand over the reply, unless nobody waits for it any more."""
        self._reply = reply
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task, outcome.Value(reply))

    async def answer(self) -> R:
        """Wait for the reply. A caller that is cancelled leaves; the message is dealt with still."""
        if self._reply is not None:
            return self._reply
        self._task = trio.lowlevel.current_task()
        reply: R = await trio.lowlevel.wait_task_rescheduled(self._leave)
        return reply

    def _leave(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
