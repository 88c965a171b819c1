"""What lanes cost: claims out of a backlog in many lanes, and the jobs of named workers.

Claims are asked of the storage itself, because what else an app does hides them. Every load has its
plain counterpart: the same number of jobs in no lane.
"""

from __future__ import annotations

import statistics
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from time import perf_counter

import trio

from trio_gusto import Gusto, MemoryStorage, Options, RateLimit, call
from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.states import Completed, Ready
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Complete, Insert
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage

from .scale import Scale

NOW = 1_700_000_000_000_000
LEASE = 10**12
LIMIT = 100
"""Jobs that one claim may take."""

RATE_KEYS = 1000
CLAIMS = 15
NAP = 0.05

Layout = Callable[[int], Sequence[Details | None]]
"""Which job of so many is in which lane."""


def plain(count: int) -> Sequence[Details | None]:
    """None is in any."""
    return [None] * count


def interleaved(count: int) -> Sequence[Details | None]:
    """A tenth as many lanes as jobs, one job of each after the other."""
    workers = _workers(count // 10)
    return [workers[number % len(workers)] for number in range(count)]


def in_blocks(count: int) -> Sequence[Details | None]:
    """As many lanes, ten jobs of each in a row."""
    workers = _workers(count // 10)
    return [workers[number // 10] for number in range(count)]


def behind_one(count: int) -> Sequence[Details | None]:
    """Nine tenths are in one lane, and stand before all others, each in a lane of its own."""
    others = _workers(count // 10)
    return [Details(worker="front")] * (count - len(others)) + others


def at_work(count: int) -> Sequence[Details | None]:
    """A hundredth as many lanes as jobs."""
    workers = _workers(count // 100)
    return [workers[number % len(workers)] for number in range(count)]


def short_of_tokens(count: int) -> Sequence[Details | None]:
    """Two jobs of each of `RATE_KEYS` rate keys, which all wait once the first is taken; then jobs in no lane."""
    a_day = RateLimit(1, per=86_400)
    keys = [Details(rate_key=f"k{number}", rate_limit=a_day) for number in range(RATE_KEYS)]
    return [*keys, *keys, *plain(count - 2 * len(keys))]


def memory_claims(scale: Scale, layout: Layout, *, occupied: int = 0) -> float:
    """Claims per second of a backlog in memory; ``occupied`` lanes have a leased job first."""
    return trio.run(_claims, MemoryStorage(), layout(scale.backlog), occupied)


def sqlite_claims(scale: Scale, layout: Layout, *, occupied: int = 0) -> float:
    """The same in SQLite, as it comes by default."""
    with scale.fresh_database() as path:
        return trio.run(_claims, SqliteStorage(path), layout(scale.backlog), occupied)


def occupied_lanes(scale: Scale) -> int:
    """How many lanes `at_work` makes."""
    return scale.backlog // 100


def one_after_another(scale: Scale, worker: str | None) -> float:
    """Trivial jobs, run one after another: of a named worker, or by the only executor.

    Returns:
        Jobs per second, from the first handler's start to the last one's.
    """
    with scale.fresh_database() as path:
        app = Gusto(SqliteStorage(path), options=Options(concurrency=1))
        began: list[float] = []
        ended = trio.Event()

        @app.job(name="benchmarks.in_turn", worker=worker)
        async def in_turn(number: int) -> None:  # noqa: ARG001  an argument is part of the load
            began.append(perf_counter())
            if len(began) == scale.lone:
                ended.set()

        async def main() -> None:
            async with app.connected() as queue:
                await queue.enqueue_many([call(in_turn, number) for number in range(scale.lone)])
            async with app.running():
                await ended.wait()

        trio.run(main)
    return (len(began) - 1) / (began[-1] - began[0])


def side_by_side(scale: Scale, *, have_workers: bool) -> float:
    """Jobs that sleep, each of a named worker of its own or of none, under 100 executors.

    Returns:
        Jobs per second.
    """
    with scale.fresh_database() as path:
        app = Gusto(SqliteStorage(path), options=Options(concurrency=100))
        left = scale.lone
        ended = trio.Event()

        @app.job(name="benchmarks.nap")
        async def nap(number: int) -> None:  # noqa: ARG001  an argument is part of the load
            nonlocal left
            await trio.sleep(NAP)
            left -= 1
            if not left:
                ended.set()

        async def main() -> float:
            async with app.connected() as queue:
                await queue.enqueue_many(
                    [
                        call(nap, number, worker=f"w{number}" if have_workers else None)
                        for number in range(scale.lone)
                    ]
                )
            began = perf_counter()
            async with app.running():
                await ended.wait()
            return scale.lone / (perf_counter() - began)

        return trio.run(main)


def _workers(count: int) -> list[Details | None]:
    return [Details(worker=f"w{number}") for number in range(count)]


async def _claims(storage: Storage, lanes: Sequence[Details | None], occupied: int) -> float:
    """Claims per second, by the median; what is claimed is completed before the next."""
    requests = [
        JobRequest(uuid7(NOW * 1000, number), "no_op", "[[1],{}]", NOW, 10, details=details)
        for number, details in enumerate(lanes)
    ]
    took: list[float] = []
    async with attached(storage, "here"), attached(storage, "there"):
        for first in range(0, len(requests), 1000):
            some = requests[first : first + 1000]
            await storage.apply([Insert(some, [Ready(NOW)] * len(some))])
        if occupied:
            await _claim(storage, "there", occupied)
        for _ in range(CLAIMS):
            began = perf_counter()
            reply = await _claim(storage, "here", LIMIT)
            took.append(perf_counter() - began)
            if reply.jobs:
                states = [Completed(NOW, NOW, NOW, "here") for _ in reply.jobs]
                await storage.apply([Complete(reply.jobs, states)])
    return 1 / statistics.median(took)


async def _claim(storage: Storage, node: str, limit: int) -> ClaimReply:
    (reply,) = await storage.apply([ClaimDue(node, NOW, NOW + LEASE, limit, limit)])
    assert isinstance(reply, ClaimReply)
    return reply


@asynccontextmanager
async def attached(storage: Storage, node: str) -> AsyncGenerator[None]:
    """The node is there for the length of the block."""
    await storage.attach(node)
    try:
        yield
    finally:
        await storage.detach(node)
