"""``trio-gusto init``: a small app to begin with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from .exits import OK, Unusable

FILES = ("jobs.py", "trio-gusto.toml")


def init(folder: Path = Path(), /) -> int:
    """Write a small app that runs: jobs.py, and the settings of this command beside it.

    Parameters
    ----------
    folder
        Where to; it is made if it is not there. Nothing in it is overwritten.
    """
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise Unusable(
            f"{folder / there[0]} is there already, and would be overwritten; name another folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            text = files(f"{__package__}.example").joinpath(name).read_text(encoding="utf-8")
            (folder / name).write_text(text, encoding="utf-8")
            print(f"{folder / name} written")
    except OSError as error:
        raise Unusable(
            f"nothing can be written to {folder} ({error}); name another folder"
        ) from error
    print(f"run it: cd {folder} && python jobs.py")
    return OK
