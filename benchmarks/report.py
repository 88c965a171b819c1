"""The table, and the same as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import attrs
from rich.console import Console
from rich.table import Table

from .rows import Figure, Goal, Pair, Row

NONE = "—"
"""In the place of a floor, where there is none."""


@attrs.frozen
class Result:
    """A row and what its rounds measured. Medians are compared."""

    figure: str
    row: Row
    pairs: Sequence[Pair]

    @property
    def product(self) -> float:
        return statistics.median(pair.product for pair in self.pairs)

    @property
    def floor(self) -> float | None:
        floors = [pair.floor for pair in self.pairs if pair.floor is not None]
        return statistics.median(floors) if floors else None

    @property
    def ratio(self) -> float | None:
        return Pair(self.product, self.floor).ratio

    @property
    def is_below(self) -> bool:
        """Whether a goal was set and missed."""
        goal = self.row.goal
        return goal is not None and not goal.is_met(self.product, self.ratio)


def results_of(figure: Figure, rounds: Sequence[Sequence[Pair]]) -> list[Result]:
    """One result for each row of ``figure``."""
    return [
        Result(figure.name, row, [pairs[index] for pairs in rounds])
        for index, row in enumerate(figure.rows)
    ]


def show(machine: Mapping[str, str], results: Sequence[Result]) -> None:
    """Print the machine's facts and the table."""
    console = Console()
    if not console.is_terminal:
        console.width = 170
    for name, fact in machine.items():
        console.print(f"[bold]{name}[/]: {fact}", highlight=False)
    table = Table("name", "figure", title="product beside its floor, medians")
    for heading in ("product", "floor", "ratio", "in rounds", "goal"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for result in results:
        table.add_row(*_cells(result))
    console.print(table)


def as_json(
    machine: Mapping[str, str], rounds: int, results: Sequence[Result]
) -> dict[str, object]:
    """Everything the table shows, and every single round."""
    return {"machine": machine, "rounds": rounds, "rows": [_json_row(each) for each in results]}


def _cells(result: Result) -> Sequence[str]:
    row = result.row
    return (
        result.figure,
        row.title,
        f"{number(result.product)} {row.unit}",
        NONE if result.floor is None else f"{number(result.floor)} {row.floor}",
        NONE if result.ratio is None else f"{result.ratio:.2f}",
        _spread(result),
        "" if row.goal is None else _goal(row.goal, row.unit),
        _verdict(result),
    )


def _spread(result: Result) -> str:
    """The lowest and the highest ratio of a round (without a floor: the product's own figures).

    Far apart, and the machine was not quiet.
    """
    ratios = [pair.ratio for pair in result.pairs if pair.ratio is not None]
    if len(result.pairs) == 1:
        return ""
    if ratios:
        return f"{min(ratios):.2f} to {max(ratios):.2f}"
    values = [pair.product for pair in result.pairs]
    return f"{number(min(values))} to {number(max(values))} {result.row.unit}"


def _verdict(result: Result) -> str:
    if result.row.goal is None:
        return ""
    return "[bold red]below[/]" if result.is_below else "[green]ok[/]"


def _goal(goal: Goal, unit: str) -> str:
    return f"{goal.bound} {goal.limit:g}{'' if goal.of == 'ratio' else f' {unit}'}"


def number(value: float) -> str:
    """Three digits, or whole numbers with commas."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _json_row(result: Result) -> dict[str, object]:
    goal = result.row.goal
    return {
        "name": result.figure,
        "figure": result.row.title,
        "unit": result.row.unit,
        "product": result.product,
        "floor": result.floor,
        "floor_name": result.row.floor,
        "ratio": result.ratio,
        "goal": None if goal is None else attrs.asdict(goal),
        "ok": None if goal is None else not result.is_below,
        "rounds": [attrs.asdict(pair) for pair in result.pairs],
    }
