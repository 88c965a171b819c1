"""`python -m benchmarks.compare REVISION`: is the product as fast here as it was there?

Both are measured in one run, figure by figure and in turn, each time in a fresh process: what else the
machine does falls on both alike. The loads are this checkout's for both.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import attrs
from rich.console import Console
from rich.table import Table

from .catalogue import FIGURES, NAMES
from .contender import NotMeasured, Track, track
from .figures import latency, throughput
from .report import number
from .revisions import UnknownRevision, checked_out, commit_of
from .rows import Figure, Row

ROOT = Path(__file__).parents[1]
USUAL = [
    figure.name
    for figure in (*throughput.FIGURES, *latency.FIGURES)
    if any(row.goal is not None for row in figure.rows)
]
"""What everybody pays for: jobs per second and latencies that have a goal."""

LEAST_ROUNDS = 5
WITHIN = 0.05
"""The part of its speed that the product may lose before it counts as slower."""


@attrs.frozen
class Comparison:
    """What the rounds measured for one row, here and there."""

    figure: str
    row: Row
    this: list[float]
    other: list[float]

    @property
    def ratios(self) -> Sequence[float]:
        """For each round, how many times as fast this one is as the other."""
        return [self._ratio(*pair) for pair in zip(self.this, self.other, strict=True)]

    @property
    def ratio(self) -> float:
        """Their median: the two of one round were measured within the same seconds."""
        return statistics.median(self.ratios)

    @property
    def ratio_of_bests(self) -> float:
        """Of the best round of each: what else the machine does only ever makes worse."""
        best = max if self.row.more_is_better else min
        return self._ratio(best(self.this), best(self.other))

    @property
    def is_slower(self) -> bool:
        return self.ratio < 1 - WITHIN

    def _ratio(self, this: float, other: float) -> float:
        return this / other if self.row.more_is_better else other / this


def main(arguments: Sequence[str] | None = None) -> int:
    """0, 1 when something is slower, or 2 when it could not be found out."""
    asked = _arguments(arguments)
    signal.signal(signal.SIGTERM, _leave)
    chosen = [figure for figure in FIGURES if figure.name in asked.figures]
    asked.dir.mkdir(parents=True, exist_ok=True)
    try:
        commit = commit_of(ROOT, asked.revision)
        with checked_out(ROOT, commit) as other, track(asked.dir, quick=asked.quick) as ground:
            compared = _compare(ground, other, chosen, asked.rounds)
    except (UnknownRevision, NotMeasured) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing is left of the other revision", file=sys.stderr)
        return 130
    finally:
        if not any(asked.dir.iterdir()):
            asked.dir.rmdir()
    _show(compared, f"this tree beside {asked.revision} ({commit[:10]}), medians")
    return 1 if any(each.is_slower for each in compared) else 0


def _leave(number: int, _frame: FrameType | None) -> None:
    """Have `finally` and `with` see a termination, as they see a Ctrl-C."""
    sys.exit(128 + number)


def _compare(
    ground: Track, other: Path, figures: Sequence[Figure], rounds: int
) -> Sequence[Comparison]:
    compared = [Comparison(figure.name, row, [], []) for figure in figures for row in figure.rows]
    for turn in range(rounds):
        for figure in figures:
            print(f"round {turn + 1} of {rounds}: {figure.name}", file=sys.stderr)
            # Whoever comes second in this round comes first in the next.
            trees = [ROOT, other] if turn % 2 == 0 else [other, ROOT]
            values = {tree: ground.measure(tree, figure) for tree in trees}
            rows = [each for each in compared if each.figure == figure.name]
            for row, this, that in zip(rows, values[ROOT], values[other], strict=True):
                row.this.append(this)
                row.other.append(that)
    return compared


def _show(compared: Sequence[Comparison], title: str) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = 170
    table = Table("name", "figure", title=title)
    for heading in ("this", "other", "ratio", "in rounds", "of bests", "goal"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for each in compared:
        table.add_row(
            each.figure,
            each.row.title,
            f"{number(statistics.median(each.this))} {each.row.unit}",
            f"{number(statistics.median(each.other))} {each.row.unit}",
            f"{each.ratio:.3f}",
            f"{min(each.ratios):.2f} to {max(each.ratios):.2f}",
            f"{each.ratio_of_bests:.3f}",
            f"at least {1 - WITHIN:g}",
            "[bold red]slower[/]" if each.is_slower else "[green]ok[/]",
        )
    console.print(table)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.compare", description=__doc__)
    parser.add_argument("revision", help="a commit of this repository: a branch, a tag or a hash")
    parser.add_argument(
        "--figures",
        nargs="+",
        choices=NAMES,
        default=USUAL,
        metavar="NAME",
        help=f"of those in the table; by default {', '.join(USUAL)}",
    )
    parser.add_argument("--rounds", type=_rounds, default=LEAST_ROUNDS, help="at least 5")
    parser.add_argument("--dir", type=Path, default=Path(".bench"), help="where databases are made")
    parser.add_argument("--quick", action="store_true", help="small sizes: a try, not a figure")
    return parser.parse_args(arguments)


def _rounds(text: str) -> int:
    rounds = int(text)
    if rounds < LEAST_ROUNDS:
        raise argparse.ArgumentTypeError(f"give at least {LEAST_ROUNDS}: fewer tell nothing")
    return rounds


if __name__ == "__main__":
    sys.exit(main())
