"""Cron expressions. They have no floors: nothing raw tells what day it is."""

from __future__ import annotations

from collections.abc import Sequence

from .. import cron_expressions
from ..rows import Figure, Row, alone, at_most

FIGURES: Sequence[Figure] = (
    alone(
        "cron-next",
        [Row("next_after of an ordinary cron expression, the slowest", "µs", None, at_most(100))],
        lambda scale: [cron_expressions.next_after_microseconds(scale)],
    ),
    alone(
        "cron-never",
        [Row("a cron expression that never fires: until it is refused", "ms", None, at_most(10))],
        lambda scale: [cron_expressions.refusal_milliseconds(scale)],
    ),
)
