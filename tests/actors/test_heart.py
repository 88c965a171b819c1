"""The heart renews what is held in time, and ends what has had its time."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.test_roster import lease
from trio_gusto import GustoError, MemoryStorage, Options, StorageBusy
from trio_gusto.actors import heart as hearts
from trio_gusto.actors.desk import StorageDesk
from trio_gusto.actors.heart import Heart
from trio_gusto.actors.lease import PATIENCE, Cause, Lease, Slot
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.roster import Roster
from trio_gusto.actors.settler import Settler
from trio_gusto.actors.storekeeper import Storekeeper
from trio_gusto.model.instants import MICROSECONDS, to_instant
from trio_gusto.model.pauses import StoredPause
from trio_gusto.storage.lease_messages import CancelRequests, CancelsAsked, Renew, Renewed
from trio_gusto.storage.messages import Query, Write, WriteReply
from trio_gusto.testing import Fault, FaultyStorage, VirtualClock
from trio_gusto.testing.clock import START

LEASE, FENCE_AFTER = 30.0, 27.0
OPTIONS = Options(lease=LEASE)
NOW = to_instant(START)
EVERYTHING = StoredPause(None, None, "inventory", NOW, 1)


class Renewing(MemoryStorage):
    """Remembers what a heart wants, and answers as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.renewed: list[tuple[float, Renew]] = []
        self.reply: Renewed | GustoError = Renewed([], [])
        self.asked: list[tuple[float, str]] = []
        self.answer: CancelsAsked | GustoError = CancelsAsked([])

    def perform(self, write: Write) -> WriteReply | GustoError:
        assert isinstance(write, Renew)
        self.renewed.append((trio.current_time(), write))
        return self.reply

    async def read(self, query: Query) -> Any:
        assert isinstance(query, CancelRequests)
        self.asked.append((trio.current_time(), query.node))
        if isinstance(self.answer, GustoError):
            raise self.answer
        return self.answer


@attrs.define
class Observer:
    """Counts renewals that fail."""

    failures: int = 0

    def renewal_failed(self) -> None:
        self.failures += 1


class Body:
    """A heart, what it beats for, and all that it tells others."""

    def __init__(
        self,
        storage: Renewing | FaultyStorage | None = None,
        slots: int = 1,
        options: Options = OPTIONS,
    ) -> None:
        self.storage = Renewing()
        self.desk = StorageDesk(storage or self.storage)
        self.roster = Roster(slots)
        self.observer = Observer()
        self.clock = VirtualClock()
        self.clock.instant()
        self.is_claiming = False
        self.called_off: list[tuple[Lease, str]] = []
        self.paused: list[list[StoredPause]] = []
        self.late: list[tuple[float, Slot, float]] = []
        self.heart = Heart(
            "node",
            self.desk,
            self.roster,
            cast("Settler", self),
            Probe(observer=self.observer),  # type: ignore[arg-type]  # of one ear
            self.clock,
            options,
            FENCE_AFTER,
            is_claiming=lambda: self.is_claiming,
            on_paused=lambda pauses: self.paused.append([*pauses]),
            on_late=lambda slot, lag: self.late.append((trio.current_time(), slot, lag)),
        )

    def call_off(self, lease: Lease, reason: str) -> None:
        self.called_off.append((lease, reason))

    def hold(self, number: int, fence: float = 1000.0) -> Lease:
        held = lease(number, token=number + 10)
        held.fence = fence
        self.roster.leases[held.claimed.request.id] = held
        self.roster.occupied.ring()
        return held

    def enter(self, number: int, deadline: float) -> Lease:
        """A handler that runs in the slot of this number."""
        held, slot = self.hold(number), self.roster.slots[number]
        slot.lease, held.slot, slot.deadline = held, slot, deadline
        self.roster.watch(deadline)
        return held


@asynccontextmanager
async def beating(body: Body) -> AsyncGenerator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(body.desk).run)
        await nursery.start(body.heart.run)
        yield
        nursery.cancel_scope.cancel()


# --- leases ---------------------------------------------------------------------------------------


async def test_what_is_held_is_renewed_every_third_of_a_lease(autojump_clock: MockClock) -> None:
    body = Body()
    held = [body.hold(1), body.hold(2)]
    async with beating(body):
        await trio.sleep(25)
    assert body.storage.renewed == [
        (
            at,
            Renew(
                "node",
                NOW + at * MICROSECONDS,
                NOW + (at + 30) * MICROSECONDS,
                [(one.claimed.request.id, one.claimed.token) for one in held],
            ),
        )
        for at in (10, 20)
    ]
    assert [one.fence for one in held] == [20 + FENCE_AFTER] * 2


async def test_where_nothing_is_held_it_is_silent_and_then_wakes_for_the_first_lease(
    autojump_clock: MockClock,
) -> None:
    body = Body()
    body.is_claiming = True
    async with beating(body):
        await trio.sleep(95)
        assert (body.storage.renewed, body.storage.asked) == ([], [])
        body.hold(1)
        await trio.sleep(11)
        body.roster.leases.clear()
        await trio.sleep(95)
    assert [at for at, _ in body.storage.renewed] == [105]


async def test_a_lease_that_is_lost_is_told_to_its_handler_and_its_fence_stays(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    body = Body()
    kept, lost = body.hold(1), body.hold(2)
    body.storage.reply = Renewed([lost.claimed.request.id], [])
    async with beating(body):
        await trio.sleep(11)
    assert (kept.cause, kept.fence) == (None, 10 + FENCE_AFTER)
    assert (lost.cause, lost.fence) == (Cause.FENCE, 1000)
    line = f"the lease on job {lost.claimed.request.id.hex()} was lost"
    assert [record.getMessage() for record in caplog.records] == [line]


async def test_of_a_lease_that_is_let_go_of_meanwhile_nobody_says_that_it_is_lost(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its outcome was stored before it could be renewed."""
    body = Body()
    ended = body.hold(1)
    reply = Renewed([ended.claimed.request.id], [])

    class Ending(Renewing):
        def perform(self, write: Write) -> WriteReply | GustoError:
            body.roster.leases.clear()
            return reply

    body.heart._desk = StorageDesk(Ending())
    async with beating(body):
        await trio.sleep(11)
    assert (ended.cause, ended.fence, caplog.records) == (None, 1000, [])


async def test_what_was_called_off_elsewhere_is_called_off_if_it_is_here(
    autojump_clock: MockClock,
) -> None:
    body = Body()
    held, other = body.hold(1), lease(2)
    job, stranger = held.claimed.request.id, other.claimed.request.id
    body.storage.reply = Renewed([], [(stranger, "not here"), (job, "enough")])
    async with beating(body):
        await trio.sleep(11)
    assert body.called_off == [(held, "enough")]


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault(), "the storage is busy: a fault of this test"),
        (Fault(error=None, delay=100), "no answer in time"),
    ],
    ids=["refused", "without an answer"],
)
async def test_a_renewal_that_fails_is_logged_and_counted_and_moves_no_fence(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, fault: Fault, text: str
) -> None:
    storage = FaultyStorage(MemoryStorage(), lambda _asked: fault)
    body = Body(storage)
    held = body.hold(1)
    async with beating(body):
        await trio.sleep(19.5)
        assert body.observer.failures == (fault.error is not None), "it has ten seconds to answer"
        await trio.sleep(1)
    failures = 1 if fault.error is None else 2
    assert body.observer.failures == failures
    messages = [record.getMessage() for record in caplog.records if "leases" in record.getMessage()]
    assert messages == [f"leases could not be renewed: {text}"] * failures
    assert (held.fence, held.cause) == (1000, None)


async def test_without_telemetry_a_renewal_may_fail_too(autojump_clock: MockClock) -> None:
    body = Body()
    body.heart._probe.observer = None
    body.storage.reply = StorageBusy("busy")
    body.hold(1)
    async with beating(body):
        await trio.sleep(25)
    assert len(body.storage.renewed) == 2


# --- what others want -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_holding", "is_claiming", "asks"),
    [(False, False, 0), (True, False, 1), (False, True, 1)],
)
async def test_it_asks_what_others_want_only_where_it_has_or_claims_something(
    autojump_clock: MockClock, is_holding: bool, is_claiming: bool, asks: int
) -> None:
    body = Body()
    body.is_claiming = is_claiming
    if is_holding:
        body.hold(1)
    await body.heart.look_for_requests()
    assert body.storage.asked == [(0.0, "node")] * asks


async def test_what_others_want_is_done(autojump_clock: MockClock) -> None:
    body = Body()
    held = body.hold(1)
    body.storage.answer = CancelsAsked([(held.claimed.request.id, "enough")], [EVERYTHING])
    await body.heart.look_for_requests()
    assert body.called_off == [(held, "enough")]
    assert body.paused == [[EVERYTHING]]
    body.storage.answer = CancelsAsked([])
    await body.heart.look_for_requests()
    assert len(body.paused) == 1, "where nothing is paused nothing is told"


async def test_what_could_not_be_asked_is_asked_every_second_until_it_is_known(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where nothing is held any more by then: it may have been claimed all the same."""
    body = Body()
    body.is_claiming = True
    body.storage.answer = StorageBusy("busy")
    await body.heart.look_for_requests()
    (record,) = caplog.records
    text = record.getMessage()
    assert text.startswith("what others want of running jobs could not be read: ")
    assert text.endswith("busy")
    async with beating(body):
        await trio.sleep(1.5)
        body.storage.answer = CancelsAsked([])
        await trio.sleep(60)
    assert [at for at, _ in body.storage.asked] == [0, 1, 2]
    assert body.storage.renewed == []


# --- deadlines ------------------------------------------------------------------------------------


async def test_a_handler_whose_time_is_up_is_cancelled_at_that_instant(
    autojump_clock: MockClock,
) -> None:
    body = Body(slots=3)
    early, late = body.enter(1, deadline=4.0), body.enter(2, deadline=7.5)
    async with beating(body):
        await trio.sleep(3.9)
        assert (early.cause, body.roster.next_deadline) == (None, 4.0)
        await trio.sleep(0.2)
        assert (early.cause, late.cause) == (Cause.TIMEOUT, None)
        assert body.roster.next_deadline == 7.5
        await trio.sleep(4)
        assert late.cause is Cause.TIMEOUT
    slots = body.roster.slots
    assert body.late == [(4.0, slots[1], 0.0), (7.5, slots[2], 0.0)]


async def test_a_handler_that_does_not_end_is_told_of_once_more(autojump_clock: MockClock) -> None:
    body = Body(slots=2)
    held = body.enter(1, deadline=4.0)
    async with beating(body):
        await trio.sleep(100)
    slot = body.roster.slots[1]
    assert body.late == [(4.0, slot, 0.0), (4.0 + PATIENCE, slot, 0.0)]
    assert (held.cause, slot.deadline) == (Cause.TIMEOUT, math.inf)


async def test_what_was_cancelled_for_another_reason_keeps_it_when_it_is_late(
    autojump_clock: MockClock,
) -> None:
    body = Body(slots=2)
    held = body.enter(1, deadline=4.0)
    held.cancel("enough")
    async with beating(body):
        await trio.sleep(10)
    assert held.cause is Cause.CANCEL
    assert body.late == [(PATIENCE, body.roster.slots[1], 0.0)]


async def test_how_late_it_comes_is_told_with_what_is_late(autojump_clock: MockClock) -> None:
    body = Body(slots=2)
    body.enter(1, deadline=4.0)
    await trio.sleep(6.5)
    async with beating(body):
        await wait_all_tasks_blocked()
    assert body.late == [(6.5, body.roster.slots[1], 2.5)]


async def test_at_its_fence_a_handler_is_cancelled_and_not_before(
    autojump_clock: MockClock,
) -> None:
    body = Body()
    first, second = body.hold(1, fence=3.0), body.hold(2, fence=5.0)
    second.cancel("enough")
    third = body.hold(3, fence=6.0)
    async with beating(body):
        await trio.sleep(2.9)
        assert (first.cause, body.roster.next_deadline) == (None, 3.0)
        await trio.sleep(0.2)
        assert first.cause is Cause.FENCE
        await trio.sleep(2)
        assert (second.cause, third.cause) == (Cause.CANCEL, None)
        await trio.sleep(1)
        assert third.cause is Cause.FENCE


async def test_where_nothing_has_a_deadline_it_looks_at_the_clock_now_and_then(
    autojump_clock: MockClock,
) -> None:
    body = Body()
    async with beating(body):
        await trio.sleep(1)
        assert body.roster.next_deadline == body.clock.longest_sleep
        await trio.sleep(body.clock.longest_sleep)
        assert body.roster.next_deadline == 2 * body.clock.longest_sleep


# --- the watchdog ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_real", "threshold", "is_watched"),
    [(True, 0.5, True), (True, None, False), (False, 0.5, False)],
)
async def test_where_time_is_real_the_loop_is_watched_if_that_is_wanted(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    is_real: bool,
    threshold: float | None,
    is_watched: bool,
) -> None:
    given: list[tuple[object, ...]] = []
    began: list[float] = []

    class Watching:
        def __init__(self, *all_of_it: object) -> None:
            given.append(all_of_it)

        async def run(self) -> None:
            began.append(trio.current_time())

    monkeypatch.setattr(hearts, "Watchdog", Watching)
    options = Options(lease=LEASE, loop_block_threshold=threshold)
    body = Body(options=options)
    body.clock.is_real = is_real
    async with beating(body):
        await trio.sleep(1)
    probe = body.heart._probe
    assert given == [("node", body.desk, body.roster, probe, options, FENCE_AFTER)]
    assert began == [0.0] * is_watched
