"""What a process weighs that has 100,000 jobs pending in SQLite: `python -m` this module is it."""

from __future__ import annotations

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
    """The peak of resident memory of a fresh process that has ``jobs`` pending and runs a few."""
    with scale.fresh_database() as path:
        command = [sys.executable, "-m", __name__, str(path), str(jobs)]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120)
        return float(answer.stdout)


def _main(path: Path, jobs: int) -> None:
    workload = NoOpJobs(SqliteStorage(path))

    async def main() -> None:
        await workload.fill(jobs + RUN)
        await drained(workload, RUN)

    trio.run(main)
    print(_peak_of_this_process())


def _peak_of_this_process() -> float:
    """Megabytes. Not ``getrusage``: its maximum counts the process that started this one, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kibibytes,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(kibibytes) * 1024 / 1e6


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
