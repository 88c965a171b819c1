"""Nodes and producers that die at a transaction, and are followed by others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

import attrs
import trio
from hypothesis import strategies as st

from property_tests.node import Mortal
from trio_gusto import Gusto, JobQueue
from trio_gusto.storage.messages import Write, WriteReply
from trio_gusto.storage.storage import Storage

NODES = 2


@attrs.frozen
class Death:
    """A node dies before or after its ``nth`` transaction; ``away`` seconds later another starts.

    ``noticed``: the storage is told at once; otherwise its leases have to pass.
    """

    node: int
    nth: int
    when: Literal["before", "after"]
    away: float = 0
    noticed: bool = True


def deaths(*, who: int = NODES, away: Sequence[float] = (0,)) -> st.SearchStrategy[list[Death]]:
    """Some deaths of ``who`` nodes."""
    return st.lists(
        st.builds(
            Death,
            st.integers(0, who - 1),
            st.integers(1, 12),
            st.sampled_from(["before", "after"]),
            st.sampled_from(away),
            st.sampled_from([True, True, False]),
        ),
        max_size=4,
    )


class Doomed(Mortal):
    """Dies as it was told to, unless there is ``peace``."""

    def __init__(self, storage: Storage, death: Death | None, peace: trio.Event) -> None:
        super().__init__(storage)
        self._death = death
        self._peace = peace
        self._count = 0
        self.is_mortal = False
        """Whether it has begun: an app that starts waits for its storage."""

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | Any]:
        self._count += self.is_mortal and not self._peace.is_set()
        if self._death is not None and self._count == self._death.nth:
            self.dies = self._death.when
        return await super().apply(writes)


@attrs.define
class Stage:
    """A storage, and the apps that ``make`` makes for it. After ``peace`` nobody dies."""

    storage: Storage
    make: Callable[[Storage], Gusto]
    peace: trio.Event = attrs.field(factory=trio.Event)

    async def live(
        self,
        dying: Sequence[Death],
        door: Callable[[Gusto], AbstractAsyncContextManager[JobQueue]],
        work: Callable[[JobQueue], Awaitable[None]],
    ) -> None:
        """Work inside an app until that is done, or the app dies; then inside the next.

        The last one lives.
        """
        for death in [*dying, None]:
            doomed = Doomed(self.storage, death, self.peace)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end_with, doomed, death, nursery.cancel_scope)
                async with door(self.make(doomed)) as queue:
                    doomed.is_mortal = True
                    await work(queue)
                if not doomed.died.is_set():
                    nursery.cancel_scope.cancel()
            if not doomed.died.is_set():
                return
            assert death is not None
            await trio.sleep(death.away)


async def serve(_queue: JobQueue) -> None:
    """Run jobs, and nothing else."""
    await trio.sleep_forever()


async def _end_with(doomed: Doomed, death: Death | None, scope: trio.CancelScope) -> None:
    await doomed.died.wait()
    if death is not None and death.noticed:
        for name in doomed.names:
            await doomed.storage.detach(name)
    scope.cancel()
