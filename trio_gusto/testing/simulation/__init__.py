"""The whole system in virtual time on one seed: nodes, a storage, clocks, and what befalls them."""

from __future__ import annotations

from .failures import (
    GoesOnForEver,
    KillPointNotReached,
    NodeDied,
    NothingHappened,
    SimulationFailed,
    TroubleNotMet,
    Violation,
)
from .happenings import (
    ClockChanged,
    NodeCrashed,
    NodeDrained,
    NodeFact,
    NodePaused,
    NodeResumed,
    NodeStarted,
    StorageFailed,
)
from .history import Entry, History
from .points import KILL_POINTS
from .simulate import simulate
from .weather import Trouble, Weather
from .world import World

__all__ = [
    "KILL_POINTS",
    "ClockChanged",
    "Entry",
    "GoesOnForEver",
    "History",
    "KillPointNotReached",
    "NodeCrashed",
    "NodeDied",
    "NodeDrained",
    "NodeFact",
    "NodePaused",
    "NodeResumed",
    "NodeStarted",
    "NothingHappened",
    "SimulationFailed",
    "StorageFailed",
    "Trouble",
    "TroubleNotMet",
    "Violation",
    "Weather",
    "World",
    "simulate",
]
