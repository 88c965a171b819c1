"""What a process weighs that has 100,000 jobs pending in SQLite: `python -m` this module is it."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import trio

from trio_gusto.storage.sqlite import SqliteStorage

from .scale import Scale
from .workload import NoOpJobs, drained

RUN = 2_000
"""Jobs that the process runs at last, so that its actors have worked on the full table."""


def peak_megabytes(scale: Scale, jobs: int) -> float:
    """The peak of resident memory of a fresh process that enqueues ``jobs`` and runs a few."""
    with scale.fresh_database() as path:
        command = [sys.executable, "-m", __name__, str(path), str(jobs)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        return float(answer.stdout)


def _main(path: Path, jobs: int) -> None:
    workload = NoOpJobs(SqliteStorage(path))

    async def main() -> None:
        await workload.fill(jobs)
        await drained(workload, min(jobs, RUN))

    trio.run(main)
    # Linux counts kibibytes here.
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
