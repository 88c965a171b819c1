"""Promises about all messages together: all goes as in the reference, however it is told.

A play tells a storage every message there is. It is performed in several ways: as it stands, told twice,
with writes among it that must be refused, between two openings. What the storage answers and shows at each
moment has to be what `MemoryStorage`, the reference, answered and showed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..subject import Subject
from .chance import chance
from .play import Make, record
from .reopened import REOPENING_WAYS
from .script import everyday, pruning
from .ways import WAYS, Way

PLAYS: dict[str, Make] = {
    "in a play of everything": everyday,
    "in a play of pruning": pruning,
    "in a play of chance": chance(1, prunes=False),
    "in another play of chance": chance(2, prunes=False),
    "in a pruning play of chance": chance(3, prunes=True),
}
"""All plays, by what their checks say."""


def performed(way: Way, name: str, play: Make) -> Callable[[Subject], Awaitable[None]]:
    """The check that a play is performed in this way."""

    async def check(subject: Subject) -> None:
        await way(subject, await record(play, subject.storage))

    check.__doc__ = way.__doc__
    check.__name__ = f"{way.__name__} {name}".replace(" ", "_")
    return check


PLAY_CHECKS = tuple(performed(way, name, play) for way in WAYS for name, play in PLAYS.items())

REOPENED_PLAY_CHECKS = tuple(
    performed(way, name, PLAYS[name])
    for way in REOPENING_WAYS
    for name in ("in a play of everything", "in a pruning play of chance")
)
