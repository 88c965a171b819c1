"""What claims take of lanes: SQLite as memory does, and both as a plain recount; and that this can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from property_tests.aiming import aimed_machine
from property_tests.lane_agreement import LaneAgreement
from property_tests.lane_crowds import LaneCrowds
from trio_gusto.model.lanes import Lanes, Occupancy
from trio_gusto.storage.sqlite import SqliteStorage, heads, walking
from trio_gusto.storage.storage import Storage


class InSqlite(LaneAgreement):
    def make_storage(self, path: Path) -> Storage:
        return SqliteStorage(path, inline=True, synchronous="NORMAL")


class Crowds(LaneCrowds, InSqlite):
    """The same, of crowded lanes."""


@pytest.fixture(autouse=True)
def short_pieces() -> Iterator[None]:
    """Walks step over what is closed after a few rows."""
    with patch.object(walking, "FIRST", 1):
        yield


@pytest.mark.timeout(3600)
def test_sqlite_and_memory_take_the_same_of_lanes() -> None:
    run_state_machine_as_test(InSqlite, settings=settings(deadline=None))


def _always(_self: Occupancy, *_: object, **__: object) -> int:
    return 99


def _one_more(self: Occupancy, room: int, depth: int, *, spends_last: bool = False) -> int:
    room_left = _ROOM_FOR(self, room, depth, spends_last=spends_last)
    return room_left or max(0, room - self.leases)


def _behind_the_last(self: Occupancy, room: int, depth: int, *, spends_last: bool = False) -> int:
    del spends_last
    return _ROOM_FOR(self, room, depth, spends_last=False)


def _keep_open(self: Lanes, lane: str, room: int, count: int = 1, *, spends_last: bool) -> int:
    admitted = _ADMIT(self, lane, room, count, spends_last=spends_last)
    self.closed.discard(lane)
    return admitted


def _nowhere(*_: object) -> Iterator[object]:
    return iter(())


_ROOM_FOR, _ADMIT = Occupancy.room_for, Lanes.admit

TOGETHER = "stand_together end_all"
LINE = "line_up claim_few"
LAST = "line_up_last end_all"
CROWDED = "fill_in_front stand_behind claim_few"
LATER = "fill_in_front come_later claim_few"

FAULTS: dict[str, tuple[object, str, Callable[..., object] | str, str]] = {
    "lanes are never full": (Occupancy, "room_for", _always, TOGETHER),
    "a line is joined from beside": (Occupancy, "room_for", _one_more, LINE),
    "a last attempt stands in line": (Occupancy, "room_for", _behind_the_last, LAST),
    "what is behind overtakes": (Lanes, "admit", _keep_open, TOGETHER),
    "a walk ends where lanes are closed": (heads.Heads, "candidates", _nowhere, CROWDED),
    "heads are not lowered": (heads, "_NOTE_ROWS", "SELECT ?, ?", CROWDED),
    "heads are not lowered in time": (heads, "_NOTE_DUE", "SELECT ?", LATER),
}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_machine_catches(fault: str) -> None:
    where, name, what, rules = FAULTS[fault]
    with patch.object(where, name, what), pytest.raises((AssertionError, ExceptionGroup)):
        run_state_machine_as_test(
            aimed_machine(Crowds, rules),
            settings=settings(
                max_examples=500,
                stateful_step_count=12,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                report_multiple_bugs=False,
            ),
        )
