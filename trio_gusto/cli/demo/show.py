"""``trio-gusto demo``: the main job on real input, to be watched, and killed midway if you like."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import trio
from rich.console import Console

from ... import SystemClock
from .conclude import conclude
from .crash import with_crash
from .fanout import fanned_out
from .files import Plan, Settings, planned
from .jobs import make_app
from .screen import Watch, announce, say
from .watching import Watcher

OK, WRONG, INTERRUPTED = 0, 1, 130


def demo(settings: Settings) -> int:
    """Show it; returns the exit code.

    Raises:
        Unusable: there is nothing to hash.
        GustoError: the database, or a worker process, failed.
    """
    console = Console()
    with planned(settings) as plan:
        return trio.run(_interruptible, with_crash if settings.crash else _plainly, plan, console)


async def _interruptible(
    show: Callable[[Plan, Console], Awaitable[bool]], plan: Plan, console: Console
) -> int:
    with _cancelled_by_signals():
        return OK if await show(plan, console) else WRONG
    say(console, "Interrupted. What was running has been stopped and given back.", "yellow")
    return INTERRUPTED


@contextmanager
def _cancelled_by_signals() -> Generator[None]:
    """Ctrl-C and SIGTERM cancel the block; a second one does not disturb its clean-up."""
    token = trio.lowlevel.current_trio_token()
    scope = trio.CancelScope()

    def cancel(_number: int, _frame: object) -> None:
        token.run_sync_soon(scope.cancel, idempotent=True)

    before = {number: signal.signal(number, cancel) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with scope:
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _plainly(plan: Plan, console: Console) -> bool:
    """Everything in this process."""
    began = SystemClock().now()
    async with make_app(plan.database, plan.concurrency).running() as queue:
        async with fanned_out(queue, plan) as running:
            announce(console, plan)
            with Watch(console, "hashing", len(plan.files)) as watch:
                await Watcher(queue, plan, running, watch).until_over(began)
        return await conclude(queue, plan, running, console, began=began)
