"""Queues through real apps in virtual time: by weight none starves, strictly the first goes first.

`test_queue_laws.py` has the same of the rules alone. Here pollers, executors and a storage stand between,
several nodes share the work, and handlers themselves note when they begin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Literal

import attrs
import pytest
import trio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from trio_gusto import Gusto, MemoryStorage, Options, call
from trio_gusto.model import queues
from trio_gusto.storage.messages import ClaimDue, ClaimReply
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock


@attrs.frozen
class Arrival:
    """Jobs of one queue that are enqueued ``after`` so many seconds."""

    after: float
    queue: str
    count: int


@attrs.frozen
class Team:
    """How many nodes there are, and what each of them can do."""

    nodes: int
    concurrency: int
    prefetch: int
    batch_size: int


@attrs.frozen
class Start:
    """A handler has been entered."""

    at: float
    node: int
    queue: str
    enqueued_at: float


class Shop:
    """Nodes that serve the same queues."""

    def __init__(
        self,
        storage: Storage,
        weights: Mapping[str, int],
        team: Team,
        order: Literal["weighted", "strict"] = "weighted",
    ) -> None:
        self.storage, self.weights, self.team = storage, weights, team
        self.options = Options(
            queues=weights,
            queue_order=order,
            concurrency=team.concurrency,
            prefetch=team.prefetch,
            batch_size=team.batch_size,
        )
        self.starts: list[Start] = []

    async def run(self, arrivals: Sequence[Arrival]) -> None:
        clock, storage = VirtualClock(), self.storage
        producer = Gusto(storage, clock=clock)

        @producer.job(name="serve")
        async def serve(queue: str, enqueued_at: float) -> None: ...

        async def enqueue(arrival: Arrival) -> None:
            now = trio.current_time()
            one = call(serve, arrival.queue, now, queue=arrival.queue)
            await queue.enqueue_many([one] * arrival.count)

        async with AsyncExitStack() as stack:
            queue = await stack.enter_async_context(producer.connected())
            for arrival in arrivals:
                if not arrival.after:
                    await enqueue(arrival)
            for node in range(self.team.nodes):
                app = Gusto(storage, clock=clock, options=self.options)
                app.job(name="serve")(partial(self.serve, node))
                await stack.enter_async_context(app.running())
            opened_at = trio.current_time()
            for arrival in sorted(arrivals, key=lambda arrival: arrival.after):
                if arrival.after:
                    await trio.sleep_until(opened_at + arrival.after)
                    await enqueue(arrival)
            await trio.sleep(5 + sum(arrival.count for arrival in arrivals))
        assert len(self.starts) == sum(arrival.count for arrival in arrivals)

    async def serve(self, node: int, queue: str, enqueued_at: float) -> None:
        self.starts.append(Start(trio.current_time(), node, queue, enqueued_at))
        await trio.sleep(1)


def starts_in(
    make_storage: Callable[[], Storage],
    weights: Mapping[str, int],
    team: Team,
    arrivals: Sequence[Arrival],
    order: Literal["weighted", "strict"] = "weighted",
) -> Sequence[Start]:
    """What begins when, with all nodes in virtual time."""
    shop = Shop(make_storage(), weights, team, order)
    trio.run(shop.run, arrivals, clock=MockClock(autojump_threshold=0))
    return shop.starts


def check_parts(
    make_storage: Callable[[], Storage], weights: Mapping[str, int], team: Team
) -> None:
    """Of queues that never run empty each gets its part of what a node starts, round by round."""
    total, rounds = sum(weights.values()), 5
    stock = [Arrival(0, name, 40 + rounds * team.nodes * weights[name]) for name in weights]
    starts = starts_in(make_storage, weights, team, stock)
    for node in range(team.nodes):
        served = [start.queue for start in starts if start.node == node][: rounds * total]
        for end in range(len(served) + 1):
            found, whole = Counter(served[:end]), end // total
            for name, weight in weights.items():
                is_due = whole * weight <= found[name] <= (whole + 1) * weight
                assert is_due, f"a queue has not its part: {name} of {served[:end]}"


def check_waiting(
    make_storage: Callable[[], Storage],
    weights: Mapping[str, int],
    team: Team,
    arrivals: Sequence[Arrival],
) -> None:
    """While a queue has a job that nobody has claimed, others have at most a round on each node.

    What a node has claimed already goes first, so that is besides.
    """
    starts = starts_in(make_storage, weights, team, arrivals)
    held = 2 * team.concurrency + 4 * team.prefetch + max(team.batch_size, team.prefetch)
    most = team.nodes * (sum(weights.values()) + held)
    for name in weights:
        since = 0.0
        for start in (start for start in starts if start.queue == name):
            since = max(since, start.enqueued_at)
            others = [
                other for other in starts if other.queue != name and since < other.at < start.at
            ]
            assert len(others) <= most, f"a queue starves: {start} behind {others}"
            since = start.at


def check_strictness(
    make_storage: Callable[[], Storage],
    weights: Mapping[str, int],
    team: Team,
    arrivals: Sequence[Arrival],
) -> None:
    """Nothing starts while a job of an earlier queue waits, nothing being claimed ahead."""
    team = attrs.evolve(team, prefetch=0)
    starts = starts_in(make_storage, weights, team, arrivals, "strict")
    names = list(weights)
    for place, start in enumerate(starts):
        overtaken = [
            later
            for later in starts[place + 1 :]
            if later.enqueued_at < start.at < later.at
            and names.index(later.queue) < names.index(start.queue)
        ]
        assert not overtaken, f"a later queue went first: {start} before {overtaken}"


in_sqlite = partial(SqliteStorage, ":memory:", inline=True, synchronous="NORMAL")
storages = pytest.mark.parametrize(
    "make_storage", [MemoryStorage, in_sqlite], ids=["memory", "sqlite"]
)
weights = st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), min_size=1)
teams = st.builds(
    Team,
    nodes=st.integers(1, 2),
    concurrency=st.integers(1, 3),
    prefetch=st.sampled_from([0, 0, 1, 5]),
    batch_size=st.sampled_from([1, 3, 10]),
)
scattered = st.lists(
    st.builds(
        Arrival,
        after=st.sampled_from([0, 0, 0.5, 1.5, 4.5, 9.5]),
        queue=st.sampled_from("abc"),
        count=st.sampled_from([1, 1, 2, 20, 30]),
    ),
    min_size=1,
    max_size=8,
)
THREE = {"a": 1, "b": 3, "c": 2}


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@storages
@given(weights=weights, team=teams)
def test_each_queue_gets_its_part_of_what_a_node_starts(
    make_storage: Callable[[], Storage], weights: dict[str, int], team: Team
) -> None:
    check_parts(make_storage, weights, team)


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@storages
@given(team=teams, arrivals=scattered)
def test_no_queue_starves_whatever_arrives(
    make_storage: Callable[[], Storage], team: Team, arrivals: list[Arrival]
) -> None:
    check_waiting(make_storage, THREE, team, arrivals)


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@storages
@given(team=teams, arrivals=scattered)
def test_strictly_nothing_overtakes_an_earlier_queue(
    make_storage: Callable[[], Storage], team: Team, arrivals: list[Arrival]
) -> None:
    check_strictness(make_storage, THREE, team, arrivals)


# --- planted faults ---------------------------------------------------------------------------------


class FillsUpFromOneQueue(MemoryStorage):
    """It takes all it can from the first queue by name, whatever the shares."""

    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        names = sorted(name for name, _ in claim.queues or ())
        return super()._claim_due(attrs.evolve(claim, queues=[(one, claim.limit) for one in names]))


class AsksInItsOwnOrder(MemoryStorage):
    """It looks at queues by name, the last first, and takes one job of each."""

    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        names = sorted((name for name, _ in claim.queues or ()), reverse=True)
        return super()._claim_due(attrs.evolve(claim, queues=[(one, 1) for one in names]))


def starts_anew(weights: Mapping[str, int], limit: int, before: int) -> Sequence[tuple[str, int]]:
    return SHARES(weights, limit, 0 * before)


SHARES = queues.shares
settled = settings(
    derandomize=True, database=None, max_examples=200, phases=[Phase.generate], deadline=None
)


def test_the_law_of_parts_catches_a_storage_that_ignores_shares() -> None:
    @settled
    @given(team=teams)
    def law(team: Team) -> None:
        check_parts(FillsUpFromOneQueue, THREE, team)

    with pytest.raises(AssertionError, match="has not its part"):
        law()


def test_the_law_of_waiting_catches_a_storage_that_ignores_shares() -> None:
    @settled
    @given(team=teams, arrivals=scattered)
    def law(team: Team, arrivals: list[Arrival]) -> None:
        check_waiting(FillsUpFromOneQueue, THREE, team, arrivals)

    with pytest.raises(AssertionError, match="a queue starves"):
        law()


def test_the_laws_catch_a_poller_whose_wheel_always_starts_at_its_first_notch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queues, "shares", starts_anew)
    team = Team(nodes=1, concurrency=1, prefetch=0, batch_size=1)
    with pytest.raises(AssertionError, match="has not its part"):
        check_parts(MemoryStorage, THREE, team)
    flood = [Arrival(0, "a", 60), Arrival(0, "c", 1)]
    with pytest.raises(AssertionError, match="a queue starves"):
        check_waiting(MemoryStorage, THREE, team, flood)


def test_the_law_of_strictness_catches_a_storage_that_serves_in_an_order_of_its_own() -> None:
    @settled
    @given(team=teams, arrivals=scattered)
    def law(team: Team, arrivals: list[Arrival]) -> None:
        check_strictness(AsksInItsOwnOrder, THREE, team, arrivals)

    with pytest.raises(AssertionError, match="a later queue went first"):
        law()
