"""Every storage of the package keeps every promise of the message contract: one test for each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import get_args

import pytest

from trio_gusto.model.errors import BatchError, DuplicateJob, UnknownJob
from trio_gusto.storage.lease_messages import RequestCancel
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import ClaimDue, Commit, Conflict, Write, WriteReply
from trio_gusto.storage.report_messages import Report
from trio_gusto.storage.schedule_messages import Fire, PutSchedule
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing.storage_contract import (
    REOPENING_CHECKS,
    STORAGE_CHECKS,
    Check,
    MakeStorage,
    run_check,
)
from trio_gusto.testing.storage_contract.crowds import CROWD_CHECKS
from trio_gusto.testing.storage_contract.hearing import HEARING_CHECKS
from trio_gusto.testing.storage_contract.ordering import ORDERING_CHECKS
from trio_gusto.testing.storage_contract.plays import PLAY_CHECKS, PLAYS
from trio_gusto.testing.storage_contract.plays.play import Make, essence, record

StorageAt = Callable[[Path], Storage]


def memory(path: Path) -> Storage:
    return MemoryStorage()


STORAGES: dict[str, StorageAt] = {
    "memory": memory,
    "sqlite in a thread": SqliteStorage,
    "sqlite inline": partial(SqliteStorage, inline=True),
}


@pytest.fixture(params=list(STORAGES.values()), ids=list(STORAGES))
def make_storage(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStorage:
    """Makes fresh storages of one kind."""
    files = (tmp_path / f"{number}.db" for number in count())
    return lambda: request.param(next(files))


SINGLE_CHECKS = STORAGE_CHECKS[: -len(PLAY_CHECKS)]
"""The checks of single promises; plays take longer, and are not for every variant."""


@pytest.mark.parametrize("check", SINGLE_CHECKS, ids=lambda check: check.__name__)
async def test_storages_promise_that(check: Check, make_storage: MakeStorage) -> None:
    await run_check(check, make_storage)


OF_THREADS = ("a_group_that_was_cut_off", "whoever_looks_meanwhile", "a_submitted_group")
"""What a thread adds to plays: one may be cut off, or looked at, meanwhile."""


def _is_for(kind: str, check: Check) -> bool:
    name = check.__name__
    return (
        kind != "sqlite in a thread" or name.startswith(OF_THREADS) or name.endswith("everything")
    )


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        pytest.param(kind, check, id=f"{kind}-{check.__name__}")
        for kind in ("memory", "sqlite in a thread", "sqlite inline")
        for check in PLAY_CHECKS
        if _is_for(kind, check)
    ],
)
async def test_in_storages_of_every_way_to_work(check: Check, kind: str, tmp_path: Path) -> None:
    await run_check(check, lambda: STORAGES[kind](tmp_path / "jobs.db"))


async def test_jobs_outlive_an_inline_storage(tmp_path: Path) -> None:
    files = Files(tmp_path, inline=True)
    await run_check(REOPENING_CHECKS[0], files.fresh, reopen=files.same)


@pytest.mark.parametrize("check", REOPENING_CHECKS, ids=lambda check: check.__name__)
async def test_what_outlives_a_storage_in_a_thread_is_that(check: Check, tmp_path: Path) -> None:
    files = Files(tmp_path, inline=False)
    await run_check(check, files.fresh, reopen=files.same)


LOOKING_ON = [check for check in PLAY_CHECKS if check.__name__.startswith("whoever_looks")]


@pytest.mark.parametrize(
    "check",
    [*CROWD_CHECKS, *HEARING_CHECKS, *ORDERING_CHECKS, *LOOKING_ON],
    ids=lambda it: it.__name__,
)
@pytest.mark.parametrize("inline", [False, True], ids=["in a thread", "inline"])
async def test_two_storages_on_one_file_promise_that(
    check: Check, inline: bool, tmp_path: Path
) -> None:
    files = Files(tmp_path, inline=inline)
    await run_check(check, files.fresh, beside=files.same)


class Files:
    """Storages on files, opened once more where it is asked for."""

    def __init__(self, folder: Path, *, inline: bool) -> None:
        self._paths = (folder / f"{number}.db" for number in count())
        self._inline = inline
        self._opened: dict[Storage, Path] = {}

    def fresh(self) -> Storage:
        return self._on(next(self._paths))

    def same(self, storage: Storage) -> Storage:
        return self._on(self._opened[storage])

    def _on(self, path: Path) -> Storage:
        storage = SqliteStorage(path, inline=self._inline)
        self._opened[storage] = path
        return storage


async def test_sqlite_without_a_file_promises_the_same() -> None:
    """In the loop, as laws have it."""
    for check in SINGLE_CHECKS:
        await run_check(check, lambda: SqliteStorage(":memory:", inline=True))


def test_the_suite_is_offered_to_users() -> None:
    from trio_gusto import testing
    from trio_gusto.testing import storage_contract

    assert testing.check_storage is storage_contract.check_storage
    assert testing.STORAGE_CHECKS is storage_contract.STORAGE_CHECKS
    names = {check.__name__ for check in (*STORAGE_CHECKS, *REOPENING_CHECKS)}
    assert len(names) == len(STORAGE_CHECKS) + len(REOPENING_CHECKS) >= 295


@pytest.mark.parametrize("make", PLAYS.values(), ids=PLAYS)
async def test_a_play_is_recorded_the_same_each_time(make: Make) -> None:
    """Or a check would find now this, now that."""
    first, second = [
        [(each.writes, list(map(essence, each.replies)), each.seen) for each in moments]
        for moments in [await record(make, MemoryStorage()) for _ in range(2)]
    ]
    assert first == second


async def test_plays_tell_every_message_and_see_it_refused() -> None:
    """What a play does not tell, no way to perform it checks."""
    told: set[tuple[type, type]] = set()
    for make in PLAYS.values():
        for moment in await record(make, MemoryStorage()):
            told |= set(zip(map(type, moment.writes), map(type, moment.replies), strict=True))
    assert {write for write, _ in told} == set(get_args(Write))
    assert {reply for _, reply in told} >= {
        *get_args(WriteReply),
        DuplicateJob,
        UnknownJob,
        BatchError,
    }
    fenced = {write for write, reply in told if reply is Conflict}
    assert fenced >= {Commit, RequestCancel, Fire, PutSchedule}


async def test_plays_leave_out_what_a_storage_does_not_keep() -> None:
    class Bare(MemoryStorage):
        keeps_reports = keeps_children = keeps_rates = False

    for make in PLAYS.values():
        for moment in await record(make, Bare()):
            assert Report not in map(type, moment.writes)
            assert not any(isinstance(one, Commit) and one.children for one in moment.writes)
            assert not any(isinstance(one, ClaimDue) and one.queue_rates for one in moment.writes)
