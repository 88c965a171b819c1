"""What commands print: tables for people, lines for pipes, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, cast
from uuid import UUID

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..model.triggers import Trigger


def show_json(value: object) -> None:
    """Print one JSON document, in one line."""
    text = json.dumps(plain(value), ensure_ascii=False)
    # What is no text of UTF-8 has surrogates, and their escapes are those of JSON.
    print(text.encode(errors="backslashreplace").decode(), flush=True)


def show_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; elsewhere than on a terminal, lines whose columns are parted by tabs."""
    console = Console()
    texts = [[in_one_line(word(value)) for value in row] for row in rows]
    if not console.is_terminal:
        for line in [list(head), *texts]:
            print("\t".join(line))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in head:
        table.add_column(name, overflow="fold")
    for line in texts:
        table.add_row(*map(Text, line))
    console.print(table)


def show_fields(fields: Mapping[str, object]) -> None:
    """Print what is known of one thing, a line for each field; those without a value are left out."""
    for name, value in fields.items():
        if value not in (None, "", [], (), {}):
            print(f"{name}: {in_one_line(word(value))}")


def plain(value: object) -> Any:
    """A record as JSON: instants in ISO 8601, durations in seconds, sets in order."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (str, UUID, Trigger)):
        return str(value)
    kind: type[Any] = type(value)
    if attrs.has(kind):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(kind)}
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {str(plain(key)): plain(each) for key, each in pairs}
    if isinstance(value, Iterable):
        items = [plain(each) for each in cast("Iterable[object]", value)]
        return sorted(items) if isinstance(value, (set, frozenset)) else items
    return str(value)


def word(value: object) -> str:
    """A value for people: instants in the machine's own time zone, to the second."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    simple = plain(value)
    return simple if isinstance(simple, str) else json.dumps(simple, ensure_ascii=False)


def in_one_line(text: str) -> str:
    """The text, with whatever a stored text may do to a screen written out."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
