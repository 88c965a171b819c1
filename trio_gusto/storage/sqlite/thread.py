"""A thread that owns a connection, and the way to it and back.

Rule 1: work that has begun reports its outcome; a caller cancelled meanwhile waits for it, except
        for a question, whose answer nobody misses. Work that has not begun is never done.
Rule 2: whatever the work raises goes to the caller; the thread lives on.

This file knows no SQL.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar, cast

import outcome
import trio

T = TypeVar("T")

_CLOSING = 30.0
"""Seconds that closing may take: the log is moved into the file, and a slow disk is waited for."""


_SOON = 0.002
"""Seconds without work after which ``between`` is called."""

_MANY = 50
"""Functions after which it is called even if there is more work."""


class _Call:
    """Work for the thread, and whom to tell what came of it.

    ``taken`` is acquired by whoever is first: the thread that begins the work, or the caller who
    withdraws it.
    """

    __slots__ = ("reply", "taken", "work")

    def __init__(
        self, work: Callable[[], object], reply: Callable[[outcome.Outcome[object]], None]
    ) -> None:
        self.work = work
        self.reply = reply
        self.taken = threading.Lock()

    def withdraw(self) -> bool:
        """Whether that was in time, so that the work will never be done."""
        return self.taken.acquire(blocking=False)


class DatabaseThread:
    """Runs functions one after the other, in the order they were asked for.

    ``between`` is called in the thread soon after some of them, and, with ``True``, whenever it has
    had nothing to do for as long as it asked for: it answers in how many seconds it wants to be
    called again, ``None`` for not before the next function. It must not raise.
    """

    def __init__(self, name: str, between: Callable[[bool], float | None] | None = None) -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._between = between
        # A daemon, so that a program that dies without detaching can end.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    async def run(self, work: Callable[[], T], *, question: bool = False) -> T:
        """Have the thread do ``work``, and return what it returns.

        A ``question`` changes nothing, so a cancelled caller leaves it behind.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        task = trio.lowlevel.current_task()
        left = False

        def deliver(result: outcome.Outcome[object]) -> None:
            if not left:  # a task that has gone on must never be rescheduled
                trio.lowlevel.reschedule(task, result)

        def abort(_: object) -> trio.lowlevel.Abort:
            nonlocal left
            left = call.withdraw() or question
            return trio.lowlevel.Abort.SUCCEEDED if left else trio.lowlevel.Abort.FAILED

        call = self.begin(work, deliver)
        return cast(T, await trio.lowlevel.wait_task_rescheduled(abort))

    def begin(self, work: Callable[[], T], deliver: Callable[[outcome.Outcome[T]], None]) -> _Call:
        """Have the thread do ``work``, and then the event loop call ``deliver``."""
        run_sync_soon = trio.lowlevel.current_trio_token().run_sync_soon

        def reply(result: outcome.Outcome[object]) -> None:
            try:
                run_sync_soon(deliver, cast("outcome.Outcome[T]", result))
            except trio.RunFinishedError:
                pass  # the loop was torn down, and nobody waits any more

        return self._post(work, reply)

    def run_blocking(self, work: Callable[[], T], timeout: float) -> T | None:
        """Like `run`, from any thread; ``None`` when it was not done within ``timeout`` seconds.

        Work that has begun by then gets the same time again; after that its outcome is unknown.
        """
        replies: queue.SimpleQueue[outcome.Outcome[object]] = queue.SimpleQueue()
        call = self._post(work, replies.put)
        try:
            return cast(T, replies.get(timeout=timeout).unwrap())
        except queue.Empty:
            if call.withdraw():
                return None
        try:
            return cast(T, replies.get(timeout=timeout).unwrap())
        except queue.Empty:
            return None

    def wake(self) -> None:
        """Have ``between`` called soon."""
        self._post(_nothing, _ignore)

    async def close(self, finish: Callable[[], None]) -> None:
        """Do ``finish`` in the thread, and end it. Safe to call when cancelled."""
        if self._thread.ident is None:
            return
        # Shielded: a connection must not stay open behind a thread that nobody joins.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSING):
            await self.run(finish)
        self._calls.put(None)
        self._thread.join(_CLOSING)
        if not self._thread.is_alive():
            finish()  # once more: under a virtual clock the deadline may have come first

    def _post(
        self, work: Callable[[], object], reply: Callable[[outcome.Outcome[object]], None]
    ) -> _Call:
        call = _Call(work, reply)
        self._calls.put(call)
        if self._thread.ident is None:
            self._thread.start()
        return call

    def _work(self) -> None:
        wait: float | None = None
        done = 0
        while True:
            try:
                call = self._calls.get(timeout=_SOON if done else wait)
            except queue.Empty:
                call = _IDLE
            if call is None:
                return
            if call is not _IDLE:
                if call.taken.acquire(blocking=False):
                    call.reply(outcome.capture(call.work))
                done += 1
                if done < _MANY:
                    del call  # it may hold on to much, and the next wait may be long
                    continue  # the caller needs the interpreter now
            if self._between is not None:
                wait = self._between(done == 0)
            done = 0
            del call


class InLoop:
    """The same without a thread: work is done at once, in the event loop."""

    async def run(self, work: Callable[[], T], *, question: bool = False) -> T:
        """Do ``work``, and return what it returns.

        Who asks a question lets the loop have its turn. Who writes has waited for his: the
        storekeeper takes one for every group.
        """
        if question:
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
        return work()

    def begin(self, work: Callable[[], T], deliver: Callable[[outcome.Outcome[T]], None]) -> None:
        """Do ``work``, and call ``deliver`` with what it returned.

        Raises:
            Exception: what ``work`` raised; ``deliver`` is not called then.
        """
        deliver(outcome.Value(work()))

    async def close(self, finish: Callable[[], None]) -> None:
        """Do ``finish``. Safe to call when cancelled."""
        finish()


def _nothing() -> None:
    """Work that only wakes the thread."""


def _ignore(result: outcome.Outcome[object]) -> None:
    """Nobody waits for it."""


_IDLE = _Call(_nothing, _ignore)
