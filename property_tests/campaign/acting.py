"""`Acting`: does one act of a plan after the other, and looks at what has come of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

import trio

from trio_gusto import GustoError, JobQueue
from trio_gusto.testing import World

from .answers import NothingToDo, Question, Tally
from .book import Book
from .looking import Looker
from .plans import CLIENT, Act
from .service import Service

P = TypeVar("P", UUID, str)

PATIENCE = 40.0
"""Seconds that a caller waits for an answer."""


class Acting:
    """One world, and what is done with it. An act is a method of its name."""

    def __init__(
        self, world: World, book: Book, service: Service, looker: Looker, tally: Tally
    ) -> None:
        self.world = world
        self.looker = looker
        self.tally = tally
        self.book = book
        self.service = service
        self.jobs: list[UUID] = []
        self.batches: list[UUID] = []
        self.schedules: list[str] = []
        self.armed: dict[str, set[str]] = {node: set() for node in world.nodes}
        self.calm_since = 0.0
        self._question = Question(book, "nothing")

    async def act(self, act: Act) -> None:
        """Do what an act says, as far as it makes sense by now, and look at what has come of it.

        Raises:
            LawBroken: nobody has answered, or somebody was refused, and there is no reason for it; or
                what is to be seen cannot be so.
        """
        name, *arguments = act
        question = self._question = Question(self.book, name)
        try:
            with trio.move_on_after(PATIENCE) as patience:
                await getattr(self, f"_{name}")(*arguments)
        except NothingToDo:
            self.tally.idle[name] += 1
        except (GustoError, trio.ClosedResourceError) as error:
            await question.judge_refusal(error, self.looker.queue, self.world)
            self.tally.refused[type(error).__name__] += 1
        else:
            if patience.cancelled_caught:
                question.judge_silence()
                self.tally.unanswered[name] += 1
            else:
                self.tally.done[name] += 1
        await self.looker.look()

    def queue(self, who: int) -> JobQueue:
        """Of the client, or of that node if it runs."""
        node = None if who == CLIENT else self.node(who)
        if node not in self.world.running:
            return self.world.queue
        self._question.ask_as(node)
        return self.world.queue_of(node)

    def node(self, number: int) -> str:
        return self.world.nodes[number % len(self.world.nodes)]


def picked(choice: Sequence[P], number: int) -> P:
    """One of those there are.

    Raises:
        NothingToDo: there is none.
    """
    if not choice:
        raise NothingToDo
    return choice[number % len(choice)]
