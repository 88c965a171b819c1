"""The app that workers and producers run: its handlers, and what they write into the ledger.

An *entry* is one time that a handler is entered. It draws a name of its own, which the handler returns: so the
stored result tells whose it is, by no rule of the package.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from trio_gusto import Gusto, Options, Snooze, call, current_job, fixed
from trio_gusto.storage.sqlite import SqliteStorage, log, watch

from .ledger import Ledger
from .planted import PLANTED

DATABASE, LEDGER = "disk/jobs.db", "ledger"
SETTINGS = "settings"
"""A file that says what is unusual in a round: `Settings`."""

TILL, PAIR = "till", "pair"
"""A named worker, and a concurrency key with room for two."""

BUSY_TIMEOUT = 1.5

UNUSABLE = 75
"""How a process ends that could not open the file: somebody keeps it locked, or the disk is full."""

ROOM = 256 << 10
"""Bytes that the log is given at the start, on a small disk."""

EAGER = 0.05
"""Seconds without a write after which the log is moved into the file, where that is to happen often."""


@attrs.frozen
class Settings:
    """What is unusual in a round."""

    small: bool = False
    """Whether the disk is a small one."""
    eager: bool = False
    """Whether the log is moved into the file all the time."""
    planted: str | None = None
    """What is wrong with the workers."""


class Program:
    """An app over a file, whose handlers write into a ledger."""

    def __init__(self, home: Path, options: Mapping[str, Any]) -> None:
        self.ledger = Ledger(home / LEDGER)
        settings = Settings(**json.loads((home / SETTINGS).read_text()))
        if settings.small:
            log.ROOM = ROOM
        if settings.eager:
            watch._QUIET = EAGER
        make = PLANTED[settings.planted] if settings.planted else SqliteStorage
        storage = make(home / DATABASE, busy_timeout=BUSY_TIMEOUT)
        self.app = Gusto(storage, options=Options.from_mapping(options))
        plain = (self.plain, self.in_thread, self.doze, self.split, self.gather)
        for handler in plain:
            self.app.job(name=handler.__name__)(handler)
        self.app.job(name="flaky", retry=fixed(0.05))(self.flaky)
        self.app.job(name="doomed", retry=fixed(0.05), max_attempts=2)(self.doomed)
        tell = self.app.job(name="tell")(self.tell)
        self.app.job(name="measure", callback=tell)(self.measure)

    @contextmanager
    def entry(self, **fields: object) -> Generator[str]:
        """Write down that a handler is entered, and how it is left."""
        job, name = current_job(), uuid.uuid4().hex
        token = job._lease.claimed.token
        self.ledger.note(
            "begun", entry=name, job=job.id.hex, token=token, number=job.attempt, **fields
        )
        try:
            yield name
        except BaseException as error:
            self.ledger.note("broke", entry=name, error=type(error).__name__)
            raise
        self.ledger.note("returned", entry=name)

    async def plain(self, seconds: float) -> str:
        """Take some time."""
        with self.entry() as name:
            await trio.sleep(seconds)
        return name

    def in_thread(self, seconds: float) -> str:
        """Take some time in a thread."""
        with self.entry() as name:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                trio.from_thread.check_cancelled()
                threading.Event().wait(0.01)
        return name

    async def flaky(self, seconds: float, failures: int) -> str:
        """Fail some times at first."""
        with self.entry() as name:
            await trio.sleep(seconds)
            if current_job().attempt <= failures:
                raise ValueError("at first")
        return name

    async def doomed(self, seconds: float) -> str:
        """Fail every time."""
        with self.entry():
            await trio.sleep(seconds)
            raise ValueError("always")

    async def doze(self, seconds: float) -> str:
        """Ask for another time, every other time."""
        with self.entry() as name:
            await trio.sleep(seconds)
            if int(name[0], 16) % 2:
                raise Snooze(0.05)
        return name

    async def split(self, parts: int) -> str:
        """Enqueue children, and one that waits for them, to be stored with the success."""
        with self.entry(parts=parts) as name:
            children = current_job().queue
            refs = await children.enqueue_many(
                [call(self.plain, 0.01, ref_id=f"{name}-{n}") for n in range(parts)]
            )
            await children.continue_with(refs, self.gather, ref_id=f"{name}-last")
            await trio.sleep(0.02)
        return name

    async def gather(self) -> str:
        """Follow something."""
        with self.entry() as name:
            await trio.sleep(0.01)
        return name

    async def measure(self, seconds: float) -> str:
        """Have `tell` called with the result."""
        with self.entry() as name:
            await trio.sleep(seconds)
        return name

    async def tell(self, told: str) -> str:
        """Be called with a result."""
        with self.entry(told=told) as name:
            await trio.sleep(0.01)
        return name
