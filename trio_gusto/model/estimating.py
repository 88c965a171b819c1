"""How long a job will take, by how long earlier ones took: a guess, and said to be one."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import attrs

RUNS = 100
"""Earlier runs that an estimate rests on, at most."""

ALMOST = 99.0
"""Per cent: as far as a job gets that has not said itself that it is further."""

_SECOND = 1_000_000


@attrs.frozen(kw_only=True)
class Estimate:
    """What to expect of a job, by earlier runs of the same handler. Durations are seconds.

    ``duration`` is the median of the earlier runs, ``spread`` are their 10th and 90th percentile,
    and ``runs`` is how many there were. Of a running job ``percent`` (0 to 100) says how far it is:
    as it says itself, or, with ``is_estimated``, by how long it has run already. ``remaining`` is how long
    it will take from now on; ``None`` for one that has run for longer than every earlier run.
    Of other jobs ``percent`` and ``remaining`` are ``None``.
    """

    duration: float
    spread: tuple[float, float]
    runs: int
    percent: float | None = None
    is_estimated: bool = False
    remaining: float | None = None


def estimate(
    durations: Sequence[int], elapsed: int | None = None, reported: float | None = None
) -> Estimate | None:
    """What earlier runs, by their durations, say of a job; ``None`` when there are none.

    ``elapsed`` is for how long the job has been running, ``None`` if it is not. ``reported`` is how
    far it says that it is, in per cent, and then that holds.
    """
    if not durations:
        return None
    expected = median(durations)
    percent: float | None = None
    remaining: float | None = None
    if elapsed is not None and reported is not None:
        percent = reported
        remaining = expected * (100 - reported) / 100 / _SECOND
    elif elapsed is not None:
        # Shorter runs than this one say nothing of it any more.
        longer = [duration for duration in durations if duration > elapsed]
        percent = ALMOST
        if longer:
            left = median(longer) - elapsed
            remaining = left / _SECOND
            percent = min(ALMOST, 100 * max(elapsed, 0) / (max(elapsed, 0) + left))
    return Estimate(
        duration=expected / _SECOND,
        spread=(percentile(durations, 10) / _SECOND, percentile(durations, 90) / _SECOND),
        runs=len(durations),
        percent=percent,
        is_estimated=percent is not None and reported is None,
        remaining=remaining,
    )


def percentile(values: Sequence[int], rank: int) -> int:
    """The smallest of ``values`` that at least ``rank`` per cent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * rank // 100) - 1)]
