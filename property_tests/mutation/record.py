"""The record of mutants that no test can tell from the code, each with its reason (`equivalent.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .mutants import Change

RECORD = Path(__file__).with_name("equivalent.toml")

_KEYS = {"function", "was", "becomes", "why"}


class BadRecord(Exception):
    """The record cannot be read; says which entry, and what it lacks."""


@dataclass(frozen=True)
class Entry:
    """A mutant that means the same as the code, and why it does."""

    change: Change
    why: str


def read_record(path: Path = RECORD) -> tuple[Entry, ...]:
    """All entries, in the file's order.

    Raises:
        BadRecord: an entry lacks a field or has one too many, gives no reason, or stands there
            twice.
    """
    entries: list[Entry] = []
    for number, told in enumerate(tomllib.loads(path.read_text("utf-8")).get("equivalent", []), 1):
        where = f"{path.name}, entry {number} ({told.get('function', 'of no function')})"
        if told.keys() != _KEYS:
            raise BadRecord(f"{where}: has {sorted(told)}, and needs {sorted(_KEYS)}")
        if not told["why"].strip():
            raise BadRecord(f"{where}: gives no reason; say why no test can tell it from the code")
        entry = Entry(Change(told["function"], told["was"], told["becomes"]), told["why"])
        if any(entry.change == other.change for other in entries):
            raise BadRecord(f"{where}: stands there twice; take one out")
        entries.append(entry)
    return tuple(entries)


def stale(entries: Iterable[Entry], survivors: Iterable[Change]) -> list[Entry]:
    """The entries that match no survivor: the code has changed, or a test tells it now."""
    known = set(survivors)
    return [entry for entry in entries if entry.change not in known]
