"""A campaign of crashes: rounds of real processes, until the time is over or a law is broken.

``python -m property_tests.crashes --minutes 5 --seed 1``

A seed says what is asked for and what is done to whom, not what comes of it: when the system lets whom run is its own
affair.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from . import small_disk
from .errands import DATABASE, Settings
from .laws import Finding
from .planted import PLANTED
from .rounds import EVENTS, Round
from .tally import Tally

ROUND = 40
"""Things that are done in a round."""


def main(arguments: Sequence[str]) -> int:
    """Run a campaign. Returns 1 if a law is broken."""
    parser = argparse.ArgumentParser(prog="python -m property_tests.crashes", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long; default 5")
    parser.add_argument("--seed", type=int, default=None, help="a number; default: drawn")
    parser.add_argument("--home", type=Path, help="where rounds have their files; default: drawn")
    parser.add_argument("--planted", choices=PLANTED, help="workers that are wrong in this way")
    asked = parser.parse_args(arguments)
    first = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    home = Path(tempfile.mkdtemp(prefix="crashes-", dir=asked.home))
    tally, began = Tally(), time.monotonic()
    until = began + 60 * asked.minutes
    has_disk = small_disk.may_mount()
    _tell(f"seed {first}")
    if not has_disk:
        _tell("no disk can be mounted here, so none is ever full")
    number = first
    while time.monotonic() < until:
        found, place = _round(home, number, until, tally, has_disk=has_disk, planted=asked.planted)
        if found:
            _report(found, place, number)
            return 1
        number += 1
    shutil.rmtree(home)
    _tell(
        f"seeds {first} to {number - 1}, in {time.monotonic() - began:.0f} seconds", *tally.lines()
    )
    return 0


def _round(
    home: Path, number: int, until: float, tally: Tally, *, has_disk: bool, planted: str | None
) -> tuple[list[Finding], Path]:
    place = home / f"round-{number}"
    disk = (place / DATABASE).parent
    disk.mkdir(parents=True)
    is_small = has_disk and number % 2 == 1 and small_disk.mount(disk)
    settings = Settings(small=is_small, eager=number % 4 >= 2, planted=planted)
    one = Round(place, str(number), settings=settings)
    names, weights = [*EVENTS], [*EVENTS.values()]

    def more(done: int) -> str | None:
        if done >= ROUND or time.monotonic() >= until:
            return None
        return one.draw.choices(names, weights)[0]

    found = one.play(more)
    one.count(tally)
    if is_small:
        if found:
            shutil.copytree(disk, place / "was on disk")
        small_disk.unmount(disk)
    if not found:
        shutil.rmtree(place)
    return found, place


def _report(found: Sequence[Finding], place: Path, number: int) -> None:
    folder = place / "was on disk"
    where = (folder if folder.exists() else place / "disk") / "jobs.db"
    _tell(
        f"A LAW IS BROKEN (seed {number})",
        *(f"  {finding.law} {finding.what}" for finding in found[:50]),
        f"The file, the ledger and what processes said are in {place}; look at them with",
        f"  sqlite3 -readonly {where} 'SELECT * FROM attempts'",
        f"  trio-gusto jobs explain ID --db {where}",
        f"  grep ID {place}/ledger",
        f"Ask for the same again: python -m property_tests.crashes --minutes 1 --seed {number}",
    )


def _tell(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
