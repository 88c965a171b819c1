"""What tenants cost: claims beside those that are paused, claims in turn, and the index of a pause.

Claims are asked of the storage itself, because what else an app does hides them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from time import perf_counter

import attrs
import trio

from trio_gusto import MemoryStorage
from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import JobRequest
from trio_gusto.model.states import Completed, Ready
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Complete, Insert
from trio_gusto.storage.pause_messages import PutPause
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage

from .crowds import Toll, watched
from .lanes import CLAIMS, LEASE, LIMIT, NOW, attached
from .scale import Scale

PAUSED: Sequence[str] = [f"paused {number}" for number in range(100)]

Layout = Callable[[int], Sequence[str]]
"""Whose so many jobs are."""


def of_one(count: int) -> Sequence[str]:
    """All of one tenant."""
    return ["one"] * count


def behind_paused(count: int) -> Sequence[str]:
    """Nine tenths are of tenants that are paused, and stand before all others."""
    others = count // 10
    front = count - others
    return [PAUSED[number % len(PAUSED)] for number in range(front)] + ["one"] * others


def of_ten(count: int) -> Sequence[str]:
    """Of ten tenants, interleaved."""
    return [f"tenant {number % 10}" for number in range(count)]


def of_many(count: int) -> Sequence[str]:
    """A hundredth as many tenants as jobs, interleaved."""
    return [f"tenant {number % (count // 100)}" for number in range(count)]


@attrs.frozen
class Load:
    """Whose jobs there are, who is paused, and whether tenants take turns."""

    layout: Layout = of_one
    paused: Sequence[str] = ()
    in_turn: bool = False


def memory_claims(scale: Scale, load: Load) -> float:
    """Claims per second of a backlog in memory, by the median."""
    return trio.run(_claims, MemoryStorage(), load, scale.backlog)


def sqlite_claims(scale: Scale, load: Load) -> float:
    """The same in SQLite, as it comes by default."""
    with scale.fresh_database() as path:
        return trio.run(_claims, SqliteStorage(path), load, scale.backlog)


def first_pause(scale: Scale) -> Toll:
    """From the request for the first pause of a tenant until it holds, with a backlog in SQLite."""
    with scale.fresh_database() as path:
        return trio.run(_first_pause, SqliteStorage(path), scale.backlog)


def first_claim(scale: Scale) -> Toll:
    """The first claim in memory behind tenants that are paused: it parks what it meets of theirs."""
    return trio.run(_first_claim, MemoryStorage(), scale.backlog)


async def _claims(storage: Storage, load: Load, backlog: int) -> float:
    weights: dict[str, int] | None = {} if load.in_turn else None
    took: list[float] = []
    async with attached(storage, "here"):
        await _fill(storage, load.layout(backlog))
        for tenant in load.paused:
            await storage.apply([PutPause(None, tenant, "", NOW)])
        for number in range(CLAIMS + 1):
            claim = ClaimDue("here", NOW, NOW + LEASE, LIMIT, LIMIT, tenant_weights=weights)
            began = perf_counter()
            (reply,) = await storage.apply([claim])
            if number:  # the first one makes the index, or parks what is paused
                took.append(perf_counter() - began)
            assert isinstance(reply, ClaimReply)
            if reply.jobs:
                states = [Completed(NOW, NOW, NOW, "here") for _ in reply.jobs]
                await storage.apply([Complete(reply.jobs, states)])
    return 1 / statistics.median(took)


async def _first_pause(storage: Storage, backlog: int) -> Toll:
    async with attached(storage, "here"):
        await _fill(storage, behind_paused(backlog))
        async with watched() as watch:
            began = perf_counter()
            await storage.apply([PutPause(None, PAUSED[0], "", NOW)])
            seconds = perf_counter() - began
    return Toll(seconds, 1000 * watch.worst)


async def _first_claim(storage: Storage, backlog: int) -> Toll:
    async with attached(storage, "here"):
        await _fill(storage, behind_paused(backlog))
        for tenant in PAUSED:
            await storage.apply([PutPause(None, tenant, "", NOW)])
        async with watched() as watch:
            began = perf_counter()
            await storage.apply([ClaimDue("here", NOW, NOW + LEASE, LIMIT, LIMIT)])
            seconds = perf_counter() - began
    return Toll(seconds, 1000 * watch.worst)


async def _fill(storage: Storage, tenants: Sequence[str]) -> None:
    for first in range(0, len(tenants), 1000):
        requests = [
            JobRequest(uuid7(NOW * 1000, number), "no_op", "[[1],{}]", NOW, 10, tenant=tenant)
            for number, tenant in enumerate(tenants[first : first + 1000], first)
        ]
        await storage.apply([Insert(requests, [Ready(NOW)] * len(requests))])
