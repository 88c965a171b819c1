"""The dossier of an attempt that does not end in time: where each of its tasks stands.

Rules. One is made when an attempt times out, and when a handler still runs `PATIENCE` seconds after it was
cancelled; jobs that behave pay nothing. It says which code waits where: files, lines, their text and
the names of functions and tasks, never what a variable holds. It has `MOST_BYTES` at most.

Trio tells nobody which cancel scopes a task stands in, so they are looked for where it keeps them; if they
are kept elsewhere one day, the dossier says nothing of them.
"""

from __future__ import annotations

import gc
import linecache
import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import trio

from ..model.errors import StuckHandler
from ..model.failure import OURS
from ..model.ids import to_uuid
from ..model.instants import MICROSECONDS
from ..model.joblog import storable
from .isolation import drive
from .lease import PATIENCE, Lease, Slot
from .reports import Reports
from .roster import Roster

logger = logging.getLogger("trio_gusto")

MOST_BYTES = 16_384
"""Bytes of a dossier; what does not fit is left out at its end."""

MOST_FRAMES = 12
"""Frames of one task, the innermost ones."""

MOST_TASKS = 50
"""Tasks that are described."""

LINE = 160
"""Characters of one line of code, and of a name."""


class Dossiers:
    """Makes dossiers of the jobs of one node, and has them stored, or logged where that cannot be."""

    def __init__(self, roster: Roster, reports: Reports) -> None:
        self._roster = roster
        self._reports = reports

    def file(self, slot: Slot, lag: float = 0.0) -> None:
        """Make one of what runs in ``slot``. ``lag``: for how many seconds the loop was late for it."""
        lease = slot.lease
        assert lease is not None
        text = dossier_of(slot, lease, lag)
        if lease.cause is not None and not self._roster.stopping:
            logger.error("%s", StuckHandler(_complaint(slot, lease)))
        if self._reports.is_kept:
            self._reports.file(lease, text)
        else:
            logger.warning("job %s: %s", to_uuid(lease.claimed.request.id), text)


def dossier_of(slot: Slot, lease: Lease, lag: float) -> str:
    """What can be said of the attempt under ``lease``, which runs in ``slot``; never raises."""
    lines = [_headline(slot, lease), f"event loop lag: {max(0.0, lag):.3f} s"]
    try:
        lines += _of_tasks(slot)
        lines += _of_thread(slot)
    except Exception as broken:  # noqa: BLE001 - it looks into other people's frames
        lines.append(f"the rest could not be read: {type(broken).__name__}")
    return storable("\n".join(lines), MOST_BYTES)


def _headline(slot: Slot, lease: Lease) -> str:
    if lease.cause is None:
        timeout = lease.claimed.request.timeout
        assert timeout is not None
        return f"timed out after {timeout / MICROSECONDS:g} s, and is cancelled now"
    ago = trio.current_time() - slot.cancelled_at
    return f"cancelled {ago:.1f} s ago ({lease.cause.name.lower()}), and still runs"


def _complaint(slot: Slot, lease: Lease) -> str:
    request = lease.claimed.request
    why = (
        "a thread cannot be killed; let the handler call trio.from_thread.check_cancelled() now and then"
        if slot.thread_wait is not None
        else "it shields itself or swallows Cancelled; give its shielded scope a deadline, and let Cancelled "
        "through"
    )
    return (
        f"job {to_uuid(request.id)} ({request.name}) still runs {PATIENCE:g} s after it was cancelled, "
        f"and its executor is taken until it ends: {why}"
    )


# --- tasks ----------------------------------------------------------------------------------------


def _of_tasks(slot: Slot) -> Iterator[str]:
    """The handler, and the tasks of its nurseries, each below the one that waits for it."""
    assert slot.task is not None
    waiting: list[tuple[trio.lowlevel.Task, int]] = [(slot.task, 0)]
    count = 0
    while waiting:
        task, depth = waiting.pop()
        children = [
            child
            for nursery in task.child_nurseries
            for child in sorted(nursery.child_tasks, key=lambda child: child.name)
        ]
        waiting += [(child, depth + 1) for child in reversed(children)]
        count += 1
        if count <= MOST_TASKS:
            yield from _of_task(slot, task, "  " * min(depth, 10))
    if count > MOST_TASKS:
        yield f"and {count - MOST_TASKS} more tasks"


def _of_task(slot: Slot, task: trio.lowlevel.Task, margin: str) -> Iterator[str]:
    if task is slot.task:
        coroutine = _driven(task)
        yield "handler" if coroutine is not None else "handler, in a thread"
    else:
        coroutine = task.coro
        yield f"{margin}task {task.name[:LINE]}"
    for shield in _shields(slot, task):
        yield f"{margin}  {shield}"
    frames = [frame for frame in _awaited(coroutine) if not _is_ours(frame)]
    yield from _of_frames(frames, margin)


def _driven(task: trio.lowlevel.Task) -> object:
    """The coroutine that the executor ``task`` drives: nobody notes it anywhere else."""
    for frame in _awaited(task.coro):
        if frame.f_code is drive.__code__:
            return frame.f_locals["coroutine"]
    return None


def frames_of_users(task: trio.lowlevel.Task) -> list[FrameType]:
    """Those of `frames_of` that are neither ours nor Trio's."""
    return [frame for frame in frames_of(task) if not (_is_ours(frame) or _is_trios(frame))]


def frames_of(task: trio.lowlevel.Task) -> list[FrameType]:
    """The frames of a task, from the outermost in; of an executor's, its handler's."""
    driven = _driven(task)
    return list(_awaited(task.coro if driven is None else driven))


def _awaited(coroutine: Any) -> Iterator[FrameType]:
    """The frames of what is awaited, from the outermost in."""
    while coroutine is not None:
        for kind, following in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
            frame = getattr(coroutine, f"{kind}_frame", None)
            if frame is not None:
                yield frame
            if hasattr(coroutine, following):
                coroutine = getattr(coroutine, following)
                break
        else:
            # The step of an asynchronous generator does not say which generator's it is.
            held = gc.get_referents(coroutine)
            coroutine = next(
                (each for each in held if hasattr(each, "ag_frame") or hasattr(each, "cr_frame")),
                None,
            )


def _shields(slot: Slot, task: trio.lowlevel.Task) -> Iterator[str]:
    """Which of the cancel scopes around a task, inside the handler's own, are shielded."""
    scopes: list[Any] = []
    status: Any = getattr(task, "_cancel_status", None)
    while (scope := getattr(status, "_scope", None)) is not None and scope is not slot.scope:
        scopes.append(scope)
        status = getattr(status, "_parent", None)
    for number, scope in enumerate(scopes, 1):
        if scope.shield and scope is not slot.thread_wait:
            left = scope.deadline - trio.current_time()
            ends = "has no deadline" if left == float("inf") else f"ends in {left:.1f} s"
            yield f"shielded by cancel scope {number} of {len(scopes)} from inside, which {ends}"


# --- threads and frames ---------------------------------------------------------------------------


def _of_thread(slot: Slot) -> Iterator[str]:
    current = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # the only way
    frame = None if slot.thread is None else current.get(slot.thread)
    if frame is None:
        return
    frames = [each for each, _ in traceback.walk_stack(frame)][::-1]
    ours = next((at for at, each in enumerate(frames) if _is_ours(each)), 0)
    yield "thread"
    yield from _of_frames([each for each in frames[ours:] if not _is_ours(each)], "")


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(OURS)


def _is_trios(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith("trio.")


def _of_frames(frames: Sequence[FrameType], margin: str) -> Iterator[str]:
    left_out = len(frames) - MOST_FRAMES
    if left_out > 0:
        yield f"{margin}  {left_out} frames left out"
    for frame in frames[-MOST_FRAMES:]:
        code, number = frame.f_code, frame.f_lineno
        yield f'{margin}  File "{code.co_filename}", line {number}, in {code.co_name}'
        line = linecache.getline(code.co_filename, number, frame.f_globals).strip()
        if line:
            yield f"{margin}    {line[:LINE]}"
