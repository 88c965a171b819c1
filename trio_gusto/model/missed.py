"""Which instants have come since the last look: mostly one, after a long stop perhaps millions.

A trigger only tells the next instant. The newest ones are found by halving the time in which they
may be, so that a clock that jumps ten years ahead costs milliseconds and not hours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import attrs

MOST_COUNTED = 250
"""Instants counted beyond those that are kept. Of more it is only said that there are more: to count
a thousand takes a twentieth of a second, and in that time nothing else runs.
"""

NextAfter = Callable[[int], int | None]


@attrs.define
class Missed:
    """The ``newest`` instants, oldest first, and how many there are in all.

    ``at_least``: there are more than ``count``.
    """

    newest: Sequence[int]
    count: int
    at_least: bool = False


def missed(next_after: NextAfter, first: int, until: int, keep: int) -> Missed:
    """The newest ``keep`` instants from ``first``, which is one, up to and including ``until``."""
    newest = deque([first], maxlen=keep)
    count = 1
    while count < keep + MOST_COUNTED:
        following = next_after(newest[-1])
        if following is None or following > until:
            return Missed(list(newest), count)
        newest.append(following)
        count += 1
    last = newest_until(next_after, newest[-1], until)
    if last == newest[-1]:
        return Missed(list(newest), count)
    return Missed(_newest(next_after, first, last, keep), count, at_least=True)


def newest_until(next_after: NextAfter, known: int, until: int) -> int:
    """The newest instant not later than ``until``; ``known`` is one of them."""
    beyond = until
    while True:
        # The newest is `known`, or in between; nothing is later than `beyond`.
        following = next_after(known)
        if following is None or following > until:
            return known
        known = following
        middle = (known + beyond) // 2
        later = next_after(middle)
        if later is None or later > until:
            beyond = middle
        else:
            known = later


def _newest(next_after: NextAfter, first: int, last: int, keep: int) -> Sequence[int]:
    """The ``keep`` instants up to ``last``, when there are so many from ``first`` on."""
    found = deque([last])
    while len(found) < keep:
        # Instants mostly lie as far apart as their neighbours: look there before looking far.
        spacing = found[1] - found[0] if len(found) > 1 else 1
        guess = next_after(found[0] - 2 * spacing - 1)
        known = guess if guess is not None and first < guess < found[0] else first
        found.appendleft(newest_until(next_after, known, found[0] - 1))
    return list(found)
