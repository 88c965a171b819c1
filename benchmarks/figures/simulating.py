"""Simulations. They have no floors: nothing raw lives through a month in seconds."""

from __future__ import annotations

from collections.abc import Sequence

from .. import simulating
from ..rows import Figure, Row, alone, at_most

FIGURES: Sequence[Figure] = (
    alone(
        "simulated-day",
        [
            Row(
                "a simulated day of 3 nodes: 50 schedules, a tenth of the jobs",
                "s",
                None,
                at_most(5),
            )
        ],
        lambda scale: [simulating.day_seconds(scale)],
    ),
    alone(
        "simulated-month",
        [Row("a simulated month: three tenths of the schedules, nightly", "s")],
        lambda scale: [simulating.month_seconds(scale)],
    ),
)
