"""Laws of estimates: what they say is between what was measured, and all storages measure the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import pytest
import trio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from property_tests.broken.runs import PROMISES
from property_tests.strategies import NOW
from trio_gusto.model.estimating import ALMOST, Estimate, estimate
from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.states import Cancelled, Completed, Failed, Ready, State
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Insert
from trio_gusto.storage.run_messages import PastRuns
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage

durations = st.lists(st.integers(0, 20) | st.integers(0, 10**12), min_size=1, max_size=30)
elapsed = st.integers(0, 25) | st.integers(0, 10**12)


Rule = Callable[[Sequence[int], int], Estimate | None]


def check_estimate(rule: Rule, runs: list[int], at: int, later: int) -> None:
    """Check the laws for a job that has run until ``at``, and perhaps until ``later``."""
    found = rule(runs, at)
    assert found is not None
    low, high = found.spread
    assert min(runs) / 1e6 <= low <= found.duration <= high <= max(runs) / 1e6
    assert found == rule(sorted(runs), at), "the order says nothing"
    assert found.percent is not None
    assert 0 <= found.percent <= ALMOST
    assert (found.remaining is None) == (max(runs) <= at)
    after = rule(runs, max(at, later))
    if found.remaining is not None and after is not None and after.remaining is not None:
        assert found.remaining > 0
        end, end_later = at / 1e6 + found.remaining, max(at, later) / 1e6 + after.remaining
        assert end_later >= end - 1e-3, "what is expected moves away, and never nearer"


@given(runs=durations, at=elapsed, later=elapsed)
def test_an_estimate_is_between_what_was_measured(runs: list[int], at: int, later: int) -> None:
    check_estimate(estimate, runs, at, later)


def takes_the_last_run_for_all(runs: Sequence[int], at: int) -> Estimate | None:
    return estimate(runs[:1], at)


def takes_the_median_to_the_end(runs: Sequence[int], at: int) -> Estimate | None:
    found = estimate(runs, at)
    return found and attrs.evolve(found, remaining=found.duration - at / 1e6)


def is_through_too_soon(runs: Sequence[int], at: int) -> Estimate | None:
    found = estimate(runs, at)
    return found and attrs.evolve(found, percent=100 * at / 1e6 / max(found.duration, 1e-6))


def comes_nearer_by_itself(runs: Sequence[int], at: int) -> Estimate | None:
    found = estimate(runs, at)
    rest = None if found is None or found.remaining is None else 1e7 / (at + 1)
    return found and attrs.evolve(found, remaining=rest)


@pytest.mark.parametrize(
    "planted",
    [
        takes_the_last_run_for_all,
        takes_the_median_to_the_end,
        is_through_too_soon,
        comes_nearer_by_itself,
    ],
    ids=lambda planted: planted.__name__,
)
def test_the_laws_of_estimates_catch_who(planted: Rule) -> None:
    @settings(max_examples=1000, derandomize=True, database=None, phases=[Phase.generate])
    @given(runs=durations, at=elapsed, later=elapsed)
    def search(runs: list[int], at: int, later: int) -> None:
        check_estimate(planted, runs, at, later)

    with pytest.raises(AssertionError):
        search()


# --- storages -------------------------------------------------------------------------------------

words = st.sampled_from(["a", "b"])
some_or_none = st.none() | st.sampled_from(["a", "b"])


def _completed(ended: int, took: int) -> State:
    at = NOW + ended
    return Completed(at, at - took, at - took, "node")


states = st.one_of(
    st.builds(_completed, st.integers(0, 9), st.integers(0, 99)),
    st.builds(_completed, st.integers(0, 9), st.integers(0, 99)),
    st.builds(lambda at: Failed(NOW + at, ""), st.integers(0, 9)),
    st.builds(lambda at: Cancelled(NOW + at, ""), st.integers(0, 9)),
    st.just(Ready(NOW)),
)
jobs = st.lists(st.tuples(words, some_or_none, some_or_none, states), max_size=12)
queries = st.builds(
    PastRuns,
    words,
    some_or_none,
    limit=st.integers(1, 4),
    look=st.integers(1, 8),
    schedule=some_or_none,
)

Job = tuple[str, str | None, str | None, State]


def check_agreement(storages: list[Storage], kept: list[Job], asked: list[PastRuns]) -> None:
    """Give all storages the same jobs, and compare what they say."""
    requests = [
        JobRequest(
            uuid7(NOW * 1000, number),
            name,
            "[[],{}]",
            NOW,
            9,
            details=Details(worker=worker, schedule_name=schedule) if worker or schedule else None,
        )
        for number, (name, worker, schedule, _) in enumerate(kept)
    ]

    async def main() -> None:
        for storage in storages:
            await storage.attach("node")
        try:
            if requests:
                insert = Insert(requests, [state for *_, state in kept])
                for storage in storages:
                    await storage.apply([insert])
            for query in asked:
                model, subject = [await storage.read(query) for storage in storages]
                assert list(model.durations) == list(subject.durations)
        finally:
            for storage in storages:
                await storage.detach("node")

    trio.run(main)


@given(kept=jobs, asked=st.lists(queries, min_size=1, max_size=4))
def test_all_storages_measure_the_same(kept: list[Job], asked: list[PastRuns]) -> None:
    check_agreement([MemoryStorage(), SqliteStorage(":memory:", inline=True)], kept, asked)


@pytest.mark.parametrize("broken", [one for one, _ in PROMISES], ids=lambda one: one.__name__)
def test_the_law_catches(broken: Callable[[], Storage]) -> None:
    @settings(max_examples=1000, derandomize=True, database=None, phases=[Phase.generate])
    @given(kept=jobs, asked=st.lists(queries, min_size=1, max_size=4))
    def search(kept: list[Job], asked: list[PastRuns]) -> None:
        check_agreement([MemoryStorage(), broken()], kept, asked)

    with pytest.raises(AssertionError):
        search()
