"""What is to be hashed: the command line's wishes, and the files found."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from ..exits import Unusable

LEFT_OUT = {"node_modules", "__pycache__", "dist", "build"}
"""Folders left out, besides hidden ones."""

CRASH_SECONDS = 6.0
"""How long hashing should take when it is to be interrupted."""


@attrs.frozen
class Settings:
    """What the command line said."""

    folder: Path
    crash: bool
    database: Path | None
    concurrency: int
    pace: float | None


@attrs.frozen
class Source:
    """A file, as it was when it was found."""

    path: Path
    size: int
    modified: int

    @classmethod
    def of(cls, path: Path) -> Source:
        """Look at the file now."""
        found = path.stat()
        return cls(path, found.st_size, found.st_mtime_ns)


@attrs.frozen
class Plan:
    """The files, and how the demo goes about them. ``run`` tells its jobs from earlier ones."""

    folder: Path
    files: tuple[Source, ...]
    unread: tuple[str, ...]
    database: Path
    concurrency: int
    pace: float
    run: str = attrs.field(factory=lambda: f"run-{secrets.token_hex(4)}")

    @property
    def witness(self) -> Path:
        """Where jobs write that they ran."""
        return self.database.with_name(f"{self.database.name}.{self.run}.log")


@contextmanager
def planned(settings: Settings) -> Generator[Plan]:
    """Find the files and a place for the database.

    Raises:
        Unusable: there is nothing to hash.
    """
    folder = settings.folder.resolve()
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise Unusable(f"{folder} {what}, so there is nothing to hash; name a folder with files")
    unread: list[str] = []
    files = tuple(find(folder, unread))
    if not files:
        raise Unusable(f"{folder} has no files to hash; name another folder")
    pace = settings.pace
    if pace is None:
        pace = min(1.0, CRASH_SECONDS * settings.concurrency / len(files)) if settings.crash else 0
    with tempfile.TemporaryDirectory(prefix="trio-gusto-demo-") as place:
        database = settings.database or Path(place) / "jobs.db"
        yield Plan(folder, files, tuple(unread), database, settings.concurrency, pace)


def find(folder: Path, unread: list[str]) -> Iterator[Source]:
    """The ordinary files below ``folder``; what could not be looked into goes to ``unread``."""

    def complain(error: OSError) -> None:
        unread.append(f"{error.filename}: cannot be looked into: {error.strerror}")

    for place, folders, names in os.walk(folder, onerror=complain):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in LEFT_OUT
        )
        for name in sorted(names):
            path = Path(place) / name
            if not _is_text(path):
                unread.append(f"{str(path)!a}: its name is no UTF-8, so no job can be given it")
                continue
            try:
                if path.is_file() and not path.is_symlink():
                    yield Source.of(path)
            except OSError as error:
                complain(error)


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
