"""What Trio alone can do: the floors of everything that is kept in memory.

No storage, no serialization, no timeouts, no product.
"""

from __future__ import annotations

from time import perf_counter

import trio

EXECUTORS = 32
PRODUCERS = 64


async def checkpoint_load(jobs: int) -> float:
    """Limit T: 32 tasks, one checkpoint for each job, nothing else. Returns jobs per second."""

    async def executor() -> None:
        for _ in range(jobs // EXECUTORS):
            await trio.lowlevel.checkpoint()

    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(EXECUTORS):
            nursery.start_soon(executor)
    return jobs / (perf_counter() - began)


async def channel_load(jobs: int, executors: int, backlog: int = 0) -> float:
    """64 producers send ``jobs`` numbers into a channel; tasks take them, a checkpoint for each.

    With a ``backlog`` the channel holds so many numbers from the start, and as many are left over.
    Returns jobs per second.
    """
    send, receive = trio.open_memory_channel[int](backlog + PRODUCERS)
    for number in range(backlog):
        send.send_nowait(number)
    left = jobs
    ended = trio.Event()

    async def producer(first: int) -> None:
        for number in range(first, jobs, PRODUCERS):
            await send.send(number)

    async def executor() -> None:
        nonlocal left
        async for _ in receive:
            await trio.lowlevel.checkpoint()
            left -= 1
            if left == 0:
                ended.set()

    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(executors):
            nursery.start_soon(executor)
        async with trio.open_nursery() as producers:
            for first in range(PRODUCERS):
                producers.start_soon(producer, first)
        await ended.wait()
        elapsed = perf_counter() - began
        nursery.cancel_scope.cancel()
    return jobs / elapsed
