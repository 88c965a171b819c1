"""Old jobs leave: what that costs a service at full load, and its event loop."""

from __future__ import annotations

from collections.abc import Sequence

from .. import keeping
from ..rows import Figure, Pair, Row, at_least, at_most
from ..scale import Scale

FLOOR = "the same without"


def _leaving(name: str, words: str, *, archive: bool) -> Figure:
    def measure(scale: Scale) -> Sequence[Pair]:
        leaving = keeping.leaving(scale, archive=archive)
        staying = keeping.staying(scale, leaving.seconds)
        return [
            Pair(leaving.rate, staying.rate),
            Pair(leaving.stall, staying.stall),
            Pair(leaving.seconds),
        ]

    def product(scale: Scale) -> Sequence[float]:
        leaving = keeping.leaving(scale, archive=archive)
        return [leaving.rate, leaving.stall, leaving.seconds]

    rows = [
        Row(f"SQLite FULL: end to end while old jobs {words}", "jobs/s", FLOOR, at_least(0.85)),
        Row("… the loop's longest standstill meanwhile", "ms", FLOOR, at_most(50)),
        Row("… until all of them have left", "s"),
    ]
    return Figure(name, rows, measure, product, keeping.make_many_old)


FIGURES: Sequence[Figure] = (
    _leaving("sqlite-archive", "are moved to the archive", archive=True),
    _leaving("sqlite-prune", "are deleted", archive=False),
)
