"""A job's life, gone over again along the table of `lifecycle`.

Kept are the attempts and the state at the end, each with its version. What came between is not, but every
change has raised the version by one: so it is known how many changes there were, and the table says where
so many can lead. A life is legal if at least one way leads through all that is kept.
"""

from __future__ import annotations

from functools import lru_cache

import attrs

from ..happenings import (
    CallbackFailed,
    CalledOff,
    FellDue,
    Overdue,
    ParentsEnded,
    RetriedByHand,
)
from ..lifecycle import TRANSITIONS
from ..outcomes import (
    AttemptCancelled,
    AttemptFailed,
    AttemptOutcome,
    Lost,
    Released,
    Snoozed,
    Succeeded,
    TimedOut,
)
from ..states import (
    AwaitingCallback,
    Completed,
    Expired,
    Failed,
    Processing,
    Ready,
    Scheduled,
    Skipped,
    Waiting,
)

Position = tuple[type, int]
"""A state, and the attempts spent in it."""

Positions = frozenset[Position]

_BETWEEN = (FellDue, ParentsEnded, CallbackFailed, CalledOff, Overdue, RetriedByHand)
"""What happens to a job that is not running."""

_OUTCOMES: dict[AttemptOutcome, type] = {
    one.word: one
    for one in (Succeeded, AttemptFailed, TimedOut, Snoozed, Released, AttemptCancelled, Lost)
}
_TARGETS: dict[tuple[type, type], tuple[type, ...]] = {
    pair: targets for pair, (_, targets) in TRANSITIONS.items()
}
_GIVEN_BACK = (Snoozed, Released)

MOST_STEPS = 64
"""Changes after which ways only go round: cancelled, retried, cancelled again. An even number."""


@attrs.frozen
class Beginning:
    """With what a job may begin."""

    waits: bool
    is_due: bool
    may_be_skipped: bool

    @property
    def positions(self) -> Positions:
        """Where it may be before anything has happened to it."""
        states: list[type] = [Waiting] if self.waits else [Ready if self.is_due else Scheduled]
        if self.may_be_skipped:
            # What is held up by an earlier job of its schedule waits without naming a parent.
            states += [Skipped, Waiting]
        return frozenset((state, 0) for state in states)


def after(positions: Positions, changes: int) -> Positions:
    """Where a job may be after so many changes, none of them a claim; as it was, if they are less than none."""
    if changes > MOST_STEPS:
        changes = MOST_STEPS + changes % 2
    for _ in range(changes):
        positions = _changed(positions)
    return positions


def claims_from(positions: Positions) -> frozenset[int]:
    """The numbers that an attempt may have which is claimed there."""
    return frozenset(spent + 1 for state, spent in positions if state is Ready)


def settled(number: int, outcome: AttemptOutcome) -> Positions:
    """Where a job may be right after an attempt that is recorded with this outcome."""
    happening = _OUTCOMES[outcome]
    gives_back = happening in _GIVEN_BACK
    return frozenset(
        (state, number - 1 if gives_back and state in (Ready, Scheduled) else number)
        for state in TRANSITIONS[Processing, happening][1]
        if state is not Completed  # which is its own record
    )


def names_of(positions: Positions) -> str:
    """The states in words."""
    words: dict[type, str] = {AwaitingCallback: "waiting for its callback"}
    names = {words.get(state, state.__name__.lower()) for state, _ in positions}
    return " or ".join(sorted(names)) or "nowhere"


@lru_cache(4096)
def _changed(positions: Positions) -> Positions:
    return frozenset(
        (target, 0 if happening is RetriedByHand else spent)
        for state, spent in positions
        for happening in _BETWEEN
        for target in _TARGETS.get((state, happening), ())
        if happening is not Overdue or target is (Failed if spent else Expired)
    )
