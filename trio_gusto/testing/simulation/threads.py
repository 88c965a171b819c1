"""`Threads`: sees when tasks wait for threads, which take real time, and lets time stand still meanwhile.

Whichever task has a turn first when a thread is ready would be chance. So everybody waits while a thread
is at work, whoever has started it: a plain handler, or an async one with `trio.to_thread.run_sync`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise

import trio
from trio.testing import active_thread_count

from ...actors.dossier import frames_of
from ..clock import standing_still

ENTRANCE = "<TrioToken.run_sync_soon task>"
"""Trio's own task, which performs what threads hand in."""

RUN_SYNC = trio.to_thread.run_sync.__code__


class Threads(trio.abc.Instrument):
    """Knows after each step of a task whether a thread is at work.

    One that has the loop do something, with `trio.from_thread.run`, is not at work until that is done.
    """

    def __init__(self, on_begin: Callable[[], None], on_end: Callable[[], None]) -> None:
        self.are_at_work = False
        self.have_been = False
        """Whether any thread was ever at work."""
        self.hosts: dict[trio.lowlevel.Task, None] = {}
        """The tasks that wait for a thread."""
        self.of_the_run: set[trio.lowlevel.Task] = set()
        """The main task, and what else is started directly under Trio's root by the run itself."""
        self._count = 0
        self._guests: set[trio.lowlevel.Task] = set()
        """Tasks that threads wait for, each for one."""
        self._on_begin = on_begin
        self._on_end = on_end
        self._stillness = ExitStack()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Called by Trio."""
        before, self._count = self._count, active_thread_count()
        if self._count > before or (self._count and _is_within(task, "wait_task_rescheduled")):
            self.hosts[task] = None
            self._judge()
        else:
            self.leave(task)
        if task in self._guests and _has_ended(task):
            self._guests.remove(task)
            self._judge()

    def leave(self, task: trio.lowlevel.Task) -> None:
        """A task does not wait for a thread any more, if it has."""
        if self.hosts.pop(task, False) is None:
            self._judge()

    def is_about_to_begin(self, task: trio.lowlevel.Task) -> bool:
        """Whether a thread begins in the next step of a task, even if that is cancelled."""
        return _is_within(task, "acquire_on_behalf_of")

    def look_for_guests(self, batch: Sequence[trio.lowlevel.Task]) -> None:
        """See whether a thread has had Trio start a task, for which it waits."""
        guests = {task for task in batch if self._is_guest(task)}
        if not guests <= self._guests:
            self._guests |= guests
            self._judge()

    def _is_guest(self, task: trio.lowlevel.Task) -> bool:
        nursery = task.parent_nursery
        return (
            nursery is not None
            and nursery.parent_task is trio.lowlevel.current_root_task()
            and task.name != ENTRANCE
            and task not in self.of_the_run
        )

    def _judge(self) -> None:
        before, self.are_at_work = self.are_at_work, len(self.hosts) > len(self._guests)
        if self.are_at_work and not before:
            self.have_been = True
            self._stillness.enter_context(standing_still())
            self._on_begin()
        elif before and not self.are_at_work:
            self._stillness.close()
            self._on_end()


def _has_ended(task: trio.lowlevel.Task) -> bool:
    return getattr(task.coro, "cr_frame", None) is None


def _is_within(task: trio.lowlevel.Task, name: str) -> bool:
    """Whether a task is in a function that Trio calls for whoever wants a thread: to have one, or to wait
    for it."""
    if _has_ended(task):
        return False
    codes = [frame.f_code for frame in frames_of(task)]
    called = [inner.co_name for outer, inner in pairwise(codes) if outer is RUN_SYNC]
    return called[-1:] == [name]
