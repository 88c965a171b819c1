"""The verb of `JobQueue` that changes how many jobs run at once."""

from __future__ import annotations

import trio

from ..model.errors import OptionsError
from ..options.options import MOST_AT_ONCE
from ..options.values import integer
from .part import QueuePart


class Scaling(QueuePart):
    """The part of a `JobQueue` that is about the size of the pool."""

    @property
    def concurrency(self) -> int:
        """How many jobs may run at once in this process; 0 if it runs none."""
        return self._ears.concurrency()

    async def set_concurrency(self, concurrency: int) -> None:
        """Run at most ``concurrency`` jobs at once in this process, from now on until the app stops.

        More: those that wait start at once. Fewer: what runs already runs on, and nothing else starts
        until fewer than ``concurrency`` are left. What was claimed for executors that go is given back,
        with its attempt, so that other processes may run it sooner. Nothing is stored: other processes keep
        their number, and the next run of the app begins with `Options.concurrency`.

        Args:
            concurrency: from 1 to 10 000. To run none, `pause` is there.

        Raises:
            OptionsError: it is no whole number in that range, or this queue runs no jobs.

        >>> from trio_gusto import Gusto, Options
        >>> app = Gusto(options=Options(concurrency=2))
        >>> async def main() -> int:
        ...     async with app.running() as queue:
        ...         await queue.set_concurrency(8)
        ...         return queue.concurrency
        >>> import trio
        >>> trio.run(main)
        8
        """
        size = integer("concurrency", concurrency, 1, MOST_AT_ONCE)
        await trio.lowlevel.checkpoint()
        if not self._ears.resize(size):
            raise OptionsError(
                "concurrency",
                concurrency,
                "this queue runs no jobs, so there is nothing to limit; "
                "call set_concurrency on the queue of app.running(), in the process that runs them",
            )
