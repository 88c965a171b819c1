"""`window`: a queue to look at the jobs of a world with, which nothing that befalls the world befalls.

It reads the storage underneath, past all lines on which troubles meet calls. Nobody can change
anything through it, and nobody hears of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from outcome import Value

from trio_gusto import Gusto, JobQueue
from trio_gusto.clock import Clock
from trio_gusto.model.errors import GustoError
from trio_gusto.model.instants import to_instant
from trio_gusto.storage.messages import Query, Write, WriteReply
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import World


def window(app: Gusto, storage: Storage, world: World) -> AbstractAsyncContextManager[JobQueue]:
    """A queue on ``storage`` by the true time of ``world``, for queries alone."""
    replica = app.replica(Window(storage), clock=TrueTime(world), entropy=bytes)
    return replica.connected()


class TrueTime(Clock):
    """What `World.now` says."""

    longest_sleep = 1e9  # whoever only looks has nothing to wake up for

    def __init__(self, world: World) -> None:
        self._world = world

    def instant(self) -> int:
        return to_instant(self._world.now())

    def nanoseconds(self) -> int:
        return self.instant() * 1000


class Window(Storage):
    """Passes queries on, and nothing else."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.take_after(storage)

    async def attach(self, node: str) -> None:
        """It is not there for others."""

    async def detach(self, node: str) -> None:
        """It never was."""

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        raise AssertionError(f"who only looks writes {writes}")

    async def read(self, query: Query) -> Any:
        # Not in Trio's hands: a storage in memory gives others a turn before it answers, and what
        # is seen in one look has to be of one instant.
        steps: Any = self._storage.read(query)
        going_on = None
        try:
            while True:
                steps.send(going_on)
                going_on = Value(None)
        except StopIteration as answer:
            return answer.value
