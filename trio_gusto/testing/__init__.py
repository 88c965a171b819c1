"""What tests of jobs need: barriers, virtual time, simulations, faults, assertions, a storage's
contract.

Imports no test library; `trio_gusto.testing.pytest_plugin` alone knows pytest.
"""

from __future__ import annotations

from .assertions import assert_enqueued, drain, refute_enqueued
from .barriers import (
    Barrier,
    Barriers,
    BatchPassed,
    Hold,
    JobPassed,
    JobSettled,
    NotReached,
    ResolutionPassed,
    SchedulePassed,
    SweepPassed,
)
from .clock import VirtualClock, standing_still
from .faults import Asked, Fault, FaultyStorage
from .simulation import KILL_POINTS, History, SimulationFailed, World, simulate
from .storage_contract import STORAGE_CHECKS, check_storage

__all__ = [
    "KILL_POINTS",
    "STORAGE_CHECKS",
    "Asked",
    "Barrier",
    "Barriers",
    "BatchPassed",
    "Fault",
    "FaultyStorage",
    "History",
    "Hold",
    "JobPassed",
    "JobSettled",
    "NotReached",
    "ResolutionPassed",
    "SchedulePassed",
    "SimulationFailed",
    "SweepPassed",
    "VirtualClock",
    "World",
    "assert_enqueued",
    "check_storage",
    "drain",
    "refute_enqueued",
    "simulate",
    "standing_still",
]
