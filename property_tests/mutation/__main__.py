"""Mutate a room, ask its judges, and tell what they did not notice.

``python -m property_tests.mutation model``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .record import read_record
from .report import Report
from .rooms import ROOMS, Room
from .since import UnknownCommit
from .workshop import Workshop


def main(arguments: Sequence[str]) -> int:
    """Run, then report. Returns 0 if every survivor is explained."""
    parser = argparse.ArgumentParser(prog="python -m property_tests.mutation", description=__doc__)
    parser.add_argument("room", choices=sorted(ROOMS))
    parser.add_argument(
        "only", nargs="*", help="modules, if not the whole room: trio_gusto.model.rates"
    )
    parser.add_argument(
        "--since",
        metavar="COMMIT",
        help="ask only about functions that have changed since, also if that is not committed",
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
    try:
        workshop = Workshop(room, asked.only, asked.since)
    except UnknownCommit as error:
        parser.error(str(error))
    if workshop.has_nothing:
        sys.stdout.write(f"no function has changed there since {asked.since}\n")
        return 0
    if (asked.again or asked.report) and not workshop.was_used:
        parser.error(
            f"nobody was asked about {workshop.subject} yet, so there are no verdicts to go on with: "
            "leave out --again and --report"
        )
    code = 0
    if asked.again:
        left = _report(workshop, room).open
        code = workshop.run_again({mutant.name for mutant in left}, processes=asked.processes)
    elif not asked.report:
        code = workshop.run(processes=asked.processes)
    if code:
        return code
    report = _report(workshop, room)
    sys.stdout.writelines(f"{line}\n" for line in report.lines())
    return 0 if report.is_explained else 1


def _report(workshop: Workshop, room: Room) -> Report:
    mutants = workshop.mutants()
    record = read_record()
    if workshop.is_partial:
        functions = {mutant.change.function for mutant in mutants}
        record = tuple(entry for entry in record if entry.change.function in functions)
    return Report.of(room, mutants, record)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
