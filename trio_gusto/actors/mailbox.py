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

from typing import Generic, TypeVar, cast

import outcome
import trio

M = TypeVar("M")
R = TypeVar("R")


class _Awake:
    """What a task is woken with. Trio asks it for a value, as it would an ``outcome.Value``, which
    can be used once only and costs as much to make as half a wake."""

    def unwrap(self) -> None:
        """Nothing: replies are left with the letter."""


AWAKE = cast("outcome.Outcome[object]", _Awake())


class Mailbox(Generic[M]):
    """Messages for one actor, who takes all that wait in one go."""

    __slots__ = ("_hushed", "_owner", "_waiting", "last")

    def __init__(self) -> None:
        self._waiting: list[M] = []
        self.last: list[M] = []
        """What comes after all that is put in before it is taken."""
        self._owner: trio.lowlevel.Task | None = None
        self._hushed: trio.lowlevel.Task | None = None

    def tell(self, message: M) -> None:
        """Put a message in; never waits."""
        self._waiting.append(message)
        if self._owner is not None:
            self._ring()

    def tell_last(self, message: M) -> None:
        """Put in a message that comes after all that is put in before it is taken."""
        self.last.append(message)
        if self._owner is not None:
            self._ring()

    async def take_all(self) -> list[M]:
        """Wait for a message, then take all that wait. For one task at a time.

        What comes last is left for `take_last`, so this may be nothing.
        """
        if self._waiting or self.last:
            await trio.lowlevel.checkpoint()
        else:
            self._owner = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._leave)
        return self.take_waiting()

    def take_waiting(self) -> list[M]:
        """Take what waits now, which may be nothing, but not what comes last."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def take_last(self) -> list[M]:
        """Take what comes last."""
        last, self.last = self.last, []
        return last

    def hush(self) -> None:
        """Let its owner, who waits, sleep through what is put in until `unhush`."""
        self._hushed, self._owner = self._owner, None

    def unhush(self, *, wake: bool) -> None:
        """Let its owner sleep on, or wake him now."""
        self._owner, self._hushed = self._hushed, None
        if wake and self._owner is not None:
            self._ring()

    def put_back(self, waiting: list[M], last: list[M]) -> None:
        """Undo `take_waiting` and `take_last`."""
        self._waiting, self.last = [*waiting, *self._waiting], [*last, *self.last]

    def is_attended(self) -> bool:
        """Whether its owner waits for a message, and has nothing else to do."""
        return self._owner is not None

    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting and not self.last

    def _ring(self) -> None:
        owner, self._owner = self._owner, None
        assert owner is not None
        trio.lowlevel.reschedule(owner, AWAKE)

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

    @property
    def size(self) -> int:
        """How many jobs it is about, as far as that matters to who takes it."""
        return 1

    def seal(self) -> M:
        """The message, which is on its way now and changes no more."""
        return self.message

    def deliver(self, reply: R) -> None:
        """Hand over the reply, unless nobody waits for it any more."""
        self._reply = reply
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task, AWAKE)

    async def answer(self) -> R:
        """Wait for the reply. A caller that is cancelled leaves; the message is dealt with still."""
        if self._reply is None:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._leave)
        else:
            await trio.lowlevel.checkpoint()
        assert self._reply is not None
        return self._reply

    def _leave(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
