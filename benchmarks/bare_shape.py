"""The shape of the product with nothing in it: what no product of that shape can go beyond.

Tasks put a row into a list and wait; a thread writes all that wait in one durable transaction of
raw SQL, into a log that has its room as the product's has; the tasks are woken. No handlers, no
retries, no leases, no checks: beside a floor that has no Trio and no waiting callers it tells what
the machine leaves to be had.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from pathlib import Path
from time import perf_counter

import trio

from trio_gusto.storage.sqlite.log import make_room

from . import sqlite_floors

Row = tuple[object, ...]


class Writer:
    """A thread that inserts what it is given, and wakes the task that waits for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._calls = queue.SimpleQueue[tuple[list[Row], trio.lowlevel.Task] | None]()
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    async def insert(self, rows: list[Row]) -> None:
        self._calls.put((rows, trio.lowlevel.current_task()))
        await trio.lowlevel.wait_task_rescheduled(_stay)

    def close(self) -> None:
        self._calls.put(None)
        self._thread.join()

    def _work(self) -> None:
        connection = sqlite_floors.open_table(self._path)
        make_room(connection, str(self._path))
        while (call := self._calls.get()) is not None:
            rows, task = call
            _insert(connection, rows)
            self._token.run_sync_soon(trio.lowlevel.reschedule, task)
        connection.close()


def _insert(connection: sqlite3.Connection, rows: list[Row]) -> None:
    places = ",".join([sqlite_floors.PLACES] * len(rows))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(sqlite_floors.INSERT + places, [value for row in rows for value in row])
    connection.execute("COMMIT")


def _stay(_raise_cancel: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


class Keeper:
    """Groups what waits, as the storekeeper does."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._waiting: list[tuple[Row, trio.lowlevel.Task]] = []
        self._task: trio.lowlevel.Task | None = None

    async def enqueue(self, row: Row) -> None:
        self._waiting.append((row, trio.lowlevel.current_task()))
        self.wake()
        await trio.lowlevel.wait_task_rescheduled(_stay)

    def wake(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    async def serve(self, jobs: int) -> None:
        while jobs:
            if not self._waiting:
                self._task = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(_stay)
            group, self._waiting = self._waiting, []
            await self._writer.insert([row for row, _ in group])
            jobs -= len(group)
            for _, task in group:
                trio.lowlevel.reschedule(task)


async def enqueues_per_second(path: Path, jobs: int, callers: int) -> float:
    """Durable inserts by ``callers`` tasks, each awaiting each of its own."""
    writer = Writer(path)
    keeper = Keeper(writer)

    async def caller() -> None:
        for _ in range(jobs // callers):
            await keeper.enqueue(sqlite_floors.ROW)

    began = perf_counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.serve, jobs // callers * callers)
        for _ in range(callers):
            nursery.start_soon(caller)
    rate = jobs // callers * callers / (perf_counter() - began)
    writer.close()
    return rate
