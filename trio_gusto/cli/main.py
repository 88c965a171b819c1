"""The commands of ``trio-gusto``, each in a file of its own, imported when it is called."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import cyclopts

from ..model.errors import GustoError

commands = cyclopts.App(
    name="trio-gusto",
    help="Durable background jobs inside a Trio service.",
    version=lambda: version("trio-gusto"),
    result_action="return_value",
)


@commands.command
def demo(
    folder: Path = Path(),
    *,
    crash: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    database: Path | None = None,
    concurrency: int = 8,
    pace: float | None = None,
    worker: Annotated[bool, cyclopts.Parameter(show=False, negative="")] = False,
) -> int:
    """Hash every file of a folder, one job per file, on a SQLite database.

    Some jobs fail on purpose and are retried, one is scheduled for later, one expires. At the end
    every hash is checked against the file. Exits with 1 if anything is missing, wrong or stuck.

    Parameters
    ----------
    folder
        The folder to hash; hidden folders and caches are left out.
    crash
        Kill the worker process with SIGKILL midway and start another.
    database
        Where to keep the jobs; a temporary file by default.
    concurrency
        How many files are hashed at once.
    pace
        Seconds that every job takes at least, so that there is something to watch.
    """
    from . import demo as show

    settings = show.Settings(folder, database, concurrency, pace)
    if worker:
        return show.work(settings)
    return show.crash(settings) if crash else show.run(settings)


def main() -> None:
    """Run the command line; errors are sentences, and the exit code is 1 for ours."""
    try:
        code = commands()
    except GustoError as error:
        print(f"trio-gusto: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
