"""Laws of rate limits and of ageing, and that they can fail.

- In any span of length ``w`` at most ``burst + w * count / per`` jobs start, whatever nodes and queues there are.
- Where nothing else is in the way, every job starts at the first instant that this allows.
- With ageing no job waits behind a newer one, unless that is of a priority higher by more than its lateness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from trio.testing import MockClock

from property_tests.aiming import LOOKING, check_is_broken
from property_tests.broken.rates import (
    ClaimsAheadOfExecutors,
    IgnoresAgeing,
    LosesTokens,
    RefundsTokens,
    TellsNoInstant,
    on_shelf,
)
from property_tests.rate_agreement import (
    AgeingAgreement,
    FairRateAgreement,
    RateAgreement,
    obeys,
)
from trio_gusto import Gusto, Handler, JobQueue, MemoryStorage, Options, RateLimit, call, fixed
from trio_gusto.model.order import place
from trio_gusto.model.rates import Bucket, first_start
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

# --- the rule alone ---------------------------------------------------------------------------------

rates = st.builds(
    RateLimit,
    st.integers(1, 7),
    per=st.sampled_from([1e-6, 7e-6, 1e-5, 0.001, 1.0]),
    burst=st.none() | st.integers(1, 9),
)
waits = st.lists(st.integers(0, 12) | st.integers(0, 400_000), min_size=1, max_size=40)


@given(rate=rates, waits=waits)
def test_a_start_is_allowed_as_soon_as_the_law_allows_it_and_not_before(
    rate: RateLimit, waits: list[int]
) -> None:
    now, bucket, starts = 0, None, list[int]()
    for wait in waits:
        now += wait
        first = first_start(bucket, now, rate)
        assert obeys([*starts, first], rate), "a start was allowed too early"
        assert first == now or not obeys([*starts, first - 1], rate), "a start was refused"
        now = first
        bucket = (bucket or Bucket(now, 0, now, rate)).start(now, rate)
        starts.append(now)
        assert now <= first_start(bucket, now, rate) <= bucket.full_at
        assert first_start(bucket, bucket.full_at, rate) == bucket.full_at


# --- storages ---------------------------------------------------------------------------------------


class SqliteRates(RateAgreement):
    def make_storage(self, path: Path) -> Storage:
        return SqliteStorage(path, inline=True, synchronous="NORMAL")


class SqliteAgeing(AgeingAgreement):
    def make_storage(self, path: Path) -> Storage:
        return SqliteStorage(path, inline=True, synchronous="NORMAL")


class SqliteFairRates(FairRateAgreement):
    def make_storage(self, path: Path) -> Storage:
        return SqliteStorage(path, inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", [SqliteRates, SqliteAgeing, SqliteFairRates])
def test_two_storages_agree_about_rates(machine: type[RateAgreement]) -> None:
    run_state_machine_as_test(machine)


# --- the whole scheduler ----------------------------------------------------------------------------

KEYS = {"k": RateLimit(3, per=7), "l": RateLimit(2, per=1, burst=1)}
QUEUES = {"slow": RateLimit(2, per=9, burst=4)}


@attrs.frozen
class Work:
    """A job to enqueue, after a while."""

    after: float = 0.0
    key: str | None = None
    queue: str = "a"
    priority: int = 0
    seconds: float = 0.0
    fails: bool = False

    @property
    def buckets(self) -> Mapping[str, RateLimit]:
        of_key = {} if self.key is None else {self.key: KEYS[self.key]}
        return of_key if self.queue not in QUEUES else {**of_key, self.queue: QUEUES[self.queue]}


@attrs.define
class Run:
    """What came of it: instants in microseconds, by the number of the job."""

    enqueued: dict[int, int] = attrs.field(factory=dict[int, int])
    starts: list[tuple[int, int]] = attrs.field(factory=list[tuple[int, int]])


def play(
    make_storage: Callable[[], Storage],
    works: Sequence[Work],
    *,
    nodes: int = 1,
    concurrency: int = 50,
    prefetch: int | None = None,
    ageing: float | None = None,
) -> Run:
    """Run them to the end, in virtual time."""
    run, clock, storage = Run(), VirtualClock(), make_storage()
    options = Options(
        concurrency=concurrency, prefetch=prefetch, queue_rates=QUEUES, priority_ageing=ageing
    )

    async def work(number: int) -> None:
        is_first = number not in [started for _, started in run.starts]
        run.starts.append((clock.instant(), number))
        await trio.sleep(works[number].seconds)
        if works[number].fails and is_first:
            raise ValueError

    async def main() -> None:
        async with AsyncExitStack() as stack:
            queues: list[JobQueue] = []
            handlers: list[Handler[[int], None]] = []
            for _ in range(nodes):
                app = Gusto(storage, clock=clock, options=options)
                handlers.append(app.job(name="work", retry=fixed(1), max_attempts=2)(work))
                queues.append(await stack.enter_async_context(app.running()))
            number = 0
            while number < len(works):
                await trio.sleep(works[number].after)
                end = number + 1
                while end < len(works) and not works[end].after:
                    end += 1
                together = range(number, end)
                run.enqueued |= dict.fromkeys(together, clock.instant())
                calls = [
                    call(
                        handlers[number % nodes],
                        each,
                        queue=one.queue,
                        priority=one.priority,
                        rate_key=one.key,
                        rate_limit=None if one.key is None else KEYS[one.key],
                    )
                    for each, one in enumerate(works[number:end], number)
                ]
                await queues[number % nodes].enqueue_many(calls)
                number = end
            await trio.sleep(10 * len(works) + 60)
            counts = (await queues[0].stats()).by_state
            assert sum(counts.values()) == len(works)
            done = counts.get("completed", 0)  # type: ignore[call-overload]
            assert done == len(works), f"every job is done in the end: {counts}"

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return run


def check_rates(works: Sequence[Work], run: Run) -> None:
    """The first law."""
    for name, rate in {**KEYS, **QUEUES}.items():
        starts = [at for at, number in run.starts if name in works[number].buckets]
        assert obeys(starts, rate), f"more jobs start than the limit of {name} allows: {starts}"


def check_that_none_is_late(works: Sequence[Work], run: Run) -> None:
    """The second law, for jobs of one bucket at most."""
    started: dict[str | None, list[int]] = {}
    for at, number in run.starts:
        name = next(iter(works[number].buckets), None)
        before = started.setdefault(name, [])
        first = run.enqueued[number]
        if name is not None:
            rate = works[number].buckets[name]
            bucket: Bucket | None = None
            for each in before:
                bucket = (bucket or Bucket(each, 0, each, rate)).start(each, rate)
            first = first_start(bucket, first, rate)
        assert at <= first + 1, f"job {number} starts as soon as it may: {at} > {first}"
        before.append(at)


def check_ageing(works: Sequence[Work], run: Run, ageing: float) -> None:
    """The third law, where claims are starts."""
    span = round(ageing * 1_000_000)
    order = {number: at for at, number in run.starts}

    def stands(number: int) -> tuple[int, int, int]:
        return place(-works[number].priority, run.enqueued[number], number, span)

    for older, began in order.items():
        for newer, at in order.items():
            if run.enqueued[older] <= run.enqueued[newer] and stands(older) < stands(newer):
                assert began <= at, f"job {newer} starts before {older}, which has aged"


in_sqlite = partial(SqliteStorage, ":memory:", inline=True, synchronous="NORMAL")
storages = pytest.mark.parametrize(
    "make_storage", [MemoryStorage, in_sqlite], ids=["memory", "sqlite"]
)
afters = st.sampled_from([0.0, 0.0, 0.0, 0.3, 2.0, 11.0])
lone = st.builds(Work, after=afters, key=st.sampled_from([None, "k", "k", "l"])) | st.builds(
    Work, after=afters, queue=st.sampled_from(["slow", "a"])
)
busy = st.builds(
    Work,
    after=afters,
    key=st.sampled_from([None, "k", "l"]),
    queue=st.sampled_from(["a", "slow"]),
    priority=st.integers(0, 1),
    seconds=st.sampled_from([0.0, 0.5, 3.0]),
    fails=st.booleans(),
)
ageing = st.builds(
    Work,
    after=afters,
    queue=st.sampled_from(["a", "b"]),
    priority=st.integers(0, 3),
    seconds=st.sampled_from([0.5, 3.0]),
)


def several(of: st.SearchStrategy[Work]) -> st.SearchStrategy[list[Work]]:
    return st.lists(of, min_size=1, max_size=20)


teams = {"nodes": st.integers(1, 3), "concurrency": st.integers(1, 3)}
prefetches = st.sampled_from([0, 4, None])


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@storages
@given(works=several(lone), nodes=st.integers(1, 2))
def test_jobs_start_as_soon_as_their_rate_allows(
    make_storage: Callable[[], Storage], works: list[Work], nodes: int
) -> None:
    run = play(make_storage, works, nodes=nodes)
    check_rates(works, run)
    check_that_none_is_late(works, run)


@pytest.mark.timeout(3600)
@storages
@given(works=several(busy), team=st.fixed_dictionaries(teams), prefetch=prefetches)
def test_no_more_jobs_start_than_their_rate_allows(
    make_storage: Callable[[], Storage],
    works: list[Work],
    team: dict[str, Any],
    prefetch: int | None,
) -> None:
    check_rates(works, play(make_storage, works, **team, prefetch=prefetch))


@pytest.mark.timeout(3600)
@storages
@given(works=several(ageing), team=st.fixed_dictionaries(teams), span=st.sampled_from([0.4, 2, 30]))
def test_whoever_waits_rises_in_priority(
    make_storage: Callable[[], Storage], works: list[Work], team: dict[str, Any], span: float
) -> None:
    check_ageing(works, play(make_storage, works, **team, prefetch=0, ageing=span), span)


# --- planted faults ---------------------------------------------------------------------------------


def all_laws(make_storage: Callable[[], Storage], works: list[Work]) -> None:
    run = play(make_storage, works)
    check_rates(works, run)
    check_that_none_is_late(works, run)


def the_law_of_rates(make_storage: Callable[[], Storage], works: list[Work]) -> None:
    check_rates(works, play(make_storage, works, concurrency=1, prefetch=8))


def the_law_of_ageing(make_storage: Callable[[], Storage], works: list[Work]) -> None:
    check_ageing(works, play(make_storage, works, concurrency=1, prefetch=0, ageing=2), 2)


@pytest.mark.parametrize(
    ("fault", "check", "works", "law"),
    [
        (on_shelf(LosesTokens), all_laws, lone, "more jobs start"),
        (on_shelf(RefundsTokens), the_law_of_rates, busy, "more jobs start"),
        (on_shelf(TellsNoInstant), all_laws, lone, "as soon as it may"),
        (on_shelf(ClaimsAheadOfExecutors), the_law_of_rates, busy, "more jobs start"),
        (IgnoresAgeing, the_law_of_ageing, ageing, "which has aged"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_laws_catch(
    fault: type[MemoryStorage],
    check: Callable[[Callable[[], Storage], list[Work]], None],
    works: st.SearchStrategy[Work],
    law: str,
) -> None:
    @settings(LOOKING, max_examples=500)
    @given(works=several(works))
    def machine(works: list[Work]) -> None:
        check(fault, works)

    check_is_broken(law, machine)
