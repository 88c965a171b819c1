"""What tests of jobs need: barriers, virtual time, faults, assertions, a storage's contract.

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
from .storage_contract import STORAGE_CHECKS, check_storage

__all__ = [
    "STORAGE_CHECKS",
    "Asked",
    "Barrier",
    "Barriers",
    "BatchPassed",
    "Fault",
    "FaultyStorage",
    "Hold",
    "JobPassed",
    "JobSettled",
    "NotReached",
    "ResolutionPassed",
    "SchedulePassed",
    "SweepPassed",
    "VirtualClock",
    "assert_enqueued",
    "check_storage",
    "drain",
    "refute_enqueued",
    "standing_still",
]
