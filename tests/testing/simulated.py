"""An app and scenarios that tests of simulations play, in this process and in others."""

from __future__ import annotations

import random
import sys
import threading
from datetime import timedelta

import trio

from trio_gusto import Gusto, MemoryStorage, Options, StorageBusy, current_job, fixed
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import World, simulate

app = Gusto(
    options=Options(concurrency=2, lease=30.0, default_retry=fixed(5.0), default_max_attempts=3)
)


@app.job
async def work(seconds: float) -> float:
    """Work for so long."""
    await trio.sleep(seconds)
    return seconds


@app.job
async def flaky(seconds: float) -> str:
    """Fail at first."""
    await trio.sleep(seconds)
    if current_job().attempt == 1:
        raise ConnectionError(f"not at first, says {object()!r}")
    return "at last"


@app.job
async def family(children: int) -> None:
    """Have children, in tasks of its own."""
    async with trio.open_nursery() as nursery:
        for child in range(children):
            nursery.start_soon(trio.sleep, child)
    current_job().progress(50)
    for child in range(children):
        await current_job().queue.enqueue(work, child)


@app.job
def compute(n: int) -> str:
    """Work in a thread."""
    current_job().log(f"{n} times")
    threading.Event().wait(0.001 * (n % 3))  # real time, which must not show
    return "computed"


@app.job
async def delegate(n: int) -> str:
    """Have a thread work, and go on."""
    done = await trio.to_thread.run_sync(compute, n)
    await trio.sleep(1)
    return done


@app.job
async def chance() -> list[int]:
    """Draw lots."""
    return [random.randrange(10**9) for _ in range(3)]


async def everything(world: World) -> None:
    """Use whatever might be left to chance."""
    queue = world.queue
    await queue.schedule("minutely", work, 1.0, trigger="0 * * * * *")
    await queue.schedule("often", flaky, 0.5, trigger=timedelta(seconds=45), jitter=10)
    for seconds in (0, 1, 2, 70):
        await queue.enqueue(work, seconds, tags={"a", "b", "c"}, execute_after=seconds)
    await queue.enqueue(family, 3)
    async with trio.open_nursery() as nursery:  # which is stored first?
        for _ in range(4):
            nursery.start_soon(queue.enqueue, chance)
        for n in range(4):
            nursery.start_soon(queue.enqueue, compute, n)
            nursery.start_soon(queue.enqueue, delegate, n)
    async with queue.batch() as batch:
        batch.enqueue(work, 3)
        batch.enqueue(flaky, 1)
        batch.continue_with(compute, 7)
    parent = await queue.enqueue(work, 5)
    await queue.continue_with(parent, work, 1)
    await world.advance(seconds=30)
    await world.crash(world.nodes[-1])
    world.storage.fail_next(on="claim", after_commit=True)
    world.storage.fail_next(StorageBusy("just now"), on="outcome", times=2)
    await world.advance(minutes=2)
    await world.restart(world.nodes[-1])
    await world.pause(world.nodes[0])
    await world.step_clock(world.nodes[0], 5)
    await world.advance(minutes=1)
    await world.resume(world.nodes[0])
    await world.drift_clock(world.nodes[0], 0.001)
    await world.drain(world.nodes[1])
    await world.advance(minutes=10)


def in_sqlite() -> SqliteStorage:
    """A storage in one file of which only this process knows."""
    return SqliteStorage(":memory:", inline=True)


if __name__ == "__main__":
    history = simulate(
        everything,
        app,
        seed=int(sys.argv[1]),
        nodes=3,
        make_storage=in_sqlite if len(sys.argv) > 2 else MemoryStorage,
    )
    sys.stdout.write(str(history))
