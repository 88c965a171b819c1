"""What a job says of itself while it runs, and how much of that is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Self

import attrs

from .instants import to_datetime


@attrs.define
class LogLine:
    """An entry of a job's log as it is kept. ``at`` is in microseconds, ``level`` logging's name in
    lower case."""

    at: int
    level: str
    message: str

    @property
    def size(self) -> int:
        """Bytes that its message takes."""
        return len(self.message.encode())


@attrs.frozen
class LogEntry:
    """An entry of a job's log. ``level`` is logging's name in lower case."""

    at: datetime
    level: str
    message: str


class JobLog(tuple[LogEntry, ...]):  # noqa: SLOT001 - a tuple can have no slots of its own
    """The log of a job, oldest entry first. ``dropped`` counts older entries that were not kept."""

    dropped: int

    def __new__(cls, entries: Iterable[LogEntry] = (), dropped: int = 0) -> Self:
        log = super().__new__(cls, entries)
        log.dropped = dropped
        return log

    @classmethod
    def of(cls, lines: Iterable[LogLine], dropped: int) -> JobLog:
        """The log of which this is kept."""
        return cls(
            (LogEntry(to_datetime(one.at), one.level, one.message) for one in lines), dropped
        )


class LogTail:
    """The newest lines of a log, and how many went before them.

    Rule: as many are kept as there is room for, by their number and by the bytes of their messages,
    and no older one instead of a newer one; the newest stays, however long it is. What an attempt has
    told once is not taken in again, when its teller had to ask twice.
    """

    __slots__ = ("dropped", "lines", "size", "teller", "told")

    def __init__(self) -> None:
        self.lines: deque[LogLine] = deque()
        self.size = 0
        self.dropped = 0
        self.teller = 0
        """The token of the attempt that told the newest line."""
        self.told = 0
        """How many lines that attempt has told."""

    def add(self, line: LogLine, most_lines: int, most_bytes: int) -> None:
        """Take in a line that is newer than all others."""
        self.lines.append(line)
        self.size += line.size
        while len(self.lines) > 1 and (len(self.lines) > most_lines or self.size > most_bytes):
            self.size -= self.lines.popleft().size
            self.dropped += 1

    def extend(
        self,
        teller: int,
        told: int,
        lines: Sequence[LogLine],
        missing: int,
        most_lines: int,
        most_bytes: int,
    ) -> None:
        """Take in lines of an attempt that has ``told`` others before.

        Before them some are ``missing``, so that none of the older is kept.
        """
        if is_told_again(self.teller, self.told, teller, told):
            return
        self.teller, self.told = teller, told + missing + len(lines)
        if missing:
            self.dropped += missing + len(self.lines)
            self.lines.clear()
            self.size = 0
        for line in lines:
            self.add(line, most_lines, most_bytes)


def is_told_again(last_teller: int, last_told: int, teller: int, told: int) -> bool:
    """Whether lines that an attempt tells after ``told`` others are kept already.

    ``last_teller`` is who told the newest line that is kept, and ``last_told`` the lines he had told by
    then.
    """
    return teller == last_teller and told < last_told


def storable(text: str, most_bytes: int) -> str:
    """``text`` as every storage can keep it: no half surrogate pairs, and not too long."""
    encoded = text.encode(errors="backslashreplace")
    if len(encoded) > most_bytes:
        encoded = encoded[: max(0, most_bytes - len(_ELLIPSIS))]
        return encoded.decode(errors="ignore") + _ELLIPSIS.decode()
    return encoded.decode()


_ELLIPSIS = "…".encode()
