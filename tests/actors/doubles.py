"""What stands in for an actor's neighbours, where a test is about that one actor alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trio_gusto.clock import Clock
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import AttemptRecord, Details, JobRequest, StoredJob
from trio_gusto.model.states import State

SECOND = 1_000_000

NOW = 1_700_000_000 * SECOND
"""The instant at which a `StillClock` stands."""


class StillClock(Clock):
    """Stands still, unless a test moves it."""

    def __init__(self, *, calm: float = 0.02) -> None:
        self.at = NOW
        self.passed = 0.0
        self.calm = calm

    def nanoseconds(self) -> int:
        return self.at * 1000

    def monotonic(self) -> float:
        return self.passed


class Answered:
    """A letter whose reply is there."""

    def __init__(self, reply: object) -> None:
        self._reply = reply

    async def answer(self) -> object:
        return self._reply


class ScriptedDesk:
    """Answers as the test says, and remembers what it was asked."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self._answer = answer
        self.asked: list[Any] = []
        self.told: list[Any] = []

    async def read(self, query: object) -> Any:
        return self._reply(query)

    async def ask(self, write: object) -> Any:
        return self._reply(write)

    async def prune(self, prune: object) -> Any:
        return self._reply(prune)

    def post(self, write: object) -> Answered:
        self.asked.append(write)
        return Answered(self._answer(write))

    def tell(self, letter: object) -> None:
        self.told.append(letter)

    def _reply(self, message: object) -> Any:
        """The answer, or the fault that it is."""
        self.asked.append(message)
        reply = self._answer(message)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def asked_for(self, kind: type) -> list[Any]:
        """Messages of one kind."""
        return [message for message in self.asked if isinstance(message, kind)]


class Neighbours:
    """Remembers what the actors around are told."""

    def __init__(self) -> None:
        self.due: list[int] = []
        self.awaited: list[JobId] = []
        self.notified: list[JobId] = []
        self.on_due = self.due.append
        self.on_awaited = self.awaited.extend
        self.notify = self.notified.append


class Turnstile:
    """A gate that nobody is held at: who passed where, with what."""

    def __init__(self) -> None:
        self.passed: list[tuple[str, Any]] = []

    def begin(self) -> None: ...

    async def pass_through(self, point: str, record: object) -> None:
        self.passed.append((point, record))

    def note(self, point: str, record: object) -> None:
        self.passed.append((f"noted: {point}", record))


def stored(
    number: int,
    state: State,
    *,
    attempt: int = 1,
    history: tuple[AttemptRecord, ...] = (),
    details: Details | None = None,
    max_attempts: int = 3,
) -> StoredJob:
    """A job in the queue "mail", as a storage keeps it."""
    request = JobRequest(
        id=uuid7(1_000_000 * number, number),
        name="work",
        args="[]",
        created_at=NOW - 100 * SECOND,
        max_attempts=max_attempts,
        queue="mail",
        details=details,
    )
    return StoredJob(request, number, state, attempt, version=7, history=history)
