"""Where the time of one figure goes: cProfile over its product side, thread by thread.

cProfile makes Python code look dearer than it is beside SQLite and the event loop: trust the order
of the lines, and measure again before believing a gain.
"""

from __future__ import annotations

import cProfile
import pstats
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


def profile(work: Callable[[], object], *, sort: str, lines: int) -> None:
    """Run ``work`` and print what it did, in this thread and in those it started."""
    main = cProfile.Profile()
    with _other_threads() as others:
        main.runcall(work)
    _show("event loop", [main], sort, lines)
    if others:
        _show("other threads", others, sort, lines)


@contextmanager
def _other_threads() -> Generator[list[cProfile.Profile]]:
    """A profile of every thread started inside the block."""
    profiles: list[cProfile.Profile] = []

    def begin(*_: object) -> None:
        # Called by the first event of a new thread; enabling takes this hook's place there.
        mine = cProfile.Profile()
        profiles.append(mine)
        mine.enable()

    threading.setprofile(begin)
    try:
        yield profiles
    finally:
        threading.setprofile(None)


def _show(title: str, profiles: list[cProfile.Profile], sort: str, lines: int) -> None:
    print(f"\n=== {title} ===")
    stats = pstats.Stats(profiles[0])
    for more in profiles[1:]:
        stats.add(more)
    stats.sort_stats(sort).print_stats(lines)
