"""The conformance suite can fail: every broken storage breaks one promise, and is caught for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from property_tests.broken.attempts import LosesARecord
from property_tests.broken.completions import RefusesNodesThatLeft
from property_tests.broken_storages import BROKEN, CHECKS, Broken
from trio_gusto.model.errors import DuplicateJob, GustoError
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Insert, Inserted, Write, WriteReply
from trio_gusto.storage.storage import Storage
from trio_gusto.testing.storage_contract import (
    STORAGE_CHECKS,
    Subject,
    check_reopening,
    check_storage,
    run_check,
)
from trio_gusto.testing.storage_contract.runner import sentence


@pytest.mark.parametrize("broken", BROKEN, ids=lambda each: f"{each.name}-{each.promise}")
async def test_the_check_of_a_broken_promise_fails(
    broken: Broken, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """In no time at all, also where the storage hangs."""
    with pytest.raises(AssertionError, match=f"^{broken.promise}: "):
        await broken.check(tmp_path)


def test_each_promise_is_broken_by_somebody() -> None:
    """A check that finds nobody is not known to find anything."""
    single = {promise for promise in CHECKS if " play of " not in promise}
    assert single <= {broken.promise for broken in BROKEN}


def test_each_way_to_perform_a_play_finds_somebody() -> None:
    ways = {promise.partition(" in a ")[0] for promise in CHECKS if " play of " in promise}
    found = {each.promise.partition(" in a ")[0] for each in BROKEN if " play of " in each.promise}
    assert {way.partition(" in another ")[0] for way in ways} == found


async def test_check_storage_runs_every_check_and_numbers_may_have_gaps() -> None:
    """So whoever is caught by one of them does not pass. One may draw its numbers from a counter of its database,
    also for what is refused then."""
    ran: list[str] = []

    class Gaps(MemoryStorage):
        async def attach(self, node: str) -> None:
            await super().attach(node)
            if node == "checker":
                ran.append(node)

        def perform(self, write: Write) -> WriteReply | GustoError:
            self._sequence += 3
            self._pauses._number += 5
            return super().perform(write)

    await check_storage(Gaps, reopen=lambda storage: storage)
    assert len(ran) == len(CHECKS)


async def test_check_storage_says_what_was_found_instead() -> None:
    with pytest.raises(AssertionError, match=r"should be .* but is"):
        await check_storage(LosesARecord)


async def test_an_error_of_the_storage_is_noted_with_the_promise() -> None:
    class Breaks(MemoryStorage):
        def _insert(self, insert: Insert) -> Inserted | DuplicateJob:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone") as caught:
        await check_storage(Breaks)
    assert caught.value.__notes__ == ["while checking that a job is kept as it was asked for"]


async def test_a_storage_that_hangs_is_given_up(autojump_clock: MockClock) -> None:
    class Hangs(MemoryStorage):
        async def attach(self, node: str) -> None:
            await trio.sleep_forever()

    with pytest.raises(AssertionError, match="nothing was heard of the storage for 5 seconds"):
        await check_storage(Hangs, patience=5)


async def test_a_storage_that_cannot_be_detached_is_given_up(autojump_clock: MockClock) -> None:
    class Stays(MemoryStorage):
        async def detach(self, node: str) -> None:
            await trio.sleep_forever()

    with pytest.raises(
        AssertionError, match=r"^a job is kept .*: it should be detached within 10 s"
    ):
        await check_storage(Stays, patience=60)


async def test_tasks_that_find_a_broken_promise_say_it_in_a_sentence() -> None:
    async def nothing_is_right(subject: Subject) -> None:
        raise ExceptionGroup("tasks", [AssertionError("wrong"), AssertionError("wrong, too")])

    with pytest.raises(AssertionError, match=r"^nothing is right: wrong$"):
        await run_check(nothing_is_right, MemoryStorage)


async def test_losing_jobs_between_openings_is_caught() -> None:
    with pytest.raises(AssertionError, match="opened again"):
        await check_reopening(MemoryStorage, lambda detached: MemoryStorage())


async def test_forgetting_who_waits_for_a_callback_between_openings_is_caught() -> None:
    def reopened(detached: Storage) -> Storage:
        assert isinstance(detached, MemoryStorage)
        detached._awaited.by.clear()
        return detached

    with pytest.raises(AssertionError, match="whose wait for a callback may be over after"):
        await check_reopening(MemoryStorage, reopened)


async def test_refusing_successes_claimed_before_reopening_is_caught() -> None:
    with pytest.raises(AssertionError, match="before reopening"):
        await check_reopening(RefusesNodesThatLeft, lambda detached: detached)


def test_every_broken_storage_says_what_is_wrong_with_it_and_stands_there_once() -> None:
    assert len({(each.storage, each.promise) for each in BROKEN}) == len(BROKEN)
    assert all(each.promise in CHECKS for each in BROKEN)
    assert len({each.storage for each in BROKEN}) > 200
    assert {sentence(check) for check in STORAGE_CHECKS} < set(CHECKS)
