"""`Question`: what was asked in one act, and whether its answer, or none, has a reason.

Whoever asks is answered. He may be refused for what his call's documentation says, if it is so, and for a
storage that has failed him meanwhile; never for nothing.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import UUID

import attrs

from trio_gusto import (
    BatchError,
    DuplicateJob,
    GustoError,
    JobQueue,
    StorageError,
    UnknownJob,
    UnknownSchedule,
)
from trio_gusto.testing import World

from . import laws
from .book import ALL, Book
from .plans import CLOCK_ERROR
from .service import Spec

CLIENT_NAME = "client"
"""What the client is called in facts."""


@attrs.define
class Tally:
    """What became of acts."""

    done: Counter[str] = attrs.Factory(Counter)
    """Those that took effect, by name."""
    refused: Counter[str] = attrs.Factory(Counter)
    """By the error."""
    unanswered: Counter[str] = attrs.Factory(Counter)
    """Whoever asked has waited in vain; by name."""
    idle: Counter[str] = attrs.Factory(Counter)
    """By name: there was nothing that they could be done with, or nothing that they would have changed."""


class NothingToDo(Exception):
    """An act has nothing to be done with, or has changed nothing."""


@attrs.define
class Question:
    """Asked by ``node`` since ``began``, in seconds of true time."""

    book: Book
    act: str
    node: str = CLIENT_NAME
    spec: Spec = attrs.Factory(dict)
    """Of the job that was asked for, if any."""
    named: tuple[UUID, ...] = ()
    """The jobs and batches that it was about."""
    schedule: str = ""
    began: float = attrs.field(init=False)
    _failures: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.began = self.book.time()
        self.ask_as(self.node)

    def ask_as(self, node: str) -> None:
        """It is this node that asks."""
        self.node = node
        self._failures = self.book.failures[node]

    def judge_silence(self) -> None:
        """See that there is a reason why nobody has answered.

        Raises:
            LawBroken: there is none.
        """
        book = self.book
        is_excused = book.was_unwell(self.node, self.began)
        if self.act == "pause_queue":  # which waits until everybody has heard of it
            is_excused |= bool(book.still or book.gone or book.slow)
            is_excused |= not book.all_well_between(self.began, book.time())
        if not is_excused:
            raise laws.LawBroken(laws.ANSWERED, (self.act, self.node, "no answer"))

    async def judge_refusal(self, error: Exception, window: JobQueue, world: World) -> None:
        """See that it was refused for what is so.

        Raises:
            LawBroken: it is not so.
        """
        if not await self._is_so(error, window, world):
            raise laws.LawBroken(laws.ANSWERED, (self.act, self.node, error)) from error

    async def _is_so(self, error: Exception, window: JobQueue, world: World) -> bool:
        book = self.book
        match error:
            case StorageError():
                return book.failures[self.node] > self._failures
            case DuplicateJob():
                holder = await window.get(error.existing_id)
                own = self.spec.get("unique_key")
                if own is None or holder is None or holder.unique_key != own:
                    return False
                skew = 2 * CLOCK_ERROR if book.clocks_were_set else 0.0
                lately = world.now() - timedelta(seconds=book.time() - self.began + skew)
                is_asked_for = self.act != "retry"
                if is_asked_for and self.spec.get("on_conflict") == "return_existing":
                    return False
                return holder.ended_at is None or holder.ended_at >= lately
            case UnknownJob():
                return any([await _is_gone(window, name) for name in self.named])
            case BatchError() if self.act == "append":
                return await _is_finished(window, self.named[0])
            case UnknownSchedule():
                known = book.schedules[self.schedule]
                return known.ended is not None or not known.is_stored
            case GustoError():
                return False
            case _:  # its node is no more
                return book.was_unwell(self.node, self.began) or ALL in book.slow


async def _is_gone(window: JobQueue, name: UUID) -> bool:
    if await window.get(name) is not None:
        return False
    try:
        await window.batch_ref(name).status()
    except BatchError:
        return True
    return False


async def _is_finished(window: JobQueue, batch_id: UUID) -> bool:
    try:
        return (await window.batch_ref(batch_id).status()).is_finished
    except BatchError:
        return True  # it is gone
