"""All the figures, in the order of the table."""

from __future__ import annotations

from collections.abc import Sequence

from .figures import (
    backlogs,
    costs,
    counts,
    crowds,
    keeping,
    lanes,
    latency,
    simulating,
    tenants,
    throughput,
    triggers,
)
from .rows import Figure

SUBJECTS = (
    throughput,
    latency,
    costs,
    counts,
    crowds,
    keeping,
    lanes,
    tenants,
    triggers,
    simulating,
    backlogs,
)

FIGURES: Sequence[Figure] = [figure for subject in SUBJECTS for figure in subject.FIGURES]
NAMES: Sequence[str] = [figure.name for figure in FIGURES]


def module_of(figure: Figure) -> str:
    """The name of the module that a figure is in."""
    (found,) = [subject.__name__ for subject in SUBJECTS if figure in subject.FIGURES]
    return found
