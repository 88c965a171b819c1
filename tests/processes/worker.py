"""A program with jobs, run by these tests in processes of its own, and in theirs.

``python -m tests.processes.worker ORDER`` does what a JSON order says, and reports on stdout, a line
each. It may have to kill itself at a named point; nothing of the package takes part in that.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import trio

from trio_gusto import (
    DuplicateJob,
    Gusto,
    GustoError,
    JobQueue,
    Options,
    call,
    current_job,
    every,
    fixed,
)
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.messages import ClaimReply, Commit, Write, WriteReply
from trio_gusto.storage.sqlite import SqliteStorage, schema

QUIET = {"poll_interval": 30, "drain_timeout": 0.2, "concurrency": 4}


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()  # the signal is on its way


class Ledger:
    """What jobs did, in a file that every process appends to, whole lines at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, word: str) -> None:
        job = current_job()
        line = f"{word} {job.id} {job.attempt} {time.time_ns()}\n"
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def lines(self) -> list[list[str]]:
        if not self._path.exists():
            return []
        return [line.split() for line in self._path.read_text().splitlines()]

    def words(self) -> list[str]:
        return [line[0] for line in self.lines()]


class Deadly(SqliteStorage):
    """Kills its process ``before`` or ``after`` it performs a message of a kind, or ``during``.

    It lets the ``first`` of them pass, and ``during`` is so many ``seconds`` after it has begun.
    """

    def __init__(
        self, path: Path, when: str, message: str, first: int = 0, seconds: float = 0.02
    ) -> None:
        super().__init__(path)
        self._when = when
        self._message = message
        self._first = first
        self._seconds = seconds

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        is_meant = any(type(write).__name__ == self._message for write in writes)
        if is_meant and self._first:
            self._first -= 1
            is_meant = False
        if is_meant and self._when == "before":
            kill_myself()
        if is_meant and self._when == "during":
            threading.Timer(self._seconds, kill_myself).start()
        replies = await super().apply(writes)
        took_none = all(isinstance(reply, ClaimReply) and not reply.jobs for reply in replies)
        if is_meant and self._when == "after" and not took_none:
            kill_myself()
        return replies


class Gullible(SqliteStorage):
    """Takes the outcome of any attempt, also when its lease has long been somebody else's."""

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        return await super().apply([await self._as_if_held(write) for write in writes])

    async def _as_if_held(self, write: Write) -> Write:
        if isinstance(write, Commit):
            (job,) = (await self.read(Get([write.job_id]))).jobs
            return attrs.evolve(write, version=job.version)
        return write


class Program:
    """An app over ``jobs.db`` in a directory, with its handlers."""

    def __init__(self, home: Path, kill: Sequence[Any] = (), **options: Any) -> None:
        self.ledger = Ledger(home / "ledger")
        self.path = home / "jobs.db"
        self.go = home / "go"
        storage = Deadly(self.path, *kill) if len(kill) > 1 else SqliteStorage(self.path)
        if list(kill) == ["gullible"]:
            storage = Gullible(self.path)
        self.app = Gusto(storage, options=Options.from_mapping({**QUIET, **options}))
        self.dies = kill[0] if len(kill) == 1 else ""
        if self.dies == "migration":
            die_in_migration()
        for handler in (self.double, self.gather, self.slow, self.in_thread, self.tidy):
            self.app.job(name=handler.__name__)(handler)
        self.app.job(name="poison", retry=fixed(0))(self.poison)
        self.app.job(name="leave")(self.leave)
        self.app.job(name="once", max_attempts=1)(self.once)
        self.app.job(name="fail_once", retry=fixed(0))(self.fail_once)
        self.app.job(name="split")(self.split)
        self.app.job(name="hand_over", worker="till")(self.hand_over)
        self.app.job(name="next_please", worker="till")(self.next_please)
        tell = self.app.job(name="tell")(self.tell)
        grumble = self.app.job(name="grumble", max_attempts=1)(self.grumble)
        self.app.job(name="measure", callback=tell)(self.measure)
        self.app.job(name="mismeasure", callback=grumble)(self.mismeasure)

    async def double(self, number: int) -> int:
        if self.dies == "entered":
            kill_myself()
        self.ledger.note("double")
        if self.dies == "effect":
            kill_myself()
        return 2 * number

    async def gather(self) -> None:
        self.ledger.note("gather")

    async def slow(self, seconds: float) -> None:
        self.ledger.note("slow")
        await trio.sleep(seconds)
        self.ledger.note("slow-ended")

    def in_thread(self, seconds: float) -> None:
        self.ledger.note("thread")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            trio.from_thread.check_cancelled()
            threading.Event().wait(0.02)

    async def tidy(self) -> None:
        self.ledger.note("tidy")
        try:
            await trio.sleep_forever()
        finally:
            self.ledger.note("cleaning")
            if self.dies == "cleaning":
                kill_myself()

    async def poison(self) -> None:
        self.ledger.note("poison")
        if not (self.path.parent / "antidote").exists():
            kill_myself()

    async def leave(self) -> None:
        self.ledger.note("leave")
        os._exit(3)

    async def once(self) -> None:
        self.ledger.note("once")
        await trio.sleep_forever()

    async def fail_once(self) -> str:
        self.ledger.note("fail_once")
        if current_job().attempt == 1:
            raise ValueError("at first")
        return "then not"

    async def split(self, parts: int) -> int:
        self.ledger.note("split")
        children = current_job().queue
        refs = await children.enqueue_many([call(self.double, part) for part in range(parts)])
        await children.continue_with(refs[-1], self.gather)
        return parts

    async def hand_over(self, how: str) -> None:
        """Enqueue children that come with the success, and return when told to, whatever is cancelled."""
        self.ledger.note("held")
        await current_job().queue.enqueue_many([call(self.double, n) for n in range(3)])
        with trio.CancelScope(shield=True):
            while not self.go.exists():
                if how == "blocking":
                    threading.Event().wait(0.01)
                else:
                    await trio.sleep(0.01)
        self.ledger.note("left")

    async def next_please(self) -> None:
        self.ledger.note("next")

    async def measure(self, number: int) -> int:
        self.ledger.note("measure")
        return 2 * number

    async def mismeasure(self, number: int) -> int:
        self.ledger.note("mismeasure")
        return number

    async def tell(self, number: int) -> None:
        self.ledger.note(f"tell-{number}")

    async def grumble(self, number: int) -> None:
        self.ledger.note("grumble")
        raise ValueError(number)

    def call(self, name: str, *args: object) -> Any:
        return call(getattr(self, name), *args)


def die_in_migration() -> None:
    statements = schema._statements

    def some(text: str) -> Any:
        for count, statement in enumerate(statements(text)):
            if count == 2:
                kill_myself()
            yield statement

    schema._statements = some


# --- the process ----------------------------------------------------------------------------------


def report(word: str, value: object = None) -> None:
    sys.stdout.write(json.dumps([word, value]) + "\n")
    sys.stdout.flush()


async def obey(order: dict[str, Any]) -> None:
    program = Program(Path(order["home"]), order["kill"], **order["options"])
    opening = program.app.running() if order["works"] else program.app.connected()
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with opening as queue:
            report("ready")
            await produce(program, queue, order)
            if order["stays"]:
                await anext(signals)
    report("stopped")


async def produce(program: Program, queue: JobQueue, order: dict[str, Any]) -> None:
    for name, *args in order["enqueue"]:
        (ref,) = await queue.enqueue_many([program.call(name, *args)])
        report("enqueued", str(ref.id))
    if order["schedule"]:
        name, seconds, *args = order["schedule"]
        await queue.schedule(
            name, program.double, *args, trigger=every(seconds), coalesce="all", overlap="allow"
        )
        report("scheduled", name)
    if order["rush"]:
        await rush(program, queue, order["rush"])
    if order["many"]:
        await queue.enqueue_many([program.call("double", n) for n in range(order["many"])])
        report("enqueued", order["many"])
    if order["pour"]:
        async with queue.batch() as batch:
            await batch.enqueue_many(program.call("double", n) for n in range(order["pour"]))
            batch.continue_with(program.gather)
        report("poured", str(batch.id))
    if order["follow"]:
        await queue.continue_with(UUID(order["follow"]), program.gather)
    if order["cancel"]:
        report("cancelled", await queue.cancel(UUID(order["cancel"]), "not needed"))


async def rush(program: Program, queue: JobQueue, rounds: int) -> None:
    """Want the same key as everybody else, again and again, and run what it was given for."""
    stored, met = set[str](), set[str]()
    while not (program.path.parent / "go").exists():  # noqa: ASYNC110 - another process makes it
        await trio.sleep(0.005)
    for _ in range(rounds):
        try:
            ref = await queue.enqueue(program.slow, 0.02, unique_key="one")
        except DuplicateJob as duplicate:
            met.add(str(duplicate.existing_id))
            ref = queue.ref(duplicate.existing_id)
        else:
            stored.add(str(ref.id))
        await ref.wait()
    report("rushed", [sorted(stored), sorted(met)])


if __name__ == "__main__":
    trio.run(obey, json.loads(sys.argv[1]))
