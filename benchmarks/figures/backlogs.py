"""End to end, for information: other concurrencies, both storages, with and without a backlog."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from .. import sqlite_floors, throughput
from ..rows import Figure, Row, versus
from ..scale import Scale
from ..trio_floors import EXECUTORS, PRODUCERS, channel_load


def _end_to_end(concurrency: int, *, durable: bool, filled: bool) -> Figure:
    """One concurrency, one storage, with or without a backlog."""

    def backlog(scale: Scale) -> int:
        return scale.backlog if filled else 0

    def memory(scale: Scale) -> float:
        return throughput.memory_end_to_end(scale, concurrency, backlog(scale))

    def memory_floor(scale: Scale) -> float:
        return trio.run(channel_load, scale.jobs, concurrency, backlog(scale))

    def sqlite(scale: Scale) -> float:
        return throughput.sqlite_end_to_end(scale, concurrency, backlog(scale))

    def sqlite_floor(scale: Scale) -> float:
        with scale.fresh_database() as path:
            return sqlite_floors.jobs_per_second(path, scale.jobs, PRODUCERS, backlog(scale))

    kind = "sqlite" if durable else "memory"
    name = f"{kind}-e2e-{concurrency}{'-backlog' if filled else ''}"
    title = f"{'SQLite FULL' if durable else 'memory'}: end to end, concurrency {concurrency}" + (
        ", behind a backlog" if filled else ""
    )
    if durable:
        return versus(name, Row(title, "jobs/s", "raw rounds of 64"), sqlite, sqlite_floor)
    return versus(name, Row(title, "jobs/s", "bare channel"), memory, memory_floor)


FIGURES: Sequence[Figure] = tuple(
    _end_to_end(concurrency, durable=durable, filled=filled)
    for durable in (False, True)
    for concurrency in (8, EXECUTORS * 2)
    for filled in (False, True)
)
