"""What the thread beside the loop does with leases, without a loop that stands still."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.actors.test_roster import lease
from trio_gusto import LoopBlocked, MemoryStorage, Options
from trio_gusto.actors.desk import StorageDesk
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.roster import Roster
from trio_gusto.actors.watchdog import Watchdog
from trio_gusto.model.facts import Fact
from trio_gusto.storage.lease_messages import Renew, Renewed


class Renewing(MemoryStorage):
    """Can be spoken to from a thread, and knows no lease of ``lost``."""

    def __init__(self, lost: list[Any] | None) -> None:
        super().__init__()
        self.lost = lost

    def renew_blocking(self, renew: Renew) -> Renewed | None:
        return None if self.lost is None else Renewed(self.lost, [])


class Observer:
    """Hears of blocked loops."""

    def __init__(self) -> None:
        self.blocked: list[float] = []

    def loop_blocked(self, seconds: float) -> None:
        self.blocked.append(seconds)


def watchdog(roster: Roster, lost: list[Any] | None = None, probe: Probe | None = None) -> Watchdog:
    desk = StorageDesk(Renewing(lost))
    options = Options(loop_block_threshold=0.02)
    return Watchdog("node", desk, roster, probe or Probe(), options, fence_after=9.0)


def test_a_storage_that_no_thread_can_speak_to_moves_no_fence() -> None:
    roster, held = Roster(1), lease(1)
    roster.leases[held.claimed.request.id] = held
    before = held.fence
    watchdog(roster)._renew()
    assert held.fence == before


def test_the_fence_of_a_lease_that_is_lost_stays_where_it_is() -> None:
    roster, held, lost = Roster(1), lease(1), lease(2)
    held.fence = lost.fence = -1.0
    roster.leases = {one.claimed.request.id: one for one in (held, lost)}
    watchdog(roster, lost=[lost.claimed.request.id])._renew()
    assert held.fence > 0
    assert lost.fence == -1.0


def test_a_loop_that_has_ended_is_watched_no_longer() -> None:
    roster, held = Roster(1), lease(1)
    roster.leases[held.claimed.request.id] = held
    tokens: list[trio.lowlevel.TrioToken] = []

    async def main() -> None:
        tokens.append(trio.lowlevel.current_trio_token())

    trio.run(main)
    watchdog(roster)._watch(tokens[0])


@pytest.mark.parametrize("is_heard", [False, True])
def test_whoever_listens_is_told_how_long_the_loop_stood_still(is_heard: bool) -> None:
    observer, facts = Observer(), list[Fact]()
    probe = Probe(observer=observer if is_heard else None)  # type: ignore[arg-type]  # of one ear
    if is_heard:
        probe.subscribe(facts.append)
    watchdog(Roster(1), probe=probe)._back(None, 1.5)
    assert observer.blocked == ([1.5] if is_heard else [])
    assert [type(fact) for fact in facts] == ([LoopBlocked] if is_heard else [])
