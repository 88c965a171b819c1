"""Jobs per second."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from .. import bare_shape, sqlite_floors, throughput
from ..rows import Figure, Row, at_least, versus
from ..scale import Scale
from ..trio_floors import checkpoint_load


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


FIGURES: Sequence[Figure] = (
    versus(
        "memory-drain",
        Row("memory: drain of timed, cancellable no-op jobs", "jobs/s", "T", at_least(0.35)),
        throughput.memory_drain,
        _limit_t,
    ),
    versus(
        "memory-drain-waits",
        Row("memory: the same, each handler waits once", "jobs/s", "T"),
        lambda scale: throughput.memory_drain(scale, waits=True),
        _limit_t,
    ),
    versus(
        "memory-e2e",
        Row("memory: end to end, 64 awaiting producers", "jobs/s", "T", at_least(0.18)),
        throughput.memory_end_to_end,
        _limit_t,
    ),
    versus(
        "sqlite-e2e",
        Row("SQLite FULL: end to end, 64 awaiting producers", "jobs/s", "S3", at_least(0.42)),
        throughput.sqlite_end_to_end,
        _limit_s3,
    ),
    versus(
        "sqlite-drain",
        Row("SQLite FULL: drain of a backlog", "jobs/s", "S3", at_least(0.65)),
        throughput.sqlite_drain,
        _limit_s3,
    ),
    versus(
        "sqlite-enqueue-64",
        Row("SQLite FULL: durable enqueue only, 64 callers", "jobs/s", "I(100)", at_least(0.45)),
        lambda scale: throughput.sqlite_enqueue(scale, 64),
        _limit_i100,
    ),
    versus(
        "bare-enqueue-64",
        Row("the bare shape, 64 callers: nothing but rows, tasks and a thread", "jobs/s", "I(100)"),
        lambda scale: _bare_enqueue(scale, 64),
        _limit_i100,
    ),
    versus(
        "sqlite-enqueue-1",
        Row("SQLite FULL: durable enqueue only, one caller", "jobs/s", "I(1)", at_least(0.6)),
        lambda scale: throughput.sqlite_enqueue(scale, 1),
        _limit_i1,
    ),
    versus(
        "bare-enqueue-1",
        Row("the bare shape, one caller", "jobs/s", "I(1)"),
        lambda scale: _bare_enqueue(scale, 1),
        _limit_i1,
    ),
    versus(
        "inline-enqueue-1",
        Row("the product with inline=True, one caller", "jobs/s", "I(1)"),
        lambda scale: throughput.sqlite_enqueue(scale, 1, inline=True),
        _limit_i1,
    ),
)
