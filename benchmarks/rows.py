"""What a figure is made of: rows, their goals, and what a round has measured for each."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Literal

import attrs

from .scale import Scale

Measure = Callable[[Scale], float]


@attrs.frozen
class Goal:
    """``ratio``: product by floor; ``value``: the product's own figure."""

    bound: Literal["at least", "at most"]
    limit: float
    of: Literal["ratio", "value"] = "ratio"

    def is_met(self, value: float, ratio: float | None) -> bool:
        measured = ratio if self.of == "ratio" else value
        assert measured is not None, "a row refuses a goal for a ratio that it does not have"
        return measured >= self.limit if self.bound == "at least" else measured <= self.limit


def at_least(ratio: float) -> Goal:
    """The product is to reach so much of its floor."""
    return Goal("at least", ratio)


def at_most(value: float) -> Goal:
    """The product's own figure is to stay below this, in the unit of its row."""
    return Goal("at most", value, "value")


@attrs.frozen
class Row:
    """One line of the table. A row without a goal informs.

    ``floor`` names what the machine can do at best; ``None`` where nothing comparable exists.
    """

    title: str
    unit: str
    floor: str | None = None
    goal: Goal | None = None

    def __attrs_post_init__(self) -> None:
        if self.floor is None and self.goal is not None and self.goal.of == "ratio":
            raise ValueError(f"{self.title!r} has a goal for its ratio to a floor, and no floor")

    @property
    def more_is_better(self) -> bool:
        """Whether it is a rate, and not a time or a size."""
        return self.unit.endswith("/s")


@attrs.frozen
class Pair:
    """What one round measured for a row. ``floor`` is ``None`` where the row has none."""

    product: float
    floor: float | None = None

    @property
    def ratio(self) -> float | None:
        return None if self.floor is None else self.product / self.floor


def _nothing(scale: Scale) -> None:
    """Most figures make what they need in every round."""


@attrs.frozen
class Figure:
    """Rows that are measured together.

    ``prepare`` is called once, before the first round. ``product`` measures the product alone, a
    value for each row: it is what a profile looks at, and what is compared with another revision.
    """

    name: str
    rows: Sequence[Row]
    measure: Callable[[Scale], Sequence[Pair]]
    product: Callable[[Scale], Sequence[float]]
    prepare: Callable[[Scale], None] = _nothing


def versus(
    name: str,
    row: Row,
    product: Measure,
    floor: Measure,
    prepare: Callable[[Scale], None] = _nothing,
) -> Figure:
    """A figure of one row. Its floor is measured before and after the product, and averaged, so
    that what else the machine does in these seconds falls on both sides. What a measurement leaves
    behind is collected before the next, which would pay for it."""

    def measured(function: Measure, scale: Scale) -> float:
        gc.collect()
        return function(scale)

    def measure(scale: Scale) -> Sequence[Pair]:
        before = measured(floor, scale)
        result = measured(product, scale)
        return [Pair(result, (before + measured(floor, scale)) / 2)]

    return Figure(name, [row], measure, lambda scale: [product(scale)], prepare)


def beside(
    name: str,
    rows: Sequence[Row],
    product: Callable[[Scale], Sequence[float]],
    floor: Callable[[Scale], Sequence[float]],
) -> Figure:
    """A figure of several rows, whose floors are measured together, after the product."""

    def measure(scale: Scale) -> Sequence[Pair]:
        return [Pair(*both) for both in zip(product(scale), floor(scale), strict=True)]

    return Figure(name, rows, measure, product)


def alone(name: str, rows: Sequence[Row], product: Callable[[Scale], Sequence[float]]) -> Figure:
    """A figure without floors."""
    return Figure(name, rows, lambda scale: [Pair(value) for value in product(scale)], product)
