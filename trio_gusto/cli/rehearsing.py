"""``trio-gusto preflight``: what the stored jobs would meet in the code of an app."""

from __future__ import annotations

import sys
from pathlib import Path

from ..model.errors import StorageError
from ..queue.rehearsal import Problem, Rehearsed
from .exits import OK, UNREADABLE, WRONG
from .place import Place
from .serving import find_app
from .showing import in_one_line, show_json, show_table


def preflight(app: str, /, *, folder: Path = Path(), place: Place | None = None) -> int:
    """Try whether an app can take over the stored jobs and schedules, without running any.

    Looked at are jobs that have not ended, and all schedules: whether there is a handler, whether the
    arguments load, whether callbacks and retry policies can be used, whether a schedule fires again.
    The file is only read.

    Exit codes: 0, everything fits; 1, something would fail, or the import of the module did; 2, the
    command line is wrong, or there is no such app; 3, the file is none of ours, or too new or too old,
    or cannot be read; 130, interrupted.

    Parameters
    ----------
    app
        MODULE:NAME of the Gusto object, as in shop.jobs:app.
    folder
        The folder that modules are looked for in first.
    """
    from ..storage.sqlite.read_only import opened_read_only
    from ..storage.sqlite.rehearsing import live_jobs, stored_schedules

    place = place or Place()
    database = place.database()
    found = find_app(app, folder)
    if found is None:
        return WRONG
    rehearsal = found.rehearsal()
    try:
        with opened_read_only(database) as connection:
            for job in live_jobs(connection):
                rehearsal.try_job(job)
            for schedule in stored_schedules(connection):
                rehearsal.try_schedule(schedule)
    except StorageError as error:
        print(f"trio-gusto: {error}", file=sys.stderr)
        return UNREADABLE
    _show(rehearsal.rehearsed, as_json=place.json)
    return WRONG if rehearsal.rehearsed.problems else OK


def _show(rehearsed: Rehearsed, *, as_json: bool) -> None:
    if as_json:
        show_json(rehearsed)
        return
    if rehearsed.problems:
        head = ("handler", "problem", "jobs", "schedules", "first")
        show_table(head, map(_row, rehearsed.problems))
        print()
        for one in rehearsed.problems:
            print(in_one_line(f"{one.handler}: {one.reason}"))
        print()
    fields = {
        "jobs": rehearsed.jobs,
        "schedules": rehearsed.schedules,
        "failing": rehearsed.failing,
    }
    print(", ".join(f"{name}: {count}" for name, count in fields.items()))


def _row(one: Problem) -> tuple[object, ...]:
    first = ", ".join([*one.schedules, *map(str, one.first_jobs)])
    return (one.handler, one.problem, one.jobs, len(one.schedules), first)
