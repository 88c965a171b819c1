"""Lanes: claims out of many of them, and named workers beside jobs that have none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from .. import lanes
from ..rows import Figure, Goal, Row, at_least, versus
from ..scale import Scale

Claims = Callable[..., float]

LAYOUTS: Sequence[tuple[str, str, lanes.Layout]] = (
    ("interleaved", "in lanes of 10 jobs, interleaved", lanes.interleaved),
    ("blocks", "in lanes of 10 jobs, in blocks", lanes.in_blocks),
    ("front", "a lane with nine tenths of it before all others", lanes.behind_one),
)


def _claims(where: str, title: str, claims: Claims, goal: Goal | None = None) -> Sequence[Figure]:
    def figure(
        name: str, told: str, product: Callable[[Scale], float], goal: Goal | None = goal
    ) -> Figure:
        row = Row(f"{title}: claims of 100, {told}", "claims/s", "no lanes", goal)
        return versus(
            f"{where}-lanes-{name}", row, product, lambda scale: claims(scale, lanes.plain)
        )

    return [
        *(figure(name, told, partial(_laid_out, claims, layout)) for name, told, layout in LAYOUTS),
        figure(
            "at-work",
            "all lanes at work",
            lambda scale: claims(scale, lanes.at_work, occupied=lanes.occupied_lanes(scale)),
        ),
        figure(
            "short-of-tokens",
            f"{lanes.RATE_KEYS} rate keys wait for tokens",
            lambda scale: claims(scale, lanes.short_of_tokens, occupied=lanes.RATE_KEYS),
            None,
        ),
    ]


def _laid_out(claims: Claims, layout: lanes.Layout, scale: Scale) -> float:
    return claims(scale, layout)


FIGURES: Sequence[Figure] = (
    *_claims("memory", "memory", lanes.memory_claims),
    *_claims("sqlite", "SQLite FULL", lanes.sqlite_claims, at_least(0.5)),
    versus(
        "worker-in-turn",
        Row("SQLite FULL: no-op jobs of one named worker", "jobs/s", "1 executor", at_least(0.83)),
        lambda scale: lanes.one_after_another(scale, "smtp"),
        lambda scale: lanes.one_after_another(scale, None),
    ),
    versus(
        "workers-side-by-side",
        Row(
            "SQLite FULL: sleeping jobs, each of a worker of its own",
            "jobs/s",
            "no workers",
            at_least(0.9),
        ),
        lambda scale: lanes.side_by_side(scale, have_workers=True),
        lambda scale: lanes.side_by_side(scale, have_workers=False),
    ),
)
