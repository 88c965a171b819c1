"""Running a handler's coroutine in a context of its own, without a task of its own.

A task for each job costs more than most jobs do. Executors are long-lived tasks instead, and each
handler's coroutine is driven through a fresh copy of the context variables, so that what one job
sets no other sees. Tasks that the handler starts inherit that copy, as they would from a task.
"""

from __future__ import annotations

import contextvars
import logging
import types
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import trio

from ..model.failure import is_a, leaves
from ..model.ids import to_uuid
from .context import make_current
from .lease import Lease, Slot
from .roster import Roster

R = TypeVar("R")

logger = logging.getLogger("trio_gusto")


@trio.lowlevel.disable_ki_protection
def step(coroutine: Coroutine[Any, Any, R], lease: Lease) -> object:
    """Run ``coroutine`` as the job under ``lease``, until it waits for the first time.

    A Ctrl-C may interrupt it.

    Raises:
        StopIteration: it has returned without waiting, with that value.
    """
    make_current(lease)
    return coroutine.send(None)


@trio.lowlevel.disable_ki_protection
@types.coroutine
def drive(
    coroutine: Coroutine[Any, Any, R],
    context: contextvars.Context,
    roster: Roster,
    lease: Lease,
    trap: object,
) -> Generator[Any, Any, R]:
    """Run ``coroutine``, which waits in ``trap`` for the first time, to its end in ``context``.

    While a step of it runs, ``roster.active`` names its lease, so that the watchdog can tell which
    job blocks the event loop.
    """
    run = context.run
    send = coroutine.send
    lease.waited = True
    roster.share_work()
    try:
        while True:
            roster.active = None
            try:
                value = yield trap
            except BaseException as error:  # noqa: BLE001 - whatever Trio throws in goes through
                roster.active = lease
                trap = run(coroutine.throw, error)
            else:
                roster.active = lease
                trap = run(send, value)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # the coroutine's own return value
    finally:
        roster.active = None


@contextmanager
def clean_stack(slot: Slot) -> Generator[None]:
    """Entered around the scope of a slot: what handlers have left open in it goes no further.

    A cancel scope or nursery that is entered and never left stays in the task, which runs one handler after
    the other. Trio takes it out when the scope around it is left, and raises then. So the executor leaves its
    scope after a handler of that kind (`Slot.left_open_by`), and goes on with a new one.
    """
    try:
        yield
    except (RuntimeError, BaseExceptionGroup) as error:
        if not _is_of_misnesting(error):
            raise
        logger.error(
            "%s has left a cancel scope or a nursery open, and what it left is cancelled; leave them with "
            "`with`, and async generators that have any with `async with aclosing(...)`",
            _name_of(slot.left_open_by),
        )
    finally:
        slot.left_open_by = None
        if slot.task is not None and slot.task.child_nurseries:
            for nursery in slot.task.child_nurseries:
                nursery.cancel_scope.cancel()
            # Or the task could not end without an error. Trio has no public way to give a nursery up.
            getattr(slot.task, "_child_nurseries", []).clear()


def place_of(task: trio.lowlevel.Task) -> object:
    """What stands for all scopes around a task: the same object again when it is back where it was.

    Trio has nothing public that tells; where it keeps that elsewhere, it is always the same.
    """
    return getattr(task, "_cancel_status", None)


def _name_of(lease: Lease | None) -> str:
    if lease is None:
        return "a handler"
    request = lease.claimed.request
    return f"the handler of job {to_uuid(request.id)} ({request.name})"


def _is_of_misnesting(error: BaseException) -> bool:
    return any(
        "stack corrupted" in str(leaf) for leaf in leaves(error) if type(leaf) is RuntimeError
    )


def is_real_interrupt(error: BaseException) -> bool:
    """Whether this is a Ctrl-C that Trio's signal handler raised, not one that a handler raised.

    Trio raises a real one inside its own signal handler, so its innermost frame lies there.
    """
    if not is_a(error, KeyboardInterrupt):
        return False
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    module = None if frames is None else frames.tb_frame.f_globals.get("__name__")
    return module in {"trio._core._ki", "signal"}
