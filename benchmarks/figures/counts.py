"""What it costs to know how many jobs there are."""

from __future__ import annotations

from collections.abc import Sequence

from .. import counting
from ..rows import Figure, Row, at_most, versus

FIGURES: Sequence[Figure] = (
    versus(
        "count-finished",
        Row("SQLite: stats() of a big table of ended rows", "ms", "going over all", at_most(20)),
        counting.stats_of_finished,
        counting.recount_of_finished,
        counting.make_finished,
    ),
    versus(
        "count-ready",
        Row("SQLite: stats() of a big table of ready rows", "ms", "going over all", at_most(20)),
        counting.stats_of_ready,
        counting.recount_of_ready,
        counting.make_ready,
    ),
)
