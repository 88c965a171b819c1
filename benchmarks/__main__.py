"""`python -m benchmarks` measures and prints; `python -m benchmarks profile NAME` looks inside.

`python -m benchmarks.compare REVISION` measures two revisions side by side.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import machine, profiling, report
from .catalogue import FIGURES, NAMES
from .rows import Figure, Pair
from .scale import Scale


def main() -> int:
    """0, or 1 when `--check` was given and a goal was missed."""
    asked = _arguments()
    with _folder(asked.dir) as folder:
        scale = Scale.quick(folder) if asked.quick else Scale(folder)
        if asked.command == "profile":
            _profile(asked, scale)
            return 0
        return _bench(asked, scale)


@contextmanager
def _folder(parent: Path) -> Generator[Path]:
    """A folder of this run's own: several may run on one disk, if not to be quoted."""
    parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            yield Path(folder)
    finally:
        if not any(parent.iterdir()):
            parent.rmdir()


def _profile(asked: argparse.Namespace, scale: Scale) -> None:
    figure = FIGURES[NAMES.index(asked.name)]
    figure.prepare(scale)
    profiling.profile(lambda: figure.product(scale), sort=asked.sort, lines=asked.lines)


def _bench(asked: argparse.Namespace, scale: Scale) -> int:
    facts = machine.facts(scale.directory) | {"sizes": scale.words()}
    chosen = [figure for figure in FIGURES if not asked.only or figure.name in asked.only]
    results = _measure(chosen, scale, asked.rounds)
    report.show(facts, results)
    if asked.json is not None:
        text = json.dumps(
            report.as_json(facts, asked.rounds, results), indent=2, ensure_ascii=False
        )
        asked.json.write_text(text + "\n", encoding="utf-8")
    return 1 if asked.check and any(result.is_below for result in results) else 0


def _measure(figures: Sequence[Figure], scale: Scale, rounds: int) -> list[report.Result]:
    """Round after round, so that what else the machine does falls on all figures alike."""
    measured: dict[str, list[Sequence[Pair]]] = {figure.name: [] for figure in figures}
    for figure in figures:
        figure.prepare(scale)
    for turn in range(1, rounds + 1):
        for figure in figures:
            print(f"round {turn} of {rounds}: {figure.name}", file=sys.stderr)
            gc.collect()
            measured[figure.name].append(figure.measure(scale))
    return [
        result for figure in figures for result in report.results_of(figure, measured[figure.name])
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".bench"), help="where databases are made")
    parser.add_argument("--quick", action="store_true", help="small sizes: a try, not a figure")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken of so many")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, too")
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    commands = parser.add_subparsers(dest="command")
    profile = commands.add_parser("profile", help="run one figure's product under cProfile")
    profile.add_argument("name", choices=NAMES)
    profile.add_argument("--sort", default="tottime", help="a sort key of pstats")
    profile.add_argument("--lines", type=int, default=40)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
