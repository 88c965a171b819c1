"""The end of a simulation: every task in it has to end, and some handlers would not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import trio

from .lives import Life
from .seeding import Scheduler

LONGEST_DRAIN = 3600.0
"""Seconds of virtual time that a life may take to end by itself; then what is shielded in it is no more."""

MOST_DRAINS = 10
"""After so many, what still runs swallows every `trio.Cancelled`."""

LAST_PASSES = 10_000
"""How many passes of Trio's loop there may be at one instant, now that there is nothing to do but to end."""


async def bury(lives: Sequence[Life], scheduler: Scheduler) -> None:
    """Let all lives end, if need be without the shields of their handlers.

    Raises:
        GoesOnForEver: out of the whole run; some handler does not end.
    """
    scheduler.limit_passes(LAST_PASSES, LAST_PASSES)
    for life in lives:
        life.bury()
    for life in lives:
        for _ in range(MOST_DRAINS):
            with trio.move_on_after(LONGEST_DRAIN):
                await life.ended.wait()
            if life.ended.is_set():
                break
            for task in life.tasks():
                _unshield(task, life.scope)
        else:
            scheduler.give_up(task for task in life.tasks() if not task.child_nurseries)


def _unshield(task: trio.lowlevel.Task, outermost: trio.CancelScope) -> None:
    for scope in _scopes_around(task):
        if scope is outermost:
            return
        scope.shield = False


def _scopes_around(task: trio.lowlevel.Task) -> Iterator[trio.CancelScope]:
    """The cancel scopes that a task is in, from inside. Trio has no public name for them."""
    status: Any = task._cancel_status  # pyright: ignore[reportPrivateUsage]
    while status is not None:
        yield status._scope
        status = status._parent
