"""One figure of one work tree's product, measured in a process of its own.

The loads are those of this checkout, whichever tree the product comes from: in a folder that holds
nothing but a link to this package, Python finds it there first, and the product where ``PYTHONPATH``
says. So both sides of a comparison do the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from .catalogue import module_of
from .rows import Figure

PATIENCE = 300.0
"""Seconds after which a figure that has not been measured is an error."""


class NotMeasured(Exception):
    """A tree's product could not do what a figure asks for."""


@attrs.frozen
class Track:
    """Where contenders run. ``databases`` is the folder for what they write."""

    folder: Path
    databases: Path
    quick: bool = False

    def measure(self, tree: Path, figure: Figure) -> Sequence[float]:
        """The product of ``tree`` alone, in a fresh process; a value for each row of the figure.

        Raises:
            NotMeasured: it failed, which an older product does that has no such feature.
        """
        asked = [str(tree), module_of(figure), figure.name, str(self.databases)]
        answer = subprocess.run(
            [sys.executable, "-m", f"{__package__}.contest", *asked, *["--quick"] * self.quick],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        if answer.returncode:
            raise NotMeasured(f"{figure.name} of {tree}:\n{answer.stderr}")
        values: list[float] = json.loads(answer.stdout)
        return values


@contextmanager
def track(databases: Path, *, quick: bool = False) -> Generator[Track]:
    """A track for as long as the block lasts."""
    with TemporaryDirectory(prefix="trio-gusto-track-") as name:
        folder = Path(name)
        (folder / "benchmarks").symlink_to(Path(__file__).parent, target_is_directory=True)
        yield Track(folder, databases.resolve(), quick)
