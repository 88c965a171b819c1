"""Promises about all messages together: all goes as in the reference, however it is told.

A play tells a storage every message there is. It is performed in several ways: as it stands, told twice,
with writes among it that must be refused, between two openings. What the storage answers and shows at each
moment has to be what `MemoryStorage`, the reference, answered and showed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from ..subject import Subject
from .chance import chance
from .extremes import extremes
from .hundreds import hundreds
from .meanwhile import (
    a_group_that_was_cut_off_is_done_as_a_whole_or_not_at_all,
    whoever_looks_meanwhile_sees_a_group_as_a_whole_or_not_at_all,
)
from .play import Make, recorded
from .reopened import REOPENING_WAYS, all_that_was_told_is_there_when_it_is_opened_again
from .script import everyday, pruning
from .ways import (
    WAYS,
    Way,
    a_group_does_what_its_writes_do_one_by_one,
    a_refused_write_harms_nobody_in_its_group,
    a_submitted_group_does_what_an_applied_one_does,
    what_is_told_is_done,
)

PLAYS: dict[str, Make] = {
    "in a play of everything": everyday,
    "in a play of extremes": extremes,
    "in a play of hundreds": hundreds,
    "in a play of pruning": pruning,
    "in a play of chance": chance(1, prunes=False),
    "in another play of chance": chance(2, prunes=False),
    "in a pruning play of chance": chance(3, prunes=True),
}
"""All plays, by what their checks say."""

WAYS_OF_LARGE: dict[str, tuple[Way, ...]] = {
    "in a play of extremes": (
        what_is_told_is_done,
        a_group_does_what_its_writes_do_one_by_one,
        a_submitted_group_does_what_an_applied_one_does,
        all_that_was_told_is_there_when_it_is_opened_again,
    ),
    "in a play of hundreds": (
        what_is_told_is_done,
        a_refused_write_harms_nobody_in_its_group,
        whoever_looks_meanwhile_sees_a_group_as_a_whole_or_not_at_all,
        a_group_that_was_cut_off_is_done_as_a_whole_or_not_at_all,
    ),
}
"""Plays that take long, and the ways in which their size may matter; the others are performed in all."""


def performed(way: Way, name: str, play: Make) -> Callable[[Subject], Awaitable[None]]:
    """The check that a play is performed in this way."""

    async def check(subject: Subject) -> None:
        await way(subject, await recorded(play, subject.storage))

    check.__doc__ = way.__doc__
    check.__name__ = f"{way.__name__} {name}".replace(" ", "_")
    return check


def checks(
    ways: Iterable[Way], names: Iterable[str]
) -> tuple[Callable[[Subject], Awaitable[None]], ...]:
    """The checks that these plays are performed in these ways, where that may matter."""
    return tuple(
        performed(way, name, PLAYS[name])
        for way in ways
        for name in names
        if name not in WAYS_OF_LARGE or way in WAYS_OF_LARGE[name]
    )


PLAY_CHECKS = checks(WAYS, PLAYS)

REOPENED_PLAY_CHECKS = checks(
    REOPENING_WAYS,
    ("in a play of everything", "in a pruning play of chance", "in a play of extremes"),
)
