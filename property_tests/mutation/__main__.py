"""Mutate a room, ask its judges, and tell what they did not notice.

``python -m property_tests.mutation model``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .mutants import read_mutants
from .record import read_record
from .report import Report
from .rooms import ROOMS
from .workshop import Workshop


def main(arguments: Sequence[str]) -> int:
    """Run, then report. Returns 0 if every survivor is explained."""
    parser = argparse.ArgumentParser(prog="python -m property_tests.mutation", description=__doc__)
    parser.add_argument("room", choices=sorted(ROOMS))
    parser.add_argument(
        "only", nargs="*", help="modules, if not the whole room: trio_gusto.model.rates"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="keep what was noticed or is explained, and ask again about the rest",
    )
    parser.add_argument(
        "--report", action="store_true", help="run nothing; tell again what the last run has found"
    )
    parser.add_argument(
        "--processes", type=int, default=2, help="how many judge at once; default 2"
    )
    asked = parser.parse_args(arguments)
    room = ROOMS[asked.room]
    workshop = Workshop(room, asked.only)
    if (asked.again or asked.report) and not workshop.was_used:
        parser.error(
            f"nobody was asked about {' '.join([asked.room, *asked.only])} yet, so there are no verdicts to go on with: "
            "leave out --again and --report"
        )
    record = read_record()
    code = 0
    if asked.again:
        left = Report.of(room, read_mutants(workshop.mutated), record).open
        code = workshop.run_again({mutant.name for mutant in left}, processes=asked.processes)
    elif not asked.report:
        code = workshop.run(processes=asked.processes)
    if code:
        return code
    report = Report.of(room, read_mutants(workshop.mutated), record)
    sys.stdout.writelines(f"{line}\n" for line in report.lines())
    return 0 if report.is_explained else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
