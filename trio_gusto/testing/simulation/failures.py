"""What goes wrong in a simulation, and the report of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ...model.facts import Fact
from .history import History

PATIENCE = timedelta(days=366)
"""How far time may go by itself while a scenario waits for something."""


class Violation(AssertionError):
    """Something happened of which a scenario had said that it never does. ``fact`` is what it was."""

    def __init__(self, fact: Fact, because: str) -> None:
        self.fact = fact
        super().__init__(f"{because}: {fact}")


class NodeDied(AssertionError):
    """The app on a node ended of an exception, its ``__cause__``, and nobody had it crash."""

    def __init__(self, node: str, error: BaseException) -> None:
        self.node = node
        self.__cause__ = error
        super().__init__(f"the app on {node} died of {error!r}")


class NothingHappened(AssertionError):
    """A scenario waits for what does not come."""

    def __init__(self) -> None:
        super().__init__(
            f"the scenario has waited for {PATIENCE.days} days, and what it waits for has not come; "
            "if it is to wait for longer, let it call world.advance"
        )


class KillPointNotReached(AssertionError):
    """A node was to crash or stand still at a kill point, and has not come there in its life."""

    def __init__(self, node: str, point: str) -> None:
        self.node = node
        self.point = point
        super().__init__(
            f"{node} has never come to {point}, so nothing was tried; "
            "let the scenario go on until it does, leave the kill point out, or take it back with world.disarm"
        )


class TroubleNotMet(AssertionError):
    """The storage was to fail or be slow for somebody, and it was not asked for that (often enough).

    ``on`` and ``node`` are as the trouble was given them; ``left`` is how often it was to happen yet, and
    ``None`` if that is not counted.
    """

    def __init__(self, on: str, node: str | None, left: int | None) -> None:
        self.on = on
        self.node = node
        self.left = left
        calls = f"calls ({on!r}) of {node or 'any node'}"
        what = (
            f"a trouble on {calls} has met none"
            if left is None
            else f"{left} {calls} were to fail yet"
        )
        super().__init__(
            f"{what} when the scenario ended, so that was not tried; let the scenario go on until they "
            "are made, or end the trouble before, with its end() or world.storage.clear()"
        )


class GoesOnForEver(AssertionError):
    """Somebody is busy at one instant and never waits, or does not end at the end. ``places``: where."""

    def __init__(self, places: Sequence[str]) -> None:
        self.places = tuple(places)
        super().__init__(
            f"the simulation does not come to an end: {'; '.join(self.places)}. Time stands still while somebody "
            "is busy, and at the end everything is cancelled; "
            "let handlers sleep while they wait, and let trio.Cancelled through"
        )


class SimulationFailed(AssertionError):
    """A scenario has failed, of its ``__cause__``: with what it can be replayed with.

    ``seed`` and ``replay`` make it fail again, step by step; ``history`` is everything that happened.
    ``replay`` is a line for a shell. If something in it cannot be imported, it is a call for a test, with
    a comment that says what to add.
    """

    def __init__(self, error: BaseException, history: History, replay: str) -> None:
        self.seed = history.seed
        self.history = history
        self.replay = replay
        about = error.fact if isinstance(error, Violation) else error
        told = history.excerpt(getattr(about, "job_id", None))
        super().__init__(
            f"with seed {history.seed}: {type(error).__name__}: {error}\n"
            f"What happened:\n{told}\n"
            f"Replay it with:\n{replay}"
        )
