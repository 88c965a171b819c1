"""`History`: what happened in a simulation, in order; and how it reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

import attrs

from ...model.facts import Fact, JobFact
from ...model.failure import JobError
from .happenings import NodeFact, StorageFailed

F = TypeVar("F", bound=Fact)

_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")
"""Where in memory something was: the one thing in messages that no two processes share."""

_TOLD_ELSEWHERE = {"at", "node", "job_id", "name"}


@attrs.frozen
class Entry:
    """A fact, whose it is, and when it was by the true time (``fact.at`` is by that node's clock).

    ``node`` is ``"client"`` for what `World.queue` did.
    """

    at: datetime
    node: str
    fact: Fact

    def __str__(self) -> str:
        fact = self.fact
        subject = f" {fact.name} {fact.job_id}" if isinstance(fact, JobFact) else ""
        fields = [
            f" {field.name}={_text(getattr(fact, field.name))}"
            for field in attrs.fields(type(fact))
            if field.name not in _TOLD_ELSEWHERE
        ]
        clock = "" if fact.at == self.at else f" clock={_text(fact.at)}"
        moment = self.at.strftime("%Y-%m-%d %H:%M:%S.%f")
        return f"{moment} {self.node} {type(fact).__name__}{subject}{''.join(fields)}{clock}"


class History:
    """What happened, in order. It grows while its world lives.

    Two histories are equal when they read the same, line by line; addresses in memory do not count.

    ``str(history)`` is that text: a line for each fact, with the true time, the node, the kind of
    fact and its fields.
    """

    def __init__(self, seed: int, nodes: int, start: datetime) -> None:
        self.seed = seed
        self.nodes = nodes
        self.start = start
        self._entries: list[Entry] = []

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All of it, with who and when."""
        return tuple(self._entries)

    @property
    def facts(self) -> tuple[Fact, ...]:
        """All facts."""
        return tuple([entry.fact for entry in self._entries])

    def of(self, kind: type[F], *, job: UUID | None = None) -> tuple[F, ...]:
        """The facts of one kind, and of one job if it is given."""
        return tuple(
            [
                entry.fact
                for entry in self._entries
                if isinstance(entry.fact, kind) and (job is None or _is_about(entry.fact, job))
            ]
        )

    def note(self, entry: Entry) -> None:
        """Add what has just happened."""
        self._entries.append(entry)

    def excerpt(self, job: UUID | None = None, lines: int = 30) -> str:
        """The shortest text that is of use to whoever asks why something is as it is.

        With a job: what happened to that job, to nodes and to the storage. The last ``lines`` of it;
        of failures that go on and on the first.
        """
        chosen: Iterable[Entry] = self._entries
        if job is not None:
            chosen = [
                entry
                for entry in self._entries
                if isinstance(entry.fact, NodeFact) or _is_about(entry.fact, job)
            ]
        told = list(_once(chosen))
        left_out = len(told) - lines
        text = "\n".join(map(str, told[-lines:]))
        return text if left_out <= 0 else f"({left_out} more before)\n{text}"

    def __len__(self) -> int:
        return len(self._entries)

    def __str__(self) -> str:
        return "".join(f"{entry}\n" for entry in self._entries)

    def __repr__(self) -> str:
        return f"<History of seed {self.seed}: {len(self._entries)} facts>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return len(self) == len(other) and str(self) == str(other)

    __hash__ = None  # type: ignore[assignment]


def _is_about(fact: Fact, job: UUID) -> bool:
    return getattr(fact, "job_id", None) == job


def _once(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Without failures of the storage that are like one before, if nothing else was between."""
    failed: set[object] = set()
    for entry in entries:
        fact = entry.fact
        if not isinstance(fact, StorageFailed):
            failed.clear()
            yield entry
            continue
        kind = entry.node, fact.stages, fact.error
        if kind not in failed:
            failed.add(kind)
            yield entry


def _text(value: object) -> str:
    if isinstance(value, StrEnum):
        return value.value
    render: Callable[[object], str] = _RENDERED.get(type(value), repr)
    return _ADDRESS.sub("0x...", render(value))


def _error(error: object) -> str:
    assert isinstance(error, JobError)
    members = ", ".join(map(_error, error.children))
    return f"{error.type}({error.message!r}{', ' if members else ''}{members})"


_RENDERED: dict[type, Callable[[object], str]] = {
    datetime: lambda value: value.isoformat(),  # type: ignore[attr-defined]
    timedelta: str,
    UUID: str,
    JobError: _error,
}
