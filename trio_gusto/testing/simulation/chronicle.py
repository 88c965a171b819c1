"""`Chronicle`: writes the history, and ends the scenario at the first thing that breaks a law."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

import trio

from ...model.facts import Fact
from .failures import Violation
from .happenings import StorageFailed
from .history import Entry, History
from .weather import Trouble


class Chronicle:
    """The history of one simulation, the laws it is held against, and why it has failed."""

    def __init__(self, history: History, now: Callable[[], datetime]) -> None:
        self.history = history
        self.now = now
        self.scope = trio.CancelScope()
        """What the scenario runs in."""
        self.failure: BaseException | None = None
        """Why it has failed."""
        self.is_sealed = False
        """Whether the scenario is over, and what comes is not told any more."""
        self._laws: list[tuple[Callable[[Fact], bool], str]] = []

    def tell(self, node: str, fact: Fact) -> None:
        """Something has happened."""
        if self.is_sealed:
            return
        self.history.note(Entry(self.now(), node, fact))
        for fits, because in self._laws:
            try:
                if fits(fact):
                    self.fail(Violation(fact, because))
            except Exception as error:  # noqa: BLE001 - the law is the scenario's own
                self.fail(error)

    def tell_of_trouble(self, node: str, stages: tuple[str, ...], trouble: Trouble) -> None:
        """The storage has failed."""
        fact = StorageFailed(
            at=self.now(),
            node=node,
            stages=stages,
            error=type(trouble.error).__name__,
            after_commit=trouble.after_commit,
        )
        self.tell(node, fact)

    def forbid(self, predicate: Callable[[Fact], bool] | type[Fact], because: str) -> None:
        """Fail as soon as a fact fits.

        Raises:
            Violation: one of those so far does.
        """
        fits = partial(_is_a, predicate) if isinstance(predicate, type) else predicate
        name = getattr(predicate, "__name__", repr(predicate))
        because = because or f"{name} was never to happen"
        for fact in self.history.facts:
            if fits(fact):
                raise Violation(fact, because)
        self._laws.append((fits, because))

    def fail(self, error: BaseException) -> None:
        """End the scenario. The first error counts."""
        if self.failure is None:
            self.failure = error
            self.scope.cancel()


def _is_a(kind: type[Fact], fact: Fact) -> bool:
    return isinstance(fact, kind)
