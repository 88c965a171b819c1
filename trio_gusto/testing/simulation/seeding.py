"""One seed for all that is left to chance: which task has its turn next, ids, and `random`.

Trio runs what is ready in an order of its own choice. Here that choice is drawn from the seed, by the
one hook there is for it: Trio's own, made for Hypothesis. The same hook lets some tasks wait: those of
a process that stands still, and everybody while a thread does what takes real time.
"""

from __future__ import annotations

import gc
import random
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import trio

from ...actors.dossier import frames_of_users
from .failures import GoesOnForEver
from .threads import ENTRANCE, Threads

_trio: Any = import_module("trio._core._run")
"""Trio's loop. The hook has no public name, so a Trio without it is found out by tests."""

BUSY = -1
"""The rank of whoever has something to do."""

QUIET_PASSES = 200_000
"""How many passes of Trio's loop there may be at one instant in which nobody writes anything. They take a few
seconds of real time; a handler may go through a hundred thousand rows, with a checkpoint for each."""

MOST_PASSES = 10_000_000
"""How many there may be at one instant at all: some hundred thousand jobs at once need fewer."""

Owner = object
"""Whose tasks stand still together: one life of a node."""


class StoppedRun(Exception):
    """Ends Trio's loop."""


class Scheduler:
    """Stands in for the random number generator that Trio shuffles ready tasks with."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"{seed}/scheduler")  # noqa: S311 - it is to be repeated
        self._thread = threading.get_ident()
        self._batch: list[trio.lowlevel.Task] = []
        """What has its turn in this pass of the loop; Trio takes from its end."""
        self._owners: dict[trio.lowlevel.Task, Owner] = {}
        self._held: dict[Owner, list[trio.lowlevel.Task]] = {}
        self._waiting: list[trio.lowlevel.Task] = []
        """Those whose turn comes when no thread is at work any more."""
        self._ranks: dict[trio.lowlevel.Task, int] = {}
        self.threads = Threads(self._let_wait, self._let_go_on)
        """An instrument, which the run has to be given."""
        self.writes = 0
        """Counts what is written to the storage."""
        self.failure: BaseException | None = None
        """Why it has failed; the first reason counts."""
        self._is_given_up = False
        self._passes = self._passes_now = 0
        self._last_seen: tuple[float, int] = -1.0, 0
        self.limit_passes(QUIET_PASSES, MOST_PASSES)

    def shuffle(self, batch: list[trio.lowlevel.Task]) -> None:
        """What Trio calls in every pass of its loop."""
        if threading.get_ident() != self._thread:
            return  # another run, in another thread
        self._batch = batch
        self._passes += 1
        if self._passes > self._stride:
            self._see_whether_it_goes_on(batch)
        if self.threads.hosts:
            self.threads.look_for_guests(batch)
        if self._held:
            self._take_out(batch)
        if self.threads.are_at_work:
            self._let_wait()
        if self._ranks:
            self._put_off(batch)
        if self.threads.have_been:
            # Trio's own task comes when it likes to, and may change nothing for others.
            entrances = [task for task in batch if task.name == ENTRANCE]
            batch[:] = [task for task in batch if task.name != ENTRANCE]
            self._random.shuffle(batch)
            batch += entrances
        elif len(batch) > 1:
            self._random.shuffle(batch)

    def limit_passes(self, quiet: int, most: int) -> None:
        """Give up after so many passes at one instant: ``quiet`` without a write (twice as many at most), or ``most``."""
        self._stride, self._most_passes = min(quiet, most), most

    def _see_whether_it_goes_on(self, batch: Sequence[trio.lowlevel.Task]) -> None:
        before, self._last_seen = self._last_seen, (trio.current_time(), self.writes)
        same_instant = self._last_seen[0] == before[0]
        self._passes_now = self._passes_now + self._passes if same_instant else 0
        self._passes = 0
        if self._last_seen == before or self._passes_now > self._most_passes:
            self.give_up(batch)
        if self._is_given_up:
            # Out of Trio's loop, whatever the tasks in it think of that.
            raise StoppedRun

    def give_up(self, busy: Iterable[trio.lowlevel.Task]) -> None:
        """End the run in the next pass, with no regard to its tasks. ``busy`` are those that do not end."""
        self._is_given_up = True
        self.limit_passes(0, 0)
        if self.failure is None:
            self.failure = GoesOnForEver([_place_of(task) for task in busy])

    random = property(lambda self: self._random.random)
    uniform = property(lambda self: self._random.uniform)

    # --- whoever waits until nothing happens any more ---

    async def until_idle(self, rank: int) -> None:
        """Wait until nobody else has anything to do at this instant, except with a higher ``rank``.

        Trio's own `wait_all_tasks_blocked` takes it for idle when a thread is at work.
        """
        task = trio.lowlevel.current_task()
        self._ranks[task] = rank
        try:
            await trio.lowlevel.checkpoint()
        finally:
            del self._ranks[task]

    def _put_off(self, batch: list[trio.lowlevel.Task]) -> None:
        ranks = self._ranks
        first = min([ranks.get(task, BUSY) for task in batch], default=BUSY)
        late = [task for task in batch if ranks.get(task, BUSY) > first]
        if late:
            batch[:] = [task for task in batch if ranks.get(task, BUSY) == first]
            # Time does not jump while somebody is ready.
            _trio.GLOBAL_RUN_CONTEXT.runner.runq.extend(late)

    # --- a process that stands still ---

    def own(self, task: trio.lowlevel.Task, owner: Owner) -> None:
        """``task`` and all that comes of it belong to ``owner``."""
        self._owners[task] = owner

    def disown(self, task: trio.lowlevel.Task) -> None:
        """``task`` is about to end."""
        del self._owners[task]

    def hold(self, owner: Owner) -> None:
        """No task of ``owner`` has a turn any more, once the present step of one has ended."""
        self._held.setdefault(owner, [])
        self._take_out(self._batch)

    def release(self, owner: Owner) -> None:
        """Those that would have had a turn meanwhile have it now."""
        self._batch[:0] = self._held.pop(owner, ())

    def _take_out(self, batch: list[trio.lowlevel.Task]) -> None:
        going_on: list[trio.lowlevel.Task] = []
        taken_out: list[trio.lowlevel.Task] = []
        for task in batch:
            owner = self._owner_of(task)
            # A thread that has been asked for begins now, or it would when all is over.
            if owner in self._held and not self.threads.is_about_to_begin(task):
                self._held[owner].append(task)
                taken_out.append(task)
            else:
                going_on.append(task)
        batch[:] = going_on
        for task in taken_out:
            self.threads.leave(task)  # its thread is ready, or it would have had no turn

    def _owner_of(self, task: trio.lowlevel.Task) -> Owner | None:
        above: trio.lowlevel.Task | None = task
        while above is not None:
            if above in self._owners:
                return self._owners[above]
            above = None if above.parent_nursery is None else above.parent_nursery.parent_task
        return None

    # --- threads, which take real time ---

    def _let_wait(self) -> None:
        """A thread is at work: nobody goes on but who waits for it."""
        batch, hosts = self._batch, self.threads.hosts
        going_on = [task for task in batch if task in hosts or task.name == ENTRANCE]
        self._waiting += [task for task in batch if task not in going_on]
        batch[:] = going_on

    def _let_go_on(self) -> None:
        # Whoever waits until nothing happens is not to go on beside what comes of the thread now.
        later = [task for task in self._waiting if task in self._ranks]
        going_on = [task for task in self._waiting if task not in self._ranks]
        self._random.shuffle(going_on)
        self._batch[:0] = going_on
        self._waiting.clear()
        self._take_out(self._batch)
        _trio.GLOBAL_RUN_CONTEXT.runner.runq.extend(later)


def _place_of(task: trio.lowlevel.Task) -> str:
    """Where a task is, in the code of whoever uses us."""
    frames = frames_of_users(task)
    if not frames:
        return task.name
    code = frames[-1].f_code
    return f"{code.co_name} ({code.co_filename}:{frames[-1].f_lineno})"


RARELY = 50_000, 20, 50
"""When Python collects garbage meanwhile: a history is much to look through, and is none."""


@contextmanager
def seeded(seed: int) -> Generator[Scheduler]:
    """Leave nothing to chance in the Trio runs of this thread; `random` included."""
    scheduler = Scheduler(seed)
    hook = _trio
    before = hook._r, hook._ALLOW_DETERMINISTIC_SCHEDULING
    of_others = random.getstate()
    hook._r, hook._ALLOW_DETERMINISTIC_SCHEDULING = scheduler, True
    collections = gc.get_threshold()
    gc.set_threshold(*RARELY)
    random.seed(f"{seed}/random")
    try:
        yield scheduler
    finally:
        hook._r, hook._ALLOW_DETERMINISTIC_SCHEDULING = before
        random.setstate(of_others)
        gc.set_threshold(*collections)


def entropy(seed: int, purpose: str) -> Callable[[int], bytes]:
    """In place of `os.urandom`."""
    return random.Random(f"{seed}/{purpose}").randbytes  # noqa: S311 - it is to be repeated
