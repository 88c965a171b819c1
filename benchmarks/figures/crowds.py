"""Many at once: how long it takes, and for how long the event loop stands still meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import crowds
from ..rows import Figure, Row, alone, at_most, beside
from ..scale import Scale

Load = Callable[[Scale], crowds.Toll]

TOGETHER = at_most(2)
"""Seconds. Nobody should notice that it is many."""

STANDSTILL = at_most(50)
"""Milliseconds. What else the loop has to do should not notice it either."""


def _values(load: Load) -> Callable[[Scale], Sequence[float]]:
    def values(scale: Scale) -> Sequence[float]:
        toll = load(scale)
        return [toll.seconds, toll.stall]

    return values


def _rows(title: str, floor: str | None = None) -> Sequence[Row]:
    return [
        Row(title, "s", floor, TOGETHER),
        Row("… the loop's longest standstill meanwhile", "ms", floor, STANDSTILL),
    ]


def _durable(name: str, title: str, load: Load, floor: str, raw: Load) -> Figure:
    rows = _rows(f"SQLite FULL: {title}", floor)
    return beside(f"sqlite-{name}", rows, _values(load), _values(raw))


def _in_memory(name: str, title: str, load: Callable[..., crowds.Toll]) -> Figure:
    """Without a floor: the same in memory is nothing but assignments."""
    return alone(
        f"memory-{name}",
        _rows(f"memory: {title}"),
        _values(lambda scale: load(scale, durable=False)),
    )


FIRE = "fire", "fire and run the schedules of one instant", crowds.fire_schedules
RELEASE = "release", "release the continuations of one batch", crowds.release_continuations
CANCEL = "cancel", "cancel a batch", crowds.cancel_batch

FIGURES: Sequence[Figure] = (
    _durable(*FIRE, "raw rows", crowds.raw_firing),
    _durable(*RELEASE, "raw update", crowds.raw_release),
    _durable(*CANCEL, "raw update", crowds.raw_cancel),
    _in_memory(*FIRE),
    _in_memory(*RELEASE),
    _in_memory(*CANCEL),
)
