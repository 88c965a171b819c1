"""`Weather`: what the storage has to stand, as `World.storage`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

import attrs
import trio

from ...model.errors import OptionsError, StorageBusy, StorageError, StorageFull
from ...options import values
from . import arguments
from .failures import TroubleNotMet
from .points import STAGES

CALLS = ("apply", "read", *STAGES)
"""What a trouble can be on: any write, any query, or writes of one kind."""

Tell = Callable[[str, tuple[str, ...], "Trouble"], None]
"""Told of a failure: the node, the kinds of writes, and what befell them."""


@attrs.define(eq=False)
class Trouble:
    """Something that is wrong with the storage, until `end`, or the end of a ``with`` block."""

    on: str
    node: str | None
    error: StorageError | None = None
    after_commit: bool = False
    delay: float = 0.0
    left: int | None = None
    """How many calls it meets yet; ``None`` until it ends."""
    is_over: bool = False
    has_happened: bool = False

    def meets(self, node: str, on: str, stages: Sequence[str]) -> bool:
        """Whether it is about this call."""
        if self.is_over or (self.node is not None and self.node != node):
            return False
        return self.on == on or self.on in stages

    def happen(self) -> None:
        """It has met a call."""
        self.has_happened = True
        if self.left is not None:
            self.left -= 1
            self.is_over = self.left == 0

    def end(self) -> None:
        """It is over."""
        self.is_over = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()


class Weather:
    """Lets the storage fail, or be slow, for all nodes or for one.

    What a method begins is `Trouble`, which holds until its `Trouble.end`, until the end of a ``with``
    block around it, or until `clear`. One that still holds when the scenario ends has to have happened,
    and a `fail_next` as often as it was to; otherwise the scenario fails. ``on`` is ``"apply"`` (any write), ``"read"`` (any query) or a
    kind of write, such as ``"claim"`` or ``"outcome"`` (`STAGES`). ``node`` is one node's name, or
    ``"client"`` for `World.queue`; ``None`` means all.
    """

    def __init__(self, tell: Tell, names: Collection[str]) -> None:
        self._tell = tell
        self._names = names
        self._troubles: list[Trouble] = []

    def fail_next(
        self,
        error: StorageError | None = None,
        *,
        on: str = "apply",
        after_commit: bool = False,
        node: str | None = None,
        times: int = 1,
    ) -> Trouble:
        """Let the next ``times`` calls fail, with `StorageBusy` unless another ``error`` is given.

        ``after_commit``: what was asked for is done, and only the reply is lost.

        Raises:
            ArgumentError: there is no such node.
            OptionsError: ``on`` is none of these, ``times`` is less than 1, or ``error`` is none of a storage.
        """
        arguments.times(times)
        arguments.failure(error)
        error = (
            StorageBusy("the storage is busy: a trouble of this scenario")
            if error is None
            else error
        )
        return self._begin(Trouble(on, node, error, after_commit, left=times))

    def slow(self, by: float | timedelta, *, on: str = "apply", node: str | None = None) -> Trouble:
        """Let every call be late ``by`` seconds, or a timedelta.

        Raises:
            ArgumentError: there is no such node.
            OptionsError: ``on`` is none of these, or ``by`` is no length, or less than nothing.
        """
        return self._begin(Trouble(on, node, delay=values.seconds("by", by)))

    def locked(self, *, node: str | None = None) -> Trouble:
        """Let every write fail, as if another program had locked the storage.

        Raises:
            ArgumentError: there is no such node.
        """
        error = StorageBusy("the storage is locked: a trouble of this scenario")
        return self._begin(Trouble("apply", node, error))

    def full(self, *, node: str | None = None) -> Trouble:
        """Let every write fail, as if the disk were full.

        Raises:
            ArgumentError: there is no such node.
        """
        error = StorageFull("the storage is full: a trouble of this scenario")
        return self._begin(Trouble("apply", node, error))

    def clear(self) -> None:
        """Everything is well again."""
        for trouble in self._troubles:
            trouble.end()
        self._troubles.clear()

    def _begin(self, trouble: Trouble) -> Trouble:
        if trouble.on not in CALLS:
            raise OptionsError("on", trouble.on, f"give one of {', '.join(CALLS)}")
        if trouble.node is not None:
            arguments.node(trouble.node, self._names)
        self._troubles.append(trouble)
        return trouble

    def require_all_met(self) -> None:
        """See that whatever still holds has happened.

        Raises:
            TroubleNotMet: then it was not tried.
        """
        for trouble in self._troubles:
            if not trouble.is_over and (trouble.left or not trouble.has_happened):
                raise TroubleNotMet(trouble.on, trouble.node, trouble.left)

    # --- what calls meet ---

    @property
    def is_fine(self) -> bool:
        """Whether nothing is wrong, so that nobody need ask."""
        return not self._troubles

    async def before(self, node: str, on: str, stages: tuple[str, ...]) -> Trouble | None:
        """A call begins.

        Returns:
            What befalls it at its end, for `after`.

        Raises:
            StorageError: it fails before anything is done.
        """
        self._troubles = [trouble for trouble in self._troubles if not trouble.is_over]
        failure: Trouble | None = None
        for trouble in tuple(self._troubles):
            if not trouble.meets(node, on, stages):
                continue
            if trouble.delay:
                trouble.happen()
                await trio.sleep(trouble.delay)
            elif failure is None:
                trouble.happen()
                failure = trouble
        if failure is not None and not failure.after_commit:
            self.after(failure, node, stages)
        return failure

    def after(self, failure: Trouble | None, node: str, stages: tuple[str, ...]) -> None:
        """A call has been performed.

        Raises:
            StorageError: its reply is lost.
        """
        if failure is not None and failure.error is not None:
            self._tell(node, stages, failure)
            raise failure.error
