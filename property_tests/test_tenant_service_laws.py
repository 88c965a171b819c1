"""Tenants that take turns through real apps in virtual time: nobody starves, shares are by weight.

`test_tenant_laws.py` has the same of the rules and of storages alone. Here pollers, executors and a storage
stand between, several nodes share the work, some are stopped and begin anew, tenants come, go and are
paused, and handlers themselves note when they begin.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
import trio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from trio_gusto import Gusto, MemoryStorage, Options, call
from trio_gusto.model.job import StoredJob
from trio_gusto.storage.memory.fairness import TurnShelf
from trio_gusto.storage.messages import ClaimDue, ClaimReply
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

WEIGHTS = {"a": 1, "b": 2, "c": 3}


@attrs.frozen
class Arrival:
    """Jobs of one tenant that are enqueued ``after`` so many seconds."""

    after: float
    tenant: str
    count: int
    worker: str | None = None


@attrs.frozen
class Team:
    """How many nodes there are, and what each of them can do."""

    nodes: int
    concurrency: int
    prefetch: int
    batch_size: int
    queues: Sequence[str] | None

    @property
    def held(self) -> int:
        """Jobs that all nodes together may have claimed and not begun."""
        claim = max(self.batch_size, self.prefetch, self.concurrency)
        return self.nodes * (2 * self.concurrency + 4 * self.prefetch + claim)


@attrs.frozen
class Start:
    """A handler has been entered."""

    at: float
    tenant: str
    number: int
    enqueued_at: float


class Office:
    """Nodes that serve the same tenants."""

    def __init__(self, storage: Storage, team: Team, weights: Mapping[str, int]) -> None:
        self.storage, self.team = storage, team
        self.options = Options(
            concurrency=team.concurrency,
            prefetch=team.prefetch,
            batch_size=team.batch_size,
            queues=team.queues,
            tenant_order="fair",
            tenant_weights=weights,
        )
        self.starts: list[Start] = []

    async def run(self, arrivals: Sequence[Arrival], restart_at: float | None) -> None:
        self.clock = VirtualClock()
        producer, count = Gusto(self.storage, clock=self.clock), 0

        @producer.job(name="serve")
        async def serve(tenant: str, number: int, enqueued_at: float) -> None: ...

        async with AsyncExitStack() as stack:
            queue = await stack.enter_async_context(producer.connected())

            async def enqueue(arrival: Arrival) -> None:
                nonlocal count
                now = trio.current_time()
                await queue.enqueue_many(
                    [
                        call(
                            serve,
                            arrival.tenant,
                            count + number,
                            now,
                            tenant=arrival.tenant,
                            worker=arrival.worker,
                        )
                        for number in range(arrival.count)
                    ]
                )
                count += arrival.count

            for arrival in arrivals:
                if not arrival.after:
                    await enqueue(arrival)
            nodes = await stack.enter_async_context(trio.open_nursery())
            opened_at = trio.current_time()
            for _ in range(self.team.nodes):
                nodes.start_soon(self._node, restart_at)
            for arrival in sorted(arrivals, key=lambda arrival: arrival.after):
                if arrival.after:
                    await trio.sleep_until(opened_at + arrival.after)
                    await enqueue(arrival)
            await trio.sleep(5 + sum(arrival.count for arrival in arrivals))
            nodes.cancel_scope.cancel()
        assert len(self.starts) == count

    async def _node(self, restart_at: float | None) -> None:
        """A node, which is stopped once and starts anew, knowing nothing but what is stored."""
        if restart_at is not None:
            async with self._app().running():
                await trio.sleep(restart_at)
        async with self._app().running():
            await trio.sleep_forever()

    def _app(self) -> Gusto:
        app = Gusto(self.storage, clock=self.clock, options=self.options)
        app.job(name="serve")(self._serve)
        return app

    async def _serve(self, tenant: str, number: int, enqueued_at: float) -> None:
        self.starts.append(Start(trio.current_time(), tenant, number, enqueued_at))
        await trio.sleep(1)


MakeStorage = Callable[[Path], Storage]


def starts_in(
    make_storage: MakeStorage,
    team: Team,
    arrivals: Sequence[Arrival],
    restart_at: float | None = None,
) -> Sequence[Start]:
    """What begins when, with all nodes in virtual time."""
    with TemporaryDirectory() as folder:
        office = Office(make_storage(Path(folder) / "jobs.db"), team, WEIGHTS)
        trio.run(office.run, arrivals, restart_at, clock=MockClock(autojump_threshold=0))
    return office.starts


def weight(tenant: str) -> int:
    """That of a tenant, named or not."""
    return WEIGHTS.get(tenant, 1)


def check_shares(make_storage: MakeStorage, team: Team, tenants: str, restart_at: float) -> None:
    """Between two tenants that are always busy lies a turn of each at most, besides what is held."""
    rounds = 6
    stock = [
        Arrival(0, tenant, rounds * weight(tenant) + team.held * 3 + 10)
        for tenant in dict.fromkeys(tenants)
    ]
    starts = starts_in(make_storage, team, stock, restart_at)
    total = sum(weight(arrival.tenant) for arrival in stock)
    served = dict.fromkeys((arrival.tenant for arrival in stock), 0)
    for start in starts[: rounds * total]:
        served[start.tenant] += 1
        shares = {tenant: count / weight(tenant) for tenant, count in served.items()}
        # What one node has claimed may begin after what another has claimed later, or be given back
        # when it stops, and then its turn is spent.
        slack = 0 if (team.nodes, team.concurrency, team.prefetch) == (1, 1, 0) else team.held
        for ahead, share in shares.items():
            for behind, other in shares.items():
                most = (1 + slack) / weight(ahead) + (1 + slack) / weight(behind) + 1e-9
                assert share - other <= most, f"a tenant is ahead: {ahead} of {behind}, {served}"


def check_waiting(
    make_storage: MakeStorage,
    team: Team,
    arrivals: Sequence[Arrival],
    restart_at: float | None = None,
) -> None:
    """While a tenant has a job that nobody has claimed, others have a round of turns at most."""
    starts = starts_in(make_storage, team, arrivals, restart_at)
    tenants = {arrival.tenant for arrival in arrivals}
    for tenant in tenants:
        others = sum(weight(other) for other in tenants if other != tenant)
        most = 2 * others + 2 * team.held
        since = 0.0
        for start in (start for start in starts if start.tenant == tenant):
            since = max(since, start.enqueued_at)
            before = [
                other for other in starts if other.tenant != tenant and since < other.at < start.at
            ]
            assert len(before) <= most, f"a tenant starves: {start} behind {len(before)}"
            since = start.at


def check_order(make_storage: MakeStorage, team: Team, arrivals: Sequence[Arrival]) -> None:
    """One executor on one node begins the jobs of one tenant in order."""
    team = attrs.evolve(team, nodes=1, concurrency=1)
    begun: defaultdict[str, list[int]] = defaultdict(list)
    for start in starts_in(make_storage, team, arrivals):
        begun[start.tenant].append(start.number)
    for tenant, numbers in begun.items():
        assert all(one < other for one, other in pairwise(numbers)), f"out of order: {tenant}"


def in_memory(_path: Path) -> Storage:
    return MemoryStorage()


def in_sqlite(path: Path) -> Storage:
    return SqliteStorage(path, inline=True, synchronous="NORMAL", watch_interval=60)


storages = pytest.mark.parametrize("make_storage", [in_memory, in_sqlite])
teams = st.builds(
    Team,
    nodes=st.integers(1, 2),
    concurrency=st.integers(1, 3),
    prefetch=st.sampled_from([0, 0, 1, 4]),
    batch_size=st.sampled_from([1, 3, 10]),
    queues=st.sampled_from([None, ["default"]]),
)
busy = st.text(st.sampled_from("abcde"), min_size=2, max_size=4)
scattered = st.lists(
    st.builds(
        Arrival,
        after=st.sampled_from([0, 0, 0.5, 1.5, 4.5, 9.5]),
        tenant=st.sampled_from("abcde"),
        count=st.sampled_from([1, 1, 2, 20, 40]),
    ),
    min_size=1,
    max_size=8,
)
restarts = st.sampled_from([2.5, 7.5])
long = pytest.mark.timeout(3600)  # a nightly run draws many examples
fewer = settings(max_examples=settings().max_examples // 2)
"""Each runs whole apps, in two storages."""


@long
@fewer
@storages
@given(team=teams, tenants=busy, restart_at=restarts)
def test_busy_tenants_are_served_by_weight_across_nodes_and_restarts(
    make_storage: MakeStorage, team: Team, tenants: str, restart_at: float
) -> None:
    check_shares(make_storage, team, tenants, restart_at)


@long
@fewer
@storages
@given(team=teams, arrivals=scattered, restart_at=st.none() | restarts)
def test_no_tenant_starves_whatever_arrives(
    make_storage: MakeStorage, team: Team, arrivals: list[Arrival], restart_at: float | None
) -> None:
    check_waiting(make_storage, team, arrivals, restart_at)


@long
@fewer
@storages
@given(team=teams, arrivals=scattered)
def test_the_jobs_of_a_tenant_keep_their_order(
    make_storage: MakeStorage, team: Team, arrivals: list[Arrival]
) -> None:
    check_order(make_storage, team, arrivals)


@storages
def test_many_jobs_of_one_do_not_keep_the_only_job_of_another_waiting(
    make_storage: MakeStorage,
) -> None:
    team = Team(nodes=1, concurrency=1, prefetch=0, batch_size=1, queues=None)
    crowd = [Arrival(0, "big", 300), Arrival(0.5, "small", 1)]
    starts = starts_in(make_storage, team, crowd)
    assert [start.tenant for start in starts[:3]].count("small") == 1


# --- planted faults ---------------------------------------------------------------------------------


class ServesWhoeverIsDueFirst(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return super()._claim_due(attrs.evolve(claim, tenant_weights=None))


class TakesAllForAlike(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return super()._claim_due(attrs.evolve(claim, tenant_weights={}))


class ForgetsTurns(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()

        class Forgetful(TurnShelf):
            def remember(self, claim: ClaimDue, jobs: Sequence[StoredJob]) -> None: ...

        self._index.turns = Forgetful()


class HandsOutTheLastFirst(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        reply = super()._claim_due(claim)
        return attrs.evolve(reply, jobs=[*reply.jobs][::-1])


ALONE: dict[str, Any] = {"nodes": 1, "concurrency": 1}
settled = settings(
    derandomize=True, database=None, max_examples=1000, phases=[Phase.generate], deadline=None
)


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        (ServesWhoeverIsDueFirst, "a tenant is ahead"),
        (TakesAllForAlike, "a tenant is ahead"),
        (ForgetsTurns, "a tenant is ahead"),
        (ServesWhoeverIsDueFirst, "a tenant starves"),
        (ForgetsTurns, "a tenant starves"),
        (HandsOutTheLastFirst, "out of order"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_the_laws_catch(fault: type[MemoryStorage], law: str) -> None:
    def broken(_path: Path) -> Storage:
        return fault()

    @settled
    @given(team=teams, tenants=busy, arrivals=scattered, restart_at=restarts)
    def laws(team: Team, tenants: str, arrivals: list[Arrival], restart_at: float) -> None:
        team = attrs.evolve(team, **ALONE)
        if law == "a tenant is ahead":
            check_shares(broken, team, tenants, restart_at)
        elif law == "a tenant starves":
            check_waiting(broken, team, arrivals)
        else:
            check_order(broken, team, arrivals)

    with pytest.raises(AssertionError, match=law):
        laws()
