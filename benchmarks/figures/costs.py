"""What a large table, a timeout, telemetry and a backlog cost: the product beside itself."""

from __future__ import annotations

from collections.abc import Sequence

from .. import big_tables, resident_memory, throughput
from ..rows import Figure, Row, at_least, at_most, versus

FIGURES: Sequence[Figure] = (
    versus(
        "big-ready",
        Row(
            "SQLite FULL: drain, a big table of ready rows", "jobs/s", "small table", at_least(0.7)
        ),
        big_tables.drain_many_ready,
        throughput.sqlite_drain,
        big_tables.make_many_ready,
    ),
    versus(
        "big-finished",
        Row(
            "SQLite FULL: drain, a big table of ended rows", "jobs/s", "small table", at_least(0.9)
        ),
        big_tables.drain_many_finished,
        throughput.sqlite_drain,
        big_tables.make_many_finished,
    ),
    versus(
        "timeout-cost",
        Row("memory: drain, with a timeout for each job", "jobs/s", "no timeout", at_least(0.8)),
        throughput.memory_drain,
        lambda scale: throughput.memory_drain(scale, timeout=None),
    ),
    versus(
        "telemetry-cost",
        Row("memory: drain, telemetry without an SDK", "jobs/s", "no telemetry", at_least(0.85)),
        throughput.memory_drain,
        lambda scale: throughput.memory_drain(scale, without_telemetry=True),
    ),
    versus(
        "pending-memory",
        Row("peak memory with a backlog pending in SQLite", "MB", "none pending", at_most(120)),
        lambda scale: resident_memory.peak_megabytes(scale, scale.backlog),
        lambda scale: resident_memory.peak_megabytes(scale, 0),
    ),
)
