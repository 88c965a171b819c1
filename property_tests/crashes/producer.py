"""A producer's process: ``python -m property_tests.crashes.producer HOME SEED LIFE``, until SIGTERM.

Before it asks for something it writes down what, and afterwards what it was answered. So of everything in the
file the judge knows whether it was acknowledged, refused, or neither, because the producer was killed.
"""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import trio

from trio_gusto import Call, DuplicateJob, JobQueue, StorageError, call, every

from .errands import PAIR, TILL, UNUSABLE, Program

TICK, TOCK = "tick", "tock"
TICK_SECONDS, TOCK_SECONDS = 0.2, 0.7
ENOUGH = 150
"""Jobs that have not ended, above which it waits for the workers."""


class Producer:
    """Asks for jobs of all kinds, as a seed has it."""

    def __init__(self, program: Program, queue: JobQueue, seed: str, life: int) -> None:
        self.program = program
        self.queue = queue
        self.ledger = program.ledger
        self.draw = random.Random(f"{seed} {life}")
        self.life = life
        self.count = 0
        self.recent: list[UUID] = []

    async def run(self) -> None:
        """Ask until cancelled."""
        while not await self.schedule():  # noqa: ASYNC110 - others keep the file locked
            await trio.sleep(0.1)
        acts: dict[Callable[[], Awaitable[None]], int] = {
            self.some: 8,
            self.lane: 3,
            self.follow: 4,
            self.batch: 3,
            self.key: 3,
            self.cancel: 2,
        }
        while True:
            (act,) = self.draw.choices([*acts], [*acts.values()])
            try:
                await act()
            except StorageError:
                self.ledger.note("refused", refs=self.refs)
            await trio.sleep(self.draw.uniform(0.01, 0.1))
            if not self.draw.randrange(20):
                await trio.sleep(1.3)  # whoever writes nothing for a second moves the log
            while await self.unfinished() > ENOUGH:  # noqa: ASYNC110 - others make them fewer
                await trio.sleep(0.1)

    async def unfinished(self) -> int:
        """How many jobs have not ended; none where nobody can tell."""
        try:
            states = (await self.queue.stats()).by_state
        except StorageError:
            return 0
        return sum(count for state, count in states.items() if not state.is_ended)

    # --- what is asked for ------------------------------------------------------------------------

    def ask(self, what: str, count: int) -> list[str]:
        """Write down that so many jobs are asked for at once; returns their names."""
        self.refs = [f"{self.life}-{self.count + n}" for n in range(count)]
        self.count += count
        self.ledger.note("asked", what=what, refs=self.refs)
        return self.refs

    def acknowledge(self, what: str, jobs: list[UUID], **fields: object) -> None:
        """Write down that they are stored."""
        self.recent = [*self.recent, *jobs][-40:]
        ids = [job.hex for job in jobs]
        self.ledger.note("acknowledged", what=what, refs=self.refs, jobs=ids, **fields)

    def errand(self, ref: str, **options: Any) -> Call[Any]:
        """Any job."""
        seconds = self.draw.choice([0.0, 0.0, 0.02, 0.1, 0.5])
        options["ref_id"] = ref
        kind = self.draw.randrange(16)
        if kind == 0:
            return call(self.program.in_thread, seconds, **options)
        if kind == 1:
            return call(self.program.doomed, seconds, **options)
        if kind <= 3:
            return call(self.program.flaky, seconds, self.draw.randint(1, 2), **options)
        if kind == 4:
            return call(self.program.doze, seconds, **options)
        if kind == 5:
            return call(self.program.split, self.draw.randint(1, 3), **options)
        if kind == 6:
            return call(self.program.measure, seconds, **options)
        if kind == 7:
            options["execute_after"] = self.draw.uniform(0.05, 1)
        return call(self.program.plain, seconds, **options)

    async def some(self) -> None:
        """Jobs that have nothing to do with each other, stored at once."""
        refs = self.ask("jobs", self.draw.choice([1, 1, 2, 5, 20]))
        stored = await self.queue.enqueue_many([self.errand(ref) for ref in refs])
        self.acknowledge("jobs", [ref.id for ref in stored])

    async def lane(self) -> None:
        """Jobs of a named worker, or of a concurrency key."""
        refs = self.ask("lane", self.draw.choice([1, 3]))
        lane: dict[str, Any] = {"worker": TILL}
        if self.draw.randrange(2):
            lane = {"concurrency_key": PAIR, "concurrency_limit": 2}
        stored = await self.queue.enqueue_many(
            [
                call(self.program.plain, self.draw.choice([0.0, 0.05]), ref_id=ref, **lane)
                for ref in refs
            ]
        )
        self.acknowledge("lane", [ref.id for ref in stored])

    async def follow(self) -> None:
        """A job that waits for others, which may have ended."""
        (ref,) = self.ask("continuation", 1)
        parents = self.draw.sample(self.recent, k=min(len(self.recent), self.draw.randint(1, 2)))
        if not parents:
            return
        on: Any = self.draw.choice(["success", "success", "failure", "finish"])
        child = await self.queue.continue_with(parents, self.program.gather, on=on, ref_id=ref)
        names = [parent.hex for parent in parents]
        self.acknowledge("continuation", [child.id], parents=names, on=on)

    async def batch(self) -> None:
        """Some jobs and one that waits for all of them."""
        *members, last = self.ask("batch", self.draw.choice([1, 3, 12]) + 1)
        on: Any = self.draw.choice(["success", "finish"])
        async with self.queue.batch() as batch:
            jobs = [
                batch.enqueue(self.program.plain, self.draw.choice([0.0, 0.1]), ref_id=ref)
                for ref in members
            ]
            end = batch.continue_with(self.program.gather, on=on, ref_id=last)
        ids = [job.id for job in jobs]
        self.acknowledge("batch", [*ids, end.id], batch=batch.id.hex, end=end.id.hex, on=on)

    async def key(self) -> None:
        """A job with a key that others want as well."""
        (ref,) = self.ask("key", 1)
        name = f"key {self.draw.randrange(3)}"
        try:
            job = await self.queue.enqueue(
                self.program.plain, self.draw.choice([0.05, 0.3]), ref_id=ref, unique_key=name
            )
        except DuplicateJob as error:
            self.ledger.note("refused", refs=[ref], existing=error.existing_id.hex)
        else:
            self.acknowledge("key", [job.id])

    async def cancel(self) -> None:
        """Call off something that may have ended."""
        self.refs = []
        if self.recent:
            job = self.draw.choice(self.recent)
            self.ledger.note("cancels", job=job.hex)
            if await self.queue.cancel(job, "not needed"):
                self.ledger.note("cancelled", job=job.hex)

    # --- schedules --------------------------------------------------------------------------------

    async def schedule(self) -> bool:
        """Have two of them, which is nothing new from the second life on."""
        self.ledger.note("schedules", names={TICK: TICK_SECONDS, TOCK: TOCK_SECONDS})
        plain = self.program.plain
        try:
            await self.queue.schedule(
                TICK, plain, 0.0, trigger=every(TICK_SECONDS),
                coalesce="all", overlap="allow", max_catchup=1000,
            )  # fmt: skip
            await self.queue.schedule(TOCK, plain, 0.9, trigger=every(TOCK_SECONDS), overlap="skip")
        except StorageError:
            return False
        return True

    async def finish(self) -> None:
        """Have no schedules any more, so that everything comes to an end."""
        for schedule in await self.queue.schedules():
            await self.queue.remove_schedule(schedule.name)


async def produce(home: Path, seed: str, life: int) -> None:
    """Ask for jobs until SIGTERM; in the last life, ``-1``, for nothing any more."""
    program = Program(home, {})
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with program.app.connected() as queue, trio.open_nursery() as nursery:
            program.ledger.note("ready")
            producer = Producer(program, queue, seed, life)
            if life < 0:
                await producer.finish()
                return
            nursery.start_soon(producer.run)
            await anext(signals)
            nursery.cancel_scope.cancel()
    program.ledger.note("stopped")


if __name__ == "__main__":
    try:
        trio.run(produce, Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    except* StorageError:
        sys.exit(UNUSABLE)
