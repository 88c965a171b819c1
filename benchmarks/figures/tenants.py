"""Tenants: claims beside paused ones, claims in turn, and what the first of each costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from .. import tenants
from ..crowds import Toll
from ..rows import Figure, Goal, Row, alone, at_least, versus
from ..scale import Scale
from ..tenants import Load

Claims = Callable[[Scale, Load], float]

LOADS: Sequence[tuple[str, str, Load, Goal | None]] = (
    (
        "paused",
        "100 paused tenants with nine tenths of it in front",
        Load(tenants.behind_paused, tenants.PAUSED),
        at_least(0.5),
    ),
    ("one-paused", "one of 1,000 tenants paused", Load(tenants.of_many, ["tenant 5"]), None),
    ("fair", "10 tenants in turn", Load(tenants.of_ten, in_turn=True), None),
    ("fair-many", "1,000 tenants in turn", Load(tenants.of_many, in_turn=True), None),
)


def _claims(where: str, title: str, claims: Claims) -> Sequence[Figure]:
    def product(load: Load) -> Callable[[Scale], float]:
        return lambda scale: claims(scale, load)

    return [
        versus(
            f"{where}-tenants-{name}",
            Row(f"{title}: claims of 100, {told}", "claims/s", "one tenant", goal),
            product(load),
            product(Load()),
        )
        for name, told, load, goal in LOADS
    ]


def _tolls(measure: Callable[[Scale], Toll], scale: Scale) -> Sequence[float]:
    toll = measure(scale)
    return [toll.seconds * 1000, toll.stall]


def _first(name: str, title: str, measure: Callable[[Scale], Toll]) -> Figure:
    rows = [Row(title, "ms"), Row(f"{title}: the loop stands still", "ms")]
    return alone(name, rows, partial(_tolls, measure))


FIGURES: Sequence[Figure] = (
    *_claims("memory", "memory", tenants.memory_claims),
    *_claims("sqlite", "SQLite FULL", tenants.sqlite_claims),
    _first(
        "sqlite-tenants-first-pause",
        "SQLite FULL: the first pause of a tenant",
        tenants.first_pause,
    ),
    _first(
        "memory-tenants-first-claim",
        "memory: the first claim after 100 tenants were paused",
        tenants.first_claim,
    ),
)
