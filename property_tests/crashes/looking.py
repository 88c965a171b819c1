"""What the observer sees: the file, through a connection that only reads, and what is new in the ledger."""

from __future__ import annotations

import re
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs

from .errands import DATABASE, LEDGER
from .ledger import Line, Tail

_PROCESS = re.compile(r"-(\d+)-[0-9a-f]+$")
"""The process in the name of a node."""

_BACKFILL = struct.Struct("=I")


@attrs.define
class Known:
    """What the ledger says, as far as it has been read."""

    acknowledged: dict[str, Line] = attrs.field(factory=dict[str, Line])
    begun: dict[tuple[str, int], str] = attrs.field(factory=dict[tuple[str, int], str])
    pids: dict[str, int] = attrs.field(factory=dict[str, int])
    over: set[str] = attrs.field(factory=set[str])
    ends: dict[str, str] = attrs.field(factory=dict[str, str])
    """The job that waits for a batch, of batches."""
    said: set[tuple[int, str]] = attrs.field(factory=set[tuple[int, str]])
    """What processes say of themselves: ready, draining, stopped."""
    lines: int = 0

    def hear(self, line: Line) -> None:
        """Take one line in."""
        self.lines += 1
        match line["word"]:
            case "acknowledged":
                self.acknowledged.update(dict.fromkeys(line["jobs"][-3:], line))
                if "end" in line:
                    self.ends[line["batch"]] = line["end"]
            case "begun":
                self.begun[line["job"], line["token"]] = line["entry"]
                self.pids[line["entry"]] = line["pid"]
            case "returned" | "broke":
                self.over.add(line["entry"])
            case "ready" | "draining" | "stopped":
                self.said.add((line["pid"], line["word"]))
            case _:
                pass


@attrs.frozen
class Held:
    """A job that is leased."""

    job: str
    token: int
    pid: int
    schedule: str | None


class Observer:
    """Looks at one file and one ledger."""

    def __init__(self, home: Path) -> None:
        self._database = home / DATABASE
        self._tail = Tail(home / LEDGER)
        self.known = Known()

    def read_ledger(self) -> Known:
        """Read what is new."""
        for line in self._tail.new():
            self.known.hear(line)
        return self.known

    def ask(self, question: str, *parameters: object) -> list[tuple[object, ...]]:
        """Ask the file. Nothing comes of it where the file cannot be read just now.

        The connection lives no longer than the question, so that the last process that goes takes the
        index of the log with it.
        """
        uri = f"{self._database.as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=1)) as connection:
                return connection.execute(question, parameters).fetchall()
        except sqlite3.Error:
            return []

    def held(self) -> list[Held]:
        """The jobs that are leased, and to which process."""
        rows = self.ask(
            "SELECT hex(id), version, node_name, schedule FROM job JOIN node USING (node) WHERE state = 3"
        )
        return [*self._held(rows)]

    @staticmethod
    def _held(rows: list[tuple[object, ...]]) -> Iterator[Held]:
        for job, token, node, schedule in rows:
            found = _PROCESS.search(str(node))
            if found is not None:
                name = None if schedule is None else str(schedule)
                yield Held(str(job).lower(), int(str(token)), int(found[1]), name)

    def log(self) -> tuple[int, bool]:
        """How many pages of the log are not in the file yet, and whether somebody moves them.

        So says the index of the log, whose form SQLite documents.
        """
        try:
            index = Path(f"{self._database}-shm").read_bytes()[:136]
        except FileNotFoundError:
            return 0, False
        if len(index) < 136:
            return 0, False
        frames, moved, moving = (_BACKFILL.unpack_from(index, at)[0] for at in (16, 96, 128))
        return frames - moved, moving > moved
