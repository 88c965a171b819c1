"""``trio-gusto audit``: look over what is recorded of all jobs."""

from __future__ import annotations

import sys
from pathlib import Path

from ..model.audit import Finding
from ..model.errors import StorageError
from .exits import OK, UNREADABLE, WRONG
from .place import Place
from .showing import in_one_line, plain, show_json

NOT_LOOKED_AT = "so its jobs were not looked at; it was taken away, or it is lost"


def audit(database: Path | None = None, /, *, place: Place | None = None) -> int:
    """Look over all that is recorded, and tell of each job the first step that is illegal.

    The file is only read, also while a worker runs on it, and the months of its archive with it. The
    code that its jobs call is not needed.

    Exit codes: 0, everything is legal; 1, something is not; 2, the command line is wrong; 3, the
    file is none of ours, or too new or too old, or cannot be read; 130, interrupted.

    Parameters
    ----------
    database
        The SQLite file; --db names it as well.
    """
    from ..storage.sqlite.auditing import Audit

    place = (place or Place()).named(database)
    look = Audit(place.database())
    kept: list[dict[str, object]] = []
    try:
        for finding in look.findings():
            if place.json:
                kept.append(_fields(finding))
            else:
                print(in_one_line(finding.sentence))
    except StorageError as error:
        print(f"trio-gusto: {error}", file=sys.stderr)
        return UNREADABLE
    counts = plain(look.counts)
    if place.json:
        show_json({"findings": kept, "absent": look.absent, "counts": counts})
    else:
        for month in look.absent:
            print(in_one_line(f"the archive of {month} is not there, {NOT_LOOKED_AT}"))
        print(", ".join(f"{name}: {count}" for name, count in counts.items()))
    return WRONG if look.counts.findings else OK


def _fields(finding: Finding) -> dict[str, object]:
    return {**plain(finding), "sentence": finding.sentence}
