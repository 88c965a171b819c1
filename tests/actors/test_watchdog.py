"""What the thread beside the loop does with leases, without a loop that stands still."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.actors.test_roster import lease
from trio_gusto import LoopBlocked, MemoryStorage, Options
from trio_gusto.actors import watchdog as module
from trio_gusto.actors.desk import StorageDesk
from trio_gusto.actors.lease import Lease
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.roster import Roster
from trio_gusto.actors.watchdog import Watchdog
from trio_gusto.model.facts import Fact
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.instants import MICROSECONDS, to_datetime
from trio_gusto.storage.lease_messages import Renew, Renewed


class Renewing(MemoryStorage):
    """Can be spoken to from a thread, and knows no lease of ``lost``."""

    def __init__(self, lost: list[Any] | None) -> None:
        super().__init__()
        self.lost = lost
        self.asked: list[Renew] = []

    def renew_blocking(self, renew: Renew) -> Renewed | None:
        self.asked.append(renew)
        return None if self.lost is None else Renewed(self.lost, [])


class Observer:
    """Hears of blocked loops."""

    def __init__(self) -> None:
        self.blocked: list[float] = []

    def loop_blocked(self, seconds: float) -> None:
        self.blocked.append(seconds)


def watchdog(
    roster: Roster,
    lost: list[Any] | None = None,
    probe: Probe | None = None,
    threshold: float = 0.02,
) -> Watchdog:
    desk = StorageDesk(Renewing(lost))
    options = Options(loop_block_threshold=threshold, lease=60)
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


class ByHand:
    """The time of the thread, which passes while it waits; instants are in microseconds and 999 ns."""

    def __init__(self) -> None:
        self.began = 1_700_000_000_000_000
        self.passed = 0.0

    def perf_counter(self) -> float:
        return self.passed

    def time_ns(self) -> int:
        return (self.began + round(self.passed * MICROSECONDS)) * 1000 + 999

    @property
    def now(self) -> datetime:
        return to_datetime(self.began + round(self.passed * MICROSECONDS))


class Signal:
    """An event that is waited for in such a time, and set at ``comes_at`` or by somebody."""

    def __init__(self, time: ByHand, comes_at: float) -> None:
        self.time, self.comes_at = time, comes_at
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        if not self.is_set():
            self.time.passed = min(self.time.passed + seconds, self.comes_at)
        return self.is_set()

    def is_set(self) -> bool:
        return self.time.passed >= self.comes_at

    def set(self) -> None:
        self.comes_at = self.time.passed

    def clear(self) -> None: ...


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> ByHand:
    time = ByHand()
    monkeypatch.setattr(module, "time", time)
    return time


def holding(*leases: Lease) -> Roster:
    roster = Roster(1)
    roster.leases = {one.claimed.request.id: one for one in leases}
    return roster


def test_all_leases_are_renewed_for_their_whole_time_and_no_fence_goes_back(
    by_hand: ByHand,
) -> None:
    held, later = lease(1), lease(2, token=7)
    held.fence, later.fence = 5.0, 500.0
    by_hand.passed = 100.0
    watching = watchdog(holding(held, later), lost=[])
    watching._renew()
    now = by_hand.began + 100 * MICROSECONDS
    tokens = [(held.claimed.request.id, 1), (later.claimed.request.id, 7)]
    assert watching._desk.storage.asked == [Renew("node", now, now + 60 * MICROSECONDS, tokens)]  # type: ignore[attr-defined]
    assert (held.fence, later.fence) == (109.0, 500.0)


@pytest.mark.parametrize(
    ("threshold", "renewed_at"),
    [
        pytest.param(0.25, [0.25, 20.25, 40.25], id="looks at once and then at every third"),
        pytest.param(30.0, [20.0, 40.0], id="a patient threshold puts no renewal off"),
    ],
)
def test_while_the_loop_stands_still_leases_are_renewed_every_third_of_their_time(
    by_hand: ByHand,
    monkeypatch: pytest.MonkeyPatch,
    threshold: float,
    renewed_at: list[float],
) -> None:
    watching = watchdog(holding(lease(1)), lost=[], threshold=threshold)
    watching._answered = Signal(by_hand, 59)  # type: ignore[assignment]
    watching._stop = Signal(by_hand, 1000)  # type: ignore[assignment]
    renewed: list[float] = []
    monkeypatch.setattr(watching, "_renew", lambda: renewed.append(by_hand.passed))
    watching._hold_leases(None, 0.0)
    assert renewed == renewed_at
    assert by_hand.passed == 59


def test_a_heart_that_stops_renews_no_more(by_hand: ByHand) -> None:
    watching = watchdog(holding(lease(1)), lost=[])
    watching._answered = Signal(by_hand, 59)  # type: ignore[assignment]
    watching._stop = Signal(by_hand, 0)  # type: ignore[assignment]
    watching._hold_leases(None, 0.0)
    assert watching._desk.storage.asked == []  # type: ignore[attr-defined]
    assert by_hand.passed < 1


def test_a_blocker_past_its_timeout_is_renewed_no_more(by_hand: ByHand) -> None:
    blocker = lease(1)
    blocker.started_at, blocker.claimed.request.timeout = by_hand.began, 30 * MICROSECONDS
    watching = watchdog(holding(blocker), lost=[])
    watching._answered = Signal(by_hand, 59)  # type: ignore[assignment]
    watching._stop = Signal(by_hand, 1000)  # type: ignore[assignment]
    watching._hold_leases(blocker, 0.0)
    assert len(watching._desk.storage.asked) == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("started_at", "timeout", "is_within"),
    [(None, 5, True), (-9, None, True), (-9, 10, True), (-10, 10, False)],
)
def test_a_blocker_is_within_its_timeout_until_it_is_over(
    by_hand: ByHand, started_at: int | None, timeout: int | None, is_within: bool
) -> None:
    blocker = lease(1)
    blocker.started_at = None if started_at is None else by_hand.began + started_at
    blocker.claimed.request.timeout = timeout
    assert watchdog(Roster(1))._within_timeout(blocker) is is_within


class Loop:
    """Takes pings, and answers at once or not at all."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.asked: list[tuple[Any, ...]] = []
        self.pings = 0

    def run_sync_soon(
        self, ask: Callable[..., object], *args: Any, idempotent: bool = False
    ) -> None:
        if args:
            self.asked.append((ask, *args))
            return
        assert idempotent, "a loop that is slow must not be asked more and more"
        self.pings += 1
        if self.answers:
            ask()


def pinging(
    roster: Roster, time: ByHand, loop: Loop, *, stops_at: float, answered_at: float = 1000
) -> Watchdog:
    watching = watchdog(roster, lost=[], threshold=2.0)
    watching._answered = Signal(time, answered_at)  # type: ignore[assignment]
    watching._stop = Signal(time, stops_at)  # type: ignore[assignment]
    watching._ping(loop)  # type: ignore[arg-type]
    return watching


def test_while_jobs_run_the_loop_is_asked_every_half_threshold(
    by_hand: ByHand, caplog: pytest.LogCaptureFixture
) -> None:
    loop = Loop(answers=True)
    watching = pinging(holding(lease(1)), by_hand, loop, stops_at=3.5)
    assert loop.pings == 3
    assert watching._stop.waits == [1.0] * 4  # type: ignore[attr-defined]
    assert (caplog.messages, loop.asked) == ([], [])


def test_an_idle_loop_is_not_woken_until_there_are_jobs_again(by_hand: ByHand) -> None:
    held = lease(1)

    class Comings(dict[Any, Lease]):
        """There is a job from the third second on."""

        def __bool__(self) -> bool:
            return by_hand.passed >= 3

    roster, loop = Roster(1), Loop(answers=True)
    roster.leases = Comings({held.claimed.request.id: held})
    pinging(roster, by_hand, loop, stops_at=5.5)
    assert loop.pings == 3


@pytest.mark.parametrize("is_a_job", [True, False])
def test_a_loop_that_stands_still_is_reported_held_up_and_told_when_it_is_back(
    by_hand: ByHand, caplog: pytest.LogCaptureFixture, is_a_job: bool
) -> None:
    held = lease(1)
    roster, loop = holding(held), Loop(answers=False)
    if is_a_job:
        roster.active = held
    blocker = roster.active
    watching = pinging(roster, by_hand, loop, stops_at=11, answered_at=10)
    assert loop.pings == 1
    (message,) = caplog.messages
    assert message.startswith(
        "the event loop has stood still for 2.0 s, held by " + ("job " if is_a_job else "code ")
    )
    assert loop.asked == [(watching._back, blocker, 9.0)]
    (renew,) = watching._desk.storage.asked  # type: ignore[attr-defined]
    assert renew.now == by_hand.began + 5 * MICROSECONDS


def test_a_loop_that_is_held_for_longer_than_its_holder_may_run_is_not_held_up(
    by_hand: ByHand,
) -> None:
    blocker = lease(1)
    blocker.started_at, blocker.claimed.request.timeout = by_hand.began, MICROSECONDS
    roster = holding(blocker)
    roster.active = blocker
    watching = pinging(roster, by_hand, Loop(answers=False), stops_at=11, answered_at=10)
    assert watching._desk.storage.asked == []  # type: ignore[attr-defined]


def test_a_heart_that_stops_meanwhile_reports_nothing(
    by_hand: ByHand, caplog: pytest.LogCaptureFixture
) -> None:
    loop = Loop(answers=False)
    pinging(holding(lease(1)), by_hand, loop, stops_at=2.5)
    assert (loop.pings, loop.asked, caplog.messages) == (1, [], [])


@pytest.mark.parametrize("is_a_job", [True, False])
def test_the_report_names_who_holds_the_loop(
    caplog: pytest.LogCaptureFixture, is_a_job: bool
) -> None:
    blocker = lease(1) if is_a_job else None
    who = f"job {to_uuid(lease(1).claimed.request.id)} (work, attempt 1)"
    watchdog(Roster(1))._report(blocker, 1.26)
    assert caplog.record_tuples == [
        (
            "trio_gusto",
            logging.WARNING,
            f"the event loop has stood still for 1.3 s, held by {who if is_a_job else 'code outside of jobs'}:\n"
            "Move blocking work into a plain `def` handler, which runs in a thread.",
        )
    ]


def test_the_report_shows_the_twelve_innermost_calls_of_the_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watching = watchdog(Roster(1))
    watching._loop_thread = threading.get_ident()
    asking = threading.Thread(target=watching._report, args=(None, 1.0))
    asking.start()
    asking.join()
    _, *stack, _ = caplog.messages[0].splitlines()
    calls = [line for line in stack if line.startswith("  File ")]
    assert len(calls) == 12
    assert any("in test_the_report_shows" in call for call in calls)
    assert all(line.startswith("  ") for line in stack)


async def test_it_watches_in_a_thread_of_its_own_until_it_is_stopped(
    autojump_clock: MockClock,
) -> None:
    watching = watchdog(Roster(1))
    seen: list[tuple[object, ...]] = []

    def watch(token: trio.lowlevel.TrioToken) -> None:
        me = threading.current_thread()
        seen.append((token, me.name, me.daemon))
        assert watching._stop.wait(10)
        seen.append(("stopped",))

    watching._watch = watch  # type: ignore[method-assign]
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watching.run)
            await trio.testing.wait_all_tasks_blocked()
            assert watching._loop_thread == threading.get_ident()
            assert watching._loop_time() == trio.current_time()
            nursery.cancel_scope.cancel()
    token = trio.lowlevel.current_trio_token()
    assert seen == [(token, "trio-gusto-watchdog", True), ("stopped",)] * 2


async def test_a_thread_that_does_not_end_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JOIN_PATIENCE", 0.001)
    watching, released = watchdog(Roster(1)), threading.Event()
    watching._watch = lambda _token: released.wait(60)  # type: ignore[method-assign,assignment]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watching.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert not released.is_set()
    released.set()


@pytest.mark.parametrize("is_a_job", [True, False])
def test_whoever_listens_is_told_how_long_who_held_the_loop(
    by_hand: ByHand, is_a_job: bool
) -> None:
    facts = list[Fact]()
    probe, blocker = Probe(), lease(1)
    probe.subscribe(facts.append)
    watchdog(Roster(1), probe=probe)._back(blocker if is_a_job else None, 1.5)
    job = (to_uuid(blocker.claimed.request.id), "work") if is_a_job else (None, None)
    assert facts == [LoopBlocked(at=by_hand.now, seconds=1.5, job_id=job[0], name=job[1], stack="")]


@pytest.mark.parametrize("is_heard", [False, True])
def test_whoever_listens_is_told_how_long_the_loop_stood_still(is_heard: bool) -> None:
    observer, facts = Observer(), list[Fact]()
    probe = Probe(observer=observer if is_heard else None)  # type: ignore[arg-type]  # of one ear
    if is_heard:
        probe.subscribe(facts.append)
    watchdog(Roster(1), probe=probe)._back(None, 1.5)
    assert observer.blocked == ([1.5] if is_heard else [])
    assert [type(fact) for fact in facts] == ([LoopBlocked] if is_heard else [])
