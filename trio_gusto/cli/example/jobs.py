"""A first app: one handler, one schedule, one file that keeps the jobs.

Run this file to enqueue a job and run it in the same process:

    python jobs.py

Or run the jobs in a process of their own, and look at them from anywhere:

    trio-gusto run jobs:app
    trio-gusto jobs list
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import trio

from trio_gusto import Gusto, exponential
from trio_gusto.storage.sqlite import SqliteStorage

app = Gusto(SqliteStorage(Path(__file__).with_name("jobs.db")))


# Stored jobs know their handler by its name, so give it one that may stay when code moves.
@app.job(name="greet", max_attempts=5, retry=exponential(base=1))
async def greet(name: str) -> str:
    """A handler. It may run twice if its process is killed, so repeating it must do no harm."""
    await trio.sleep(0.1)
    return f"hello {name}"


async def main() -> None:
    """Enqueue a job, and wait for what its handler returns."""
    async with app.running() as queue:
        await queue.schedule("every-minute", greet, "schedule", trigger=timedelta(minutes=1))
        ref = await queue.enqueue(greet, "world")
        print(await ref.result())


if __name__ == "__main__":
    trio.run(main)
