"""The figures: what is measured, against which floor, and what is to be reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import attrs
import trio

from . import bare_shape, big_tables, latency, resident_memory, sqlite_floors, throughput
from .scale import Scale
from .trio_floors import EXECUTORS, PRODUCERS, channel_load, checkpoint_load

Measure = Callable[[Scale], float]


@attrs.frozen
class Goal:
    """``ratio``: product by floor; ``value``: the product's own figure."""

    bound: Literal["at least", "at most"]
    limit: float
    of: Literal["ratio", "value"] = "ratio"

    def is_met(self, value: float, ratio: float) -> bool:
        measured = ratio if self.of == "ratio" else value
        return measured >= self.limit if self.bound == "at least" else measured <= self.limit


@attrs.frozen
class Row:
    """One line of the table. A row without a goal informs."""

    title: str
    unit: str
    floor: str
    goal: Goal | None = None


@attrs.frozen
class Pair:
    """What one round measured for a row."""

    product: float
    floor: float

    @property
    def ratio(self) -> float:
        return self.product / self.floor


@attrs.frozen
class Figure:
    """Rows that are measured together.

    ``prepare`` is called once, before the first round. ``product`` is what a profile looks at.
    """

    name: str
    rows: Sequence[Row]
    measure: Callable[[Scale], Sequence[Pair]]
    product: Callable[[Scale], object]
    prepare: Callable[[Scale], None]


def _nothing(scale: Scale) -> None:
    """Most figures make what they need in every round."""


def _versus(
    name: str,
    row: Row,
    product: Measure,
    floor: Measure,
    prepare: Callable[[Scale], None] = _nothing,
) -> Figure:
    """A figure of one row. Its floor is measured before and after the product, and averaged, so
    that what else the machine does in these seconds falls on both sides."""

    def measure(scale: Scale) -> Sequence[Pair]:
        before = floor(scale)
        measured = product(scale)
        return [Pair(measured, (before + floor(scale)) / 2)]

    return Figure(name, [row], measure, product, prepare)


def _at_least(ratio: float) -> Goal:
    return Goal("at least", ratio)


# --- floors ---------------------------------------------------------------------------------------


def _limit_t(scale: Scale) -> float:
    return trio.run(checkpoint_load, scale.jobs * 5)


def _limit_s3(scale: Scale) -> float:
    with scale.fresh_database() as path:
        return sqlite_floors.jobs_per_second(path, scale.jobs * 2)


def _limit_i100(scale: Scale) -> float:
    with scale.fresh_database() as path:
        return sqlite_floors.inserts_per_second(path, scale.jobs * 4, 100)


def _limit_i1(scale: Scale) -> float:
    with scale.fresh_database() as path:
        return sqlite_floors.inserts_per_second(path, scale.lone, 1)


def _bare_enqueue(scale: Scale, callers: int) -> float:
    jobs = scale.lone if callers == 1 else scale.jobs
    with scale.fresh_database() as path:
        return trio.run(bare_shape.enqueues_per_second, path, jobs, callers)


# --- figures --------------------------------------------------------------------------------------


def _sparse(scale: Scale, *, inline: bool = False) -> Sequence[Pair]:
    product, floor = latency.enqueue_to_start(scale, inline=inline)
    return [Pair(product.p50, floor.p50), Pair(product.p99, floor.p99)]


def _beside_backlog(concurrency: int, *, durable: bool, filled: bool) -> Figure:
    """End to end, for information: one concurrency, one storage, with or without a backlog."""

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
        return _versus(name, Row(title, "jobs/s", "raw rounds of 64"), sqlite, sqlite_floor)
    return _versus(name, Row(title, "jobs/s", "bare channel"), memory, memory_floor)


FIGURES: Sequence[Figure] = (
    _versus(
        "memory-drain",
        Row("memory: drain of timed, cancellable no-op jobs", "jobs/s", "T", _at_least(0.35)),
        throughput.memory_drain,
        _limit_t,
    ),
    _versus(
        "memory-drain-waits",
        Row("memory: the same, each handler waits once", "jobs/s", "T"),
        lambda scale: throughput.memory_drain(scale, waits=True),
        _limit_t,
    ),
    _versus(
        "memory-e2e",
        Row("memory: end to end, 64 awaiting producers", "jobs/s", "T", _at_least(0.18)),
        throughput.memory_end_to_end,
        _limit_t,
    ),
    _versus(
        "sqlite-e2e",
        Row("SQLite FULL: end to end, 64 awaiting producers", "jobs/s", "S3", _at_least(0.42)),
        throughput.sqlite_end_to_end,
        _limit_s3,
    ),
    _versus(
        "sqlite-drain",
        Row("SQLite FULL: drain of a backlog", "jobs/s", "S3", _at_least(0.65)),
        throughput.sqlite_drain,
        _limit_s3,
    ),
    _versus(
        "sqlite-enqueue-64",
        Row("SQLite FULL: durable enqueue only, 64 callers", "jobs/s", "I(100)", _at_least(0.45)),
        lambda scale: throughput.sqlite_enqueue(scale, 64),
        _limit_i100,
    ),
    _versus(
        "bare-enqueue-64",
        Row("the bare shape, 64 callers: nothing but rows, tasks and a thread", "jobs/s", "I(100)"),
        lambda scale: _bare_enqueue(scale, 64),
        _limit_i100,
    ),
    _versus(
        "sqlite-enqueue-1",
        Row("SQLite FULL: durable enqueue only, one caller", "jobs/s", "I(1)", _at_least(0.6)),
        lambda scale: throughput.sqlite_enqueue(scale, 1),
        _limit_i1,
    ),
    _versus(
        "bare-enqueue-1",
        Row("the bare shape, one caller", "jobs/s", "I(1)"),
        lambda scale: _bare_enqueue(scale, 1),
        _limit_i1,
    ),
    _versus(
        "inline-enqueue-1",
        Row("the product with inline=True, one caller", "jobs/s", "I(1)"),
        lambda scale: throughput.sqlite_enqueue(scale, 1, inline=True),
        _limit_i1,
    ),
    Figure(
        "sparse",
        [
            Row("lone enqueue to handler start, p50", "ms", "raw commit", Goal("at most", 1.5)),
            Row("lone enqueue to handler start, p99", "ms", "raw commit", Goal("at most", 1.8)),
        ],
        _sparse,
        latency.enqueue_to_start,
        _nothing,
    ),
    Figure(
        "sparse-inline",
        [
            Row("the same with inline=True, p50", "ms", "raw commit"),
            Row("the same with inline=True, p99", "ms", "raw commit"),
        ],
        lambda scale: _sparse(scale, inline=True),
        lambda scale: latency.enqueue_to_start(scale, inline=True),
        _nothing,
    ),
    _versus(
        "big-ready",
        Row(
            "SQLite FULL: drain, a big table of ready rows", "jobs/s", "small table", _at_least(0.7)
        ),
        big_tables.drain_many_ready,
        throughput.sqlite_drain,
        big_tables.make_many_ready,
    ),
    _versus(
        "big-finished",
        Row(
            "SQLite FULL: drain, a big table of ended rows", "jobs/s", "small table", _at_least(0.9)
        ),
        big_tables.drain_many_finished,
        throughput.sqlite_drain,
        big_tables.make_many_finished,
    ),
    _versus(
        "loop-lag",
        Row(
            "event-loop lag under full load, p99",
            "ms",
            "bare channel",
            Goal("at most", 1.5, "value"),
        ),
        lambda scale: latency.lag_of_product(scale).p99,
        lambda scale: latency.lag_of_bare_trio(scale).p99,
    ),
    _versus(
        "timeout-cost",
        Row("memory: drain, with a timeout for each job", "jobs/s", "no timeout", _at_least(0.8)),
        throughput.memory_drain,
        lambda scale: throughput.memory_drain(scale, timeout=None),
    ),
    _versus(
        "telemetry-cost",
        Row("memory: drain, telemetry without an SDK", "jobs/s", "no telemetry", _at_least(0.85)),
        throughput.memory_drain,
        lambda scale: throughput.memory_drain(scale, without_telemetry=True),
    ),
    _versus(
        "pending-memory",
        Row(
            "peak memory with a backlog pending in SQLite",
            "MB",
            "none pending",
            Goal("at most", 120, "value"),
        ),
        lambda scale: resident_memory.peak_megabytes(scale, scale.backlog),
        lambda scale: resident_memory.peak_megabytes(scale, 0),
    ),
    *(
        _beside_backlog(concurrency, durable=durable, filled=filled)
        for durable in (False, True)
        for concurrency in (8, EXECUTORS * 2)
        for filled in (False, True)
    ),
)
