"""`python -m` this module measures one figure, and prints the product's values as JSON.

It loads nothing but that figure's module, so that an older product can be measured, which lacks
what other figures are about.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import trio_gusto

from .rows import Figure
from .scale import Scale


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tree", type=Path)
    parser.add_argument("module")
    parser.add_argument("figure")
    parser.add_argument("databases", type=Path)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()

    place = Path(trio_gusto.__file__)
    if not place.is_relative_to(asked.tree):
        sys.exit(f"the product of {asked.tree} was to be measured, and {place} was imported")

    figures: Sequence[Figure] = import_module(asked.module).FIGURES
    (figure,) = [figure for figure in figures if figure.name == asked.figure]
    with TemporaryDirectory(dir=asked.databases) as folder:
        scale = Scale.quick(Path(folder)) if asked.quick else Scale(Path(folder))
        figure.prepare(scale)
        print(json.dumps(figure.product(scale)))


if __name__ == "__main__":
    main()
