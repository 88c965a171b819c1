"""The figures: what is measured, against which floor, and what is to be reached."""

from __future__ import annotations

from collections.abc import Sequence

from ..rows import Figure
from . import backlogs, costs, crowds, latency, throughput, triggers

FIGURES: Sequence[Figure] = (
    *throughput.FIGURES,
    *latency.FIGURES,
    *costs.FIGURES,
    *crowds.FIGURES,
    *triggers.FIGURES,
    *backlogs.FIGURES,
)
