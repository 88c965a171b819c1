"""The ledger: one file to which every process appends whole lines, whatever becomes of it.

A line is one write to a file that is opened for appending, so the lines of all processes stand in one order,
and a process that is killed has written all of a line or nothing. Nothing here knows trio-gusto.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

Line: TypeAlias = Mapping[str, Any]
"""``word``, ``pid`` and ``at`` (nanoseconds of the wall clock) of each, and what goes with the word."""


class Ledger:
    """Where one process writes."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def note(self, word: str, **fields: object) -> None:
        """Append a line."""
        line = {"word": word, "pid": os.getpid(), "at": time.time_ns(), **fields}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


class Tail:
    """Reads what has been appended since it last read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def new(self) -> Iterator[Line]:
        """The lines that are new, and whole."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            yield json.loads(line)
