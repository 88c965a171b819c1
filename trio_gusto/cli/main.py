"""The commands of ``trio-gusto``, each kind in a file of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
from cyclopts.validators import Number

from ..model.errors import ArgumentError, GustoError
from . import auditing, counting, jobs, queues, rehearsing, schedules, serving, starting
from .exits import INTERRUPTED, OK, USAGE, WRONG, Unusable
from .output import Output

commands = cyclopts.App(
    name="trio-gusto",
    help="Durable background jobs inside a Trio service.",
    version=lambda: version("trio-gusto"),
    version_format="plaintext",
    result_action="return_value",
)

commands.command(jobs.commands)
commands.command(schedules.commands)
commands.command(queues.commands)
commands.command(counting.stats)
commands.command(serving.run)
commands.command(auditing.audit)
commands.command(rehearsing.preflight)
commands.command(starting.init)


@commands.command
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a script that completes this command line in a shell.

    For bash: source <(trio-gusto completion bash), in ~/.bashrc.

    Parameters
    ----------
    shell
        Which shell.
    """
    print(commands.generate_completion(shell=shell))
    return OK


@commands.command
def demo(
    folder: Path = Path(),
    *,
    crash: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    database: Path | None = None,
    concurrency: Annotated[int, cyclopts.Parameter(validator=Number(gte=1, lte=1000))] = 8,
    pace: Annotated[float | None, cyclopts.Parameter(validator=Number(gte=0, lte=3600))] = None,
    worker: Annotated[bool, cyclopts.Parameter(show=False, negative="")] = False,
) -> int:
    """Hash every file of a folder, one job per file, on a SQLite database.

    The jobs are one batch, and a summary runs when it has finished. Some fail on purpose and are
    retried, one is due later; beside the batch a schedule ticks, and one job expires. At the end it
    is checked that every hash is that of its file, the batch is finished, the summary ran once, the
    schedule went on and fired no instant twice, and nothing is stuck.

    Exit codes: 0, all of that holds; 1, some of it does not (a file is missing, unreadable, changed
    or wrong, say), or the database failed; 2, the command line is wrong, or the folder has no files;
    130, interrupted.

    Parameters
    ----------
    folder
        The folder to hash; hidden folders, caches and build folders are left out.
    crash
        Run the jobs in a worker process, kill it with SIGKILL midway and start another.
    database
        Where to keep the jobs, and beside it the logs of the worker processes and of what ran; a
        temporary folder by default.
    concurrency
        How many files are hashed at once.
    pace
        Seconds that every job takes at least, so that there is something to watch. By default 0,
        and with --crash enough for the crash to come midway.
    """
    from .demo import show
    from .demo import worker as worker_process
    from .demo.files import Settings

    if worker:
        assert database is not None
        return worker_process.work(database, concurrency)
    return show.demo(Settings(folder, crash, database, concurrency, pace))


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line: errors are sentences, and exit codes are those of `exits`."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] # so it is when closed
        sys.exit(_said("standard output is closed; open it, or send it to /dev/null", WRONG))
    output = Output(sys.stdout)
    try:
        with redirect_stdout(output):
            code = _run(sys.argv[1:] if args is None else args)
            output.flush()
    except OSError as error:
        if error is not output.fault:
            raise
        # What is left in the buffer goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
        if isinstance(error, BrokenPipeError):
            code = OK  # whoever read what we print has had enough
        else:
            code = _said(f"what there is to say cannot be printed ({error})", WRONG)
    sys.exit(code)


def _run(args: Sequence[str]) -> int:
    try:
        code = commands(args, exit_on_error=False)
    except cyclopts.CycloptsError:
        return USAGE  # cyclopts has printed it
    except (Unusable, ArgumentError) as error:
        return _said(error, USAGE)
    except GustoError as error:
        return _said(error, WRONG)
    except KeyboardInterrupt:
        return INTERRUPTED
    return code if isinstance(code, int) else OK


def _said(sentence: object, code: int) -> int:
    with suppress(OSError):  # standard error may be as full as standard output
        print(f"trio-gusto: {sentence}", file=sys.stderr, flush=True)
    return code
